//! Go's durations: `1h30m`, in nanoseconds.

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// As `time.ParseDuration` reads it, with its messages.
pub fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        if !rest.starts_with(|c: char| c == '.' || c.is_ascii_digit()) {
            return Err(invalid());
        }
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        let part = whole.checked_mul(*length).and_then(|part| part.checked_add(fraction_of(fraction, *length))).ok_or_else(invalid)?;
        total = total.checked_add(part).filter(|total| *total <= 1 << 63).ok_or_else(invalid)?;
        rest = behind;
    }
    match (negative, i64::try_from(total)) {
        (true, Ok(total)) => Ok(-total),
        (true, Err(_)) => Ok(i64::MIN),
        (false, Ok(total)) => Ok(total),
        (false, Err(_)) => Err(invalid()),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// So many nanoseconds; digits beyond what an integer holds do not count.
fn fraction_of(digits: &str, length: u64) -> u64 {
    let kept = &digits[..digits.len().min(18)];
    let number: u128 = kept.parse().unwrap_or(0);
    let scale = 10_u128.pow(u32::try_from(kept.len()).unwrap_or(0));
    u64::try_from(number * u128::from(length) / scale).unwrap_or(u64::MAX)
}

/// As `time.Duration` prints itself.
pub fn format(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    if total == 0 {
        return "0s".to_owned();
    }
    if total < 1_000_000_000 {
        let (unit, length) = match total {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{sign}{}{unit}", decimal(total / length, total % length, length));
    }
    let (seconds, nanos) = (total / 1_000_000_000, total % 1_000_000_000);
    let in_minute = decimal(seconds % 60, nanos, 1_000_000_000);
    match seconds / 60 {
        0 => format!("{sign}{in_minute}s"),
        minutes if minutes < 60 => format!("{sign}{minutes}m{in_minute}s"),
        minutes => format!("{sign}{}h{}m{in_minute}s", minutes / 60, minutes % 60),
    }
}

fn decimal(whole: u64, rest: u64, length: u64) -> String {
    if rest == 0 {
        return whole.to_string();
    }
    let width = usize::try_from(length.ilog10()).unwrap_or(0);
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, written) in [
            ("0", "0s"),
            ("90m", "1h30m0s"),
            ("1h", "1h0m0s"),
            ("1.5h", "1h30m0s"),
            ("-1m30.5s", "-1m30.5s"),
            ("100ms", "100ms"),
            ("1500us", "1.5ms"),
            ("12µs", "12µs"),
            (".5s", "500ms"),
            ("72h3m0.5s", "72h3m0.5s"),
            ("1ns", "1ns"),
        ] {
            assert_eq!(parse(text).map(format).as_deref(), Ok(written), "{text}");
        }
        for (text, problem) in [
            ("", "time: invalid duration \"\""),
            ("1", "time: missing unit in duration \"1\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            ("h", "time: invalid duration \"h\""),
            (".s", "time: invalid duration \".s\""),
            ("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""),
        ] {
            assert_eq!(parse(text), Err(problem.to_owned()), "{text}");
        }
    }
}
