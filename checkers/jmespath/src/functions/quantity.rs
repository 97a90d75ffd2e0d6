//! Quantities in arithmetic: amounts with the number of decimal places that they were written with.

use machinery::quantity::{Quantity, QuantityFormat};

const NANO: i128 = 1_000_000_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Amount {
    pub quantity: Quantity,
    /// Decimal places; negative where it was written with a suffix such as `k`.
    places: i32,
}

impl Amount {
    pub fn parse(text: &str) -> Option<Self> {
        let quantity = Quantity::parse(text).ok()?;
        let number = text.trim_start_matches(['+', '-']);
        let suffix = number.find(|c: char| !c.is_ascii_digit() && c != '.').map_or("", |at| &number[at..]);
        let decimals = number[..number.len() - suffix.len()].split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let exponent = match suffix {
            "n" => -9,
            "u" => -6,
            "m" => -3,
            "k" => 3,
            "M" => 6,
            "G" => 9,
            "T" => 12,
            "P" => 15,
            "E" => 18,
            other => other.strip_prefix(['e', 'E']).and_then(|exponent| exponent.parse().ok()).unwrap_or(0),
        };
        let places = i32::try_from(decimals).unwrap_or(i32::MAX).saturating_sub(exponent).clamp(-30, 9);
        Some(Self { quantity, places })
    }

    /// As Go approximates it: the digits times a power of ten.
    pub fn approximate(&self) -> f64 {
        let digits =
            if self.places >= 0 { self.quantity.nano / power(9 - self.places) } else { self.quantity.nano / NANO / power(-self.places) };
        let base = digits as f64;
        if self.places == 0 { base } else { base * 10_f64.powi(-self.places) }
    }

    pub fn times(&self, other: &Self) -> Quantity {
        let (a, b) = (self.quantity.nano, other.quantity.nano);
        let nano = match a.checked_mul(b) {
            // What is finer than a nano is rounded away from zero, as where a quantity is read.
            Some(product) => product / NANO + (product % NANO).signum(),
            None => (a / NANO).saturating_mul(b),
        };
        Quantity { nano, format: self.quantity.format }
    }

    /// Rounded towards zero to the decimal places of whichever of the two has more.
    pub fn divided_by(&self, other: &Self) -> Quantity {
        let places = self.places.max(other.places);
        let (a, b) = (self.quantity.nano, other.quantity.nano);
        let quotient = |a: i128, b: i128| if b == 0 { 0 } else { a / b };
        let nano = if places >= 0 {
            quotient(a.saturating_mul(power(places)), b).saturating_mul(power(9 - places))
        } else {
            quotient(a, b.saturating_mul(power(-places))).saturating_mul(power(-places)).saturating_mul(NANO)
        };
        Quantity { nano, format: self.quantity.format }
    }
}

pub(super) fn whole(units: i64, format: QuantityFormat) -> Quantity {
    Quantity { nano: i128::from(units) * NANO, format }
}

fn power(exponent: i32) -> i128 {
    10_i128.saturating_pow(exponent.unsigned_abs())
}
