//! Seccomp: baseline refuses unconfined processes, restricted wants a profile to be named.

use super::{forbid, in_container, in_pod, names, pod_itself};
use crate::{
    control::{Forbidden, Violation},
    pod::Pod,
    words,
};
use serde_json::Value;
use std::collections::BTreeSet;

const POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const FIELD: &str = "securityContext.seccompProfile.type";
const EXPECTED: &str = "RuntimeDefault or Localhost";

/// Until v1.18 a profile was an annotation.
pub(crate) fn annotations(pod: &Pod<'_>) -> Option<Forbidden> {
    let allowed = |value: &str| matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
    let of_container = |key: &str| key.strip_prefix(CONTAINER).is_some_and(|name| pod.containers.iter().any(|c| c.name == name));
    let counts = |key: &str| key == POD || of_container(key);
    let mut bad: Vec<(&str, &str)> = pod.annotations().filter(|(key, value)| counts(key) && !allowed(value)).collect();
    bad.sort_unstable();
    let violations =
        bad.iter().map(|(key, value)| in_pod(format!("metadata.annotations[{key}]"), *value, "runtime/default or localhost/…")).collect();
    let detail = || {
        let listed: Vec<_> = bad.iter().map(|(key, value)| format!("{key}={}", words::go_quoted(value))).collect();
        format!("forbidden {} {}", words::number(bad.len(), "annotation", "annotations"), listed.join(", "))
    };
    forbid("seccompProfile_baseline", "seccompProfile", detail, violations)
}

/// The type that a security context names, if it names a profile at all.
fn profile(security_context: &Value) -> Option<&str> {
    let profile = security_context["seccompProfile"].as_object()?;
    Some(profile.get("type").and_then(Value::as_str).unwrap_or_default())
}

fn confined(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

/// Profiles that are named and do not confine.
fn unconfined(pod: &Pod<'_>) -> (Vec<Violation>, String) {
    let mut violations = Vec::new();
    let mut kinds = BTreeSet::new();
    if let Some(kind) = profile(pod.security_context()).filter(|kind| !confined(kind)) {
        violations.push(in_pod(format!("spec.{FIELD}"), kind, EXPECTED));
        kinds.insert(kind.to_owned());
    }
    for container in &pod.containers {
        if let Some(kind) = profile(container.security_context()).filter(|kind| !confined(kind)) {
            violations.push(in_container(container, FIELD, kind, EXPECTED));
            kinds.insert(kind.to_owned());
        }
    }
    let who = words::setters(pod_itself(&violations), &names(&violations));
    let detail = format!("{who} must not set securityContext.seccompProfile.type to {}", words::quoted_set(&kinds));
    (violations, detail)
}

pub(crate) fn baseline(pod: &Pod<'_>) -> Option<Forbidden> {
    let (violations, detail) = unconfined(pod);
    forbid("seccompProfile_baseline", "seccompProfile", || detail, violations)
}

pub(crate) fn restricted_v1_19(pod: &Pod<'_>) -> Option<Forbidden> {
    let (mut violations, detail) = unconfined(pod);
    let by_pod = profile(pod.security_context()).is_some_and(confined);
    let unnamed: Vec<Violation> = pod
        .containers
        .iter()
        .filter(|container| !by_pod && profile(container.security_context()).is_none())
        .map(|container| in_container(container, FIELD, "unset here and in the pod", EXPECTED))
        .collect();
    if violations.is_empty() {
        let who = words::containers(&names(&unnamed));
        let detail = format!("pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"");
        return forbid("seccompProfile_restricted", "seccompProfile", || detail, unnamed);
    }
    violations.extend(unnamed);
    forbid("seccompProfile_restricted", "seccompProfile", || detail, violations)
}

/// Windows knows no seccomp.
pub(crate) fn restricted_v1_25(pod: &Pod<'_>) -> Option<Forbidden> {
    if pod.is_windows() { None } else { restricted_v1_19(pod) }
}
