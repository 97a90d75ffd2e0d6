//! No process may gain more privileges than its parent has.

use super::{forbid, in_container, names};
use crate::{control::Forbidden, pod::Pod, words};
use serde_json::Value;

const FIELD: &str = "securityContext.allowPrivilegeEscalation";

pub(crate) fn v1_8(pod: &Pod<'_>) -> Option<Forbidden> {
    let bad = |value: &Value| if value.is_null() { "unset, which means true".to_owned() } else { value.to_string() };
    let violations: Vec<_> = pod
        .containers
        .iter()
        .map(|container| (container, &container.security_context()["allowPrivilegeEscalation"]))
        .filter(|(_, value)| **value != false)
        .map(|(container, value)| in_container(container, FIELD, bad(value), "false"))
        .collect();
    let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", words::containers(&names(&violations)));
    forbid("allowPrivilegeEscalation", "allowPrivilegeEscalation != false", || detail, violations)
}

/// The setting means nothing on Windows.
pub(crate) fn v1_25(pod: &Pod<'_>) -> Option<Forbidden> {
    if pod.is_windows() { None } else { v1_8(pod) }
}
