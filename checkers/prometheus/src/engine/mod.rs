//! Evaluates expressions over given series.
//!
//! ```text
//! Expr ──prepare──► invariant parts marked ──eval──► Matrix ──► Scalar | Vector | Matrix | String, with annotations
//!                                              ▲
//!                        Storage: series in order of their first sample
//! ```
//!
//! As in Prometheus every node is evaluated for all steps at once; an instant query is one step. Ranges are left-open, an instant
//! selector looks back five minutes, markers of staleness end a series.

mod aggregate;
mod annotations;
mod binary;
mod eval;
mod histogram_functions;
mod label_functions;
mod over_time;
mod prepare;
mod rate;
mod storage;
mod value;
mod vector_functions;

pub use annotations::{Annotations, Level};
pub use storage::{AppendError, Storage};
pub use value::{Matrix, Point, QueryValue, Sample, Series, Value};

use crate::promql::{Expr, ParseError, ParseOptions, parse};

#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// How far an instant selector looks back, in milliseconds.
    pub lookback: i64,
    /// Samples that one query may hold at a time.
    pub max_samples: usize,
    /// The step of subqueries that name none, in milliseconds.
    pub subquery_step: i64,
    /// Prometheus' `promql-delayed-name-removal`: names fall at the end of the query, so that inner parts still see them.
    pub delayed_name_removal: bool,
    pub parse: ParseOptions,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lookback: 5 * 60_000,
            max_samples: 5_000_000,
            subquery_step: 60_000,
            delayed_name_removal: false,
            parse: ParseOptions::default(),
        }
    }
}

/// Why a query has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// In Prometheus' words.
    #[error("{0}")]
    Execution(String),
}

/// What a query gives.
#[derive(Debug, Clone)]
pub struct Answer {
    pub value: QueryValue,
    pub annotations: Annotations,
}

/// Instant evaluation; times are milliseconds.
pub fn instant(storage: &Storage, query: &str, at: i64, options: &EngineOptions) -> Result<Answer, QueryError> {
    let expr = parse(query, options.parse)?;
    instant_expr(storage, query, expr, at, options)
}

/// As [`instant`], of an expression that is parsed already; `query` is its text.
pub fn instant_expr(storage: &Storage, query: &str, expr: Expr, at: i64, options: &EngineOptions) -> Result<Answer, QueryError> {
    let kind = expr.value_type();
    let expr = prepare::prepare(expr, at, at);
    let mut evaluator = eval::Evaluator::new(storage, query, options, at, at, 1);
    let result = evaluator.query(&expr).map_err(QueryError::Execution)?;
    Ok(Answer { value: value::instant_value(kind, result, at), annotations: evaluator.annotations })
}

/// Evaluation at every step from `start` to `end`.
pub fn range(storage: &Storage, query: &str, start: i64, end: i64, step: i64, options: &EngineOptions) -> Result<Answer, QueryError> {
    let expr = parse(query, options.parse)?;
    let kind = expr.value_type();
    if !matches!(kind, crate::promql::ValueType::Scalar | crate::promql::ValueType::Vector) {
        let what = "invalid expression type";
        return Err(QueryError::Execution(format!("{what} {:?} for range query, must be Scalar or instant Vector", kind.documented())));
    }
    if step <= 0 {
        return Err(QueryError::Execution("zero or negative query resolution step widths are not accepted".to_owned()));
    }
    if end.saturating_sub(start) / step >= options.max_samples as i64 {
        return Err(QueryError::Execution(eval::too_many()));
    }
    let expr = prepare::prepare(expr, start, end);
    let mut evaluator = eval::Evaluator::new(storage, query, options, start, end, step);
    let mut result = evaluator.query(&expr).map_err(QueryError::Execution)?;
    if let QueryValue::Matrix(matrix) = &mut result {
        matrix.sort_by(|a, b| a.metric.cmp(&b.metric));
    }
    Ok(Answer { value: result, annotations: evaluator.annotations })
}
