//! Prometheus 3.5: PromQL over given series, alerting and recording rules, and promtool's unit tests of them.
//!
//! ```text
//!  expression ──promql──► Expr ──┐
//!                                ├─engine──► value, annotations ◄──case── a query with what is expected of it
//!  series ──load──► Storage ─────┘                 ▲
//!                                                  │
//!  rule file, PrometheusRule ──rules──► groups at work: recorded series, alerts (labels and annotations by template)
//!                                                  ▲
//!  test file ──unit_test───────────────────────────┘
//! ```
//!
//! Pure: no I/O, no clock. Files come in as texts, times as milliseconds. Errors, annotations and failures are worded as Prometheus
//! and promtool word them (<https://prometheus.io/docs/prometheus/3.5/querying/basics/>), so that what a learner finds about them
//! elsewhere fits. Bounded: the size of expressions, regular expressions, series, queries and templates; it must never panic.

pub mod case;
pub mod engine;
pub mod histogram;
pub mod labels;
pub mod load;
pub mod number;
pub mod promql;
pub mod rules;
mod template;
pub mod unit_test;
pub mod yaml;

use go_regexp as regexp;
