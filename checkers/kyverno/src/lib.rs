//! Kyverno's policies: what they say of objects, and what they make of them.
//!
//! ```text
//! policies ──Policies::read──► Policies ─┬─► findings: field, what is wrong, what would be right
//!                                        │
//! object ──► Trigger (object, old one, user, operation) ──apply──► RuleResult: pass, fail, warn, error, skip;
//!                                        │                         the patched object, generated objects, who is to be deleted
//! Evidence ──────────────────────────────┘
//! values, namespaces, ConfigMaps, answers to API calls, images, exceptions, the time
//! ```
//!
//! The language is that of Kyverno 1.14 and later (<https://kyverno.io/docs/>): ClusterPolicy and Policy, cleanup policies, exceptions, and the policies
//! written in CEL. Nothing is fetched: what a rule asks a cluster or a registry for is answered from the [`Evidence`], and what is not there is an
//! error of the rule, as it is in Kyverno. A signature counts as verified only where the evidence says so.
//!
//! Pure: no I/O, no clock. Bad policies give findings, never a panic, and everything that can grow (nesting, lists, expressions, patterns) has a bound.

mod autogen;
mod cel;
mod cleanup;
mod condition;
mod context;
mod engine;
mod evidence;
mod exceptions;
mod generate;
mod matching;
mod mutate;
mod overlay;
mod policy;
mod result;
mod subject;
mod text;
mod trigger;
pub mod unit_test;
mod validate;
mod variables;
mod verify_images;

pub use evidence::{Evidence, PolicyValues, Values};
pub use kyverno_jmespath::{go_duration::parse as go_duration, wildcard::matches as wildcard};
pub use matching::kind_selector;
pub use policy::{Finding, Policies};
pub use result::{RuleResult, RuleType, Status};
pub use trigger::{KindOf, Operation, Trigger, UserInfo};

use serde_json::Value;

/// Applies every policy to every object, in Kyverno's order: objects one after another; of each, mutation first, then images, validation, generation.
pub fn apply(policies: &Policies, resources: &[Value], evidence: &Evidence) -> Vec<RuleResult> {
    engine::apply(policies, resources, evidence)
}
