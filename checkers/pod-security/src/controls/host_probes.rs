//! Probes and lifecycle hooks go to the pod itself: a host of their own would let the kubelet knock at any door for it.

use super::{forbid, in_container};
use crate::{control::Forbidden, pod::Pod, words};
use std::collections::BTreeSet;

const HANDLERS: [&[&str]; 5] =
    [&["livenessProbe"], &["readinessProbe"], &["startupProbe"], &["lifecycle", "postStart"], &["lifecycle", "preStop"]];

pub(crate) fn check(pod: &Pod<'_>) -> Option<Forbidden> {
    let mut violations = Vec::new();
    let mut hosts = BTreeSet::new();
    let mut names = BTreeSet::new();
    for container in &pod.containers {
        for handler in HANDLERS {
            let value = handler.iter().fold(container.value, |value, key| &value[*key]);
            for action in ["httpGet", "tcpSocket"] {
                let Some(host) = value[action]["host"].as_str().filter(|host| !host.is_empty()) else { continue };
                violations.push(in_container(container, &format!("{}.{action}.host", handler.join(".")), host, "unset"));
                hosts.insert(host.to_owned());
                names.insert(container.name.to_owned());
            }
        }
    }
    let detail = || {
        format!(
            "{} {} {} {} {}",
            words::number(names.len(), "container", "containers"),
            words::quoted_set(&names),
            words::number(names.len(), "uses", "use"),
            words::number(hosts.len(), "probe or lifecycle host", "probe or lifecycle hosts"),
            words::quoted_set(&hosts)
        )
    };
    forbid("hostProbesAndHostLifecycle", "probe or lifecycle host", detail, violations)
}
