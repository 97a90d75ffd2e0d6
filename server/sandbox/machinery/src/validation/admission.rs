//! Webhook configurations and admission policies.

use super::kit::{Errors, has, list, one_of, port_number, refuse, required, supported_or_refuse, text};
use super::{meta, names};
use crate::field::FieldError;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn rules(errors: &mut Errors, kind: &str, new: &Value) {
    let spec = &new["spec"];
    match kind {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            let mut seen = BTreeSet::new();
            for (index, webhook) in list(&new["webhooks"]).iter().enumerate() {
                let path = format!("webhooks[{index}]");
                self::webhook(errors, &path, webhook);
                let name = text(&webhook["name"]);
                if !name.is_empty() && !seen.insert(name) {
                    errors.push(FieldError::duplicate(format!("{path}.name"), name));
                }
            }
        }
        "ValidatingAdmissionPolicy" => validating_policy(errors, new),
        "ValidatingAdmissionPolicyBinding" => binding(errors, spec),
        _ => {}
    }
}

fn webhook(errors: &mut Errors, path: &str, webhook: &Value) {
    qualified(errors, &format!("{path}.name"), text(&webhook["name"]));
    for (index, rule) in list(&webhook["rules"]).iter().enumerate() {
        self::rule(errors, &format!("{path}.rules[{index}]"), rule);
    }
    for (field, supported) in [
        ("failurePolicy", &["Fail", "Ignore"][..]),
        ("matchPolicy", &["Equivalent", "Exact"]),
        ("reinvocationPolicy", &["IfNeeded", "Never"]),
    ] {
        if let Some(value) = webhook[field].as_str() {
            supported_or_refuse(errors, &format!("{path}.{field}"), value, supported);
        }
    }
    match webhook["sideEffects"].as_str() {
        None => errors.push(FieldError::required(format!("{path}.sideEffects"), "must specify one of None, NoneOnDryRun")),
        Some(value) => supported_or_refuse(errors, &format!("{path}.sideEffects"), value, &["None", "NoneOnDryRun"]),
    }
    if let Some(seconds) = webhook["timeoutSeconds"].as_i64().filter(|s| !(1..=30).contains(s)) {
        let message = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(format!("{path}.timeoutSeconds"), seconds, message));
    }
    for field in ["namespaceSelector", "objectSelector"] {
        meta::selector(errors, &format!("{path}.{field}"), &webhook[field]);
    }
    client(errors, &format!("{path}.clientConfig"), &webhook["clientConfig"]);
    conditions(errors, &format!("{path}.matchConditions"), &webhook["matchConditions"]);
    versions(errors, &format!("{path}.admissionReviewVersions"), &webhook["admissionReviewVersions"]);
}

/// At least three segments, as `a.example.com`.
fn qualified(errors: &mut Errors, path: &str, name: &str) {
    let messages = names::dns_subdomain(name);
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !messages.is_empty() {
        errors.push(FieldError::invalid(path, name, messages.join(",")));
    } else if name.split('.').count() < 3 {
        let message = "should be a domain with at least three segments separated by dots";
        errors.push(FieldError::invalid(path, name, message));
    }
}

fn client(errors: &mut Errors, path: &str, client: &Value) {
    match (client["url"].as_str(), has(&client["service"])) {
        (Some(url), false) => {
            let path = format!("{path}.url");
            let form = "; desired format: https://host[/path]";
            match url.split_once("://") {
                Some(("https", rest)) if rest.split('/').next().is_some_and(str::is_empty) => {
                    errors.push(FieldError::invalid(path, "", format!("host must be specified{form}")));
                }
                Some(("https", _)) => {}
                Some((scheme, _)) => {
                    errors.push(FieldError::invalid(path, scheme, format!("'https' is the only allowed URL scheme{form}")));
                }
                None => errors.push(FieldError::invalid(path, "", format!("'https' is the only allowed URL scheme{form}"))),
            }
        }
        (None, true) => {
            let service = &client["service"];
            for field in ["name", "namespace"] {
                required(errors, &format!("{path}.service.{field}"), &service[field]);
            }
            if has(&service["port"]) {
                let before = errors.len();
                port_number(errors, &format!("{path}.service.port"), &service["port"]);
                if errors.len() > before
                    && let Some(error) = errors.last_mut()
                {
                    error.detail = format!("port is not valid: {}", error.detail);
                }
            }
        }
        _ => errors.push(FieldError::required(path, "exactly one of url or service is required")),
    }
}

fn versions(errors: &mut Errors, path: &str, versions: &Value) {
    let all = list(versions);
    if all.is_empty() {
        errors.push(FieldError::required(path, "must specify one of v1, v1beta1"));
        return;
    }
    for (index, version) in all.iter().enumerate() {
        let (path, name) = (format!("{path}[{index}]"), text(version));
        if all[..index].contains(version) {
            errors.push(FieldError::invalid(path, name, "duplicate version"));
        } else {
            refuse(errors, &path, name, names::dns_1035_label(name));
        }
    }
    if !all.iter().any(|v| v == "v1" || v == "v1beta1") {
        errors.push(FieldError::invalid(path, versions, "must include at least one of v1, v1beta1"));
    }
}

