//! `check(&Spec, &Evidence) -> Verdict`: what grades a learner.
//!
//! ```text
//! lab.yaml ──► Spec ─┬──► needs()  ──► what to collect ──┐
//!                    └──► check ──► Verdict { outcome, findings }
//! cluster ──► Evidence ┘ ◄───────────────────────────────┘
//! ```
//!
//! Pure: no I/O, no async, no clock. The same evidence gives the same verdict for ever, so that a verdict can be reproduced and a
//! mended checker can regrade old attempts. A learner's mistake is a finding; [`Outcome::Inconclusive`] means that *we* could
//! not look, and costs the learner nothing. One family of checks, one file.

mod answers;
pub mod evidence;
mod gpu_available;
mod image_scan;
pub mod manifest;
mod path;
mod pod_security;
mod reachability;
mod resource;
mod scope;
mod spec;
pub mod verdict;
mod why;
mod workloads;
pub mod yaml;

pub use answers::Answers;
pub use evidence::{Evidence, ProbeRecord, ProbeResult, ScanRecord};
pub use gpu_available::GpuAvailable;
pub use image_scan::ImageScan;
pub use pod_security::{GpuUse, PodSecurity};
pub use reachability::{Expectation, Group, Reachability};
pub use resource::{Condition, FieldCheck, Resource};
pub use scope::Scope;
pub use spec::{EVIDENCE_KINDS, Kind, Needs, Number, ProbeNeed, ProbeTarget, Spec};
pub use verdict::{Finding, Outcome, Verdict};

/// The engine of the Pod Security Standards, for those who have no other way to it.
pub use ::pod_security as standards;

/// Part of every receipt. Rises whenever the same evidence could get another verdict.
pub const CHECKER_VERSION: &str = "1";

/// Judges one check of a lab. What the evidence says is missing makes a check inconclusive only where it found nothing wrong:
/// a mistake that was seen stays a mistake.
pub fn check(spec: &Spec, evidence: &Evidence) -> Verdict {
    let verdict = match spec {
        Spec::PodSecurity(spec) => spec.check(evidence),
        Spec::GpuAvailable(spec) => spec.check(evidence),
        Spec::Reachability(spec) => spec.check(evidence),
        Spec::Answers(spec) => spec.check(evidence),
        Spec::ImageScan(spec) => spec.check(evidence),
        Spec::Resource(spec) => spec.check(evidence),
    };
    let missing: Vec<&String> = evidence.missing.iter().collect();
    if verdict.outcome == Outcome::Passed && !missing.is_empty() {
        let reason = missing.iter().map(|m| m.as_str()).collect::<Vec<_>>().join("; ");
        return Verdict::inconclusive("evidence/complete", reason);
    }
    // An absent object proves nothing where objects could not be listed.
    if verdict.outcome == Outcome::Failed && !missing.is_empty() && verdict.findings.iter().all(|f| f.control.ends_with("/exists")) {
        let reason = missing.iter().map(|m| m.as_str()).collect::<Vec<_>>().join("; ");
        return Verdict::inconclusive("evidence/complete", reason);
    }
    verdict
}
