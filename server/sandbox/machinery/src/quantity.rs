//! Resource quantities: `500m`, `1Gi`, `2e3` (k8s.io/apimachinery/pkg/api/resource).

use std::{cmp::Ordering, fmt};

/// A quantity in nanounits, with the suffix family that it prints in. Amounts beyond about 1.7e29 units are held at that bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    pub nano: i128,
    pub format: QuantityFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantityFormat {
    DecimalExponent,
    BinarySi,
    DecimalSi,
}

/// Why a text is no quantity, in the API server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const NANO_PER_UNIT: i128 = 1_000_000_000;
/// Binary quantities stop at what a signed 64-bit integer holds.
const LARGEST_BINARY: i128 = (i64::MAX as i128) * NANO_PER_UNIT;

/// The pieces of a quantity as written.
struct Split<'a> {
    negative: bool,
    /// Digits before the point, without leading zeros.
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Split<'_>, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    let negative = text.starts_with('-');
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start_matches('0');
    let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    let (whole, rest) = rest.split_at(digits(rest));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let letters = suffix.find(|c: char| !"eEinumkKMGTP".contains(c)).unwrap_or(suffix.len());
    let exponent = suffix.get(letters..).unwrap_or_default();
    if !exponent.strip_prefix(['-', '+']).unwrap_or(exponent).bytes().all(|b| b.is_ascii_digit()) {
        return Err(QuantityError::Format);
    }
    Ok(Split { negative, whole, fraction, suffix })
}

/// Base, exponent and family of a suffix.
fn interpret(suffix: &str) -> Result<(u8, i32, QuantityFormat), QuantityError> {
    use QuantityFormat::{BinarySi, DecimalExponent, DecimalSi};
    Ok(match suffix {
        "" => (10, 0, DecimalSi),
        "n" => (10, -9, DecimalSi),
        "u" => (10, -6, DecimalSi),
        "m" => (10, -3, DecimalSi),
        "k" => (10, 3, DecimalSi),
        "M" => (10, 6, DecimalSi),
        "G" => (10, 9, DecimalSi),
        "T" => (10, 12, DecimalSi),
        "P" => (10, 15, DecimalSi),
        "E" => (10, 18, DecimalSi),
        "Ki" => (2, 10, BinarySi),
        "Mi" => (2, 20, BinarySi),
        "Gi" => (2, 30, BinarySi),
        "Ti" => (2, 40, BinarySi),
        "Pi" => (2, 50, BinarySi),
        "Ei" => (2, 60, BinarySi),
        other => {
            let digits = other.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
            let exponent: i64 = digits.parse().map_err(|_| QuantityError::Suffix)?;
            (10, i32::try_from(exponent.clamp(-1_000, 1_000)).unwrap_or(0), DecimalExponent)
        }
    })
}

/// The digits as a number, held at the largest.
fn number(digits: impl Iterator<Item = u8>) -> i128 {
    digits.fold(0i128, |sum, digit| sum.saturating_mul(10).saturating_add(i128::from(digit - b'0')))
}

fn power(base: i128, exponent: u32) -> i128 {
    base.checked_pow(exponent).unwrap_or(i128::MAX)
}

