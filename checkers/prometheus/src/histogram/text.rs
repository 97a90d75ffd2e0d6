//! How histograms are written: for people, and in promtool's notation.

use super::{Bucket, Histogram, ResetHint};
use crate::number::format_g;
use std::fmt;

impl Histogram {
    /// `{{schema:1 count:4 sum:10 buckets:[1 2 1]}}`.
    pub fn notation(&self) -> String {
        let compact = self.clone().compact();
        let mut parts = Vec::new();
        if compact.schema != 0 {
            parts.push(format!("schema:{}", compact.schema));
        }
        for (name, value) in [("count", self.count), ("sum", self.sum), ("z_bucket", self.zero_count), ("z_bucket_w", self.zero_threshold)]
        {
            if value != 0.0 {
                parts.push(format!("{name}:{}", format_g(value)));
            }
        }
        if self.is_custom() {
            parts.push(format!("custom_values:{}", list(self.custom.iter().copied())));
        }
        match self.hint {
            ResetHint::Unknown => {}
            ResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
            ResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
            ResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
        }
        for (name, offset, buckets) in [("buckets", "offset", &compact.positive), ("n_buckets", "n_offset", &compact.negative)] {
            let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { continue };
            if first.0 != 0 {
                parts.push(format!("{offset}:{}", first.0));
            }
            // Empty buckets between populated ones are written out, as far as that is short.
            let dense = i64::from(last.0) - i64::from(first.0) < 1000;
            let counts: Vec<f64> = if dense {
                let count = |index| buckets.binary_search_by_key(&index, |bucket| bucket.0).map_or(0.0, |at| buckets[at].1);
                (first.0..=last.0).map(count).collect()
            } else {
                buckets.iter().map(|bucket| bucket.1).collect()
            };
            parts.push(format!("{name}:{}", list(counts)));
        }
        format!("{{{{{}}}}}", parts.join(" "))
    }
}

fn list(values: impl IntoIterator<Item = f64>) -> String {
    format!("[{}]", values.into_iter().map(format_g).collect::<Vec<_>>().join(" "))
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        write!(f, "{open}{},{}{close}:{}", format_g(self.lower), format_g(self.upper), format_g(self.count))
    }
}

/// `{count:4, sum:10, (0.5,1]:1, (1,2]:3}`.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", format_g(self.count), format_g(self.sum))?;
        for (index, count) in self.negative.iter().rev().filter(|bucket| bucket.1 != 0.0) {
            write!(f, ", {}", self.negative_bucket(*index, *count))?;
        }
        if self.zero_count != 0.0 {
            write!(f, ", {}", self.zero_bucket())?;
        }
        for (index, count) in self.positive.iter().filter(|bucket| bucket.1 != 0.0) {
            write!(f, ", {}", self.positive_bucket(*index, *count))?;
        }
        f.write_str("}")
    }
}
