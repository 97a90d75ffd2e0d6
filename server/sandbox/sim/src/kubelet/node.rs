//! The node's own object: registered, ready, with the devices that a plugin announces.

use super::runtime::Runtime;
use crate::step::Context;
use jiff::{SignedDuration, Timestamp};
use machinery::{clock, gvr};
use serde_json::{Value, json};

/// How long the kubelet keeps the capacity of a plugin that went (endpointStopGracePeriod).
const GRACE: SignedDuration = SignedDuration::from_mins(5);

/// Brings every node's object up to date; when to look again.
pub fn sync(runtime: &Runtime, context: &Context<'_>) -> Option<Timestamp> {
    let now = context.now;
    let mut again = None;
    let names: Vec<String> = runtime.nodes.lock().keys().cloned().collect();
    for name in names {
        let Some(stored) = runtime.client.get(gvr::NODES, "", &name) else { continue };
        runtime.learn_node(&stored);
        let (gpus, plugin, changed, labels) = {
            let nodes = runtime.nodes.lock();
            let Some(node) = nodes.get(&name) else { continue };
            (node.gpus.len(), node.plugin, node.plugin_changed, node.labels.clone())
        };
        let mut new = (*stored).clone();
        match plugin {
            Some(true) => set_gpus(&mut new, gpus, gpus),
            Some(false) if !stored["status"]["capacity"]["nvidia.com/gpu"].is_null() => {
                let gone_at = changed.saturating_add(GRACE).unwrap_or(Timestamp::MAX);
                let capacity = if now >= gone_at { 0 } else { gpus };
                if now < gone_at {
                    again = Some(again.map_or(gone_at, |a: Timestamp| a.min(gone_at)));
                }
                set_gpus(&mut new, capacity, 0);
            }
            _ => {}
        }
        ready(&mut new, now);
        if new["status"] != stored["status"]
            && let Err(error) = runtime.client.update_status(gvr::NODES, new)
        {
            tracing::warn!(node = name, %error, "a node's status was not accepted");
        }
        if !labels.is_empty() {
            let Some(stored) = runtime.client.get(gvr::NODES, "", &name) else { continue };
            let mut new = (*stored).clone();
            for (key, value) in &labels {
                new["metadata"]["labels"][key] = value.clone().into();
            }
            if new["metadata"]["labels"] != stored["metadata"]["labels"]
                && let Err(error) = runtime.client.update(gvr::NODES, new)
            {
                tracing::warn!(node = name, %error, "a node's labels were not accepted");
            }
        }
    }
    again
}

fn set_gpus(node: &mut Value, capacity: usize, allocatable: usize) {
    node["status"]["capacity"]["nvidia.com/gpu"] = capacity.to_string().into();
    node["status"]["allocatable"]["nvidia.com/gpu"] = allocatable.to_string().into();
}

/// The conditions of a healthy node, where it has none.
fn ready(node: &mut Value, now: Timestamp) {
    let ready = node["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
    if ready {
        return;
    }
    let stamp = clock::rfc3339(now);
    let kinds = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    node["status"]["conditions"] = kinds
        .into_iter()
        .map(|(kind, status, reason, message)| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": stamp, "lastTransitionTime": stamp}))
        .collect();
}
