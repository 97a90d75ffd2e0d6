//! Containers of every sort: regular, init, sidecar, ephemeral.

use super::super::internal;
use super::super::kit::{Errors, has, list, number, one_of, port_number, refuse, required, supported_or_refuse, text};
use super::super::{names, quantities};
use super::{Context, environment, probe, security, volume};
use crate::field::FieldError;
use serde_json::Value;
use std::collections::BTreeSet;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

pub(super) fn regular(errors: &mut Errors, context: &Context<'_>) {
    let path = format!("{}.containers", context.path);
    let containers = list(&context.spec["containers"]);
    if containers.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = format!("{path}[{index}]");
        common(errors, context, &path, container);
        let name = text(&container["name"]);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        probe::lifecycle_and_probes(errors, context, &path, container);
        if has(&container["restartPolicy"]) {
            errors.push(FieldError::forbidden(format!("{path}.restartPolicy"), "may not be set for non-init containers"));
        }
    }
    host_port_conflicts(errors, &path, containers);
}

pub(super) fn init(errors: &mut Errors, context: &Context<'_>) {
    let path = format!("{}.initContainers", context.path);
    let mut seen: BTreeSet<_> = list(&context.spec["containers"]).iter().map(|c| text(&c["name"])).collect();
    for (index, container) in list(&context.spec["initContainers"]).iter().enumerate() {
        let list_path = &path;
        let path = format!("{path}[{index}]");
        common(errors, context, &path, container);
        if let Some(policy) = container["restartPolicy"].as_str() {
            supported_or_refuse(errors, &format!("{path}.restartPolicy"), policy, &["Always"]);
        }
        let name = text(&container["name"]);
        if seen.contains(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        } else if !name.is_empty() {
            seen.insert(name);
        }
        host_port_conflicts(errors, list_path, std::slice::from_ref(container));
        if container["restartPolicy"] == "Always" {
            probe::lifecycle_and_probes(errors, context, &path, container);
        } else {
            for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if has(&container[field]) {
                    let message = "may not be set for init containers without restartPolicy=Always";
                    errors.push(FieldError::forbidden(format!("{path}.{field}"), message));
                }
            }
        }
    }
}

pub(super) fn ephemeral(errors: &mut Errors, context: &Context<'_>) {
    let spec = context.spec;
    let others: BTreeSet<_> = list(&spec["containers"]).iter().chain(list(&spec["initContainers"])).map(|c| text(&c["name"])).collect();
    let mut seen = others.clone();
    for (index, container) in list(&spec["ephemeralContainers"]).iter().enumerate() {
        let path = format!("{}.ephemeralContainers[{index}]", context.path);
        common(errors, context, &path, container);
        no_padded_image(errors, &path, container);
        let name = text(&container["name"]);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        let target = text(&container["targetContainerName"]);
        if !target.is_empty() && !others.contains(target) {
            errors.push(FieldError::not_found(format!("{path}.targetContainerName"), target));
        }
        let fields = [
            "ports",
            "resources",
            "resizePolicy",
            "restartPolicy",
            "restartPolicyRules",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle",
        ];
        for field in fields {
            let value = &container[field];
            let empty =
                value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty) || (value.is_array() && list(value).is_empty());
            if !empty {
                errors.push(FieldError::forbidden(format!("{path}.{field}"), "cannot be set for an Ephemeral Container"));
            }
        }
        for (m, mount) in list(&container["volumeMounts"]).iter().enumerate() {
            for field in ["subPath", "subPathExpr"] {
                if !text(&mount[field]).is_empty() {
                    let path = format!("{path}.volumeMounts[{m}].{field}");
                    errors.push(FieldError::forbidden(path, "cannot be set for an Ephemeral Container"));
                }
            }
        }
    }
}

pub(super) fn no_padded_image(errors: &mut Errors, path: &str, container: &Value) {
    let image = text(&container["image"]);
    if image.trim() != image {
        errors.push(FieldError::invalid(format!("{path}.image"), image, "must not have leading or trailing whitespace"));
    }
}

