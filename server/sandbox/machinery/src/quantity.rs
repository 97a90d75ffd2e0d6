//! Resource quantities: `500m`, `1Gi`, `2e3` (k8s.io/apimachinery/pkg/api/resource).

use std::fmt;

/// A quantity in nanounits, with the suffix family that it prints in.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct QuantityError;

impl Quantity {
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        text.parse::<i128>().map(|n| Self { nano: n * 1_000_000_000, format: QuantityFormat::DecimalSi }).map_err(|_| QuantityError)
    }

    /// Rounded up to whole units.
    pub fn value(&self) -> i128 {
        self.nano.div_euclid(1_000_000_000) + i128::from(self.nano.rem_euclid(1_000_000_000) != 0)
    }

    /// Rounded up to thousandths.
    pub fn milli(&self) -> i128 {
        self.nano.div_euclid(1_000_000) + i128::from(self.nano.rem_euclid(1_000_000) != 0)
    }
}

impl fmt::Display for Quantity {
    /// Canonical form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.value())
    }
}
