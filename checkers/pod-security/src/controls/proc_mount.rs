//! `/proc` keeps its masked paths, unless the pod has a user namespace of its own (baseline from v1.35).

use super::{forbid, in_container, names};
use crate::{control::Forbidden, pod::Pod, words};
use std::collections::BTreeSet;

fn masked(control: &'static str, pod: &Pod<'_>) -> Option<Forbidden> {
    let mut violations = Vec::new();
    let mut kinds = BTreeSet::new();
    for container in &pod.containers {
        if let Some(kind) = container.security_context()["procMount"].as_str().filter(|kind| *kind != "Default") {
            violations.push(in_container(container, "securityContext.procMount", kind, "Default or unset"));
            kinds.insert(kind.to_owned());
        }
    }
    let who = words::containers(&names(&violations));
    let detail = format!("{who} must not set securityContext.procMount to {}", words::quoted_set(&kinds));
    forbid(control, "procMount", || detail, violations)
}

pub(crate) fn always(pod: &Pod<'_>) -> Option<Forbidden> {
    masked("procMount", pod)
}

pub(crate) fn unless_user_namespace(pod: &Pod<'_>) -> Option<Forbidden> {
    if pod.in_user_namespace() { None } else { masked("procMount", pod) }
}

pub(crate) fn restricted(pod: &Pod<'_>) -> Option<Forbidden> {
    masked("procMount_restricted", pod)
}
