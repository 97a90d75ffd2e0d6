//! Sizes and costs that are known as a lowest and a highest one.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub min: u64,
    pub max: u64,
}

pub(super) const ZERO: Range = fixed(0);
pub(super) const ONE: Range = fixed(1);
pub(super) const UNKNOWN: Range = Range { min: 0, max: u64::MAX };

pub(super) const fn fixed(size: u64) -> Range {
    Range { min: size, max: size }
}

impl Range {
    pub fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub fn by(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    /// Rounded up; what is too much becomes the most there is.
    pub fn times(self, factor: f64) -> Self {
        Self { min: crate::cel::cost::times(self.min, factor), max: crate::cel::cost::times(self.max, factor) }
    }

    pub fn or(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}
