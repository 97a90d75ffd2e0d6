//! Ingresses and their classes.

use super::kit::{Errors, has, immutable, list, number, parse_ip, port_number, refuse, supported_or_refuse, text};
use super::names;
use crate::field::FieldError;
use serde_json::{Value, json};

pub(super) fn rules(errors: &mut Errors, kind: &str, new: &Value, old: Option<&Value>) {
    match kind {
        "Ingress" => {
            ingress(errors, &new["spec"]);
            let annotation = crate::object::annotation(new, "kubernetes.io/ingress.class");
            let class = new["spec"]["ingressClassName"].as_str();
            if let (None, Some(annotation), Some(class)) = (old, annotation, class)
                && annotation != class
            {
                let message = "must match `ingressClassName` when both are specified";
                errors.push(FieldError::invalid("annotations.kubernetes.io/ingress.class", annotation, message));
            }
        }
        "IngressClass" => ingress_class(errors, &new["spec"], old),
        _ => {}
    }
}

fn ingress(errors: &mut Errors, spec: &Value) {
    let rules = list(&spec["rules"]);
    if rules.is_empty() && !has(&spec["defaultBackend"]) {
        let shown = if spec["rules"].is_null() { Value::Null } else { json!([]) };
        errors.push(FieldError::invalid("spec", &shown, "either `defaultBackend` or `rules` must be specified"));
    }
    if has(&spec["defaultBackend"]) {
        backend(errors, "spec.defaultBackend", &spec["defaultBackend"]);
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        host(errors, &format!("{path}.host"), text(&rule["host"]));
        if has(&rule["http"]) {
            let path = format!("{path}.http.paths");
            let paths = list(&rule["http"]["paths"]);
            if paths.is_empty() {
                errors.push(FieldError::required(&path, ""));
            }
            for (index, one) in paths.iter().enumerate() {
                http_path(errors, &format!("{path}[{index}]"), one);
            }
        }
    }
    for (index, tls) in list(&spec["tls"]).iter().enumerate() {
        let path = format!("spec.tls[{index}]");
        for (index, name) in list(&tls["hosts"]).iter().enumerate() {
            let name = text(name);
            let messages = if name.contains('*') { names::wildcard_subdomain(name) } else { names::dns_subdomain(name) };
            refuse(errors, &format!("{path}.hosts[{index}]"), name, messages);
        }
        let secret = text(&tls["secretName"]);
        if !secret.is_empty() {
            refuse(errors, &format!("{path}.secretName"), secret, names::dns_subdomain(secret));
        }
    }
    if let Some(class) = spec["ingressClassName"].as_str() {
        refuse(errors, "spec.ingressClassName", class, names::dns_subdomain(class));
    }
}

fn host(errors: &mut Errors, path: &str, host: &str) {
    if host.is_empty() {
        return;
    }
    if parse_ip(host).is_some() {
        errors.push(FieldError::invalid(path, host, "must be a DNS name, not an IP address"));
    }
    let messages = if host.contains('*') { names::wildcard_subdomain(host) } else { names::dns_subdomain(host) };
    refuse(errors, path, host, messages);
}

fn http_path(errors: &mut Errors, path: &str, one: &Value) {
    let target = text(&one["path"]);
    let target_path = format!("{path}.path");
    let Some(kind) = one["pathType"].as_str() else {
        errors.push(FieldError::required(format!("{path}.pathType"), "pathType must be specified"));
        return;
    };
    match kind {
        "Exact" | "Prefix" => {
            if !target.starts_with('/') {
                errors.push(FieldError::invalid(&target_path, target, "must be an absolute path"));
            }
            for sequence in ["//", "/./", "/../", "%2f", "%2F"] {
                if target.contains(sequence) {
                    errors.push(FieldError::invalid(&target_path, target, format!("must not contain '{sequence}'")));
                }
            }
            for suffix in ["/..", "/."] {
                if target.ends_with(suffix) {
                    errors.push(FieldError::invalid(&target_path, target, format!("cannot end with '{suffix}'")));
                }
            }
        }
        "ImplementationSpecific" => {
            if !target.is_empty() && !target.starts_with('/') {
                errors.push(FieldError::invalid(&target_path, target, "must be an absolute path"));
            }
        }
        other => supported_or_refuse(errors, &format!("{path}.pathType"), other, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    backend(errors, &format!("{path}.backend"), &one["backend"]);
}

fn backend(errors: &mut Errors, path: &str, backend: &Value) {
    let (resource, service) = (&backend["resource"], &backend["service"]);
    match (has(resource), has(service)) {
        (true, true) => errors.push(FieldError::invalid(path, "", "cannot set both resource and service backends")),
        (false, false) => errors.push(FieldError::invalid(path, "", "resource or service backend is required")),
        (true, false) => reference(errors, &format!("{path}.resource"), resource),
        (false, true) => {
            let name = text(&service["name"]);
            let name_path = format!("{path}.service.name");
            if name.is_empty() {
                errors.push(FieldError::required(name_path, ""));
            } else {
                refuse(errors, &name_path, name, names::dns_1035_label(name));
            }
            let port = &service["port"];
            let port_name = text(&port["name"]);
            match (port_name.is_empty(), number(&port["number"]) == 0) {
                (false, false) => errors.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
                (false, true) => refuse(errors, &format!("{path}.service.port.name"), port_name, names::port_name(port_name)),
                (true, false) => port_number(errors, &format!("{path}.service.port.number"), &port["number"]),
                (true, true) => errors.push(FieldError::required(path, "port name or number is required")),
            }
        }
    }
}

fn reference(errors: &mut Errors, path: &str, reference: &Value) {
    if let Some(group) = reference["apiGroup"].as_str() {
        refuse(errors, &format!("{path}.apiGroup"), group, names::dns_subdomain(group));
    }
    for field in ["kind", "name"] {
        let value = text(&reference[field]);
        let path = format!("{path}.{field}");
        if value.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else {
            refuse(errors, &path, value, names::path_segment(value));
        }
    }
}

fn ingress_class(errors: &mut Errors, spec: &Value, old: Option<&Value>) {
    if let Some(old) = old {
        immutable(errors, "spec.controller", &spec["controller"], &old["spec"]["controller"]);
    }
    let controller = text(&spec["controller"]);
    let path = "spec.controller";
    if controller.len() > 250 {
        errors.push(FieldError::too_long(path, 250));
    }
    match controller.split_once('/') {
        _ if controller.is_empty() => errors.push(FieldError::required(path, "")),
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            refuse(errors, path, domain, names::dns_subdomain(domain));
        }
        _ => {
            let message = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            errors.push(FieldError::invalid(path, controller, message));
        }
    }
    let parameters = &spec["parameters"];
    if !has(parameters) {
        return;
    }
    reference(errors, "spec.parameters", parameters);
    let namespace = parameters["namespace"].as_str();
    match text(&parameters["scope"]) {
        "" => errors.push(FieldError::required("spec.parameters.scope", "")),
        "Namespace" => match namespace {
            Some(namespace) => refuse(errors, "spec.parameters.namespace", namespace, names::dns_label(namespace)),
            None => errors.push(FieldError::required("spec.parameters.namespace", "`parameters.scope` is set to 'Namespace'")),
        },
        "Cluster" => {
            if namespace.is_some() {
                errors.push(FieldError::forbidden("spec.parameters.namespace", "`parameters.scope` is set to 'Cluster'"));
            }
        }
        other => supported_or_refuse(errors, "spec.parameters.scope", other, &["Cluster", "Namespace"]),
    }
}
