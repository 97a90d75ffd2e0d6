//! User 0 is root, whatever else is said.

use super::{forbid, in_container, in_pod, names, pod_itself};
use crate::{control::Forbidden, pod::Pod, words};

const FIELD: &str = "securityContext.runAsUser";

pub(crate) fn v1_23(pod: &Pod<'_>) -> Option<Forbidden> {
    let mut violations = Vec::new();
    if pod.security_context()["runAsUser"].as_i64() == Some(0) {
        violations.push(in_pod(format!("spec.{FIELD}"), "0", "any other user, or unset"));
    }
    for container in &pod.containers {
        if container.security_context()["runAsUser"].as_i64() == Some(0) {
            violations.push(in_container(container, FIELD, "0", "any other user, or unset"));
        }
    }
    let detail = format!("{} must not set runAsUser=0", words::setters(pod_itself(&violations), &names(&violations)));
    forbid("runAsUser", "runAsUser=0", || detail, violations)
}

/// Root in a user namespace of its own is nobody on the node.
pub(crate) fn v1_35(pod: &Pod<'_>) -> Option<Forbidden> {
    if pod.in_user_namespace() { None } else { v1_23(pod) }
}
