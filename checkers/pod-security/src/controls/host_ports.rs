//! No container takes a port of the node.

use super::{forbid, in_container, names};
use crate::{control::Forbidden, pod::Pod, words};
use std::collections::BTreeSet;

pub(crate) fn check(pod: &Pod<'_>) -> Option<Forbidden> {
    let mut violations = Vec::new();
    // Kubernetes sorts them as strings.
    let mut ports = BTreeSet::new();
    for container in &pod.containers {
        let list = container.value["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (index, port) in list.iter().enumerate() {
            if let Some(host) = port["hostPort"].as_i64().filter(|host| *host != 0) {
                violations.push(in_container(container, &format!("ports[{index}].hostPort"), host.to_string(), "0 or unset"));
                ports.insert(host.to_string());
            }
        }
    }
    let detail = || {
        let names = names(&violations);
        format!(
            "{} {} {} {}",
            words::containers(&names),
            words::number(names.len(), "uses", "use"),
            words::number(ports.len(), "hostPort", "hostPorts"),
            ports.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        )
    };
    let detail = detail();
    forbid("hostPorts", "hostPort", || detail, violations)
}
