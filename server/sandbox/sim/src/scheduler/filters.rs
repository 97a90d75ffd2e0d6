//! The small filters: unschedulable nodes, a node named outright, taints, host ports.

use super::state::{NodeInfo, Refusal, host_ports};
use crate::controllers::common::{items, text};
use serde_json::{Value, json};

const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

pub fn unschedulable(node: &NodeInfo, pod: &Value) -> Result<(), Refusal> {
    let taint = json!({"key": UNSCHEDULABLE, "effect": "NoSchedule"});
    if node.node["spec"]["unschedulable"] == true && !tolerates(pod, &taint) {
        return Err(Refusal::unresolvable("node(s) were unschedulable"));
    }
    Ok(())
}

pub fn node_name(node: &NodeInfo, pod: &Value) -> Result<(), Refusal> {
    match text(&pod["spec"]["nodeName"]) {
        "" => Ok(()),
        name if name == node.name => Ok(()),
        _ => Err(Refusal::unresolvable("node(s) didn't match the requested node name")),
    }
}

pub fn taints(node: &NodeInfo, pod: &Value) -> Result<(), Refusal> {
    let forbids = |taint: &&Value| matches!(text(&taint["effect"]), "NoSchedule" | "NoExecute");
    if items(&node.node["spec"]["taints"]).iter().filter(forbids).any(|taint| !tolerates(pod, taint)) {
        return Err(Refusal::unresolvable("node(s) had untolerated taint(s)"));
    }
    Ok(())
}

/// Whether one of the pod's tolerations is for this taint (k8s.io/api/core/v1 ToleratesTaint).
pub fn tolerates(pod: &Value, taint: &Value) -> bool {
    items(&pod["spec"]["tolerations"]).iter().any(|toleration| {
        let (effect, key) = (text(&toleration["effect"]), text(&toleration["key"]));
        (effect.is_empty() || effect == text(&taint["effect"]))
            && (key.is_empty() || key == text(&taint["key"]))
            && match text(&toleration["operator"]) {
                "Exists" => true,
                _ => !key.is_empty() && text(&toleration["value"]) == text(&taint["value"]),
            }
    })
}

pub fn ports(node: &NodeInfo, pod: &Value) -> Result<(), Refusal> {
    let wanted = host_ports(pod);
    if wanted.is_empty() {
        return Ok(());
    }
    let taken: Vec<_> = node.pods.iter().flat_map(|other| host_ports(other)).collect();
    let clash = wanted.iter().any(|(protocol, address, port)| {
        taken.iter().any(|(other_protocol, other_address, other_port)| {
            protocol == other_protocol
                && port == other_port
                && (address == other_address || address == "0.0.0.0" || other_address == "0.0.0.0")
        })
    });
    if clash { Err(Refusal::resolvable("node(s) didn't have free ports for the requested pod ports")) } else { Ok(()) }
}
