//! `binding`: the scheduler puts a pod on a node (pkg/registry/core/pod/storage, `assignPod`).

use crate::call::Call;
use machinery::{ApiError, FieldError, clock::rfc3339, object};
use serde_json::{Value, json};

pub(crate) fn bind(call: &mut Call, binding: &Value) -> Result<(), ApiError> {
    let target = &binding["target"];
    let node = target["name"].as_str().unwrap_or_default().to_owned();
    let mut errors = Vec::new();
    if !matches!(target["kind"].as_str().unwrap_or_default(), "" | "Node") {
        errors.push(FieldError::not_supported("target.kind", &target["kind"], &["Node", "<empty>"]));
    }
    if node.is_empty() {
        errors.push(FieldError::required("target.name", ""));
    }
    if object::name(binding) != call.name {
        return Err(ApiError::bad_request("name in URL does not match name in Binding object"));
    }
    if !errors.is_empty() {
        // Kubernetes answers with the bare list, not with the form that other mistakes have.
        let messages: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let message = if messages.len() == 1 { messages.concat() } else { format!("[{}]", messages.join(", ")) };
        return Err(ApiError::new(500, "", message));
    }
    let (server, dry_run) = (call.server.clone(), call.dry_run);
    server.write(dry_run, |transaction| {
        let old = transaction.state.get("", "pods", &call.namespace, &call.name).ok_or_else(|| call.not_found())?;
        let refuse = |why: String| ApiError::conflict("", "pods/binding", &call.name, &why);
        let uid = object::uid(binding);
        if !uid.is_empty() && uid != object::uid(&old) {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", object::uid(&old));
            return Err(call.conflict(&call.name, &why));
        }
        if object::is_terminating(&old) {
            return Err(refuse(format!("pod {} is being deleted, cannot be assigned to a host", call.name)));
        }
        let held = old["spec"]["nodeName"].as_str().unwrap_or_default();
        if !held.is_empty() {
            return Err(refuse(format!("pod {} is already assigned to node {held:?}", call.name)));
        }
        if old["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
            return Err(refuse(format!("pod {} has non-empty .spec.schedulingGates", call.name)));
        }
        let mut new = Value::clone(&old);
        new["spec"]["nodeName"] = node.as_str().into();
        for field in ["annotations", "labels"] {
            for (key, value) in binding["metadata"][field].as_object().into_iter().flatten() {
                if !new["metadata"][field].is_object() {
                    new["metadata"][field] = json!({});
                }
                new["metadata"][field][key] = value.clone();
            }
        }
        set_scheduled(&mut new, &rfc3339(call.now));
        transaction.put("", "pods", new);
        Ok(())
    })
}

fn set_scheduled(pod: &mut Value, at: &str) {
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let mut condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": at});
    if let Some(generation) = pod["metadata"]["generation"].as_i64() {
        condition["observedGeneration"] = generation.into();
    }
    match conditions.iter_mut().find(|held| held["type"] == "PodScheduled") {
        Some(held) if held["status"] == "True" => {}
        Some(held) => *held = condition,
        None => conditions.push(condition),
    }
    if !pod["status"].is_object() {
        pod["status"] = json!({});
    }
    pod["status"]["conditions"] = conditions.into();
}
