//! `validate.podSecurity`: a level of the Pod Security Standards, with exclusions by control, image, field and value.

use super::{of_old_object, tolerates_existing};
use crate::{context::Context, engine::Response, exceptions, result::Status, subject::Subject};
use kyverno_jmespath::wildcard;
use pod_security::{Level, Version, Violation, evaluate};
use serde_json::{Map, Value, json};

/// Kyverno's names of controls, and the ids that Kubernetes has for them.
pub const CONTROLS: [(&str, &[&str]); 15] = [
    ("Capabilities", &["capabilities_baseline", "capabilities_restricted"]),
    ("Seccomp", &["seccompProfile_baseline", "seccompProfile_restricted"]),
    ("Privileged Containers", &["privileged"]),
    ("Host Ports", &["hostPorts"]),
    ("/proc Mount Type", &["procMount", "procMount_restricted"]),
    ("HostProcess", &["windowsHostProcess"]),
    ("SELinux", &["seLinuxOptions"]),
    ("Host Namespaces", &["hostNamespaces"]),
    ("HostPath Volumes", &["hostPathVolumes"]),
    ("Sysctls", &["sysctls"]),
    ("AppArmor", &["appArmorProfile"]),
    ("Privilege Escalation", &["allowPrivilegeEscalation"]),
    ("Running as Non-root", &["runAsNonRoot"]),
    ("Running as Non-root user", &["runAsUser"]),
    ("Volume Types", &["restrictedVolumes"]),
];

pub fn checks_of(control: &str) -> &'static [&'static str] {
    CONTROLS.iter().find(|(name, _)| *name == control).map_or(&[], |(_, ids)| ids)
}

/// One control that forbids the pod, field by field.
#[derive(Debug, Clone)]
struct Check {
    id: &'static str,
    reason: String,
    violations: Vec<Violation>,
}

pub fn rule(context: &mut Context<'_>, subject: &mut Subject<'_>, rule: &Value) -> Option<Response> {
    if subject.deletes() {
        return None;
    }
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    let excepted = exceptions::matching(context, subject, name);
    let of_controls =
        |exception: &&Value| exception.pointer("/spec/podSecurity").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if let Some(whole) = excepted.iter().find(|exception| !of_controls(exception)) {
        return Some(Response::excepted(&[*whole]));
    }
    let object = subject.object()?;
    let empty = Value::Null;
    let wanted = rule.pointer("/validate/podSecurity").unwrap_or(&empty);
    let Some((metadata, spec)) = pod_of(object) else {
        return Some(Response::error("Error while getting new resource: could not find correct resource type"));
    };
    let text = |field: &str| wanted.get(field).and_then(Value::as_str).unwrap_or_default();
    let version = match text("version") {
        "" => "latest",
        version => version,
    };
    let (Ok(level), Ok(parsed)) = (text("level").parse::<Level>(), version.parse::<Version>()) else {
        return Some(Response::error("failed to parse pod security api version"));
    };
    let mut checks = checks(level, parsed, metadata, spec);
    for exclude in wanted.get("exclude").and_then(Value::as_array).into_iter().flatten() {
        exempt(&mut checks, exclude, level, parsed, metadata, spec);
    }
    if checks.is_empty() {
        return Some(Response::pass(format!("Validation rule '{name}' passed.")));
    }
    let excludes = excepted.iter().filter_map(|exception| exception.pointer("/spec/podSecurity")).filter_map(Value::as_array).flatten();
    for exclude in excludes {
        exempt(&mut checks, exclude, level, parsed, metadata, spec);
    }
    if checks.is_empty() {
        return Some(Response::excepted(&excepted));
    }
    let response = Response::fail(format!(
        "Validation rule '{name}' failed. It violates PodSecurity \"{}:{}\": {}",
        text("level"),
        text("version"),
        printed(&checks, object)
    ));
    if tolerates_existing(subject, rule) {
        let before = of_old_object(context, subject, rule, |context, subject| self::rule(context, subject, rule));
        if before.is_some_and(|before| before.status == Status::Fail) {
            return Some(Response::skip("skipping the rule evaluation as pre-existing violations are allowed"));
        }
    }
    Some(response)
}

fn pod_of(object: &Value) -> Option<(&Value, &Value)> {
    let null = &Value::Null;
    let at = |pointer: &str| object.pointer(pointer).unwrap_or(null);
    match object.get("kind").and_then(Value::as_str)? {
        "Pod" => Some((at("/metadata"), at("/spec"))),
        "CronJob" => Some((at("/spec/jobTemplate/metadata"), at("/spec/jobTemplate/spec/template/spec"))),
        "DaemonSet" | "Deployment" | "Job" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
            Some((at("/spec/template/metadata"), at("/spec/template/spec")))
        }
        _ => None,
    }
}

