//! Operating systems, Windows, and user namespaces.

use super::super::kit::{Errors, has, list, refuse};
use super::super::names;
use super::Context;
use super::container::visit;
use crate::field::FieldError;
use serde_json::Value;

pub(super) fn operating_system(errors: &mut Errors, context: &Context<'_>) {
    let (spec, path) = (context.spec, context.path);
    if !has(&spec["os"]) {
        return;
    }
    match context.os() {
        "" => errors.push(FieldError::required(format!("{path}.os.name"), "")),
        "linux" => linux(errors, spec, path),
        "windows" => windows(errors, spec, path),
        other => errors.push(FieldError::not_supported(format!("{path}.os"), other, &["linux", "windows"])),
    }
}

fn linux(errors: &mut Errors, spec: &Value, path: &str) {
    let message = "windows options cannot be set for a linux pod";
    if has(&spec["securityContext"]["windowsOptions"]) {
        errors.push(FieldError::forbidden(format!("{path}.securityContext.windowsOptions"), message));
    }
    for (container, path) in visit(spec, path) {
        if has(&container["securityContext"]["windowsOptions"]) {
            errors.push(FieldError::forbidden(format!("{path}.securityContext.windowsOptions"), message));
        }
    }
}

fn windows(errors: &mut Errors, spec: &Value, path: &str) {
    let message = "cannot be set for a windows pod";
    let security = &spec["securityContext"];
    for (part, fields) in [
        ("securityContext", &["appArmorProfile", "seLinuxOptions"][..]),
        ("", &["hostUsers"][..]),
        ("", &["hostPID", "hostIPC"][..]),
        ("securityContext", &["seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls"][..]),
        ("", &["shareProcessNamespace"][..]),
        ("securityContext", &["runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy"][..]),
    ] {
        for field in fields {
            let value = if part.is_empty() { &spec[*field] } else { &security[*field] };
            let host_flag = matches!(*field, "hostPID" | "hostIPC");
            let set = if host_flag { *value == true } else { has(value) };
            if set {
                let dot = if part.is_empty() { "" } else { "." };
                errors.push(FieldError::forbidden(format!("{path}.{part}{dot}{field}"), message));
            }
        }
    }
    for (container, path) in visit(spec, path) {
        for field in [
            "appArmorProfile",
            "seLinuxOptions",
            "seccompProfile",
            "capabilities",
            "readOnlyRootFilesystem",
            "privileged",
            "allowPrivilegeEscalation",
            "procMount",
            "runAsUser",
            "runAsGroup",
        ] {
            if has(&container["securityContext"][field]) {
                errors.push(FieldError::forbidden(format!("{path}.securityContext.{field}"), message));
            }
        }
    }
}

pub(super) fn windows_options(errors: &mut Errors, path: &str, options: &Value) {
    if let Some(name) = options["gmsaCredentialSpecName"].as_str() {
        refuse(errors, &format!("{path}.gmsaCredentialSpecName"), name, names::dns_subdomain(name));
    }
    if let Some(spec) = options["gmsaCredentialSpec"].as_str() {
        let path = format!("{path}.gmsaCredentialSpec");
        if spec.is_empty() {
            errors.push(FieldError::invalid(path, spec, "gmsaCredentialSpec cannot be an empty string"));
        } else if spec.len() > 64 * 1024 {
            errors.push(FieldError::invalid(path, spec, "gmsaCredentialSpec size must be under 64 KiB"));
        }
    }
    if let Some(name) = options["runAsUserName"].as_str() {
        for message in user_name(name) {
            errors.push(FieldError::invalid(format!("{path}.runAsUserName"), name, message));
        }
    }
}

/// `DOMAIN\user`
fn user_name(name: &str) -> Vec<&'static str> {
    if name.is_empty() {
        return vec!["runAsUserName cannot be an empty string"];
    }
    if name.chars().any(|c| c.is_ascii_control()) {
        return vec!["runAsUserName cannot contain control characters"];
    }
    let parts: Vec<_> = name.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return vec!["runAsUserName cannot contain more than one backslash"],
    };
    let mut messages = Vec::new();
    if let Some(domain) = domain {
        if domain.len() >= 256 {
            messages.push("runAsUserName's Domain length must be under 256 characters");
        }
        let forbidden = |c: char| r#"\/:*?"<>|"#.contains(c);
        let net_bios = (1..=15).contains(&domain.chars().count()) && !domain.starts_with('.') && !domain.contains(forbidden);
        let dns = domain.split('.').all(|label| {
            let edge = |b: &u8| b.is_ascii_alphanumeric();
            let bytes = label.as_bytes();
            bytes.len() <= 63
                && bytes.first().is_some_and(edge)
                && bytes.last().is_some_and(edge)
                && bytes.iter().all(|b| edge(b) || *b == b'-')
        });
        if !net_bios && !dns {
            messages.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
        }
    }
    if user.is_empty() {
        messages.push("runAsUserName's User cannot be empty");
    } else if user.len() > 104 {
        messages.push("runAsUserName's User length must not be longer than 104 characters");
    }
    if !user.is_empty() && user.chars().all(|c| c == '.' || c == ' ') {
        messages.push("runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(|c: char| r#""/\:;|=,+*?<>@[]"#.contains(c)) {
        messages.push(r#"runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"#);
    }
    messages
}

pub(super) fn windows_host_process(errors: &mut Errors, context: &Context<'_>) {
    let spec = context.spec;
    let pod = spec["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
    let containers = visit(spec, context.path);
    let mut host_process = 0;
    for (container, path) in &containers {
        let own = container["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
        if let (Some(pod), Some(own)) = (pod, own)
            && pod != own
        {
            let message = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            errors.push(FieldError::invalid(format!("{path}.securityContext.windowsOptions.hostProcess"), own, message));
        }
        host_process += usize::from(own.or(pod) == Some(true));
    }
    if host_process > 0 {
        if host_process != containers.len() {
            let message = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
            errors.push(FieldError::invalid(context.path, "", message));
        }
        if !context.host_network() {
            let message = "hostNetwork must be true if pod contains any hostProcess containers";
            errors.push(FieldError::invalid(format!("{}.hostNetwork", context.path), false, message));
        }
    }
}

pub(super) fn host_users(errors: &mut Errors, context: &Context<'_>) {
    if context.host_users() {
        return;
    }
    // The paths are spelled as Kubernetes spells them.
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if context.spec[field] == true {
            errors.push(FieldError::forbidden(format!("{}.{shown}", context.path), "when `hostUsers` is false"));
        }
    }
    for (container, path) in visit(context.spec, context.path) {
        if !list(&container["volumeDevices"]).is_empty() {
            errors.push(FieldError::forbidden(format!("{path}.volumeDevices"), "when `hostUsers` is false"));
        }
    }
}
