//! Resources that containers and pods request and are limited to, and the names of resources.

use super::kit::{Errors, NEGATIVE, entries, has, list, refuse, text};
use super::names;
use crate::field::FieldError;
use crate::quantity::Quantity;
use serde_json::Value;

const NOT_INTEGER: &str = "must be an integer";

/// A quantity as text or number; none where it is neither or is malformed (decoding refuses those before).
pub(super) fn parse(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}

pub(super) fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Without a domain, or with one of Kubernetes' own.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether more may be requested than there is: not for extended resources as `nvidia.com/gpu`.
fn overcommit_allowed(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

pub(super) fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && names::qualified_name(&format!("requests.{name}")).is_empty()
}

fn is_standard(name: &str) -> bool {
    matches!(
        name,
        "cpu"
            | "memory"
            | "ephemeral-storage"
            | "requests.cpu"
            | "requests.memory"
            | "requests.ephemeral-storage"
            | "limits.cpu"
            | "limits.memory"
            | "limits.ephemeral-storage"
            | "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "storage"
            | "requests.storage"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || is_huge_page(name)
        || name.starts_with("requests.hugepages-")
}

pub(super) fn resource_name(errors: &mut Errors, path: &str, name: &str) -> bool {
    let messages = names::qualified_name(name);
    if !messages.is_empty() {
        refuse(errors, path, name, messages);
        return false;
    }
    if !name.contains('/') && !is_standard(name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource type or fully qualified"));
        return false;
    }
    true
}

pub(super) fn container_resource_name(errors: &mut Errors, path: &str, name: &str) {
    resource_name(errors, path, name);
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_page(name) {
            errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
    }
}

fn pod_resource_name(errors: &mut Errors, path: &str, name: &str) {
    if resource_name(errors, path, name) && !matches!(name, "cpu" | "memory") && !is_huge_page(name) {
        errors.push(FieldError::not_supported(path, name, &["cpu", "hugepages-", "memory"]));
    }
}

/// Never negative, and whole where the resource is counted.
pub(super) fn value(errors: &mut Errors, path: &str, name: &str, value: &Value) {
    let Some(quantity) = parse(value) else { return };
    if quantity.nano < 0 {
        errors.push(FieldError::invalid(path, quantity.to_string(), NEGATIVE));
    }
    let counted = matches!(
        name,
        "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || is_extended(name);
    if counted && quantity.milli() % 1000 != 0 {
        errors.push(FieldError::invalid(path, quantity.to_string(), NOT_INTEGER));
    }
}

/// `resources` of a container; `claims` are the pod's `resourceClaims`.
pub(super) fn container(errors: &mut Errors, path: &str, resources: &Value, claims: &[&str]) {
    requirements(errors, path, resources, container_resource_name);
    claim_names(errors, &format!("{path}.claims"), &resources["claims"], claims);
}

pub(super) fn overhead(errors: &mut Errors, path: &str, overhead: &Value) {
    requirements(errors, path, &serde_json::json!({"limits": overhead}), container_resource_name);
}

type NameRule = fn(&mut Errors, &str, &str);

fn requirements(errors: &mut Errors, path: &str, resources: &Value, rule: NameRule) {
    let (limits, requests) = (&resources["limits"], &resources["requests"]);
    let (mut huge_pages, mut compute) = (false, false);
    let mut one = |errors: &mut Errors, list: &str, name: &str, quantity: &Value| {
        let path = format!("{path}.{list}[{name}]");
        rule(errors, &path, name);
        value(errors, &path, name, quantity);
        compute |= matches!(name, "cpu" | "memory");
        if is_huge_page(name) {
            huge_pages = true;
        }
        path
    };
    let divisible = |errors: &mut Errors, path: &str, name: &str, quantity: &Value| {
        let Some(size) = name.strip_prefix("hugepages-") else { return };
        let Some(quantity) = parse(quantity) else { return };
        let page = Quantity::parse(size).ok().filter(|page| page.nano > 0 && page.milli() % 1000 == 0);
        if page.is_none_or(|page| quantity.value() % page.value() != 0) {
            let message = format!("{quantity} is not positive integer multiple of {name}");
            errors.push(FieldError::invalid(path, quantity.to_string(), message));
        }
    };
    for (name, quantity) in entries(limits) {
        let path = one(errors, "limits", name, quantity);
        divisible(errors, &path, name, quantity);
    }
    for (name, quantity) in entries(requests) {
        let own_path = one(errors, "requests", name, quantity);
        let requests_path = format!("{path}.requests");
        match (parse(quantity), parse(&limits[name])) {
            (Some(request), Some(limit)) => {
                if request.nano != limit.nano && !overcommit_allowed(name) {
                    let message = format!("must be equal to {name} limit of {limit}");
                    errors.push(FieldError::invalid(requests_path, request.to_string(), message));
                } else if request.nano > limit.nano {
                    let message = format!("must be less than or equal to {name} limit of {limit}");
                    errors.push(FieldError::invalid(requests_path, request.to_string(), message));
                }
            }
            (_, None) if !overcommit_allowed(name) => {
                let message = "Limit must be set for non overcommitable resources";
                errors.push(FieldError::required(format!("{path}.limits"), message));
            }
            _ => {}
        }
        divisible(errors, &own_path, name, quantity);
    }
    if huge_pages && !compute {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
}

fn claim_names(errors: &mut Errors, path: &str, all: &Value, known: &[&str]) {
    let mut seen: Vec<String> = Vec::new();
    for (index, claim) in list(all).iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (name, request) = (text(&claim["name"]), text(&claim["request"]));
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        if seen.iter().any(|s| s == name) {
            errors.push(FieldError::duplicate(&path, name));
        } else {
            let key = if request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
            if !request.is_empty() {
                refuse(errors, &format!("{path}.request"), request, names::dns_label(request));
            }
            if seen.contains(&key) {
                errors.push(FieldError::duplicate(&path, &key));
            } else if request.is_empty() && seen.iter().any(|s| s.split_once('/').is_some_and(|(claim, _)| claim == name)) {
                errors.push(FieldError::duplicate(&path, name));
            }
            seen.push(key);
        }
        if !known.contains(&name) {
            let mut error = FieldError::not_found(path, name);
            let mut sorted = known.to_vec();
            sorted.sort_unstable();
            let which = if sorted.is_empty() { " which is empty".to_owned() } else { format!(": {}", sorted.join(", ")) };
            error.detail = format!("must be one of the names in pod.spec.resourceClaims{which}");
            errors.push(error);
        }
    }
}

/// `spec.resources` of a pod as a whole.
pub(super) fn pod_resources(errors: &mut Errors, path: &str, spec: &Value) {
    let resources = &spec["resources"];
    if !has(resources) {
        return;
    }
    if spec["os"]["name"] == "windows" {
        errors.push(FieldError::forbidden(path, "may not be set for a windows pod"));
        return;
    }
    if has(&resources["claims"]) {
        errors.push(FieldError::forbidden(format!("{path}.claims"), "claims may not be set for Resources at pod-level"));
    }
    requirements(errors, path, resources, pod_resource_name);
    for (name, quantity) in entries(&resources["requests"]) {
        let together: i128 =
            list(&spec["containers"]).iter().filter_map(|c| parse(&c["resources"]["requests"][name])).map(|q| q.nano).sum();
        if let Some(request) = parse(quantity).filter(|request| together > request.nano) {
            let together = Quantity { nano: together, format: request.format };
            let message = format!("must be greater than or equal to aggregate container requests of {together}");
            errors.push(FieldError::invalid(format!("{path}.requests[{name}]"), request.to_string(), message));
        }
    }
    for (index, container) in list(&spec["containers"]).iter().enumerate() {
        for (name, quantity) in entries(&container["resources"]["limits"]) {
            if let (Some(limit), Some(most)) = (parse(quantity), parse(&resources["limits"][name]))
                && limit.nano > most.nano
            {
                let message = format!("must be less than or equal to pod limits of {most}");
                errors.push(FieldError::invalid(format!("{path}.containers[{index}][{name}].limits"), limit.to_string(), message));
            }
        }
    }
}