impl Quantity {
    pub const ZERO: Self = Self { nano: 0, format: QuantityFormat::DecimalSi };

    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let Split { negative, whole, fraction, suffix } = split(text)?;
        let (base, exponent, mut format) = interpret(suffix)?;
        let digits = whole.bytes().chain(fraction.bytes());
        let length = whole.len() + fraction.len();
        // nano = digits * 10^shift (* 2^exponent for a binary suffix), rounded away from zero
        let mut shift = 9 - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        let mut factor = 1;
        if base == 10 {
            shift += i64::from(exponent);
        } else {
            factor = power(2, exponent.unsigned_abs());
        }
        let mut nano = match u32::try_from(shift) {
            Ok(shift) if shift < 40 => number(digits).saturating_mul(factor).saturating_mul(power(10, shift)),
            Ok(_) if digits.clone().all(|d| d == b'0') => 0,
            Ok(_) => i128::MAX,
            Err(_) => {
                // more decimals than nano: what a binary suffix lifts back is at most 19 digits, so keep those
                let drop = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
                let spare = if factor == 1 { 0 } else { drop.min(15) };
                let keep = length.saturating_sub(drop - spare);
                let lost = digits.clone().skip(keep).any(|d| d != b'0');
                let kept = if drop - spare > length { 0 } else { number(digits.take(keep)) };
                let scale = power(10, u32::try_from(spare).unwrap_or(0));
                let lifted = kept.saturating_mul(factor);
                (lifted / scale).saturating_add(i128::from(lost || lifted % scale != 0))
            }
        };
        if format == QuantityFormat::BinarySi {
            nano = nano.min(LARGEST_BINARY);
            if nano > 0 && nano < NANO_PER_UNIT {
                format = QuantityFormat::DecimalSi;
            }
        }
        Ok(Self { nano: if negative { -nano } else { nano }, format })
    }

    /// How the API server writes back what was sent as `text`: the text itself where it counts as canonical already
    /// (which includes `1.500` and `1500Mi`), else the canonical form.
    pub fn canonical(text: &str) -> Result<String, QuantityError> {
        let quantity = Self::parse(text)?;
        let Split { whole, fraction, suffix, .. } = split(text)?;
        let whole = if whole.is_empty() { "0" } else { whole };
        let (base, exponent, _) = interpret(suffix)?;
        let kept = if quantity.nano == 0 {
            false
        } else if base == 10 {
            let scale = i64::from(exponent) - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
            let ends_in_thousands = if fraction.is_empty() {
                whole.ends_with("000")
            } else if fraction.len() >= 3 {
                fraction.ends_with("000")
            } else {
                format!("{whole}{fraction}").ends_with("000")
            };
            whole.len() + fraction.len() <= 18 && scale >= -9 && scale % 3 == 0 && !ends_in_thousands && !whole.starts_with('0')
        } else {
            let room = 14 - i64::try_from(whole.len()).unwrap_or(i64::MAX) - i64::from(exponent * 3 / 10);
            fraction.is_empty() && room >= 0 && whole.parse::<i64>().is_ok_and(|value| value & 7 != 0)
        };
        Ok(if kept { text.to_owned() } else { quantity.to_string() })
    }

    /// So many whole units.
    pub fn units(units: i64) -> Self {
        Self { nano: i128::from(units) * NANO_PER_UNIT, format: QuantityFormat::DecimalSi }
    }

    /// So many thousandths.
    pub fn thousandths(milli: i64) -> Self {
        Self { nano: i128::from(milli) * 1_000_000, format: QuantityFormat::DecimalSi }
    }

    /// So many bytes, printed with a binary suffix.
    pub fn bytes(bytes: i64) -> Self {
        Self { nano: i128::from(bytes) * NANO_PER_UNIT, format: QuantityFormat::BinarySi }
    }

    /// Rounded up to whole units.
    pub fn value(&self) -> i128 {
        self.nano.div_euclid(NANO_PER_UNIT) + i128::from(self.nano.rem_euclid(NANO_PER_UNIT) != 0)
    }

    /// Rounded up to thousandths.
    pub fn milli(&self) -> i128 {
        self.nano.div_euclid(1_000_000) + i128::from(self.nano.rem_euclid(1_000_000) != 0)
    }

    pub fn is_zero(&self) -> bool {
        self.nano == 0
    }

    /// True where no fraction of a unit is left over.
    pub fn is_whole(&self) -> bool {
        self.nano % NANO_PER_UNIT == 0
    }

    /// Orders by amount; the format plays no part.
    pub fn compare(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }

    /// The sum prints in this quantity's format, or the other's where this one is zero.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nano: self.nano.saturating_add(other.nano), format }
    }

    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nano: self.nano.saturating_sub(other.nano), format }
    }
}

