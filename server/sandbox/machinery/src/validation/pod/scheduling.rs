//! Where a pod may run: affinity, tolerations, topology spread, gates, device claims.

use super::super::internal;
use super::super::kit::{Errors, has, list, number, positive, refuse, supported_or_refuse, text};
use super::super::{meta, names};
use super::Context;
use crate::field::FieldError;
use serde_json::Value;
use std::collections::BTreeSet;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(in super::super) fn tolerations(errors: &mut Errors, path: &str, all: &Value) {
    for (index, toleration) in list(all).iter().enumerate() {
        let path = format!("{path}[{index}]");
        let field = |name: &str| text(&toleration[name]);
        let (key, operator, value, effect) = (field("key"), field("operator"), field("value"), field("effect"));
        let operator_path = format!("{path}.operator");
        if !key.is_empty() {
            meta::label_name(errors, &format!("{path}.key"), key);
        } else if operator != "Exists" {
            let message = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(&operator_path, operator, message));
        }
        if has(&toleration["tolerationSeconds"]) && effect != "NoExecute" {
            let message = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(format!("{path}.effect"), effect, message));
        }
        match operator {
            "" | "Equal" => {
                let messages = names::label_value(value);
                if !messages.is_empty() {
                    errors.push(FieldError::invalid(&operator_path, value, messages.join(";")));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    errors.push(FieldError::invalid(&operator_path, value, "value must be empty when `operator` is 'Exists'"));
                }
            }
            other => errors.push(FieldError::not_supported(&operator_path, other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            supported_or_refuse(errors, &format!("{path}.effect"), effect, &EFFECTS);
        }
    }
}

pub(in super::super) fn taint_effect(errors: &mut Errors, path: &str, effect: &str) {
    if effect.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        supported_or_refuse(errors, path, effect, &EFFECTS);
    }
}

pub(super) fn affinity(errors: &mut Errors, path: &str, affinity: &Value) {
    let node = &affinity["nodeAffinity"];
    if has(&node[REQUIRED]) {
        node_selector(errors, &format!("{path}.nodeAffinity.{REQUIRED}"), &node[REQUIRED]);
    }
    for (index, term) in list(&node[PREFERRED]).iter().enumerate() {
        let path = format!("{path}.nodeAffinity.{PREFERRED}[{index}]");
        weight(errors, &path, term);
        node_selector_term(errors, &format!("{path}.preference"), &term["preference"], false);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        for (index, term) in list(&affinity[kind][REQUIRED]).iter().enumerate() {
            pod_term(errors, &format!("{path}.{kind}.{REQUIRED}[{index}]"), term);
        }
        for (index, term) in list(&affinity[kind][PREFERRED]).iter().enumerate() {
            let path = format!("{path}.{kind}.{PREFERRED}[{index}]");
            weight(errors, &path, term);
            pod_term(errors, &format!("{path}.podAffinityTerm"), &term["podAffinityTerm"]);
        }
    }
}

fn weight(errors: &mut Errors, path: &str, term: &Value) {
    let weight = number(&term["weight"]);
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(format!("{path}.weight"), weight, "must be in the range 1-100"));
    }
}

pub(in super::super) fn node_selector(errors: &mut Errors, path: &str, selector: &Value) {
    let path = format!("{path}.nodeSelectorTerms");
    let terms = list(&selector["nodeSelectorTerms"]);
    if terms.is_empty() {
        errors.push(FieldError::required(path, "must have at least one node selector term"));
        return;
    }
    for (index, term) in terms.iter().enumerate() {
        node_selector_term(errors, &format!("{path}[{index}]"), term, true);
    }
}

/// `strict`: values must be label values (they need not where a term is only preferred).
fn node_selector_term(errors: &mut Errors, path: &str, term: &Value, strict: bool) {
    for (index, requirement) in list(&term["matchExpressions"]).iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = list(&requirement["values"]);
        let values_path = format!("{path}.values");
        match text(&requirement["operator"]) {
            "In" | "NotIn" => {
                if values.is_empty() {
                    errors.push(FieldError::required(&values_path, "must be specified when `operator` is 'In' or 'NotIn'"));
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let message = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    errors.push(FieldError::forbidden(&values_path, message));
                }
            }
            "Gt" | "Lt" => {
                if values.len() != 1 {
                    let message = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                    errors.push(FieldError::required(&values_path, message));
                }
            }
            other => errors.push(FieldError::invalid(format!("{path}.operator"), other, "not a valid selector operator")),
        }
        meta::label_name(errors, &format!("{path}.key"), text(&requirement["key"]));
        if strict {
            for (index, value) in values.iter().enumerate() {
                refuse(errors, &format!("{values_path}[{index}]"), text(value), names::label_value(text(value)));
            }
        }
    }
    for (index, requirement) in list(&term["matchFields"]).iter().enumerate() {
        let path = format!("{path}.matchFields[{index}]");
        let (operator, key) = (text(&requirement["operator"]), text(&requirement["key"]));
        let values = list(&requirement["values"]);
        if !matches!(operator, "In" | "NotIn") {
            errors.push(FieldError::invalid(format!("{path}.operator"), operator, "not a valid selector operator"));
        } else if values.len() != 1 {
            let message = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(FieldError::required(format!("{path}.values"), message));
        }
        if key == "metadata.name" {
            for (index, value) in values.iter().enumerate() {
                refuse(errors, &format!("{path}.values[{index}]"), text(value), names::dns_subdomain(text(value)));
            }
        } else {
            errors.push(FieldError::invalid(format!("{path}.key"), key, "not a valid field selector key"));
        }
    }
}

