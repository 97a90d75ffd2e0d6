//! The series that queries read.

use super::{Point, Value};
use crate::{
    histogram::{Histogram, ResetHint, same_bounds},
    labels::{Labels, METRIC_NAME, MatchOp, Matcher},
};
use std::{collections::HashMap, sync::Arc};

/// Series in the order of their first sample, each with its samples in order of time.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    series: Vec<StoredSeries>,
    by_labels: HashMap<Labels, usize>,
    by_name: HashMap<String, Vec<usize>>,
    samples: usize,
}

#[derive(Debug, Clone)]
pub struct StoredSeries {
    pub labels: Labels,
    pub points: Vec<Point>,
    /// Whether a marker of staleness is among the points.
    pub has_stale: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("out of order sample")]
    OutOfOrder,
    #[error("duplicate sample for timestamp")]
    Duplicate,
    #[error("{0}")]
    Invalid(String),
    #[error("more than {0} samples")]
    TooMany(usize),
}

/// Samples of all series together.
const MAX_SAMPLES: usize = 10_000_000;

impl Storage {
    /// Adds a sample behind those that its series has. Histograms get the hint that a real store would give them.
    pub fn append(&mut self, labels: &Labels, t: i64, value: Value) -> Result<(), AppendError> {
        if self.samples >= MAX_SAMPLES {
            return Err(AppendError::TooMany(MAX_SAMPLES));
        }
        if let Value::Histogram(histogram) = &value
            && !histogram.is_stale()
        {
            histogram.validate().map_err(AppendError::Invalid)?;
        }
        let index = match self.by_labels.get(labels) {
            Some(index) => *index,
            None => {
                self.by_labels.insert(labels.clone(), self.series.len());
                self.by_name.entry(labels.name().to_owned()).or_default().push(self.series.len());
                self.series.push(StoredSeries { labels: labels.clone(), points: vec![], has_stale: false });
                self.series.len() - 1
            }
        };
        let series = &mut self.series[index];
        if let Some(last) = series.points.last() {
            if last.t > t {
                return Err(AppendError::OutOfOrder);
            }
            if last.t == t {
                return if same(&last.value, &value) { Ok(()) } else { Err(AppendError::Duplicate) };
            }
        }
        let value = match value {
            Value::Histogram(histogram) => Value::Histogram(hinted(series.points.last(), histogram)),
            float => float,
        };
        series.has_stale |= value.is_stale();
        series.points.push(Point { t, value });
        self.samples += 1;
        Ok(())
    }

    /// The series that all matchers match, in the order of their first sample.
    pub fn select(&self, matchers: &[Matcher]) -> Vec<&StoredSeries> {
        let name = matchers.iter().find(|matcher| matcher.op == MatchOp::Equal && matcher.name == METRIC_NAME);
        let matches = |series: &&StoredSeries| matchers.iter().all(|matcher| matcher.matches(series.labels.get(&matcher.name)));
        match name {
            Some(name) => {
                let candidates = self.by_name.get(&name.value).map(Vec::as_slice).unwrap_or_default();
                candidates.iter().filter_map(|index| self.series.get(*index)).filter(matches).collect()
            }
            None => self.series.iter().filter(matches).collect(),
        }
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (Value::Histogram(a), Value::Histogram(b)) => a.equals(b),
        _ => false,
    }
}

/// A store that keeps histograms in chunks knows whether a counter went on or began anew, as long as the layout stays.
fn hinted(last: Option<&Point>, histogram: Arc<Histogram>) -> Arc<Histogram> {
    if histogram.hint == ResetHint::Gauge || histogram.is_stale() {
        return histogram;
    }
    let previous = last.and_then(|point| point.value.histogram()).filter(|p| p.hint != ResetHint::Gauge && !p.is_stale());
    let hint = match previous {
        _ if histogram.hint == ResetHint::Reset => ResetHint::Reset,
        None => ResetHint::Unknown,
        Some(previous)
            if histogram.count >= previous.count
                && (histogram.schema != previous.schema
                    || histogram.zero_threshold != previous.zero_threshold
                    || !same_bounds(&histogram.custom, &previous.custom)) =>
        {
            ResetHint::Unknown
        }
        Some(previous) => {
            let unhinted = Histogram { hint: ResetHint::Unknown, ..(*histogram).clone() };
            if unhinted.detect_reset(previous) { ResetHint::Reset } else { ResetHint::NotReset }
        }
    };
    if histogram.hint == hint { histogram } else { Arc::new(Histogram { hint, ..(*histogram).clone() }) }
}
