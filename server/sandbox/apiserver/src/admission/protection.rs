//! StorageObjectInUseProtection and TaintNodesByCondition: what is put on new claims, volumes and nodes.

use crate::call::Call;
use serde_json::{Value, json};

/// Keeps a claim or a volume until nothing uses it; a controller takes the finalizer away again.
pub(crate) fn storage(call: &Call, new: &mut Value) {
    let finalizer = if call.is("", "persistentvolumes") { "kubernetes.io/pv-protection" } else { "kubernetes.io/pvc-protection" };
    let held = new["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if held.iter().all(|held| held != finalizer) {
        let mut finalizers = held;
        finalizers.push(finalizer.into());
        new["metadata"]["finalizers"] = finalizers.into();
    }
}

/// A node that nobody has reported as ready takes no pods. Those of the cluster itself are there from the start.
pub(crate) fn node(call: &Call, new: &mut Value) {
    const KEY: &str = "node.kubernetes.io/not-ready";
    let mut taints = new["spec"]["taints"].as_array().cloned().unwrap_or_default();
    if !call.in_process && taints.iter().all(|taint| taint["key"] != KEY || taint["effect"] != "NoSchedule") {
        taints.push(json!({"key": KEY, "effect": "NoSchedule"}));
        new["spec"]["taints"] = taints.into();
    }
}
