//! Where buckets begin and end.

use super::{Histogram, ResetHint};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    pub lower: f64,
    pub upper: f64,
    pub lower_inclusive: bool,
    pub upper_inclusive: bool,
    pub count: f64,
}

impl Histogram {
    /// Upper bound of a bucket by its index.
    pub(super) fn bound(&self, index: i64) -> f64 {
        if !self.is_custom() {
            return exponential_bound(index, self.schema);
        }
        match usize::try_from(index) {
            Err(_) => f64::NEG_INFINITY,
            Ok(index) => self.custom.get(index).copied().unwrap_or(f64::INFINITY),
        }
    }

    pub(super) fn positive_bucket(&self, index: i32, count: f64) -> Bucket {
        let (lower, upper) = (self.bound(i64::from(index) - 1), self.bound(i64::from(index)));
        if self.is_custom() {
            return Bucket { lower, upper, lower_inclusive: index == 0, upper_inclusive: true, count };
        }
        Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count }
    }

    pub(super) fn negative_bucket(&self, index: i32, count: f64) -> Bucket {
        let (lower, upper) = (-self.bound(i64::from(index)), -self.bound(i64::from(index) - 1));
        Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count }
    }

    pub(super) fn zero_bucket(&self) -> Bucket {
        let threshold = self.zero_threshold;
        Bucket { lower: -threshold, upper: threshold, lower_inclusive: true, upper_inclusive: true, count: self.zero_count }
    }

    /// All buckets from the lowest to the highest; those that overlap with the zero bucket are cut off there.
    pub fn buckets(&self) -> Vec<Bucket> {
        let threshold = self.zero_threshold;
        let mut all = Vec::with_capacity(self.negative.len() + self.positive.len() + 1);
        for (index, count) in self.negative.iter().rev() {
            let mut bucket = self.negative_bucket(*index, *count);
            if bucket.upper < 0.0 && bucket.upper > -threshold {
                bucket.upper = -threshold;
            }
            all.push(bucket);
        }
        if self.zero_count > 0.0 {
            all.push(self.zero_bucket());
        }
        for (index, count) in &self.positive {
            let mut bucket = self.positive_bucket(*index, *count);
            if bucket.lower > 0.0 && bucket.lower < threshold {
                bucket.lower = threshold;
            }
            all.push(bucket);
        }
        all
    }

    /// Whether a counter began anew between the two: some count is smaller than before, or the resolution grew.
    pub fn detect_reset(&self, previous: &Self) -> bool {
        match self.hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < previous.count
            || self.is_custom() != previous.is_custom()
            || self.is_custom() && !super::same_bounds(&self.custom, &previous.custom)
            || self.schema > previous.schema
            || self.zero_threshold < previous.zero_threshold
        {
            return true;
        }
        let (zero_count, threshold) = previous.zero_count_for(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let outside = |buckets: &[(i32, f64)]| -> Vec<(i32, f64)> {
            let merged = reduce(buckets, previous.schema, self.schema);
            let within = |bucket: &&(i32, f64)| {
                !self.is_custom()
                    && self.zero_threshold != 0.0
                    && exponential_bound(i64::from(bucket.0), self.schema) <= self.zero_threshold
            };
            let skip = merged.iter().take_while(within).count();
            merged[skip..].to_vec()
        };
        let shrank = |now: &[(i32, f64)], before: Vec<(i32, f64)>| {
            before.iter().any(|(index, count)| match now.binary_search_by_key(index, |bucket| bucket.0) {
                Ok(at) => now[at].1 < *count,
                Err(_) => *count != 0.0,
            })
        };
        shrank(&self.positive, outside(&previous.positive)) || shrank(&self.negative, outside(&previous.negative))
    }

    /// The zero bucket's count with a larger threshold, and that threshold: it grows to the end of a populated bucket that it falls into.
    pub(super) fn zero_count_for(&self, threshold: f64) -> (f64, f64) {
        if threshold <= self.zero_threshold {
            return (self.zero_count, self.zero_threshold);
        }
        let mut threshold = threshold;
        'again: loop {
            let mut count = self.zero_count;
            for (index, bucket_count) in &self.positive {
                let bucket = self.positive_bucket(*index, *bucket_count);
                if bucket.lower >= threshold {
                    break;
                }
                count += bucket.count;
                if bucket.upper > threshold {
                    if bucket.count != 0.0 {
                        threshold = bucket.upper;
                    }
                    break;
                }
            }
            for (index, bucket_count) in &self.negative {
                let bucket = self.negative_bucket(*index, *bucket_count);
                if bucket.upper <= -threshold {
                    break;
                }
                count += bucket.count;
                if bucket.lower < -threshold {
                    if bucket.count != 0.0 {
                        threshold = -bucket.lower;
                        continue 'again;
                    }
                    break;
                }
            }
            return (count, threshold);
        }
    }
}

/// 2^(index / 2^schema); the last bucket of finite numbers ends at the largest of them.
pub(super) fn exponential_bound(index: i64, schema: i32) -> f64 {
    let (whole, fraction) = if schema < 0 {
        (index.saturating_mul(1 << (-schema).min(16)), 0.0)
    } else {
        let parts = 1_i64 << schema.min(16);
        (index.div_euclid(parts), index.rem_euclid(parts) as f64 / parts as f64)
    };
    if whole == 1024 && fraction == 0.0 {
        return f64::MAX;
    }
    // In two steps, so that subnormal numbers come out right.
    let whole = whole.clamp(-2000, 2000) as i32;
    fraction.exp2() * 2f64.powi(whole / 2) * 2f64.powi(whole - whole / 2)
}

/// Buckets of a coarser schema.
pub(super) fn reduce(buckets: &[(i32, f64)], from: i32, to: i32) -> Vec<(i32, f64)> {
    if from <= to {
        return buckets.to_vec();
    }
    let shift = from.abs_diff(to).min(31);
    let mut out: Vec<(i32, f64)> = Vec::with_capacity(buckets.len());
    for (index, count) in buckets {
        let index = (((i64::from(*index) - 1) >> shift) + 1) as i32;
        match out.last_mut() {
            Some(last) if last.0 == index => last.1 += count,
            _ => out.push((index, *count)),
        }
    }
    out
}