fn conditions(errors: &mut Errors, path: &str, conditions: &Value) {
    let all = list(conditions);
    if all.len() > 64 {
        errors.push(FieldError::too_many(path, all.len(), 64));
    }
    let mut seen = BTreeSet::new();
    for (index, condition) in all.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if text(&condition["expression"]).trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.expression"), ""));
        }
        let name = text(&condition["name"]);
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else {
            refuse(errors, &format!("{path}.name"), name, names::qualified_name(name));
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
    }
}

fn rule(errors: &mut Errors, path: &str, rule: &Value) {
    let operations = list(&rule["operations"]);
    if operations.is_empty() {
        errors.push(FieldError::required(format!("{path}.operations"), ""));
    }
    if operations.len() > 1 && operations.iter().any(|o| o == "*") {
        let message = "if '*' is present, must not specify other operations";
        errors.push(FieldError::invalid(format!("{path}.operations"), &rule["operations"], message));
    }
    for (index, operation) in operations.iter().enumerate() {
        let supported = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
        supported_or_refuse(errors, &format!("{path}.operations[{index}]"), text(operation), &supported);
    }
    for (field, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let values = list(&rule[field]);
        let path = format!("{path}.{field}");
        if values.is_empty() {
            errors.push(FieldError::required(&path, ""));
        }
        if values.len() > 1 && values.iter().any(|v| v == "*") {
            let message = format!("if '*' is present, must not specify other {what}");
            errors.push(FieldError::invalid(&path, &rule[field], message));
        }
        if field == "apiVersions" {
            for (index, _) in values.iter().enumerate().filter(|(_, v)| text(v).is_empty()) {
                errors.push(FieldError::required(format!("{path}[{index}]"), ""));
            }
        }
    }
    let resources = list(&rule["resources"]);
    let resources_path = format!("{path}.resources");
    if resources.is_empty() {
        errors.push(FieldError::required(&resources_path, ""));
    }
    for (index, _) in resources.iter().enumerate().filter(|(_, r)| text(r).is_empty()) {
        errors.push(FieldError::required(format!("{resources_path}[{index}]"), ""));
    }
    if resources.len() > 1 && resources.iter().any(|r| r == "*/*") {
        let message = "if '*/*' is present, must not specify other resources";
        errors.push(FieldError::invalid(&resources_path, &rule["resources"], message));
    }
    if let Some(scope) = rule["scope"].as_str() {
        supported_or_refuse(errors, &format!("{path}.scope"), scope, &["*", "Cluster", "Namespaced"]);
    }
}

fn match_resources(errors: &mut Errors, path: &str, resources: &Value) {
    one_of(errors, &format!("{path}.matchPolicy"), &resources["matchPolicy"], &["Equivalent", "Exact"]);
    for field in ["namespaceSelector", "objectSelector"] {
        meta::selector(errors, &format!("{path}.{field}"), &resources[field]);
    }
    for field in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in list(&resources[field]).iter().enumerate() {
            self::rule(errors, &format!("{path}.{field}[{index}]"), rule);
        }
    }
}

