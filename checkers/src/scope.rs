//! Which pods a check speaks of.

use crate::evidence::Evidence;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Pods (and pod templates) of one namespace that carry all of these labels; no labels: all of the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    pub namespace: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl Scope {
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.labels.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str) == Some(value))
    }

    pub fn holds(&self, pod: &Value) -> bool {
        pod["metadata"]["namespace"] == self.namespace.as_str() && self.matches(pod["metadata"]["labels"].as_object())
    }

    /// Its pods that run and are not on their way out, in the order of the evidence.
    pub fn running<'a>(&'a self, evidence: &'a Evidence) -> impl Iterator<Item = &'a Value> {
        evidence.objects.iter().filter(|object| object["kind"] == "Pod" && self.holds(object) && is_running(object))
    }

    /// `pods app=serving in ml`.
    pub fn words(&self) -> String {
        let labels: Vec<_> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if labels.is_empty() { format!("pods in {}", self.namespace) } else { format!("pods {} in {}", labels.join(","), self.namespace) }
    }
}

pub(crate) fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
}

/// `Deployment/ml/serving`, `Node/gpu-node`.
pub(crate) fn object_name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, namespace, name) = (text(&object["kind"]), text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    if namespace.is_empty() { format!("{kind}/{name}") } else { format!("{kind}/{namespace}/{name}") }
}
