//! Webhooks, admission policies and CustomResourceDefinitions.

use super::{each, empty, missing, object_at, part, unset};
use serde_json::{Value, json};

pub(super) fn set(kind: &str, object: &mut Value) {
    match kind {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            for webhook in each(object, "webhooks") {
                missing(webhook, "failurePolicy", "Fail");
                missing(webhook, "timeoutSeconds", 10);
                selectors(webhook);
                if kind == "MutatingWebhookConfiguration" {
                    missing(webhook, "reinvocationPolicy", "Never");
                }
                for rule in each(webhook, "rules") {
                    missing(rule, "scope", "*");
                }
                if let Some(client) = part(webhook, "clientConfig") {
                    service_port(client);
                }
            }
        }
        "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy" => {
            if let Some(spec) = part(object, "spec") {
                missing(spec, "failurePolicy", "Fail");
                if kind == "MutatingAdmissionPolicy" {
                    unset(spec, "reinvocationPolicy", "Never");
                }
                if let Some(constraints) = object_at(spec, "matchConstraints") {
                    match_resources(constraints);
                }
            }
            if kind == "ValidatingAdmissionPolicy" {
                part(object, "status");
            }
        }
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => {
            if let Some(resources) = part(object, "spec").and_then(|spec| object_at(spec, "matchResources")) {
                match_resources(resources);
            }
        }
        "CustomResourceDefinition" => custom_resource_definition(object),
        _ => {}
    }
}

fn selectors(matching: &mut Value) {
    missing(matching, "matchPolicy", "Equivalent");
    missing(matching, "namespaceSelector", empty());
    missing(matching, "objectSelector", empty());
}

fn match_resources(resources: &mut Value) {
    selectors(resources);
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in each(resources, list) {
            missing(rule, "scope", "*");
        }
    }
}

fn service_port(client: &mut Value) {
    if let Some(service) = object_at(client, "service") {
        missing(service, "port", 443);
    }
}

fn custom_resource_definition(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    if let Some(names) = part(spec, "names") {
        let kind = names["kind"].as_str().unwrap_or_default().to_owned();
        unset(names, "singular", kind.to_lowercase());
        if !kind.is_empty() {
            unset(names, "listKind", format!("{kind}List"));
        }
    }
    missing(spec, "conversion", json!({"strategy": "None"}));
    if let Some(client) = object_at(spec, "conversion").and_then(|c| object_at(c, "webhook")).and_then(|w| object_at(w, "clientConfig")) {
        service_port(client);
    }
    let storage = spec["versions"].as_array().into_iter().flatten().find(|v| v["storage"] == true).map(|v| v["name"].clone());
    if let Some(status) = part(object, "status") {
        if let Some(version) = storage {
            unset(status, "storedVersions", json!([version]));
        }
        if status.get("conditions").is_none() {
            status["conditions"] = Value::Null;
        }
        missing(status, "acceptedNames", json!({"plural": "", "kind": ""}));
    }
}
