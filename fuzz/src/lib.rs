//! What each fuzz target does with its bytes: the functions that a request's bytes reach, in the order in which they do.
//!
//! ```text
//! seeds/<target>/*  ──► cargo fuzz (coverage decides what to try next)     ──► <target>::run(bytes): returns, whatever they are
//!                   └─► mutations.rs of a crate (the same thousands always) ─┘
//! ```
//!
//! The files of this folder are also modules of `tests/mutations.rs` in the crates that they concern, which run on stable. They must
//! never panic by themselves, other than where a property that always holds does not.

pub mod apply;
pub mod cel_policies;
pub mod decode;
pub mod gatekeeper;
pub mod falco;
mod input;
pub mod jmespath;
pub mod kyverno;
pub mod network_policy;
pub mod patches;
pub mod pod_security;
pub mod prometheus;
pub mod quantities;
pub mod rbac;
pub mod selectors;
pub mod shell;
pub mod tables;
