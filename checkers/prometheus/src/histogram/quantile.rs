//! Quantiles and fractions, of native histograms and of classic ones.

use super::{Bucket, Histogram};
use crate::number::is_stale;

/// Differences between neighbouring buckets below this relative size come from rounding.
const SMALL_DELTA: f64 = 1e-12;

/// A quantile and what is to be said about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quantile {
    Plain(f64),
    /// The histogram holds observations of NaN; the result is higher than it should be.
    Skewed(f64),
    /// The quantile lies among the observations of NaN.
    BeyondBuckets,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fraction {
    pub value: f64,
    /// The histogram holds observations of NaN, which no fraction counts.
    pub has_nan: bool,
}

/// One `le` bucket of a classic histogram: how many observations are at most so large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassicBucket {
    pub upper: f64,
    pub count: f64,
}

impl Histogram {
    pub fn quantile(&self, q: f64) -> Quantile {
        if q < 0.0 {
            return Quantile::Plain(f64::NEG_INFINITY);
        }
        if q > 1.0 {
            return Quantile::Plain(f64::INFINITY);
        }
        if self.count == 0.0 || q.is_nan() {
            return Quantile::Plain(f64::NAN);
        }
        let has_nan_sum = self.sum.is_nan();
        let forward = has_nan_sum || q < 0.5;
        let mut buckets = self.buckets();
        if !forward {
            buckets.reverse();
        }
        let mut rank = if forward { q * self.count } else { (1.0 - q) * self.count };
        let mut bucket = Bucket { lower: 0.0, upper: 0.0, lower_inclusive: false, upper_inclusive: false, count: 0.0 };
        let mut count = 0.0;
        let mut seen = 0;
        for candidate in &buckets {
            seen += 1;
            bucket = *candidate;
            if bucket.count == 0.0 {
                continue;
            }
            count += bucket.count;
            if count >= rank {
                break;
            }
        }
        if !self.is_custom() && bucket.lower < 0.0 && bucket.upper > 0.0 {
            self.narrow(&mut bucket);
        } else if self.is_custom() {
            if bucket.lower == f64::NEG_INFINITY {
                if bucket.upper <= 0.0 {
                    return Quantile::Plain(bucket.upper);
                }
                bucket.lower = 0.0;
            } else if bucket.upper == f64::INFINITY {
                return Quantile::Plain(bucket.lower);
            }
        }
        count = count.min(self.count);
        if count < rank {
            return if has_nan_sum { Quantile::BeyondBuckets } else { Quantile::Plain(bucket.upper) };
        }
        rank = if forward { rank - (count - bucket.count) } else { count - rank };
        let rest: f64 = buckets.get(seen..).unwrap_or_default().iter().map(|bucket| bucket.count).sum();
        let fraction = rank / bucket.count;
        let value = if self.is_custom() || bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            bucket.lower + (bucket.upper - bucket.lower) * fraction
        } else {
            let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
            if bucket.lower > 0.0 {
                (lower + (upper - lower) * fraction).exp2()
            } else {
                -(upper + (lower - upper) * (1.0 - fraction)).exp2()
            }
        };
        if has_nan_sum && count + rest < self.count { Quantile::Skewed(value) } else { Quantile::Plain(value) }
    }

    /// The share of observations between two values.
    pub fn fraction(&self, lower: f64, upper: f64) -> Fraction {
        let plain = |value| Fraction { value, has_nan: false };
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return plain(f64::NAN);
        }
        if lower >= upper {
            return plain(0.0);
        }
        let mut rank = 0.0;
        let (mut lower_rank, mut upper_rank) = (None, None);
        let buckets = self.buckets();
        for candidate in &buckets {
            let mut bucket = *candidate;
            let is_zero = !self.is_custom() && bucket.lower <= 0.0 && bucket.upper >= 0.0;
            if is_zero {
                self.narrow(&mut bucket);
            } else if self.is_custom() && bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
                bucket.lower = 0.0;
            }
            let linear = self.is_custom() || is_zero;
            reach(&mut lower_rank, lower, rank, &bucket, linear);
            reach(&mut upper_rank, upper, rank, &bucket, linear);
            if lower_rank.is_some() && upper_rank.is_some() {
                break;
            }
            rank += bucket.count;
        }
        let (count, has_nan) = if self.sum.is_nan() {
            let count = buckets.iter().map(|bucket| bucket.count).sum();
            (count, count < self.count)
        } else {
            (self.count, false)
        };
        let capped = |rank: Option<f64>| rank.filter(|rank| *rank <= count || rank.is_nan()).unwrap_or(count);
        Fraction { value: (capped(upper_rank) - capped(lower_rank)) / self.count, has_nan }
    }

    /// The zero bucket of a histogram with observations of one sign only ends at zero.
    fn narrow(&self, bucket: &mut Bucket) {
        if self.negative.is_empty() && !self.positive.is_empty() {
            bucket.lower = 0.0;
        } else if self.positive.is_empty() && !self.negative.is_empty() {
            bucket.upper = 0.0;
        }
    }
}

