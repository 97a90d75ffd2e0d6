//! Series in promtool's notation into a storage; classic histograms as native ones with custom buckets, where that is asked for.

use crate::{
    engine::{AppendError, Storage, Value},
    histogram::{CUSTOM, Histogram},
    labels::{Labels, METRIC_NAME},
    number::parse_float,
    promql::{ParseError, SequenceValue, parse_series},
};
use indexmap::IndexMap;
use std::{collections::BTreeMap, sync::Arc};

/// Why series cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The line is the series' own, counted from one.
    #[error(transparent)]
    Notation(ParseError),
    #[error("{0}")]
    Append(#[from] AppendError),
    #[error("{0}")]
    Histogram(String),
}

/// Lines of one `load`: values `step` milliseconds apart, from `start` on.
#[derive(Debug, Default)]
pub struct Load {
    pub series: IndexMap<Labels, Vec<SequenceValue>>,
}

impl Load {
    /// One more line. Of lines with the same labels the last one counts.
    pub fn add(&mut self, line: &str) -> Result<(), LoadError> {
        let (labels, values) = parse_series(line).map_err(LoadError::Notation)?;
        self.series.insert(labels, values);
        Ok(())
    }

    /// Appends everything.
    pub fn store(&self, storage: &mut Storage, start: i64, step: i64) -> Result<(), LoadError> {
        for (labels, values) in &self.series {
            for (t, value) in timed(values, start, step) {
                storage.append(labels, t, value.clone())?;
            }
        }
        Ok(())
    }

    /// Appends what classic histograms among the series look like as native ones.
    pub fn store_custom_buckets(&self, storage: &mut Storage, start: i64, step: i64) -> Result<(), LoadError> {
        let mut histograms: IndexMap<Labels, BTreeMap<i64, Classic>> = IndexMap::new();
        for (labels, values) in &self.series {
            let name = labels.name();
            let (base, part) = if let Some(base) = name.strip_suffix("_bucket") {
                match parse_float(labels.get("le")) {
                    Ok(le) if !le.is_nan() => (base, Part::Bucket(le)),
                    _ => continue,
                }
            } else if let Some(base) = name.strip_suffix("_count") {
                (base, Part::Count)
            } else if let Some(base) = name.strip_suffix("_sum") {
                (base, Part::Sum)
            } else {
                continue;
            };
            let of = histograms.entry(labels.with(METRIC_NAME, base).with("le", "")).or_default();
            for (t, value) in timed(values, start, step) {
                let Some(value) = value.float() else { continue };
                let classic = of.entry(t).or_default();
                match part {
                    Part::Bucket(le) => classic.buckets.push((le, value)),
                    Part::Count => classic.count = Some(value),
                    Part::Sum => classic.sum = value,
                }
            }
        }
        for (labels, by_time) in histograms {
            for (t, classic) in by_time {
                storage.append(&labels, t, Value::Histogram(Arc::new(classic.convert().map_err(LoadError::Histogram)?)))?;
            }
        }
        Ok(())
    }
}

fn timed(values: &[SequenceValue], start: i64, step: i64) -> impl Iterator<Item = (i64, &Value)> {
    let time = move |index: usize| start.saturating_add(step.saturating_mul(index as i64));
    values.iter().enumerate().filter_map(move |(index, value)| Some((time(index), value.as_ref()?)))
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

/// A classic histogram at one time.
#[derive(Debug, Default)]
struct Classic {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

impl Classic {
    fn convert(mut self) -> Result<Histogram, String> {
        self.buckets.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
        self.buckets.dedup_by(|later, earlier| later.0 == earlier.0);
        if let Some(pair) = self.buckets.windows(2).find(|pair| pair[1].1 < pair[0].1) {
            return Err(format!("count is not cumulative: {} < {}", pair[1].1, pair[0].1));
        }
        let count = self.count.or(self.buckets.last().map(|bucket| bucket.1)).unwrap_or(0.0);
        if self.buckets.last().is_none_or(|last| last.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let last = self.buckets.last().map_or(0.0, |bucket| bucket.1);
        if count != last {
            return Err(format!("count mismatch: count={count} != le=+Inf count={last}"));
        }
        let mut before = 0.0;
        let mut positive = Vec::with_capacity(self.buckets.len());
        for (index, (_, cumulative)) in self.buckets.iter().enumerate() {
            positive.push((index as i32, cumulative - before));
            before = *cumulative;
        }
        let custom: Vec<f64> = self.buckets.iter().map(|bucket| bucket.0).filter(|bound| bound.is_finite()).collect();
        let histogram = Histogram { schema: CUSTOM, count, sum: self.sum, positive, custom: custom.into(), ..Histogram::default() };
        Ok(histogram.compact())
    }
}
