//! Pods and pod templates in the evidence, and who made whom.

use crate::{evidence::Evidence, scope::Scope};
use pod_security::{PodTemplate, pod_template};
use serde_json::Value;

/// Every pod and every template that a scope selects. A ReplicaSet that was scaled to nothing and belongs to a Deployment is
/// history, and so is a pod that has ended: neither runs anything any more.
pub(crate) fn selected<'a>(evidence: &'a Evidence, scope: &Scope) -> Vec<(&'a Value, PodTemplate<'a>)> {
    evidence
        .objects
        .iter()
        .filter(|object| object["metadata"]["namespace"] == scope.namespace.as_str())
        .filter_map(|object| Some((object, pod_template(object)?)))
        .filter(|(object, template)| scope.matches(template.metadata["labels"].as_object()) && !is_history(object))
        .collect()
}

fn is_history(object: &Value) -> bool {
    match object["kind"].as_str() {
        Some("Pod") => {
            matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) || !object["metadata"]["deletionTimestamp"].is_null()
        }
        Some("ReplicaSet") => object["spec"]["replicas"] == 0 && controller(object).is_some(),
        _ => false,
    }
}

/// The owner reference with `controller: true`.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)
}

/// The object at the top of the chain of controllers: a pod's Deployment. The object itself where nobody controls it, `None` where
/// a controller is not in the evidence.
pub(crate) fn root<'a>(evidence: &'a Evidence, object: &'a Value) -> Option<&'a Value> {
    let mut object = object;
    // Real chains are at most three long.
    for _ in 0..8 {
        let Some(owner) = controller(object) else { return Some(object) };
        let is_owner = |candidate: &&Value| {
            let metadata = &candidate["metadata"];
            metadata["uid"] == owner["uid"]
                && candidate["kind"] == owner["kind"]
                && metadata["name"] == owner["name"]
                && !owner["uid"].is_null()
        };
        object = evidence.objects.iter().find(is_owner)?;
    }
    None
}
