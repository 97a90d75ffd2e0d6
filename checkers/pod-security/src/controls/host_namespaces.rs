//! The node's network, process and IPC namespaces stay the node's.

use super::{forbid, in_pod};
use crate::{control::Forbidden, pod::Pod};

pub(crate) fn check(pod: &Pod<'_>) -> Option<Forbidden> {
    let shared: Vec<&str> = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| pod.spec[*field] == true).collect();
    let violations = shared.iter().map(|field| in_pod(format!("spec.{field}"), "true", "false or unset")).collect();
    let detail = || shared.iter().map(|field| format!("{field}=true")).collect::<Vec<_>>().join(", ");
    forbid("hostNamespaces", "host namespaces", detail, violations)
}