fn pod_term(errors: &mut Errors, path: &str, term: &Value) {
    meta::selector(errors, &format!("{path}.labelSelector"), &term["labelSelector"]);
    meta::selector(errors, &format!("{path}.namespaceSelector"), &term["namespaceSelector"]);
    for namespace in list(&term["namespaces"]) {
        let namespace = text(namespace);
        refuse(errors, &format!("{path}.namespace"), namespace, names::dns_label(namespace));
    }
    label_keys(errors, path, term);
    let key = text(&term["topologyKey"]);
    if key.is_empty() {
        errors.push(FieldError::required(format!("{path}.topologyKey"), "can not be empty"));
    }
    meta::label_name(errors, &format!("{path}.topologyKey"), key);
}

/// `matchLabelKeys` and `mismatchLabelKeys`.
fn label_keys(errors: &mut Errors, path: &str, term: &Value) {
    let selector = &term["labelSelector"];
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = list(&term[field]);
        if !keys.is_empty() && !has(selector) {
            errors.push(FieldError::forbidden(format!("{path}.{field}"), "must not be specified when labelSelector is not set"));
            continue;
        }
        for (index, key) in keys.iter().enumerate() {
            meta::label_name(errors, &format!("{path}.{field}[{index}]"), text(key));
        }
    }
    let keys = list(&term["matchLabelKeys"]);
    let mut selected: BTreeSet<&str> = selector["matchLabels"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    for expression in list(&selector["matchExpressions"]) {
        let key = text(&expression["key"]);
        if let Some(index) = keys.iter().position(|k| k == key)
            && selected.contains(key)
        {
            errors.push(FieldError::invalid(format!("{path}[{index}]"), key, "exists in both matchLabelKeys and labelSelector"));
        }
        selected.insert(key);
    }
    let mismatch = list(&term["mismatchLabelKeys"]);
    for (index, key) in keys.iter().enumerate().filter(|(_, key)| mismatch.contains(key)) {
        let path = format!("{path}.matchLabelKeys[{index}]");
        errors.push(FieldError::invalid(path, text(key), "exists in both matchLabelKeys and mismatchLabelKeys"));
    }
}

pub(super) fn topology_spread(errors: &mut Errors, path: &str, constraints: &Value) {
    let constraints = list(constraints);
    for (index, constraint) in constraints.iter().enumerate() {
        let path = format!("{path}[{index}]");
        positive(errors, &format!("{path}.maxSkew"), &constraint["maxSkew"]);
        let (key, action) = (text(&constraint["topologyKey"]), text(&constraint["whenUnsatisfiable"]));
        if key.is_empty() {
            errors.push(FieldError::required(format!("{path}.topologyKey"), "can not be empty"));
        }
        supported_or_refuse(errors, &format!("{path}.whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        let repeated = constraints[index + 1..].iter().any(|c| text(&c["topologyKey"]) == key && text(&c["whenUnsatisfiable"]) == action);
        if repeated {
            errors.push(FieldError::duplicate(format!("{path}.{{topologyKey, whenUnsatisfiable}}"), format!("{{{key}, {action}}}")));
        }
        if has(&constraint["minDomains"]) {
            let path = format!("{path}.minDomains");
            positive(errors, &path, &constraint["minDomains"]);
            if action != "DoNotSchedule" {
                let message = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.push(FieldError::invalid(path, &constraint["minDomains"], message));
            }
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(policy) = constraint[field].as_str() {
                supported_or_refuse(errors, &format!("{path}.{field}"), policy, &["Honor", "Ignore"]);
            }
        }
        label_keys(errors, &path, constraint);
        meta::selector(errors, &format!("{path}.labelSelector"), &constraint["labelSelector"]);
    }
}

pub(super) fn gates(errors: &mut Errors, path: &str, gates: &Value) {
    let mut seen = BTreeSet::new();
    for (index, gate) in list(gates).iter().enumerate() {
        let (path, name) = (format!("{path}[{index}]"), text(&gate["name"]));
        refuse(errors, &path, name, names::qualified_name(name));
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(path, name));
        }
    }
}

pub(super) fn resource_claims(errors: &mut Errors, context: &Context<'_>) {
    let mut seen = BTreeSet::new();
    for (index, claim) in list(&context.spec["resourceClaims"]).iter().enumerate() {
        let path = format!("{}.resourceClaims[{index}]", context.path);
        let name = text(&claim["name"]);
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if seen.insert(name) {
            refuse(errors, &format!("{path}.name"), name, names::dns_label(name));
        } else {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        let message = match (has(&claim["resourceClaimName"]), has(&claim["resourceClaimTemplateName"])) {
            (true, true) => Some("at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"),
            (false, false) => Some("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
            _ => None,
        };
        if let Some(message) = message {
            errors.push(FieldError::invalid(&path, internal::shown("PodResourceClaim", claim), message));
        }
        for field in ["resourceClaimName", "resourceClaimTemplateName"] {
            if let Some(name) = claim[field].as_str() {
                refuse(errors, &format!("{path}.{field}"), name, names::dns_subdomain(name));
            }
        }
    }
}
