//! Native histograms: exponential buckets of any schema, or custom ones.
//!
//! Buckets are kept as sorted pairs of index and count. That is the same information as Prometheus' spans, with one way to say it.

mod arithmetic;
mod bounds;
mod quantile;
mod text;

pub use arithmetic::Incompatible;
pub use bounds::Bucket;
pub use quantile::{ClassicBucket, Fraction, Quantile, classic_fraction, classic_quantile};

use std::sync::Arc;

/// The schema of custom buckets.
pub const CUSTOM: i32 = -53;

/// Schemas of exponential buckets: each power of two is cut into 2^schema buckets.
pub const EXPONENTIAL: std::ops::RangeInclusive<i32> = -4..=8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetHint {
    #[default]
    Unknown,
    Reset,
    NotReset,
    Gauge,
}

#[derive(Debug, Clone, Default)]
pub struct Histogram {
    pub hint: ResetHint,
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    /// Index and count, in ascending order of the index.
    pub positive: Vec<(i32, f64)>,
    /// By the index of the absolute value.
    pub negative: Vec<(i32, f64)>,
    /// Upper bounds of custom buckets; the last bucket, up to infinity, is not listed.
    pub custom: Arc<[f64]>,
}

impl Histogram {
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM
    }

    /// The marker that ends a series.
    pub fn is_stale(&self) -> bool {
        crate::number::is_stale(self.sum)
    }

    /// As a store that keeps only valid histograms would check it.
    pub fn validate(&self) -> Result<(), String> {
        if !self.is_custom() {
            if !EXPONENTIAL.contains(&self.schema) {
                return Err(format!("histogram has an invalid schema: {}", self.schema));
            }
            if !self.custom.is_empty() {
                return Err("histogram with exponential schema must not have custom bounds".to_owned());
            }
        } else {
            if self.zero_count != 0.0 || self.zero_threshold != 0.0 || !self.negative.is_empty() {
                return Err("custom buckets: must have neither a zero bucket nor negative buckets".to_owned());
            }
            let ordered = self.custom.windows(2).all(|pair| pair[0] < pair[1]);
            if !ordered || self.custom.iter().any(|bound| !bound.is_finite()) {
                return Err("custom buckets: bounds must be finite and in strictly increasing order".to_owned());
            }
            let last = self.positive.last().map_or(0, |bucket| i64::from(bucket.0));
            if last > self.custom.len() as i64 || self.positive.first().is_some_and(|bucket| bucket.0 < 0) {
                return Err(format!("custom buckets: only {} custom bounds defined which is insufficient", self.custom.len()));
            }
        }
        match self.positive.iter().chain(&self.negative).find(|bucket| bucket.1 < 0.0) {
            Some(bucket) => Err(format!("bucket {} has a negative observation count", bucket.0)),
            None => Ok(()),
        }
    }

    /// The same bits everywhere, empty buckets included.
    pub fn equals(&self, other: &Self) -> bool {
        let bits = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let buckets = |a: &[(i32, f64)], b: &[(i32, f64)]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && bits(a.1, b.1));
        self.schema == other.schema
            && bits(self.count, other.count)
            && bits(self.sum, other.sum)
            && (!self.is_custom() || same_bounds(&self.custom, &other.custom))
            && self.zero_threshold == other.zero_threshold
            && bits(self.zero_count, other.zero_count)
            && buckets(&self.positive, &other.positive)
            && buckets(&self.negative, &other.negative)
    }

    /// Drops empty buckets.
    #[must_use]
    pub fn compact(mut self) -> Self {
        self.positive.retain(|bucket| bucket.1 != 0.0);
        self.negative.retain(|bucket| bucket.1 != 0.0);
        self
    }

    /// How many samples it counts as where samples are limited.
    pub fn weight(&self) -> usize {
        (168 + 8 * (self.positive.len() + self.negative.len() + self.custom.len()) + 24) / 16
    }
}

pub(crate) use quantile::almost_equal;

pub(crate) fn same_bounds(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
