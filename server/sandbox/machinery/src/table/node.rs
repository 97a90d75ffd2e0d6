//! Nodes.

use super::column::{Column, age, name, text, wide};
use super::duration;
use super::text::{condition, items, none_if_empty, or, str_of};
use crate::object;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) const COLUMNS: &[Column] = &[
    name(),
    text("Status"),
    text("Roles"),
    age(),
    text("Version"),
    wide("Internal-IP"),
    wide("External-IP"),
    wide("OS-Image"),
    wide("Kernel-Version"),
    wide("Container-Runtime"),
];

pub(super) fn cells(node: &Value, now: Timestamp) -> Vec<Value> {
    let info = &node["status"]["nodeInfo"];
    let mut status = match condition(&node["status"]["conditions"], "Ready") {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    vec![
        object::name(node).into(),
        status.into(),
        roles(node).into(),
        duration::age(node, now),
        str_of(&info["kubeletVersion"]).into(),
        address(node, "InternalIP"),
        address(node, "ExternalIP"),
        or(&info["osImage"], "<unknown>").into(),
        or(&info["kernelVersion"], "<unknown>").into(),
        or(&info["containerRuntimeVersion"], "<unknown>").into(),
    ]
}

fn roles(node: &Value) -> String {
    let mut roles = BTreeSet::new();
    for (key, value) in object::labels(node).into_iter().flatten() {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => {
                roles.insert(role);
            }
            None if key == "kubernetes.io/role" && !str_of(value).is_empty() => {
                roles.insert(str_of(value));
            }
            _ => {}
        }
    }
    none_if_empty(roles.into_iter().collect::<Vec<_>>().join(","))
}

fn address(node: &Value, kind: &str) -> Value {
    let found = items(&node["status"]["addresses"]).iter().find(|a| a["type"] == kind);
    found.map_or("<none>", |a| str_of(&a["address"])).into()
}