impl fmt::Display for Quantity {
    /// Canonical form: no precision lost, no fraction, the largest suffix that fits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        let small = self.nano.unsigned_abs() < 1024 * NANO_PER_UNIT.unsigned_abs();
        if self.format == QuantityFormat::BinarySi && !small && self.is_whole() {
            let mut mantissa = self.nano / NANO_PER_UNIT;
            let mut suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
            let mut suffix = suffixes.next().unwrap_or_default();
            while mantissa % 1024 == 0 {
                let Some(next) = suffixes.next() else { break };
                mantissa /= 1024;
                suffix = next;
            }
            return write!(f, "{mantissa}{suffix}");
        }
        let (mut mantissa, mut exponent) = (self.nano, -9);
        let largest = if self.format == QuantityFormat::DecimalExponent { i32::MAX } else { 18 };
        while exponent < largest && mantissa % 1000 == 0 {
            mantissa /= 1000;
            exponent += 3;
        }
        match (self.format, exponent) {
            (_, 0) => write!(f, "{mantissa}"),
            (QuantityFormat::DecimalExponent, exponent) => write!(f, "{mantissa}e{exponent}"),
            (_, exponent) => {
                let suffix = match exponent {
                    -9 => "n",
                    -6 => "u",
                    -3 => "m",
                    3 => "k",
                    6 => "M",
                    9 => "G",
                    12 => "T",
                    15 => "P",
                    _ => "E",
                };
                write!(f, "{mantissa}{suffix}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(texts: &[&str], expected: Expect) {
        let lines: String = texts
            .iter()
            .map(|text| match Quantity::parse(text) {
                Ok(q) => format!("{text} = {}n {} sent back as {}\n", q.nano, q, Quantity::canonical(text).expect("parsed")),
                Err(error) => format!("{text}: {error}\n"),
            })
            .collect();
        expected.assert_eq(&lines);
    }

    #[test]
    fn decimal() {
        check(
            &[
                "0", "1", "-1", "+5", "05", "0.5", "1.5", "1.500", "100m", "1000m", "1500m", "1k", "1000", "1000k", "1M", "2.5G", "3T",
                "4P", "5E", "10u", "7n", "0.5n", ".5", "5.", ".", "-",
            ],
            expect![[r#"
                0 = 0n 0 sent back as 0
                1 = 1000000000n 1 sent back as 1
                -1 = -1000000000n -1 sent back as -1
                +5 = 5000000000n 5 sent back as +5
                05 = 5000000000n 5 sent back as 05
                0.5 = 500000000n 500m sent back as 500m
                1.5 = 1500000000n 1500m sent back as 1500m
                1.500 = 1500000000n 1500m sent back as 1.500
                100m = 100000000n 100m sent back as 100m
                1000m = 1000000000n 1 sent back as 1
                1500m = 1500000000n 1500m sent back as 1500m
                1k = 1000000000000n 1k sent back as 1k
                1000 = 1000000000000n 1k sent back as 1k
                1000k = 1000000000000000n 1M sent back as 1M
                1M = 1000000000000000n 1M sent back as 1M
                2.5G = 2500000000000000000n 2500M sent back as 2500M
                3T = 3000000000000000000000n 3T sent back as 3T
                4P = 4000000000000000000000000n 4P sent back as 4P
                5E = 5000000000000000000000000000n 5E sent back as 5E
                10u = 10000n 10u sent back as 10u
                7n = 7n 7n sent back as 7n
                0.5n = 1n 1n sent back as 1n
                .5 = 500000000n 500m sent back as 500m
                5. = 5000000000n 5 sent back as 5.
                . = 0n 0 sent back as 0
                - = 0n 0 sent back as 0
            "#]],
        );
    }

    #[test]
    fn binary_and_exponent() {
        check(
            &[
                "1Ki", "1024", "1024Ki", "1500Mi", "2048Ki", "1Gi", "0.5Gi", "1.5Gi", "8Gi", "1Ti", "1Pi", "1Ei", "100Ei", "1023Ki",
                "0.1Ki", "2e3", "12E6", "1e-3", "1e30", "1e-20", "0e99",
            ],
            expect![[r#"
                1Ki = 1024000000000n 1Ki sent back as 1Ki
                1024 = 1024000000000n 1024 sent back as 1024
                1024Ki = 1048576000000000n 1Mi sent back as 1Mi
                1500Mi = 1572864000000000000n 1500Mi sent back as 1500Mi
                2048Ki = 2097152000000000n 2Mi sent back as 2Mi
                1Gi = 1073741824000000000n 1Gi sent back as 1Gi
                0.5Gi = 536870912000000000n 512Mi sent back as 512Mi
                1.5Gi = 1610612736000000000n 1536Mi sent back as 1536Mi
                8Gi = 8589934592000000000n 8Gi sent back as 8Gi
                1Ti = 1099511627776000000000n 1Ti sent back as 1Ti
                1Pi = 1125899906842624000000000n 1Pi sent back as 1Pi
                1Ei = 1152921504606846976000000000n 1Ei sent back as 1Ei
                100Ei = 9223372036854775807000000000n 9223372036854775807 sent back as 9223372036854775807
                1023Ki = 1047552000000000n 1023Ki sent back as 1023Ki
                0.1Ki = 102400000000n 102400m sent back as 102400m
                2e3 = 2000000000000n 2e3 sent back as 2e3
                12E6 = 12000000000000000n 12e6 sent back as 12E6
                1e-3 = 1000000n 1e-3 sent back as 1e-3
                1e30 = 170141183460469231731687303715884105727n 170141183460469231731687303715884105727e-9 sent back as 1e30
                1e-20 = 1n 1e-9 sent back as 1e-9
                0e99 = 0n 0 sent back as 0
            "#]],
        );
    }

    #[test]
    fn refused() {
        check(
            &["", "abc", "5x", "5K", "5e", "1 Gi", "1.2.3", "--1", "5Kii", "1e1e1", "i", "5mm", "é", "1e99999999999999999999"],
            expect![[r#"
                : quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
                abc: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
                5x: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
                5K: unable to parse quantity's suffix
                5e: unable to parse quantity's suffix
                1 Gi: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
                1.2.3: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
                --1: unable to parse quantity's suffix
                5Kii: unable to parse quantity's suffix
                1e1e1: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
                i: unable to parse quantity's suffix
                5mm: unable to parse quantity's suffix
                é: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
                1e99999999999999999999: unable to parse quantity's suffix
            "#]],
        );
    }

    #[test]
    fn arithmetic_keeps_the_format() {
        let parse = |text| Quantity::parse(text).expect(text);
        for (a, b, sum, difference, order) in [
            ("1Gi", "512Mi", "1536Mi", "512Mi", Ordering::Greater),
            ("500m", "0.5", "1", "0", Ordering::Equal),
            ("0", "1Ki", "1Ki", "-1Ki", Ordering::Less),
            ("1", "1Ki", "1025", "-1023", Ordering::Less),
            ("2Gi", "1G", "3147483648", "1147483648", Ordering::Greater),
        ] {
            assert_eq!(parse(a).plus(&parse(b)).to_string(), sum, "{a} + {b}");
            assert_eq!(parse(a).minus(&parse(b)).to_string(), difference, "{a} - {b}");
            assert_eq!(parse(a).compare(&parse(b)), order, "{a} {b}");
        }
        assert_eq!((parse("1500m").value(), parse("1500m").milli(), parse("-1500m").value()), (2, 1500, -1));
        assert_eq!(
            (Quantity::units(3).to_string(), Quantity::thousandths(250).to_string(), Quantity::bytes(4096).to_string()),
            ("3".into(), "250m".into(), "4Ki".into())
        );
    }
}
