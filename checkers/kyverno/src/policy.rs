//! Policies, sorted by what judges them.

mod lint;

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
    /// The policy does something, but not what it seems to say, or in a way that is going away.
    pub warning: bool,
}

/// A ClusterPolicy or a Policy.
#[derive(Debug, Clone)]
pub struct KyvernoPolicy {
    pub object: Value,
}

impl KyvernoPolicy {
    fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn kind(&self) -> &'static str {
        if self.is_namespaced() { "Policy" } else { "ClusterPolicy" }
    }

    pub fn is_namespaced(&self) -> bool {
        self.text("/kind") == "Policy"
    }

    /// The namespace that a Policy is about.
    pub fn namespace(&self) -> Option<&str> {
        let namespace = self.text("/metadata/namespace");
        self.is_namespaced().then_some(if namespace.is_empty() { "default" } else { namespace })
    }

    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `namespace/name`, or the name alone.
    pub fn key(&self) -> String {
        match self.text("/metadata/namespace") {
            "" => self.name().to_owned(),
            namespace => format!("{namespace}/{}", self.name()),
        }
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.object.pointer("/metadata/annotations")?.get(name)?.as_str()
    }

    pub fn spec(&self, name: &str) -> Option<&Value> {
        self.object.get("spec")?.get(name).filter(|value| !value.is_null())
    }

    pub fn rules(&self) -> impl Iterator<Item = &Value> {
        self.spec("rules").and_then(Value::as_array).into_iter().flatten()
    }

    /// `applyRules: One`: the first rule that says something is the last.
    pub fn applies_one(&self) -> bool {
        self.spec("applyRules").and_then(Value::as_str) == Some("One")
    }

    /// `policies.kyverno.io/scored: "false"` makes failures warnings.
    pub fn is_scored(&self) -> bool {
        self.annotation("policies.kyverno.io/scored") != Some("false")
    }
}

/// Everything that was given as a policy.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    pub(crate) kyverno: Vec<KyvernoPolicy>,
    /// `ClusterCleanupPolicy` and `CleanupPolicy`.
    pub(crate) cleanup: Vec<KyvernoPolicy>,
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
            let group = text("apiVersion").split('/').next().unwrap_or_default();
            match (group, text("kind")) {
                ("policies.kyverno.io" | "admissionregistration.k8s.io", _) => policies.cel.push(object.clone()),
                ("kyverno.io", "ClusterPolicy" | "Policy") => {
                    let findings = lint::policy(document, object);
                    // A policy that Kyverno would not take says nothing.
                    if findings.iter().all(|finding| finding.warning) {
                        policies.kyverno.push(KyvernoPolicy { object: object.clone() });
                    }
                    policies.findings.extend(findings);
                }
                ("kyverno.io", "ClusterCleanupPolicy" | "CleanupPolicy") => {
                    let findings = lint::cleanup(document, object);
                    if findings.iter().all(|finding| finding.warning) {
                        policies.cleanup.push(KyvernoPolicy { object: object.clone() });
                    }
                    policies.findings.extend(findings);
                }
                _ => policies.findings.push(Finding {
                    document,
                    field: "kind".to_owned(),
                    message: format!(
                        "{}/{} is no kind of policy; a ClusterPolicy is kyverno.io/v1, a ValidatingPolicy policies.kyverno.io/v1",
                        text("apiVersion"),
                        text("kind")
                    ),
                    warning: false,
                }),
            }
        }
        policies
    }
}