fn validating_policy(errors: &mut Errors, new: &Value) {
    let spec = &new["spec"];
    // Expressions are told apart by their fields, and said where the server comes upon them.
    let mut expressions = crate::policy::errors(new);
    let mut tell = |errors: &mut Errors, field: &str| {
        expressions.retain(|(path, source, message)| {
            let here = path.starts_with(field);
            if here {
                errors.push(FieldError::invalid(path, source.as_str(), message));
            }
            !here
        });
    };
    one_of(errors, "spec.failurePolicy", &spec["failurePolicy"], &["Fail", "Ignore"]);
    if has(&spec["paramKind"]) {
        required(errors, "spec.paramKind.apiVersion", &spec["paramKind"]["apiVersion"]);
        required(errors, "spec.paramKind.kind", &spec["paramKind"]["kind"]);
    }
    let constraints = &spec["matchConstraints"];
    if has(constraints) {
        match_resources(errors, "spec.matchConstraints", constraints);
        if list(&constraints["resourceRules"]).is_empty() {
            errors.push(FieldError::required("spec.matchConstraints.resourceRules", ""));
        }
    } else {
        errors.push(FieldError::required("spec.matchConstraints", ""));
    }
    conditions(errors, "spec.matchConditions", &spec["matchConditions"]);
    tell(errors, "spec.matchConditions");
    for (index, variable) in list(&spec["variables"]).iter().enumerate() {
        let (path, name) = (format!("spec.variables[{index}]"), text(&variable["name"]));
        if name.trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), "name is not specified"));
        } else if !crate::cel::is_identifier(name) {
            errors.push(FieldError::invalid(format!("{path}.name"), name, "must be a valid CEL identifier"));
        }
        if text(&variable["expression"]).trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.expression"), "expression is not specified"));
        }
        tell(errors, &format!("{path}."));
    }
    let validations = list(&spec["validations"]);
    if validations.is_empty() && list(&spec["auditAnnotations"]).is_empty() {
        for field in ["validations", "auditAnnotations"] {
            let message = "validations or auditAnnotations must contain at least one item";
            errors.push(FieldError::required(format!("spec.{field}"), message));
        }
    }
    for (index, validation) in validations.iter().enumerate() {
        let path = format!("spec.validations[{index}]");
        if text(&validation["expression"]).trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.expression"), "expression is not specified"));
        }
        let expression = text(&validation["messageExpression"]);
        if !expression.is_empty() && expression.trim().is_empty() {
            errors.push(FieldError::invalid(format!("{path}.messageExpression"), expression, "must be non-empty if specified"));
        }
        tell(errors, &format!("{path}."));
        let message = text(&validation["message"]);
        if !message.is_empty() && message.trim().is_empty() {
            errors.push(FieldError::invalid(format!("{path}.message"), message, "must be non-empty if specified"));
        } else if message.trim().contains(['\n', '\r']) {
            errors.push(FieldError::invalid(format!("{path}.message"), message, "must not contain line breaks"));
        }
        if let Some(reason) = validation["reason"].as_str() {
            let supported = ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];
            supported_or_refuse(errors, &format!("{path}.reason"), reason, &supported);
        }
    }
    let annotations = list(&spec["auditAnnotations"]);
    if annotations.len() > 20 {
        errors.push(FieldError::invalid("spec.auditAnnotations", &spec["auditAnnotations"], "must not have more than 20 auditAnnotations"));
    }
    for (index, annotation) in annotations.iter().enumerate() {
        let (path, key) = (format!("spec.auditAnnotations[{index}]"), text(&annotation["key"]));
        match crate::object::name(new) {
            "" => errors.push(FieldError::invalid(format!("{path}.key"), key, "requires metadata.name be non-empty")),
            name => {
                let full = format!("{name}/{key}");
                refuse(errors, &format!("{path}.key"), &full, names::qualified_name(&full));
            }
        }
        let expression = text(&annotation["valueExpression"]).trim();
        if expression.is_empty() {
            errors.push(FieldError::required(format!("{path}.valueExpression"), "valueExpression is not specified"));
        } else if expression.len() > 5 * 1024 {
            errors.push(FieldError::required(format!("{path}.valueExpression"), "must not exceed 5120 bytes in length"));
        }
        tell(errors, &format!("{path}."));
        if annotations[..index].iter().any(|other| other["key"] == annotation["key"]) {
            errors.push(FieldError::duplicate(format!("{path}.key"), key));
        }
    }
}

fn param_reference(errors: &mut Errors, reference: &Value) {
    let (path, name, selector) = ("spec.paramRef", text(&reference["name"]), &reference["selector"]);
    if !name.is_empty() {
        refuse(errors, &format!("{path}.name"), name, names::path_segment(name));
    }
    let exclusive = "name and selector are mutually exclusive";
    if !name.is_empty() && has(selector) {
        errors.push(FieldError::forbidden(format!("{path}.name"), exclusive));
    }
    if has(selector) {
        meta::selector(errors, &format!("{path}.selector"), selector);
        if !name.is_empty() {
            errors.push(FieldError::forbidden(format!("{path}.selector"), exclusive));
        }
    } else if name.is_empty() {
        errors.push(FieldError::required(path, "one of name or selector must be specified"));
    }
    match text(&reference["parameterNotFoundAction"]) {
        "" => errors.push(FieldError::required(format!("{path}.parameterNotFoundAction"), "")),
        action => supported_or_refuse(errors, &format!("{path}.parameterNotFoundAction"), action, &["Deny", "Allow"]),
    }
}

fn binding(errors: &mut Errors, spec: &Value) {
    let name = text(&spec["policyName"]);
    if name.is_empty() {
        errors.push(FieldError::required("spec.policyName", ""));
    } else {
        refuse(errors, "spec.policyName", name, names::dns_subdomain(name));
    }
    if has(&spec["paramRef"]) {
        param_reference(errors, &spec["paramRef"]);
    }
    if has(&spec["matchResources"]) {
        match_resources(errors, "spec.matchResources", &spec["matchResources"]);
    }
    let actions = list(&spec["validationActions"]);
    if actions.is_empty() {
        errors.push(FieldError::required("spec.validationActions", "at least one validation action is required"));
    }
    for (index, action) in actions.iter().enumerate() {
        let path = format!("spec.validationActions[{index}]");
        supported_or_refuse(errors, &path, text(action), &["Audit", "Deny", "Warn"]);
        if actions[..index].contains(action) {
            errors.push(FieldError::duplicate(path, text(action)));
        }
    }
    if ["Deny", "Warn"].iter().all(|action| actions.iter().any(|a| a == action)) {
        let message = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.push(FieldError::invalid("spec.validationActions", &spec["validationActions"], message));
    }
}