fn common(errors: &mut Errors, context: &Context<'_>, path: &str, container: &Value) {
    let name = text(&container["name"]);
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    } else {
        refuse(errors, &format!("{path}.name"), name, names::dns_label(name));
    }
    required(errors, &format!("{path}.image"), &container["image"]);
    let policies = ["File", "FallbackToLogsOnError"];
    one_of(errors, &format!("{path}.terminationMessagePolicy"), &container["terminationMessagePolicy"], &policies);
    ports(errors, &format!("{path}.ports"), &container["ports"]);
    environment::variables(errors, &format!("{path}.env"), &container["env"]);
    environment::sources(errors, &format!("{path}.envFrom"), &container["envFrom"]);
    volume::mounts(errors, context, path, container);
    volume::devices(errors, context, path, container);
    let policies = ["Always", "IfNotPresent", "Never"];
    one_of(errors, &format!("{path}.imagePullPolicy"), &container["imagePullPolicy"], &policies);
    quantities::container(errors, &format!("{path}.resources"), &container["resources"], &context.claims);
    resize_policy(errors, context, &format!("{path}.resizePolicy"), &container["resizePolicy"]);
    security::container(errors, &format!("{path}.securityContext"), &container["securityContext"], context.host_users());
}

fn ports(errors: &mut Errors, path: &str, ports: &Value) {
    let mut seen = BTreeSet::new();
    for (index, port) in list(ports).iter().enumerate() {
        // Kubernetes counts on with the number of the message where a name breaks several rules.
        let path = format!("{path}[{index}]");
        let name = text(&port["name"]);
        if !name.is_empty() {
            let messages = names::port_name(name);
            if !messages.is_empty() {
                refuse(errors, &format!("{path}.name"), name, messages);
            } else if !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        if number(&port["containerPort"]) == 0 {
            errors.push(FieldError::required(format!("{path}.containerPort"), ""));
        } else {
            port_number(errors, &format!("{path}.containerPort"), &port["containerPort"]);
        }
        if number(&port["hostPort"]) != 0 {
            port_number(errors, &format!("{path}.hostPort"), &port["hostPort"]);
        }
        one_of(errors, &format!("{path}.protocol"), &port["protocol"], &PROTOCOLS);
    }
}

fn host_port_conflicts(errors: &mut Errors, path: &str, containers: &[Value]) {
    let mut seen = BTreeSet::new();
    for (c, container) in containers.iter().enumerate() {
        for (p, port) in list(&container["ports"]).iter().enumerate() {
            let host = number(&port["hostPort"]);
            if host == 0 {
                continue;
            }
            let key = format!("{}/{}/{host}", text(&port["protocol"]), text(&port["hostIP"]));
            if !seen.insert(key.clone()) {
                errors.push(FieldError::duplicate(format!("{path}[{c}].ports[{p}].hostPort"), key));
            }
        }
    }
}

fn resize_policy(errors: &mut Errors, context: &Context<'_>, path: &str, policies: &Value) {
    let mut seen = BTreeSet::new();
    for (index, policy) in list(policies).iter().enumerate() {
        let (resource, restart) = (text(&policy["resourceName"]), text(&policy["restartPolicy"]));
        if !seen.insert(resource) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), resource));
        }
        one_of(errors, path, &policy["resourceName"], &["cpu", "memory"]);
        one_of(errors, path, &policy["restartPolicy"], &["NotRequired", "RestartContainer"]);
        if context.spec["restartPolicy"] == "Never" && restart != "NotRequired" {
            errors.push(FieldError::invalid(path, restart, "must be 'NotRequired' when `restartPolicy` is 'Never'"));
        }
    }
}

/// All containers with their paths, init containers first, as Kubernetes visits them.
pub(super) fn visit<'a>(spec: &'a Value, path: &str) -> Vec<(&'a Value, String)> {
    let mut all = Vec::new();
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        for (index, container) in list(&spec[field]).iter().enumerate() {
            all.push((container, format!("{path}.{field}[{index}]")));
        }
    }
    all
}

/// A security context as Go prints it.
pub(super) fn shown_security_context(context: &Value) -> crate::field::Shown {
    internal::shown("SecurityContext", context)
}
