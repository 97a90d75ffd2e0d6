//! The pod inside a workload.

use serde_json::Value;

/// Where an object keeps its pod, and that pod's metadata and spec.
#[derive(Debug, Clone, Copy)]
pub struct PodTemplate<'a> {
    /// Prefix of the violations' fields: empty for a pod, `spec.template` for most workloads.
    pub path: &'static str,
    pub metadata: &'a Value,
    pub spec: &'a Value,
}

impl PodTemplate<'_> {
    /// A field of the pod as a field of the object: `spec.template.spec.hostNetwork`.
    pub fn field(&self, in_pod: &str) -> String {
        if self.path.is_empty() { in_pod.to_owned() } else { format!("{}.{in_pod}", self.path) }
    }
}

/// The pod of a Pod or of any built-in workload; `None` for kinds that hold none (and for a PodTemplate or
/// ReplicationController without a template). The kinds are those that Kubernetes' own admission looks into.
pub fn pod_template(object: &Value) -> Option<PodTemplate<'_>> {
    let (path, template) = place(object)?;
    if path.is_empty() {
        return Some(PodTemplate { path, metadata: &object["metadata"], spec: &object["spec"] });
    }
    template.is_object().then(|| PodTemplate { path, metadata: &template["metadata"], spec: &template["spec"] })
}

/// Whether the object's kind is one that holds a pod, be it there or not.
pub fn holds_pod(object: &Value) -> bool {
    place(object).is_some()
}

fn place(object: &Value) -> Option<(&'static str, &Value)> {
    let group = object["apiVersion"].as_str().unwrap_or_default().rsplit_once('/').map_or("", |(group, _)| group);
    Some(match (group, object["kind"].as_str().unwrap_or_default()) {
        ("", "Pod") => ("", object),
        ("", "PodTemplate") => ("template", &object["template"]),
        ("", "ReplicationController") => ("spec.template", &object["spec"]["template"]),
        ("apps" | "extensions", "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet") | ("batch", "Job") => {
            ("spec.template", &object["spec"]["template"])
        }
        ("batch", "CronJob") => ("spec.jobTemplate.spec.template", &object["spec"]["jobTemplate"]["spec"]["template"]),
        _ => return None,
    })
}