fn reach(rank_of: &mut Option<f64>, value: f64, rank: f64, bucket: &Bucket, linear: bool) {
    if rank_of.is_some() {
        return;
    }
    if bucket.lower >= value {
        *rank_of = Some(rank);
    } else if bucket.upper > value {
        *rank_of = Some(if bucket.lower == f64::NEG_INFINITY {
            // Nothing can be said about where in the bucket the value lies.
            bucket.count
        } else if linear {
            rank + bucket.count * (value - bucket.lower) / (bucket.upper - bucket.lower)
        } else {
            let (lower, upper, at) = (bucket.lower.abs().log2(), bucket.upper.abs().log2(), value.abs().log2());
            rank + bucket.count * if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - (at - upper) / (lower - upper) }
        });
    }
}

/// A quantile, and whether counts had to be raised so that they grow with the bound.
pub fn classic_quantile(q: f64, mut buckets: Vec<ClassicBucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    if !prepare(&mut buckets) {
        return (f64::NAN, false);
    }
    let forced = make_monotonic(&mut buckets);
    let [.., before_last, last] = buckets.as_slice() else { return (f64::NAN, false) };
    let observations = last.count;
    if observations == 0.0 {
        return (f64::NAN, false);
    }
    let mut rank = q * observations;
    let finite = &buckets[..buckets.len() - 1];
    let at = finite.partition_point(|bucket| {
        // As a search for the first bucket that reaches the rank; a NaN reaches nothing.
        let reaches = bucket.count >= rank;
        !reaches
    });
    if at == finite.len() {
        return (before_last.upper, forced);
    }
    if at == 0 && buckets[0].upper <= 0.0 {
        return (buckets[0].upper, forced);
    }
    let (mut start, mut count) = (0.0, buckets[at].count);
    if at > 0 {
        start = buckets[at - 1].upper;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    (start + (buckets[at].upper - start) * (rank / count), forced)
}

pub fn classic_fraction(lower: f64, upper: f64, mut buckets: Vec<ClassicBucket>) -> f64 {
    if !prepare(&mut buckets) {
        return f64::NAN;
    }
    let count = buckets.last().map_or(0.0, |bucket| bucket.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let mut rank = 0.0;
    // Observations begin at zero, unless a bucket says that there are negative ones.
    let mut bound = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let (mut lower_rank, mut upper_rank) = (None, None);
    for bucket in &buckets {
        let whole = Bucket { lower: bound, upper: bucket.upper, lower_inclusive: false, upper_inclusive: true, count: bucket.count - rank };
        reach(&mut lower_rank, lower, rank, &whole, true);
        reach(&mut upper_rank, upper, rank, &whole, true);
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        rank = bucket.count;
        bound = bucket.upper;
    }
    let capped = |rank: Option<f64>| rank.filter(|rank| *rank <= count || rank.is_nan()).unwrap_or(count);
    (capped(upper_rank) - capped(lower_rank)) / count
}

/// Sorts and merges; false where there is no bucket up to infinity.
fn prepare(buckets: &mut Vec<ClassicBucket>) -> bool {
    buckets.sort_by(|a, b| a.upper.partial_cmp(&b.upper).unwrap_or(std::cmp::Ordering::Equal));
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|later, earlier| {
        let same = later.upper == earlier.upper;
        if same {
            earlier.count += later.count;
        }
        same
    });
    true
}

fn make_monotonic(buckets: &mut [ClassicBucket]) -> bool {
    let mut forced = false;
    let Some(first) = buckets.first() else { return false };
    let mut previous = first.count;
    for bucket in &mut buckets[1..] {
        if bucket.count == previous {
            continue;
        }
        if almost_equal(previous, bucket.count, SMALL_DELTA) {
            bucket.count = previous;
        } else if bucket.count < previous {
            bucket.count = previous;
            forced = true;
        } else {
            previous = bucket.count;
        }
    }
    forced
}

/// Equal up to a relative error; NaN equals NaN, except that the marker of staleness equals only itself.
pub(crate) fn almost_equal(a: f64, b: f64, epsilon: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < epsilon * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < epsilon
}
