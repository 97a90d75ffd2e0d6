//! Security contexts of pods and containers, and the annotations that once stood for them.

use super::super::internal;
use super::super::kit::{Errors, entries, has, in_range, list, supported_or_refuse, text};
use super::volume_source::descending_path;
use super::{Context, container::shown_security_context, container::visit, system};
use crate::field::FieldError;
use serde_json::Value;
use std::collections::BTreeSet;

const MAX_ID: i64 = i32::MAX as i64;
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

fn id(errors: &mut Errors, path: &str, value: &Value) {
    if has(value) {
        in_range(errors, path, value, 0, MAX_ID);
    }
}

pub(super) fn pod(errors: &mut Errors, context: &Context<'_>) {
    let security = &context.spec["securityContext"];
    let path = format!("{}.securityContext", context.path);
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(errors, &format!("{path}.{field}"), &security[field]);
    }
    for (index, group) in list(&security["supplementalGroups"]).iter().enumerate() {
        id(errors, &format!("{path}.supplementalGroups[{index}]"), group);
    }
    if context.spec["shareProcessNamespace"] == true && context.spec["hostPID"] == true {
        let message = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(format!("{path}.shareProcessNamespace"), true, message));
    }
    sysctls(errors, context, &format!("{path}.sysctls"), &security["sysctls"]);
    if let Some(policy) = security["fsGroupChangePolicy"].as_str() {
        supported_or_refuse(errors, &format!("{path}.fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    }
    seccomp(errors, &format!("{path}.seccompProfile"), &security["seccompProfile"]);
    system::windows_options(errors, &format!("{path}.windowsOptions"), &security["windowsOptions"]);
    app_armor(errors, &format!("{path}.appArmorProfile"), &security["appArmorProfile"]);
    if let Some(policy) = security["supplementalGroupsPolicy"].as_str() {
        supported_or_refuse(errors, &format!("{path}.supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
    }
    if let Some(policy) = security["seLinuxChangePolicy"].as_str() {
        supported_or_refuse(errors, &format!("{path}.seLinuxChangePolicy"), policy, &["Recursive"]);
    }
}

fn sysctls(errors: &mut Errors, context: &Context<'_>, path: &str, all: &Value) {
    let mut seen = BTreeSet::new();
    for (index, sysctl) in list(all).iter().enumerate() {
        let (path, name) = (format!("{path}[{index}].name"), text(&sysctl["name"]));
        if name.is_empty() {
            errors.push(FieldError::required(&path, ""));
        } else if !is_sysctl(name) {
            let message = "must have at most 253 characters and match regex \
                           ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.push(FieldError::invalid(&path, name, message));
        } else if !seen.insert(name) {
            errors.push(FieldError::duplicate(&path, name));
        }
        // Kubernetes compares with dots, whatever the separator.
        let dotted = name.replace('/', ".");
        let interprocess = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|p| dotted.starts_with(p)) || dotted == "kernel.sem";
        if context.host_network() && dotted.starts_with("net.") {
            errors.push(FieldError::invalid(&path, name, "may not be specified when 'hostNetwork' is true"));
        } else if context.spec["hostIPC"] == true && interprocess {
            errors.push(FieldError::invalid(&path, name, "may not be specified when 'hostIPC' is true"));
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 253
        && name.split(['.', '/']).all(|part| {
            let bytes = part.as_bytes();
            bytes.first().is_some_and(edge) && bytes.last().is_some_and(edge) && bytes.iter().all(|b| edge(b) || matches!(b, b'-' | b'_'))
        })
}

pub(super) fn container(errors: &mut Errors, path: &str, security: &Value, host_users: bool) {
    if !has(security) {
        return;
    }
    for field in ["runAsUser", "runAsGroup"] {
        id(errors, &format!("{path}.{field}"), &security[field]);
    }
    if let Some(mount) = security["procMount"].as_str() {
        let path = format!("{path}.procMount");
        supported_or_refuse(errors, &path, mount, &["Default", "Unmasked"]);
        if host_users && mount == "Unmasked" {
            errors.push(FieldError::invalid(path, mount, "`hostUsers` must be false to use `Unmasked`"));
        }
    }
    seccomp(errors, &format!("{path}.seccompProfile"), &security["seccompProfile"]);
    if security["allowPrivilegeEscalation"] == false {
        if security["privileged"] == true {
            let message = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(FieldError::invalid(path, shown_security_context(security), message));
        }
        for _ in list(&security["capabilities"]["add"]).iter().filter(|c| *c == "CAP_SYS_ADMIN") {
            let message = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(FieldError::invalid(path, shown_security_context(security), message));
        }
    }
    system::windows_options(errors, &format!("{path}.windowsOptions"), &security["windowsOptions"]);
    app_armor(errors, &format!("{path}.appArmorProfile"), &security["appArmorProfile"]);
}

fn seccomp(errors: &mut Errors, path: &str, profile: &Value) {
    if !has(profile) {
        return;
    }
    let kind = text(&profile["type"]);
    if kind.is_empty() {
        errors.push(FieldError::required(format!("{path}.type"), "type is required when seccompProfile is set"));
    } else {
        supported_or_refuse(errors, &format!("{path}.type"), kind, &["Localhost", "RuntimeDefault", "Unconfined"]);
    }
    let local = format!("{path}.localhostProfile");
    match (kind, profile["localhostProfile"].as_str()) {
        ("Localhost", None) => errors.push(FieldError::required(local, "must be set when seccomp type is Localhost")),
        ("Localhost", Some(file)) => descending_path(errors, &local, file),
        (_, Some(_)) => {
            let message = "can only be set when seccomp type is Localhost";
            errors.push(FieldError::invalid(local, internal::shown("SeccompProfile", profile), message));
        }
        (_, None) => {}
    }
}

fn app_armor(errors: &mut Errors, path: &str, profile: &Value) {
    if !has(profile) {
        return;
    }
    let local = format!("{path}.localhostProfile");
    match (text(&profile["type"]), profile["localhostProfile"].as_str()) {
        ("Localhost", None) => errors.push(FieldError::required(local, "must be set when AppArmor type is Localhost")),
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                errors.push(FieldError::invalid(&local, name, "must not be padded with whitespace"));
            } else if name.is_empty() {
                errors.push(FieldError::required(&local, "must be set when AppArmor type is Localhost"));
            }
            if name.len() > 4095 {
                errors.push(FieldError::too_long(&local, 4095));
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.push(FieldError::invalid(local, name, "can only be set when AppArmor type is Localhost"));
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => errors.push(FieldError::required(format!("{path}.type"), "type is required when appArmorProfile is set")),
        (other, _) => {
            let supported = ["Localhost", "RuntimeDefault", "Unconfined"];
            errors.push(FieldError::not_supported(format!("{path}.type"), other, &supported));
        }
    }
}

pub(super) fn profile_annotations(errors: &mut Errors, path: &str, annotations: &Value, spec: &Value) {
    for (key, value) in entries(annotations) {
        let value = text(value);
        if key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER) {
            let path = format!("{path}.{key}");
            if let Some(file) = value.strip_prefix("localhost/") {
                descending_path(errors, &path, file);
            } else if !matches!(value, "runtime/default" | "docker/default" | "unconfined") {
                errors.push(FieldError::invalid(path, value, "must be a valid seccomp profile"));
            }
        } else if let Some(name) = key.strip_prefix(APP_ARMOR) {
            let path = format!("{path}[{key}]");
            if !visit(spec, "spec").iter().any(|(container, _)| text(&container["name"]) == name) {
                errors.push(FieldError::invalid(&path, name, "container not found"));
            }
            if !matches!(value, "" | "runtime/default" | "unconfined") && !value.starts_with("localhost/") {
                let message = format!("invalid AppArmor profile name: {}", crate::field::go_quote(value));
                errors.push(FieldError::invalid(path, value, message));
            }
        }
    }
}

/// Where both an annotation and a field give a profile, they must say the same.
pub(super) fn annotations_match_fields(errors: &mut Errors, metadata: &Value, spec: &Value, path: &str) {
    if spec["os"]["name"] == "windows" {
        return;
    }
    let annotations = &metadata["annotations"];
    let pod_seccomp = &spec["securityContext"]["seccompProfile"];
    if let Some(annotation) = annotations[SECCOMP_POD].as_str().filter(|_| has(pod_seccomp)) {
        matching_seccomp(errors, &format!("{path}.securityContext.seccompProfile"), annotation, pod_seccomp);
    }
    for (container, path) in visit(spec, path) {
        let name = text(&container["name"]);
        let own = &container["securityContext"]["seccompProfile"];
        if let Some(annotation) = annotations[format!("{SECCOMP_CONTAINER}{name}")].as_str().filter(|_| has(own)) {
            matching_seccomp(errors, &format!("{path}.securityContext.seccompProfile"), annotation, own);
        }
        let own = &container["securityContext"]["appArmorProfile"];
        let profile = if has(own) { own } else { &spec["securityContext"]["appArmorProfile"] };
        let Some(annotation) = annotations[format!("{APP_ARMOR}{name}")].as_str().filter(|_| has(profile)) else { continue };
        let path = format!("{path}.securityContext.appArmorProfile");
        let same_type = match text(&profile["type"]) {
            "Unconfined" => annotation == "unconfined",
            "RuntimeDefault" => annotation == "runtime/default",
            "Localhost" => annotation.starts_with("localhost/"),
            _ => true,
        };
        if !same_type {
            errors.push(FieldError::forbidden(format!("{path}.type"), "apparmor type in annotation and field must match"));
        } else if profile["type"] == "Localhost" && annotation.strip_prefix("localhost/") != profile["localhostProfile"].as_str() {
            let message = "apparmor profile in annotation and field must match";
            errors.push(FieldError::forbidden(format!("{path}.localhostProfile"), message));
        }
    }
}

fn matching_seccomp(errors: &mut Errors, path: &str, annotation: &str, profile: &Value) {
    let same_type = match text(&profile["type"]) {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => matches!(annotation, "runtime/default" | "docker/default"),
        "Localhost" => annotation.starts_with("localhost/"),
        _ => true,
    };
    if !same_type {
        errors.push(FieldError::forbidden(format!("{path}.type"), "seccomp type in annotation and field must match"));
    } else if profile["type"] == "Localhost" && annotation.strip_prefix("localhost/") != profile["localhostProfile"].as_str() {
        let message = "seccomp profile in annotation and field must match";
        errors.push(FieldError::forbidden(format!("{path}.localhostProfile"), message));
    }
}
