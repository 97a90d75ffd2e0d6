//! What a kubelet refuses although the scheduler (or somebody by `nodeName`) sent it: reason and message of a Failed pod.

use super::{runtime::Runtime, start::gpus_wanted};
use machinery::{gvr, object, quantity::Quantity};
use serde_json::Value;

const SAFE_SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

pub fn check(runtime: &Runtime, pod: &Value, node: &str) -> Result<(), (String, String)> {
    let refuse = |reason: &str, why: String| Err((reason.to_owned(), format!("Pod was rejected: {why}")));
    for sysctl in pod["spec"]["securityContext"]["sysctls"].as_array().into_iter().flatten() {
        let name = sysctl["name"].as_str().unwrap_or_default();
        if !SAFE_SYSCTLS.contains(&name) {
            return refuse("SysctlForbidden", format!("forbidden sysctl: {name:?} not allowlisted"));
        }
    }
    let Some(object) = runtime.client.get(gvr::NODES, "", node) else { return Ok(()) };
    for (key, value) in pod["spec"]["nodeSelector"].as_object().into_iter().flatten() {
        if object["metadata"]["labels"][key] != *value {
            return refuse("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector".to_owned());
        }
    }
    let allocatable = |resource: &str| quantity(&object["status"]["allocatable"][resource]);
    let others: Vec<_> = runtime
        .client
        .list(gvr::PODS, None)
        .into_iter()
        .filter(|p| {
            p["spec"]["nodeName"] == node
                && object::uid(p) != object::uid(pod)
                && !matches!(p["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
        })
        .filter(|p| runtime.pods.lock().contains_key(object::uid(p)))
        .collect();
    for resource in ["cpu", "memory", "nvidia.com/gpu"] {
        let wanted = requested(pod, resource);
        if wanted == 0 || (object["status"]["allocatable"][resource].is_null() && resource != "nvidia.com/gpu") {
            continue;
        }
        let used: i128 = others.iter().map(|p| requested(p, resource)).sum();
        let capacity = allocatable(resource);
        if used + wanted > capacity {
            let show = |nano: i128| if resource == "cpu" { nano / 1_000_000 } else { nano / 1_000_000_000 };
            let why = format!(
                "Node didn't have enough resource: {resource}, requested: {}, used: {}, capacity: {}",
                show(wanted),
                show(used),
                show(capacity)
            );
            return refuse(&format!("OutOf{resource}"), why);
        }
    }
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let gpus: usize = containers.map(gpus_wanted).sum();
    if gpus > 0 {
        let nodes = runtime.nodes.lock();
        let free = nodes.get(node).map_or(0, |n| {
            let own = n.granted.values().filter(|(uid, _)| uid == object::uid(pod)).count();
            n.gpus.len() - n.granted.len() + own
        });
        if free < gpus {
            let why = format!(
                "Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. Requested: {gpus}, Available: {free}, which is unexpected"
            );
            return refuse("UnexpectedAdmissionError", why);
        }
    }
    Ok(())
}

fn quantity(value: &Value) -> i128 {
    match value {
        Value::String(text) => Quantity::parse(text).map_or(0, |q| q.nano),
        Value::Number(n) => Quantity::parse(&n.to_string()).map_or(0, |q| q.nano),
        _ => 0,
    }
}

/// In nanounits: the containers' sum, or what an init container needs where that is more.
fn requested(pod: &Value, resource: &str) -> i128 {
    let of = |container: &Value| {
        let own = &container["resources"]["requests"][resource];
        quantity(if own.is_null() { &container["resources"]["limits"][resource] } else { own })
    };
    let list = |name: &str| pod["spec"][name].as_array().into_iter().flatten().map(of).collect::<Vec<_>>();
    let sum: i128 = list("containers").into_iter().sum();
    list("initContainers").into_iter().max().unwrap_or(0).max(sum)
}
