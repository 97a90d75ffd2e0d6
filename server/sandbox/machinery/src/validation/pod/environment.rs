//! Environment variables and where they come from.

use super::super::kit::{Errors, has, list, refuse, required, text};
use super::super::{names, quantities};
use crate::field::FieldError;
use crate::quantity::Quantity;
use serde_json::Value;

const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const VOLUME_FIELDS: [&str; 5] = ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const RESOURCES: [&str; 6] =
    ["limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"];

pub(super) fn variables(errors: &mut Errors, path: &str, variables: &Value) {
    for (index, variable) in list(variables).iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = text(&variable["name"]);
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else {
            refuse(errors, &format!("{path}.name"), name, names::environment_variable(name));
        }
        if has(&variable["valueFrom"]) {
            value_from(errors, &format!("{path}.valueFrom"), &variable["valueFrom"], !text(&variable["value"]).is_empty());
        }
    }
}

fn value_from(errors: &mut Errors, path: &str, source: &Value, has_value: bool) {
    let mut sources = 0;
    if has(&source["fieldRef"]) {
        sources += 1;
        field_reference(errors, &format!("{path}.fieldRef"), &source["fieldRef"], &ENV_FIELDS);
    }
    if has(&source["resourceFieldRef"]) {
        sources += 1;
        resource_reference(errors, &format!("{path}.resourceFieldRef"), &source["resourceFieldRef"], false);
    }
    for field in ["configMapKeyRef", "secretKeyRef"] {
        if has(&source[field]) {
            sources += 1;
            let path = format!("{path}.{field}");
            let (name, key) = (text(&source[field]["name"]), text(&source[field]["key"]));
            refuse(errors, &format!("{path}.name"), name, names::dns_subdomain(name));
            if key.is_empty() {
                errors.push(FieldError::required(format!("{path}.key"), ""));
            } else {
                refuse(errors, &format!("{path}.key"), key, names::config_key(key));
            }
        }
    }
    if sources == 0 {
        let message = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        errors.push(FieldError::invalid(path, "", message));
    } else if has_value {
        errors.push(FieldError::invalid(path, "", "may not be specified when `value` is not empty"));
    } else if sources > 1 {
        errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
    }
}

pub(super) fn volume_field(errors: &mut Errors, path: &str, reference: &Value) {
    field_reference(errors, path, reference, &VOLUME_FIELDS);
}

fn field_reference(errors: &mut Errors, path: &str, reference: &Value, supported: &[&str]) {
    let (version, field) = (text(&reference["apiVersion"]), text(&reference["fieldPath"]));
    if version.is_empty() || field.is_empty() {
        required(errors, &format!("{path}.apiVersion"), &reference["apiVersion"]);
        if !version.is_empty() {
            required(errors, &format!("{path}.fieldPath"), &reference["fieldPath"]);
        }
        return;
    }
    let field_path = format!("{path}.fieldPath");
    let subscript = field.strip_suffix("']").and_then(|rest| rest.split_once("['"));
    let bare = subscript.map_or(field, |(before, _)| before);
    if version != "v1" {
        let message = format!("error converting fieldPath: unsupported pod version: {version}");
        errors.push(FieldError::invalid(field_path, field, message));
        return;
    }
    if let Some((bare, key)) = subscript.filter(|(bare, _)| matches!(*bare, "metadata.annotations" | "metadata.labels")) {
        let key = if bare == "metadata.annotations" { key.to_lowercase() } else { key.to_owned() };
        refuse(errors, path, &key, names::qualified_name(&key));
        return;
    }
    if subscript.is_some() {
        let message = format!("error converting fieldPath: field label does not support subscript: {field}");
        errors.push(FieldError::invalid(field_path, field, message));
        return;
    }
    // What pods can be selected or described by at all.
    let known = matches!(
        bare,
        "metadata.annotations"
            | "metadata.labels"
            | "metadata.name"
            | "metadata.namespace"
            | "metadata.uid"
            | "spec.nodeName"
            | "spec.restartPolicy"
            | "spec.serviceAccountName"
            | "spec.schedulerName"
            | "status.phase"
            | "status.hostIP"
            | "status.hostIPs"
            | "status.podIP"
            | "status.podIPs"
            | "spec.host"
    );
    if !known {
        let message = format!("error converting fieldPath: field label not supported: {bare}");
        errors.push(FieldError::invalid(field_path, field, message));
    } else {
        let bare = if bare == "spec.host" { "spec.nodeName" } else { bare };
        if !supported.contains(&bare) {
            errors.push(FieldError::not_supported(field_path, bare, supported));
        }
    }
}

/// `volume`: a volume must name the container, a variable means its own.
pub(super) fn resource_reference(errors: &mut Errors, path: &str, reference: &Value, volume: bool) {
    let resource = text(&reference["resource"]);
    let huge_pages = resource.starts_with("requests.hugepages-") || resource.starts_with("limits.hugepages-");
    if volume && text(&reference["containerName"]).is_empty() {
        errors.push(FieldError::required(format!("{path}.containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(format!("{path}.resource"), ""));
    } else if !RESOURCES.contains(&resource) && !huge_pages {
        errors.push(FieldError::not_supported(format!("{path}.resource"), resource, &RESOURCES));
    }
    let Some(divisor) = quantities::parse(&reference["divisor"]).filter(|d: &Quantity| d.nano != 0) else { return };
    let sizes = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let what = match resource {
        "limits.cpu" | "requests.cpu" => {
            if !["1m", "1"].contains(&divisor.to_string().as_str()) {
                let message = "only divisor's values 1m and 1 are supported with the cpu resource";
                errors.push(FieldError::invalid(format!("{path}.divisor"), resource, message));
            }
            return;
        }
        "limits.memory" | "requests.memory" => "memory",
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => "local ephemeral storage",
        _ if huge_pages => "hugepages",
        _ => return,
    };
    if !sizes.contains(&divisor.to_string().as_str()) {
        let message = format!("only divisor's values {} are supported with the {what} resource", sizes.join(", "));
        errors.push(FieldError::invalid(format!("{path}.divisor"), resource, message));
    }
}

/// `envFrom`.
pub(super) fn sources(errors: &mut Errors, path: &str, all: &Value) {
    for (index, source) in list(all).iter().enumerate() {
        let indexed = format!("{path}[{index}]");
        let prefix = text(&source["prefix"]);
        if !prefix.is_empty() {
            refuse(errors, &format!("{indexed}.prefix"), prefix, names::environment_variable(prefix));
        }
        let mut sources = 0;
        for field in ["configMapRef", "secretRef"] {
            if has(&source[field]) {
                sources += 1;
                let name = text(&source[field]["name"]);
                let path = format!("{indexed}.{field}.name");
                if name.is_empty() {
                    errors.push(FieldError::required(path, ""));
                } else {
                    refuse(errors, &path, name, names::dns_subdomain(&names::mask_trailing_dash(name)));
                }
            }
        }
        if sources == 0 {
            errors.push(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"));
        } else if sources > 1 {
            errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
        }
    }
}
