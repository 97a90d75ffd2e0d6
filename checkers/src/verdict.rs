//! What a checker says.

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
