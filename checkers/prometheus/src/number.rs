//! Numbers and durations in Go's and Prometheus' spelling.

use std::fmt::Write;

/// The bits of the sample that ends a series.
pub const STALE_NAN: u64 = 0x7ff0_0000_0000_0002;

const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// As far as Go's `time.Duration` reaches, in milliseconds.
const MAX_DURATION: i64 = i64::MAX / 1_000_000;

pub fn stale() -> f64 {
    f64::from_bits(STALE_NAN)
}

pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN
}

/// Milliseconds of `1h30m`, as Prometheus reads durations: units from large to small, each at most once.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    match text {
        "" => return Err("empty duration string".to_owned()),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || format!("not a valid duration string: {}", quote(text));
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let (number, after) = rest.split_at(digits);
        let unit_length = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        let factor = units.by_ref().find(|known| known.0 == unit).filter(|_| digits > 0).ok_or_else(invalid)?.1;
        let amount = number.parse::<i64>().ok().and_then(|n| n.checked_mul(factor)).and_then(|n| total.checked_add(n));
        total = amount.filter(|total| *total <= MAX_DURATION).ok_or("duration out of range")?;
        rest = after;
    }
    Ok(total)
}

/// `1h30m`: Prometheus' spelling of a duration of so many milliseconds.
pub fn format_duration(milliseconds: i64) -> String {
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    let mut out = if milliseconds < 0 { "-".to_owned() } else { String::new() };
    let mut rest = milliseconds.unsigned_abs();
    for (unit, factor) in UNITS {
        let factor = factor.unsigned_abs();
        // Years, weeks and days only where nothing is left over.
        let exact = matches!(unit, "y" | "w" | "d");
        if exact && !rest.is_multiple_of(factor) {
            continue;
        }
        if rest >= factor {
            let _ = write!(out, "{}{unit}", rest / factor);
            rest %= factor;
        }
    }
    out
}

/// `1h30m0s`: Go's spelling of a duration of so many milliseconds.
pub fn format_go_duration(milliseconds: i64) -> String {
    let sign = if milliseconds < 0 { "-" } else { "" };
    let total = milliseconds.unsigned_abs();
    if total == 0 {
        return "0s".to_owned();
    }
    if total < 1000 {
        return format!("{sign}{total}ms");
    }
    let seconds = format_plain((total % 60_000) as f64 / 1000.0);
    let (hours, minutes) = (total / 3_600_000, total / 60_000 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// What a number literal means: an integer in any of Go's bases, else a float.
pub fn parse_number(text: &str) -> Result<f64, String> {
    parse_integer(text).map_or_else(|| parse_float(text), Ok)
}

/// Go's `strconv.ParseFloat`.
pub fn parse_float(text: &str) -> Result<f64, String> {
    let syntax = || format!("strconv.ParseFloat: parsing {}: invalid syntax", quote(text));
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => return Ok(sign * f64::INFINITY),
        // Go's NaN has no sign.
        "nan" if unsigned.len() == text.len() => return Ok(f64::NAN),
        "nan" => return Err(syntax()),
        _ => {}
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !unsigned.bytes().any(|b| b.is_ascii_digit()) {
        return Err(syntax());
    }
    let plain = without_underscores(unsigned).ok_or_else(syntax)?;
    let value = plain.parse::<f64>().map_err(|_| syntax())?;
    if value.is_infinite() {
        return Err(format!("strconv.ParseFloat: parsing {}: value out of range", quote(text)));
    }
    Ok(sign * value)
}

/// Go's `strconv.ParseInt` with base 0.
fn parse_integer(text: &str) -> Option<f64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let body = if radix == 10 { body } else { body.strip_prefix('_').unwrap_or(body) };
    let body = without_underscores(body)?;
    if body.is_empty() || body.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&body, radix).ok().map(|value| if negative { -value as f64 } else { value as f64 })
}

/// `None` where an underscore does not stand between two digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_hexdigit);
    let held = bytes.iter().enumerate().all(|(at, b)| *b != b'_' || digit(at.checked_sub(1)) && digit(Some(at + 1)));
    held.then(|| text.replace('_', ""))
}

/// Go's `%g` and `%v`: the shortest text that reads back as the same number.
pub fn format_g(value: f64) -> String {
    let Some((negative, digits, exponent)) = shortest(value) else { return special(value) };
    layout(negative, &digits, exponent, 6)
}

/// Go's `%.4g` and the like.
pub fn format_g_precision(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return special(value);
    }
    let precision = precision.clamp(1, 17);
    let text = format!("{:.*e}", precision - 1, value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.truncate(digits.trim_end_matches('0').len().max(1));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (count, point) = (digits.len() as i32, exponent + 1);
    let mut limit = precision as i32;
    if limit > count && count >= point {
        limit = count;
    }
    layout(value.is_sign_negative(), &digits, exponent, limit)
}

/// Go's `'f', -1`: never with an exponent.
pub fn format_plain(value: f64) -> String {
    if value.is_finite() { format!("{value}") } else { special(value) }
}

