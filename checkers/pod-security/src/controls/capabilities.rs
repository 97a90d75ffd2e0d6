//! Linux capabilities: baseline bounds what may be added, restricted wants all of them dropped.

use super::{forbid, in_container, names};
use crate::{
    control::{Forbidden, Violation},
    pod::{Container, Pod},
    words,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// What container runtimes give by default, as baseline counts it (`NET_RAW` is not among them).
const DEFAULT: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const BIND: &str = "NET_BIND_SERVICE";
const ADD: &str = "securityContext.capabilities.add";
const DROP: &str = "securityContext.capabilities.drop";

fn list<'a>(container: &Container<'a>, key: &str) -> Vec<&'a str> {
    let items = container.security_context()["capabilities"][key].as_array();
    items.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The additions of each container that `allowed` refuses.
fn additions(pod: &Pod<'_>, allowed: impl Fn(&str) -> bool, expected: &str) -> (Vec<Violation>, BTreeSet<String>) {
    let mut violations = Vec::new();
    let mut all = BTreeSet::new();
    for container in &pod.containers {
        let bad: BTreeSet<&str> = list(container, "add").into_iter().filter(|name| !allowed(name)).collect();
        if !bad.is_empty() {
            violations.push(in_container(container, ADD, bad.iter().copied().collect::<Vec<_>>().join(", "), expected));
            all.extend(bad.into_iter().map(str::to_owned));
        }
    }
    (violations, all)
}

fn must_not_include(violations: &[Violation], all: &BTreeSet<String>) -> String {
    let who = words::containers(&names(violations));
    format!("{who} must not include {} in securityContext.capabilities.add", words::quoted_set(all))
}

pub(crate) fn baseline(pod: &Pod<'_>) -> Option<Forbidden> {
    let (violations, all) = additions(pod, |name| DEFAULT.contains(&name), "only capabilities of the runtime's default set");
    let detail = must_not_include(&violations, &all);
    forbid("capabilities_baseline", "non-default capabilities", || detail, violations)
}

pub(crate) fn restricted_v1_22(pod: &Pod<'_>) -> Option<Forbidden> {
    let mut violations = Vec::new();
    for container in &pod.containers {
        let dropped = list(container, "drop");
        if !dropped.contains(&"ALL") {
            let actual = if dropped.is_empty() { "nothing is dropped".to_owned() } else { dropped.join(", ") };
            violations.push(in_container(container, DROP, actual, "ALL"));
        }
    }
    let (added, all) = additions(pod, |name| name == BIND, "nothing but NET_BIND_SERVICE");
    let mut details = Vec::new();
    if !violations.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", words::containers(&names(&violations))));
    }
    if !added.is_empty() {
        details.push(must_not_include(&added, &all));
    }
    violations.extend(added);
    forbid("capabilities_restricted", "unrestricted capabilities", || details.join("; "), violations)
}

/// Windows knows no capabilities.
pub(crate) fn restricted_v1_25(pod: &Pod<'_>) -> Option<Forbidden> {
    if pod.is_windows() { None } else { restricted_v1_22(pod) }
}