/// Every check of the level and, for restricted, of baseline too: Kyverno lets none replace another.
fn checks(level: Level, version: Version, metadata: &Value, spec: &Value) -> Vec<Check> {
    let levels: &[Level] = match level {
        Level::Privileged => &[],
        Level::Baseline => &[Level::Baseline],
        Level::Restricted => &[Level::Baseline, Level::Restricted],
    };
    let mut checks: Vec<Check> = Vec::new();
    for level in levels {
        for forbidden in evaluate(*level, version, metadata, spec).forbidden {
            if !checks.iter().any(|check| check.id == forbidden.control) {
                checks.push(Check { id: forbidden.control, reason: forbidden.reason, violations: forbidden.violations });
            }
        }
    }
    checks.sort_by_key(|check| check.id);
    checks
}

fn exempt(checks: &mut Vec<Check>, exclude: &Value, level: Level, version: Version, metadata: &Value, spec: &Value) {
    let text = |name: &str| exclude.get(name).and_then(Value::as_str).unwrap_or_default();
    let list =
        |name: &str| -> Vec<&str> { exclude.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect() };
    let images = list("images");
    let values = list("values");
    let (narrowed_metadata, narrowed_spec) =
        if images.is_empty() { (metadata.clone(), without_containers(spec)) } else { (json!({}), with_images(spec, &images)) };
    let excluded = self::checks(level, version, &narrowed_metadata, &narrowed_spec);
    for check in excluded.iter().filter(|check| checks_of(text("controlName")).contains(&check.id)) {
        for violation in &check.violations {
            let field = any_index(&violation.field);
            let by_field = text("restrictedField").is_empty() || text("restrictedField") == field;
            let bad = bad_values(violation);
            let by_value = values.is_empty() || bad.iter().all(|value| values.iter().any(|pattern| wildcard::matches(pattern, value)));
            if !by_field || !by_value {
                continue;
            }
            let Some(found) = checks.iter_mut().find(|other| other.id == check.id) else { continue };
            let same =
                |other: &Violation| any_index(&other.field) == field && (images.is_empty() || other.container == violation.container);
            if let Some(at) = found.violations.iter().position(same) {
                found.violations.remove(at);
            }
        }
    }
    checks.retain(|check| !check.violations.is_empty());
}

/// The pod's own settings.
fn without_containers(spec: &Value) -> Value {
    let mut spec = spec.as_object().cloned().unwrap_or_default();
    spec.retain(|name, _| !matches!(name.as_str(), "initContainers" | "ephemeralContainers"));
    spec.insert("containers".to_owned(), json!([{ "name": "fake" }]));
    Value::Object(spec)
}

/// The containers whose images match, and nothing of the pod.
fn with_images(spec: &Value, images: &[&str]) -> Value {
    let mut narrowed = Map::new();
    for kind in ["containers", "initContainers", "ephemeralContainers"] {
        let fits = |container: &&Value| {
            let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
            images.iter().any(|pattern| wildcard::matches(pattern, image))
        };
        let containers: Vec<Value> = spec.get(kind).and_then(Value::as_array).into_iter().flatten().filter(fits).cloned().collect();
        if !containers.is_empty() {
            narrowed.insert(kind.to_owned(), Value::Array(containers));
        }
    }
    Value::Object(narrowed)
}

/// `spec.containers[*].ports[*].hostPort`.
fn any_index(field: &str) -> String {
    let mut out = String::new();
    let mut digits = false;
    for letter in field.chars() {
        if letter.is_ascii_digit() {
            if !digits {
                out.push('*');
            }
            digits = true;
        } else {
            digits = false;
            out.push(letter);
        }
    }
    out
}

/// The values that are forbidden; nothing where a field is not set.
fn bad_values(violation: &Violation) -> Vec<&str> {
    let actual = violation.actual.as_str();
    // What is not set is said in words.
    if actual.is_empty() || actual.contains("not set") || actual.contains("unset") || actual.contains("nothing") {
        return Vec::new();
    }
    actual.split(", ").collect()
}

fn printed(checks: &[Check], object: &Value) -> String {
    let prefix = match object.get("kind").and_then(Value::as_str).unwrap_or_default() {
        "Pod" => "spec",
        "CronJob" => "spec.jobTemplate.spec.template.spec",
        _ => "spec.template.spec",
    };
    let one = |check: &Check| {
        let fields = check.violations.iter().map(|violation| {
            let field = violation.field.replacen("spec", prefix, 1);
            match bad_values(violation).as_slice() {
                [] => format!("{field} is required: must be {}", violation.expected),
                values => format!("{field} is forbidden, forbidden values found: {}", values.join(", ")),
            }
        });
        format!("(Forbidden reason: {}, field error list: [{}])", check.reason, fields.collect::<Vec<_>>().join(", "))
    };
    checks.iter().map(one).collect()
}