/// Go's `'E', -1`: `1.5E+00`, promtool's spelling of values.
pub fn format_e(value: f64) -> String {
    let Some((negative, digits, exponent)) = shortest(value) else { return special(value) };
    scientific(negative, &digits, exponent).to_ascii_uppercase()
}

/// Go's `%q`.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            '\r' => out += "\\r",
            '\u{7}' => out += "\\a",
            '\u{8}' => out += "\\b",
            '\u{c}' => out += "\\f",
            '\u{b}' => out += "\\v",
            control if (control as u32) < 0x20 || control as u32 == 0x7f => _ = write!(out, "\\x{:02x}", control as u32),
            control if control.is_control() => _ = write!(out, "\\u{:04x}", control as u32),
            other => out.push(other),
        }
    }
    out + "\""
}

/// Go's `%q` of one letter.
pub fn quote_char(letter: char) -> String {
    match letter {
        '\'' => "'\\''".to_owned(),
        '"' => "'\"'".to_owned(),
        other => {
            let quoted = quote(&other.to_string());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}

fn special(value: f64) -> String {
    match value {
        nan if nan.is_nan() => "NaN".to_owned(),
        positive if positive > 0.0 => "+Inf".to_owned(),
        _ => "-Inf".to_owned(),
    }
}

fn shortest(value: f64) -> Option<(bool, String, i32)> {
    if !value.is_finite() {
        return None;
    }
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e')?;
    Some((value.is_sign_negative(), mantissa.chars().filter(char::is_ascii_digit).collect(), exponent.parse().ok()?))
}

fn layout(negative: bool, digits: &str, exponent: i32, limit: i32) -> String {
    if exponent < -4 || exponent >= limit {
        return scientific(negative, digits, exponent);
    }
    let sign = if negative { "-" } else { "" };
    let point = exponent + 1;
    if point <= 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize)).trim_end_matches('.').to_owned();
    }
    let point = point as usize;
    if digits.len() <= point {
        return format!("{sign}{digits}{}", "0".repeat(point - digits.len()));
    }
    format!("{sign}{}.{}", &digits[..point], &digits[point..])
}

fn scientific(negative: bool, digits: &str, exponent: i32) -> String {
    let sign = if negative { "-" } else { "" };
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let direction = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, want) in
            [("1h30m", Some(5_400_000)), ("5ms", Some(5)), ("1y2w3d4h5m6s7ms", Some(33_019_506_007)), ("0", Some(0)), ("0s", Some(0))]
        {
            assert_eq!(parse_duration(text).ok(), want, "{text}");
        }
        for text in ["", "1", "5mm", "1s1m", "-1s", "1 s", "m", "1.5h", "300y", "99999999999999999999s", "1h1h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for (value, want) in
            [(0, "0s"), (90_000, "1m30s"), (86_400_000, "1d"), (90_000_000, "25h"), (1, "1ms"), (604_800_000, "1w"), (-300_000, "-5m")]
        {
            assert_eq!(format_duration(value), want);
        }
        for (value, want) in [(0, "0s"), (90_000, "1m30s"), (3_600_000, "1h0m0s"), (1_500, "1.5s"), (20, "20ms")] {
            assert_eq!(format_go_duration(value), want);
        }
    }

    #[test]
    fn number_literals() {
        for (text, want) in [
            ("12", 12.0),
            ("0x1F", 31.0),
            ("017", 15.0),
            ("0b11", 3.0),
            ("1_000", 1000.0),
            ("1e3", 1000.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("09", 9.0),
            ("-3", -3.0),
            ("+Inf", f64::INFINITY),
            ("1_2.5e1", 125.0),
        ] {
            assert_eq!(parse_number(text), Ok(want), "{text}");
        }
        for text in ["", "a", "1e999", "1__0", "_1", "1_", "--1", "0x", "e5", ".", "-nan"] {
            assert!(parse_number(text).is_err(), "{text}");
        }
        assert!(parse_number("NaN").is_ok_and(f64::is_nan));
    }

    #[test]
    fn spellings() {
        for (value, g, plain, e) in [
            (1.0, "1", "1", "1E+00"),
            (0.1, "0.1", "0.1", "1E-01"),
            (1_234_567.0, "1.234567e+06", "1234567", "1.234567E+06"),
            (123_456.0, "123456", "123456", "1.23456E+05"),
            (0.000_01, "1e-05", "0.00001", "1E-05"),
            (-0.000_15, "-0.00015", "-0.00015", "-1.5E-04"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
            (0.0, "0", "0", "0E+00"),
        ] {
            assert_eq!((format_g(value), format_plain(value), format_e(value)), (g.to_owned(), plain.to_owned(), e.to_owned()));
        }
        for (value, want) in [
            (1.5, "1.5"),
            (1_234_567.0, "1.235e+06"),
            (100.0, "100"),
            (0.123_456, "0.1235"),
            (1024.0, "1024"),
            (12345.0, "1.234e+04"),
            (0.0, "0"),
        ] {
            assert_eq!(format_g_precision(value, 4), want, "{value}");
        }
        assert_eq!(quote("a\"\n\u{1}é"), "\"a\\\"\\n\\x01é\"");
        assert_eq!(quote_char('0'), "'0'");
    }
}
