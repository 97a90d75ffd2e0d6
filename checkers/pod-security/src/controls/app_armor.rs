//! AppArmor: no profile weaker than the runtime's default, neither by field nor by the old annotation.

use super::{forbid, in_container, in_pod, names, pod_itself};
use crate::{control::Forbidden, pod::Pod, words};
use serde_json::Value;
use std::collections::BTreeSet;

const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
const EXPECTED: &str = "RuntimeDefault, Localhost or unset";

pub(crate) fn check(pod: &Pod<'_>) -> Option<Forbidden> {
    let mut violations = Vec::new();
    let mut values = BTreeSet::new();
    if let Some(bad) = bad_type(pod.security_context()) {
        violations.push(in_pod("spec.securityContext.appArmorProfile.type", bad, EXPECTED));
        values.insert(bad.to_owned());
    }
    for container in &pod.containers {
        if let Some(bad) = bad_type(container.security_context()) {
            violations.push(in_container(container, "securityContext.appArmorProfile.type", bad, EXPECTED));
            values.insert(bad.to_owned());
        }
    }
    let mut who = Vec::new();
    if !violations.is_empty() {
        who.push(words::setters(pod_itself(&violations), &names(&violations)));
    }
    let mut annotations: Vec<(&str, &str)> = pod.annotations().filter(|(key, value)| key.starts_with(PREFIX) && !allowed(value)).collect();
    annotations.sort_unstable();
    if !annotations.is_empty() {
        who.push(words::number(annotations.len(), "annotation", "annotations").to_owned());
    }
    let listed = values.into_iter().chain(annotations.iter().map(|(key, value)| format!("{key}={}", words::go_quoted(value))));
    let listed: Vec<String> = listed.collect();
    for (key, value) in annotations {
        violations.push(in_pod(format!("metadata.annotations[{key}]"), value, "runtime/default, localhost/… or unset"));
    }
    let reason = words::number(listed.len(), "forbidden AppArmor profile", "forbidden AppArmor profiles");
    let detail = || format!("{} must not set AppArmor profile type to {}", who.join(" and "), words::quoted(&listed));
    forbid("appArmorProfile", reason, detail, violations)
}

fn bad_type(security_context: &Value) -> Option<&str> {
    let profile = security_context["appArmorProfile"].as_object()?;
    let kind = profile.get("type").and_then(Value::as_str).unwrap_or_default();
    (!matches!(kind, "RuntimeDefault" | "Localhost")).then_some(kind)
}

fn allowed(annotation: &str) -> bool {
    annotation.is_empty() || annotation == "runtime/default" || annotation.starts_with("localhost/")
}
