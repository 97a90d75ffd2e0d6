//! Sums, differences and multiples.

use super::{Histogram, ResetHint, bounds, same_bounds};
use std::cmp::Ordering;

/// Why two histograms cannot be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Incompatible {
    #[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
    Schema,
    #[error("cannot apply this operation on custom buckets histograms with different custom bounds")]
    Bounds,
}

impl Histogram {
    pub fn add(&mut self, other: &Self) -> Result<(), Incompatible> {
        self.combine(other, 1.0)?;
        self.hint = match (self.hint, other.hint) {
            (a, b) if a == b => a,
            (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        };
        Ok(())
    }

    pub fn sub(&mut self, other: &Self) -> Result<(), Incompatible> {
        self.combine(other, -1.0)
    }

    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        self.each(|value| *value *= factor);
        self
    }

    /// A division by zero leaves no buckets.
    #[must_use]
    pub fn divided(mut self, divisor: f64) -> Self {
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
        self.each(|value| *value /= divisor);
        self
    }

    /// A coarser schema; a finer one, or custom buckets, stay as they are.
    #[must_use]
    pub fn to_schema(&self, schema: i32) -> Self {
        if self.is_custom() || schema >= self.schema {
            return self.clone();
        }
        let reduced = |buckets| bounds::reduce(buckets, self.schema, schema);
        Self { schema, hint: ResetHint::Unknown, positive: reduced(&self.positive), negative: reduced(&self.negative), ..self.clone() }
    }

    fn each(&mut self, change: impl Fn(&mut f64)) {
        [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter().for_each(&change);
        self.positive.iter_mut().chain(&mut self.negative).for_each(|bucket| change(&mut bucket.1));
    }

    fn combine(&mut self, other: &Self, sign: f64) -> Result<(), Incompatible> {
        if self.is_custom() != other.is_custom() {
            return Err(Incompatible::Schema);
        }
        if self.is_custom() && !same_bounds(&self.custom, &other.custom) {
            return Err(Incompatible::Bounds);
        }
        if !self.is_custom() {
            self.zero_count += sign * self.reconcile_zero(other);
        }
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        let schema = self.schema.min(other.schema);
        for (mine, theirs) in [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)] {
            let reduced = bounds::reduce(mine, self.schema, schema);
            let theirs = bounds::reduce(theirs, other.schema, schema);
            // What lies within the zero bucket has been counted there.
            let within =
                |bucket: &&(i32, f64)| schema >= -4 && bounds::exponential_bound(i64::from(bucket.0), schema) <= self.zero_threshold;
            let skip = theirs.iter().take_while(within).count();
            *mine = merge(&reduced, &theirs[skip..], sign);
        }
        self.schema = schema;
        Ok(())
    }

    /// Widens the zero bucket until it holds both; answers with what the other's would count.
    fn reconcile_zero(&mut self, other: &Self) -> f64 {
        let (mut count, mut threshold) = (other.zero_count, other.zero_threshold);
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (count, threshold) = other.zero_count_for(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                (self.zero_count, self.zero_threshold) = self.zero_count_for(threshold);
                self.trim_into_zero();
            }
            if threshold.is_nan() || self.zero_threshold.is_nan() {
                break;
            }
        }
        count
    }

    fn trim_into_zero(&mut self) {
        let threshold = self.zero_threshold;
        let positive = self.positive.iter().take_while(|b| self.positive_bucket(b.0, b.1).lower < threshold).count();
        let negative = self.negative.iter().take_while(|b| self.negative_bucket(b.0, b.1).upper > -threshold).count();
        self.positive.drain(..positive);
        self.negative.drain(..negative);
        self.positive.retain(|bucket| bucket.1 != 0.0);
        self.negative.retain(|bucket| bucket.1 != 0.0);
    }
}

fn merge(a: &[(i32, f64)], b: &[(i32, f64)], sign: f64) -> Vec<(i32, f64)> {
    let mut out = Vec::with_capacity(a.len().max(b.len()));
    let (mut i, mut j) = (0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        match x.0.cmp(&y.0) {
            Ordering::Less => {
                out.push(*x);
                i += 1;
            }
            Ordering::Greater => {
                out.push((y.0, sign * y.1));
                j += 1;
            }
            Ordering::Equal => {
                out.push((x.0, x.1 + sign * y.1));
                i += 1;
                j += 1;
            }
        }
    }
    out.extend(&a[i..]);
    out.extend(b[j..].iter().map(|bucket| (bucket.0, sign * bucket.1)));
    out
}
