//! Values of samples, and of whole queries.

use crate::{histogram::Histogram, labels::Labels, promql::ValueType};
use std::sync::Arc;

#[derive(Debug, Clone)]
pub enum Value {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Value {
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Float(value) => crate::number::is_stale(*value),
            Self::Histogram(histogram) => histogram.is_stale(),
        }
    }

    pub fn float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Histogram(_) => None,
        }
    }

    pub fn histogram(&self) -> Option<&Arc<Histogram>> {
        match self {
            Self::Float(_) => None,
            Self::Histogram(histogram) => Some(histogram),
        }
    }

    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Float(_) => 1,
            Self::Histogram(histogram) => histogram.weight(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Point {
    /// Milliseconds.
    pub t: i64,
    pub value: Value,
}

#[derive(Debug, Clone, Default)]
pub struct Series {
    pub metric: Labels,
    /// In order of time.
    pub points: Vec<Point>,
    /// The metric's name falls when the query is done.
    pub drop_name: bool,
}

pub type Matrix = Vec<Series>;

/// One series at one time.
#[derive(Debug, Clone)]
pub struct Sample {
    pub metric: Labels,
    pub value: Value,
    /// When the value was taken; only `timestamp` looks at it.
    pub t: i64,
    pub drop_name: bool,
}

impl Sample {
    pub(super) fn plain(value: f64) -> Self {
        Self { metric: Labels::default(), value: Value::Float(value), t: 0, drop_name: false }
    }
}

/// The result of a query.
#[derive(Debug, Clone)]
pub enum QueryValue {
    Scalar(f64),
    Vector(Vec<Sample>),
    Matrix(Matrix),
    String(String),
}

/// One step's matrix as what the expression's type promises.
pub(super) fn instant_value(kind: ValueType, value: QueryValue, at: i64) -> QueryValue {
    let QueryValue::Matrix(mut matrix) = value else { return value };
    match kind {
        ValueType::Scalar => {
            let first = matrix.first().and_then(|series| series.points.first()).and_then(|point| point.value.float());
            QueryValue::Scalar(first.unwrap_or(f64::NAN))
        }
        ValueType::Vector => QueryValue::Vector(
            matrix
                .into_iter()
                .filter_map(|series| {
                    let point = series.points.into_iter().next()?;
                    Some(Sample { metric: series.metric, value: point.value, t: at, drop_name: series.drop_name })
                })
                .collect(),
        ),
        _ => {
            matrix.sort_by(|a, b| a.metric.cmp(&b.metric));
            QueryValue::Matrix(matrix)
        }
    }
}
