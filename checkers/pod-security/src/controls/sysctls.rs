//! Kernel parameters that touch nobody but the pod itself.

use super::{forbid, in_pod};
use crate::{control::Forbidden, pod::Pod};

/// Each safe parameter with the policy version that knows it as safe.
const SAFE: [(u32, &str); 14] = [
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_keepalive_time"),
    (29, "net.ipv4.tcp_fin_timeout"),
    (29, "net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (32, "net.ipv4.tcp_rmem"),
    (32, "net.ipv4.tcp_wmem"),
    (37, "net.ipv4.tcp_slow_start_after_idle"),
    (37, "net.ipv4.tcp_notsent_lowat"),
];

fn judge(pod: &Pod<'_>, minor: u32) -> Option<Forbidden> {
    let list = pod.security_context()["sysctls"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = list.iter().enumerate().map(|(index, sysctl)| (index, sysctl["name"].as_str().unwrap_or_default()));
    let bad: Vec<(usize, &str)> = named.filter(|(_, name)| !SAFE.iter().any(|(since, safe)| *since <= minor && safe == name)).collect();
    let violations =
        bad.iter().map(|(index, name)| in_pod(format!("spec.securityContext.sysctls[{index}].name"), *name, "a safe sysctl")).collect();
    forbid("sysctls", "forbidden sysctls", || bad.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", "), violations)
}

pub(crate) fn v1_0(pod: &Pod<'_>) -> Option<Forbidden> {
    judge(pod, 0)
}

pub(crate) fn v1_27(pod: &Pod<'_>) -> Option<Forbidden> {
    judge(pod, 27)
}

pub(crate) fn v1_29(pod: &Pod<'_>) -> Option<Forbidden> {
    judge(pod, 29)
}

pub(crate) fn v1_32(pod: &Pod<'_>) -> Option<Forbidden> {
    judge(pod, 32)
}

pub(crate) fn v1_37(pod: &Pod<'_>) -> Option<Forbidden> {
    judge(pod, 37)
}
