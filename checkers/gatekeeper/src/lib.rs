//! Gatekeeper: templates, constraints, mutators and expansion, judged as gator and Gatekeeper's webhooks judge them.
//!
//! ```text
//! ConstraintTemplate ──Template──► Rego (regorus) or CEL (machinery::cel) ─┐
//! Constraint ────────Constraint──► schema, defaults, match ────────────────┼─► Engine ──review──► Violations
//! objects of the cluster ─────────► data.inventory, Namespaces ────────────┘      ▲
//! object or AdmissionReview ──────► Review ────────────────────────────────────────┘
//! Assign, AssignMetadata, ModifySet, AssignImage ──► mutation::System ──mutate──► object
//! ```
//!
//! What is judged is Gatekeeper 3.23 (<https://open-policy-agent.github.io/gatekeeper/website/docs/>). A learner's mistake is a
//! [`Finding`] with its field. Everything that can grow has a bound: steps of Rego and the size of what its functions make, the cost of
//! CEL, regular expressions, rounds of mutation, levels of expansion.
//!
//! Pure: no I/O, no clock, no network. External data is answered from what is given, or refused.

mod constraint;
mod engine;
pub mod expansion;
mod finding;
mod inventory;
mod matching;
pub mod mutation;
mod native;
mod rego;
mod review;
mod schema;
pub mod suite;
mod template;

pub use constraint::{Constraint, Invalid};
pub use engine::{Engine, ReviewError, Violation};
pub use finding::Finding;
pub use inventory::Inventory;
pub use matching::{Match, Matchable, Origin};
pub use rego::Providers;
pub use review::{Review, Unreviewable};
pub use template::{TARGET, Template};

/// The text of a value; empty where it is none.
fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The items of a list; none where it is no list.
fn items(value: &serde_json::Value) -> &[serde_json::Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Group and version of an `apiVersion`.
fn group_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}
