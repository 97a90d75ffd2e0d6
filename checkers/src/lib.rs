//! `check(&Spec, &Evidence) -> Verdict`: what grades a learner.
//!
//! ```text
//! lab.yaml ──► Spec ─┐
//!                    ├──► check ──► Verdict { outcome, findings }
//! cluster ──► Evidence ┘
//! ```
//!
//! Pure: no I/O, no async, no clock. The same evidence gives the same verdict for ever, so that a verdict can be reproduced and a
//! mended checker can regrade old attempts. A learner's mistake is a finding; [`Outcome::Inconclusive`] means that *we* could
//! not look, and costs the learner nothing. One family of checks, one file.

pub mod evidence;
pub mod manifest;
pub mod verdict;
pub mod yaml;

pub use evidence::{Evidence, ProbeRecord, ScanRecord};
pub use verdict::{Finding, Outcome, Verdict};
