//! GPU feature discovery: labels that describe the node's GPUs (k8s-device-plugin, docs/gpu-feature-discovery). Simulated.

use super::{flag, handle_signals};
use crate::shell::process::Process;
use std::collections::BTreeMap;

const FEATURES: &str = "/etc/kubernetes/node-feature-discovery/features.d";

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    process.err("Starting OS watcher.\nLoading configuration. (simulated by Cordon, cordon.dev/simulated)\n").await;
    let gpus = process.machine.facts.gpus.clone();
    let Some(first) = gpus.first() else {
        process.err("No GPUs found; no labels to write. Waiting indefinitely.\n").await;
        process.control.signalled().await;
        return 0;
    };
    let by_api = flag(arguments, "use-node-feature-api").is_some()
        || process.environment.get("GFD_USE_NODE_FEATURE_API").is_some_and(|v| v == "true");
    let mounted = process.machine.view.mounts().iter().any(|m| m.path == FEATURES);
    if !by_api && !mounted {
        process.err(format!("Failed to write labels: failed to create output file: {FEATURES}/gfd: no such file or directory\n")).await;
        return 1;
    }
    let product = first.product.replace(' ', "-");
    let family = if product.contains("H100") || product.contains("H200") {
        ("hopper", "9", "0")
    } else if product.contains("A100") {
        ("ampere", "8", "0")
    } else if product.contains("L40") {
        ("ada-lovelace", "8", "9")
    } else {
        ("undefined", "0", "0")
    };
    let labels = [
        ("nvidia.com/gpu.present", "true".to_owned()),
        ("nvidia.com/gpu.count", gpus.len().to_string()),
        ("nvidia.com/gpu.replicas", "1".to_owned()),
        ("nvidia.com/gpu.product", product),
        ("nvidia.com/gpu.memory", first.memory_mib.to_string()),
        ("nvidia.com/gpu.family", family.0.to_owned()),
        ("nvidia.com/gpu.compute.major", family.1.to_owned()),
        ("nvidia.com/gpu.compute.minor", family.2.to_owned()),
        ("nvidia.com/gpu.mode", "compute".to_owned()),
        ("nvidia.com/gpu.sharing-strategy", "none".to_owned()),
        ("nvidia.com/mig.capable", (family.0 != "ada-lovelace").to_string()),
        ("nvidia.com/mig.strategy", "none".to_owned()),
        ("nvidia.com/mps.capable", "false".to_owned()),
    ];
    let labels: BTreeMap<String, String> = labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if mounted {
        let text: String = labels.iter().map(|(n, v)| format!("{n}={v}\n")).collect();
        if let Err(error) = process.write(&format!("{FEATURES}/gfd"), text.into_bytes()) {
            process.err(format!("Failed to write labels: {FEATURES}/gfd: {error}\n")).await;
            return 1;
        }
    }
    process.machine.announce.node_labels(labels);
    process.err("Creating Labels\nWriting labels to output file\n").await;
    process.control.signalled().await;
    0
}
