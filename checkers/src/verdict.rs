//! What a checker says.

use crate::why;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Passed,
    Failed,
    /// We could not look. Costs the learner nothing and earns nothing until we can.
    Inconclusive,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    pub outcome: Outcome,
    /// What stood in the way, most important first; empty for a pass.
    pub findings: Vec<Finding>,
}

/// One thing that is not as it should be, so that a learner can learn from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Stable name of what was judged, as `restricted/runAsNonRoot`; `mistakes/` and tests refer to it.
    pub control: String,
    /// `Deployment/ml/serving`, or empty for the whole cluster.
    pub object: String,
    /// `spec.template.spec.containers[0].securityContext.runAsNonRoot`, or empty.
    pub field: String,
    pub actual: String,
    pub expected: String,
    /// Why it matters on a GPU node.
    pub why: String,
    /// Where to read on: a page of the Kubernetes, NVIDIA or Trivy documentation.
    pub read: String,
}

impl Finding {
    /// Why it matters and where to read on follow from the control.
    pub fn new(
        control: impl Into<String>,
        object: impl Into<String>,
        field: impl Into<String>,
        actual: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        let control = control.into();
        let (why, read) = why::of(&control);
        Self {
            control,
            object: object.into(),
            field: field.into(),
            actual: actual.into(),
            expected: expected.into(),
            why: why.to_owned(),
            read: read.to_owned(),
        }
    }
}

impl Verdict {
    /// Failed where there is a finding; the same finding twice counts once.
    pub fn of(mut findings: Vec<Finding>) -> Self {
        let mut seen = Vec::new();
        findings.retain(|finding| {
            let fresh = !seen.contains(finding);
            if fresh {
                seen.push(finding.clone());
            }
            fresh
        });
        let outcome = if findings.is_empty() { Outcome::Passed } else { Outcome::Failed };
        Self { outcome, findings }
    }

    pub fn inconclusive(control: &str, reason: impl Into<String>) -> Self {
        let finding = Finding::new(control, "", "", reason, "to be able to look");
        Self { outcome: Outcome::Inconclusive, findings: vec![finding] }
    }

    pub fn passed(&self) -> bool {
        self.outcome == Outcome::Passed
    }
}
