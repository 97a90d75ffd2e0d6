//! Rule files and PrometheusRule objects: read, checked in promtool's words, and evaluated.
//!
//! ```text
//! text ──file──► RuleFile, Findings ──group──► samples, alerts
//! ```

mod file;
mod group;
mod validate;

pub use file::{Finding, Group, Rule, RuleFile, Severity, read};
pub use group::{ActiveAlert, AlertState, Environment, RunningGroup, as_vector};
