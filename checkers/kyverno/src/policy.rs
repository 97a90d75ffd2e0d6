//! Policies, sorted by what judges them.

use serde::Serialize;
use serde_json::Value;

/// A mistake in a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which of the given documents, from 0.
    pub document: usize,
    /// `spec.rules[0].validate`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything that was given as a policy.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// Policies in CEL with their bindings: kinds of `policies.kyverno.io` and `admissionregistration.k8s.io`.
    pub(crate) cel: Vec<Value>,
    pub findings: Vec<Finding>,
}

impl Policies {
    /// Sorts the objects; what is wrong with one is a finding, and the others still count.
    pub fn read(objects: &[Value]) -> Self {
        let mut policies = Self::default();
        for (document, object) in objects.iter().enumerate() {
            let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
            match text("apiVersion").split('/').next().unwrap_or_default() {
                "policies.kyverno.io" | "admissionregistration.k8s.io" => policies.cel.push(object.clone()),
                _ => policies.findings.push(Finding {
                    document,
                    field: "kind".to_owned(),
                    message: format!("{}/{} is no kind of policy", text("apiVersion"), text("kind")),
                }),
            }
        }
        policies
    }
}
