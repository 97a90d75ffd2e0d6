//! SELinux: container types only, and neither user nor role of one's own.

use super::{forbid, in_container, in_pod, names, pod_itself};
use crate::{
    control::{Forbidden, Violation},
    pod::Pod,
    words,
};
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) fn v1_0(pod: &Pod<'_>) -> Option<Forbidden> {
    judge(pod, &["container_t", "container_init_t", "container_kvm_t"])
}

pub(crate) fn v1_31(pod: &Pod<'_>) -> Option<Forbidden> {
    judge(pod, &["container_t", "container_init_t", "container_kvm_t", "container_engine_t"])
}

fn judge(pod: &Pod<'_>, allowed: &[&str]) -> Option<Forbidden> {
    let mut types = BTreeSet::new();
    let (mut user, mut role) = (false, false);
    let mut look = |security_context: &Value, add: &mut dyn FnMut(&str, &str, String)| {
        let options = &security_context["seLinuxOptions"];
        let text = |key: &str| options[key].as_str().filter(|value| !value.is_empty());
        if let Some(kind) = text("type").filter(|kind| !allowed.contains(kind)) {
            types.insert(kind.to_owned());
            add("type", kind, format!("{} or unset", allowed.join(", ")));
        }
        if let Some(value) = text("user") {
            user = true;
            add("user", value, "unset".to_owned());
        }
        if let Some(value) = text("role") {
            role = true;
            add("role", value, "unset".to_owned());
        }
    };
    let mut violations: Vec<Violation> = Vec::new();
    look(pod.security_context(), &mut |key, actual, expected| {
        violations.push(in_pod(format!("spec.securityContext.seLinuxOptions.{key}"), actual, expected));
    });
    for container in &pod.containers {
        look(container.security_context(), &mut |key, actual, expected| {
            violations.push(in_container(container, &format!("securityContext.seLinuxOptions.{key}"), actual, expected));
        });
    }
    let mut parts = Vec::new();
    if !types.is_empty() {
        parts.push(format!("{} {}", words::number(types.len(), "type", "types"), words::quoted_set(&types)));
    }
    if user {
        parts.push("user may not be set".to_owned());
    }
    if role {
        parts.push("role may not be set".to_owned());
    }
    let who = words::setters(pod_itself(&violations), &names(&violations));
    forbid(
        "seLinuxOptions",
        "seLinuxOptions",
        || format!("{who} set forbidden securityContext.seLinuxOptions: {}", parts.join("; ")),
        violations,
    )
}
