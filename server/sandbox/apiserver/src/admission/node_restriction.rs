//! NodeRestriction, its ground rules: a kubelet writes its own Node and the pods on it.

use crate::call::{Call, Operation};
use machinery::{ApiError, object};
use serde_json::Value;

pub(crate) fn validate(call: &Call, operation: Operation, new: Option<&Value>, old: Option<&Value>) -> Result<(), ApiError> {
    let Some(node) = call.user.name.strip_prefix("system:node:") else { return Ok(()) };
    if call.in_process || !call.user.groups.iter().any(|group| group == "system:nodes") {
        return Ok(());
    }
    let name = new.or(old).map_or(call.name.as_str(), object::name);
    if call.is("", "nodes") {
        if operation == Operation::Delete {
            return Err(call.forbidden(name, &format!("node {node:?} is not allowed to delete node {name:?}")));
        }
        if name != node {
            let verb = if operation == Operation::Create { "create" } else { "modify" };
            return Err(call.forbidden(name, &format!("node {node:?} is not allowed to {verb} node {name:?}")));
        }
    }
    if call.is("", "pods") {
        let pod = old.or(new);
        if pod.is_some_and(|pod| pod["spec"]["nodeName"] != node) {
            let why = match operation {
                Operation::Delete => format!("node {node:?} can only delete pods with spec.nodeName set to itself"),
                Operation::Update => format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself"),
                Operation::Create => format!("node {node:?} can only create pods with spec.nodeName set to itself"),
            };
            return Err(call.forbidden(name, &why));
        }
    }
    Ok(())
}
