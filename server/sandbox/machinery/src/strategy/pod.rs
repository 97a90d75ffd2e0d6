//! Pods, their status and their other subresources.

use super::{equal, keep, keep_meta, quality_of_service};
use crate::object::set_meta;
use serde_json::{Value, json};

pub(super) fn prepare_create(pod: &mut Value) {
    pod["status"] = json!({"phase": "Pending", "qosClass": quality_of_service(pod)});
    if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        pod["status"]["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "lastProbeTime": null, "lastTransitionTime": null,
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
    }
    let labels = pod["metadata"]["labels"].clone();
    for affinity in ["podAffinity", "podAntiAffinity"] {
        let part = pod.get_mut("spec").and_then(|spec| spec.get_mut("affinity")).and_then(|all| all.get_mut(affinity));
        let Some(affinity) = part.filter(|part| part.is_object()) else { continue };
        for term in list(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
            match_label_keys(term, &labels);
        }
        for weighted in list(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = weighted.get_mut("podAffinityTerm") {
                match_label_keys(term, &labels);
            }
        }
    }
    if let Some(spec) = pod.get_mut("spec") {
        for constraint in list(spec, "topologySpreadConstraints") {
            match_label_keys(constraint, &labels);
        }
    }
}

fn list<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}

/// `matchLabelKeys` and `mismatchLabelKeys` become expressions with the pod's own label values.
fn match_label_keys(term: &mut Value, labels: &Value) {
    if !term["labelSelector"].is_object() {
        return;
    }
    let mut expressions = term["labelSelector"]["matchExpressions"].as_array().cloned().unwrap_or_default();
    let before = expressions.len();
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in term[field].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                expressions.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    if expressions.len() > before {
        term["labelSelector"]["matchExpressions"] = expressions.into();
    }
}

pub(super) fn prepare_status(new: &mut Value, old: &Value) {
    keep(new, old, "spec");
    keep_meta(new, old, "deletionTimestamp");
    keep_meta(new, old, "ownerReferences");
    if new["status"]["qosClass"].as_str().unwrap_or_default().is_empty() && old["status"]["qosClass"].is_string() {
        new["status"]["qosClass"] = old["status"]["qosClass"].clone();
    }
    if new["status"]["observedGeneration"].is_null() && !old["status"]["observedGeneration"].is_null() {
        new["status"]["observedGeneration"] = old["status"]["observedGeneration"].clone();
    }
    let before = old["status"]["conditions"].as_array().cloned().unwrap_or_default();
    if let Some(status) = new.get_mut("status") {
        for condition in list(status, "conditions").filter(|c| c.is_object()) {
            let known = before.iter().find(|b| b["type"] == condition["type"]).map(|b| &b["observedGeneration"]);
            if condition["observedGeneration"].is_null()
                && let Some(generation) = known.filter(|g| !g.is_null())
            {
                condition["observedGeneration"] = generation.clone();
            }
        }
    }
}

/// `ephemeralcontainers` changes only those; `resize` only the resources of containers that are there.
pub(super) fn prepare_subresource(subresource: &str, new: &mut Value, old: &Value) {
    let mut spec = old["spec"].clone();
    if subresource == "ephemeralcontainers" {
        spec["ephemeralContainers"] = new["spec"]["ephemeralContainers"].clone();
        if spec["ephemeralContainers"].is_null()
            && let Some(map) = spec.as_object_mut()
        {
            map.remove("ephemeralContainers");
        }
    } else {
        for field in ["containers", "initContainers"] {
            let before = spec.get_mut(field).and_then(Value::as_array_mut);
            let (Some(new), Some(old)) = (new["spec"][field].as_array(), before) else { continue };
            let same_names = new.len() == old.len() && new.iter().zip(old.iter()).all(|(new, old)| new["name"] == old["name"]);
            if !same_names {
                // Left for validation to refuse.
                return;
            }
            for (new, old) in new.iter().zip(old.iter_mut()) {
                for field in ["resources", "resizePolicy"] {
                    keep(old, new, field);
                }
            }
        }
    }
    new["spec"] = spec;
    keep(new, old, "status");
    for field in ["labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        keep_meta(new, old, field);
    }
    if !equal(&new["spec"], &old["spec"]) {
        set_meta(new, "generation", old["metadata"]["generation"].as_i64().unwrap_or_default().saturating_add(1));
    }
}
