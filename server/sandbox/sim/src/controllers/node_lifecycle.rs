//! Nodes: taints that follow from their conditions, and eviction of pods that do not tolerate NoExecute.

use super::common::{self, concerns, condition, created_at, items, later, text, time};
use crate::{
    events::{self, Event},
    scheduler,
    step::{Context, Controller},
};
use apiserver::Change;
use machinery::{clock, gvr, object};
use serde_json::{Value, json};
use std::sync::Arc;

/// Condition, the status that taints, the taint's key.
const TAINTING: [(&str, &str, &str); 6] = [
    ("Ready", "False", "node.kubernetes.io/not-ready"),
    ("Ready", "Unknown", "node.kubernetes.io/unreachable"),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

#[derive(Debug, Default)]
pub struct NodeLifecycleController {}

impl Controller for NodeLifecycleController {
    fn name(&self) -> &'static str {
        "node-lifecycle-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::NODES, gvr::PODS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let nodes: Vec<_> = context.client.list(gvr::NODES, None).into_iter().map(|node| taint(context, node)).collect();
        let tainted: Vec<_> = nodes.iter().filter(|node| no_execute(node).next().is_some()).collect();
        if tainted.is_empty() {
            return;
        }
        for pod in context.client.list(gvr::PODS, None) {
            let node = tainted.iter().find(|node| object::name(node) == text(&pod["spec"]["nodeName"]));
            if let Some(node) = node.filter(|_| !object::is_terminating(&pod)) {
                evict(context, node, &pod);
            }
        }
    }
}

fn no_execute(node: &Value) -> impl Iterator<Item = &Value> {
    items(&node["spec"]["taints"]).iter().filter(|taint| taint["effect"] == "NoExecute")
}

/// The taints that the node's conditions ask for, beside those that somebody set.
fn taint(context: &Context<'_>, node: Arc<Value>) -> Arc<Value> {
    let ours = |taint: &Value| {
        let key = text(&taint["key"]);
        key == UNSCHEDULABLE || TAINTING.iter().any(|(_, _, other)| *other == key)
    };
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (kind, status, key) in TAINTING {
        if condition(&node, kind).is_some_and(|condition| condition["status"] == status) {
            wanted.push((key, "NoSchedule"));
            if kind == "Ready" {
                wanted.push((key, "NoExecute"));
            }
        }
    }
    if condition(&node, "Ready").is_none() {
        // Nobody has reported it yet.
        wanted.push(("node.kubernetes.io/not-ready", "NoSchedule"));
    }
    if node["spec"]["unschedulable"] == true {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let present = items(&node["spec"]["taints"]);
    let mut taints: Vec<Value> = present
        .iter()
        .filter(|taint| !ours(taint) || wanted.iter().any(|(key, effect)| taint["key"] == *key && taint["effect"] == *effect))
        .cloned()
        .collect();
    for (key, effect) in wanted {
        if !taints.iter().any(|taint| taint["key"] == key && taint["effect"] == effect) {
            taints.push(json!({"key": key, "effect": effect, "timeAdded": clock::rfc3339(context.now)}));
        }
    }
    if taints == present {
        return node;
    }
    common::modify(context.client, gvr::NODES, &node, |changed| {
        if taints.is_empty() {
            changed["spec"].as_object_mut().map(|spec| spec.remove("taints"));
        } else {
            changed["spec"]["taints"] = taints.into();
        }
    })
    .unwrap_or(node)
}

/// A pod stays as long as the shortest of its tolerations says.
fn evict(context: &mut Context<'_>, node: &Value, pod: &Value) {
    let mut leave_at = None;
    for taint in no_execute(node) {
        let tolerations = items(&pod["spec"]["tolerations"]);
        let matching: Vec<_> =
            tolerations.iter().filter(|toleration| scheduler::tolerates(&json!({"spec": {"tolerations": [toleration]}}), taint)).collect();
        let since = time(&taint["timeAdded"]).or_else(|| created_at(node)).unwrap_or(context.now);
        let until = if matching.is_empty() {
            Some(context.now)
        } else {
            matching
                .iter()
                .filter_map(|toleration| toleration["tolerationSeconds"].as_i64())
                .min()
                .map(|seconds| later(since, seconds.max(0)))
        };
        leave_at = match (leave_at, until) {
            (Some(earlier), Some(at)) => Some(std::cmp::min(earlier, at)),
            (at, None) | (None, at) => at,
        };
    }
    match leave_at {
        Some(at) if at <= context.now => {
            let message = format!("Marking for deletion Pod {}", common::key(pod));
            events::record(context, pod, &Event::normal("taint-eviction-controller", "TaintManagerEviction", message));
            common::tolerate("evicting a pod from a tainted node", common::delete(context.client, gvr::PODS, pod));
        }
        Some(at) => context.wake_at(at),
        None => {}
    }
}
