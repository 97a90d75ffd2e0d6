//! How Go writes and reads floating-point numbers.

/// `%v`: the shortest digits, with an exponent below 1e-4 and from 1e6.
pub(crate) fn general(number: f64) -> String {
    written(number, -4, 6, 2)
}

/// As `encoding/json` writes it; nothing where it refuses.
pub(crate) fn json(number: f64) -> Option<String> {
    number.is_finite().then(|| written(number, -6, 21, 1))
}

fn written(number: f64, smallest: i32, largest: i32, exponent_digits: usize) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent >= smallest && exponent < largest {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:0exponent_digits$}", exponent.unsigned_abs())
}

/// Go's `strconv.ParseFloat`, without hexadecimal digits.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    // What is too large is an error, unless infinity was meant.
    let meant = text.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("inf");
    (number.is_finite() || number.is_nan() || meant).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_writes_them() {
        for (number, plain, in_json) in [
            (1.0, "1", "1"),
            (-0.5, "-0.5", "-0.5"),
            (123_456.0, "123456", "123456"),
            (1_000_000.0, "1e+06", "1000000"),
            (123_456_789.25, "1.2345678925e+08", "123456789.25"),
            (1e20, "1e+20", "100000000000000000000"),
            (1e21, "1e+21", "1e+21"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "0.00001"),
            (1.5e-7, "1.5e-07", "1.5e-7"),
        ] {
            assert_eq!((general(number).as_str(), json(number).as_deref()), (plain, Some(in_json)));
        }
        assert_eq!((parse("1e400"), parse("inf"), parse("1_0"), parse("")), (None, Some(f64::INFINITY), None, None));
    }
}
