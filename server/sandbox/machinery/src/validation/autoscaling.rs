//! Horizontal pod autoscalers, in both served versions.

use super::kit::{Errors, has, list, number, refuse, supported_or_refuse, text};
use super::{names, quantities};
use crate::field::FieldError;
use serde_json::Value;

pub(super) fn rules(errors: &mut Errors, object: &Value) {
    let spec = &object["spec"];
    let (least, most) = (spec["minReplicas"].as_i64(), number(&spec["maxReplicas"]));
    if let Some(least) = least.filter(|least| *least < 1) {
        errors.push(FieldError::invalid("spec.minReplicas", least, "must be greater than or equal to 1"));
    }
    if most < 1 {
        errors.push(FieldError::invalid("spec.maxReplicas", most, "must be greater than 0"));
    }
    if least.is_some_and(|least| most < least) {
        errors.push(FieldError::invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"));
    }
    reference(errors, "spec.scaleTargetRef", &spec["scaleTargetRef"]);
    if !text(&spec["scaleTargetRef"]["apiVersion"]).contains('/') {
        let version = text(&spec["scaleTargetRef"]["apiVersion"]);
        errors.push(FieldError::invalid("spec.scaleTargetRef.apiVersion", version, "apiVersion must specify API group"));
    }
    for (index, metric) in list(&spec["metrics"]).iter().enumerate() {
        self::metric(errors, &format!("spec.metrics[{index}]"), metric);
    }
    let zero_ready = list(&spec["metrics"]).iter().any(|m| m["type"] == "Object" || m["type"] == "External");
    if least == Some(0) && !zero_ready {
        let message = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(FieldError::forbidden("spec.metrics", message));
    }
    for direction in ["scaleUp", "scaleDown"] {
        let rules = &spec["behavior"][direction];
        if has(rules) {
            behavior(errors, &format!("spec.behavior.{direction}"), rules);
        }
    }
}

/// Where a metric comes from, in the order in which Kubernetes looks for a source: the first that is there is judged.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

fn metric(errors: &mut Errors, path: &str, metric: &Value) {
    let type_path = format!("{path}.type");
    let kind = text(&metric["type"]);
    if kind.is_empty() {
        errors.push(FieldError::required(&type_path, "must specify a metric source type"));
    }
    let mut kinds = SOURCES.map(|(kind, _)| kind);
    kinds.sort_unstable();
    supported_or_refuse(errors, &type_path, kind, &kinds);
    let present: Vec<&str> = SOURCES.iter().map(|(_, field)| *field).filter(|field| has(&metric[*field])).collect();
    if let Some(first) = present.first() {
        source(errors, &format!("{path}.{first}"), first, &metric[*first]);
    }
    let expected = SOURCES.iter().find(|(name, _)| *name == kind).map(|(_, field)| *field);
    match expected {
        Some(field) if !has(&metric[field]) => {
            errors.push(FieldError::required(format!("{path}.{field}"), "must populate information for the given metric source"));
        }
        Some(_) => {}
        // Told by the check of the type and again by that of its source.
        None => supported_or_refuse(errors, &type_path, kind, &kinds),
    }
    if present.len() != 1 {
        for other in present.into_iter().filter(|field| Some(*field) != expected) {
            errors.push(FieldError::forbidden(format!("{path}.{other}"), "must populate the given metric source only"));
        }
    }
}

fn source(errors: &mut Errors, path: &str, field: &str, source: &Value) {
    let named = |errors: &mut Errors, path: String, value: &Value, missing: &str| {
        let value = text(value);
        if value.is_empty() {
            errors.push(FieldError::required(path, missing));
        } else {
            refuse(errors, &path, value, names::path_segment(value));
        }
    };
    if field == "object" {
        reference(errors, &format!("{path}.describedObject"), &source["describedObject"]);
    }
    if matches!(field, "resource" | "containerResource") {
        if text(&source["name"]).is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), "must specify a resource name"));
        }
    } else {
        named(errors, format!("{path}.metric.name"), &source["metric"]["name"], "must specify a metric name");
    }
    if field == "containerResource" {
        let (path, container) = (format!("{path}.container"), text(&source["container"]));
        if container.is_empty() {
            errors.push(FieldError::required(path, "must specify a container"));
        } else {
            refuse(errors, &path, container, names::dns_label(container));
        }
    }
    target(errors, path, field, &source["target"]);
}

/// What is scaled, or what a metric describes.
fn reference(errors: &mut Errors, path: &str, reference: &Value) {
    for field in ["kind", "name"] {
        let (path, value) = (format!("{path}.{field}"), text(&reference[field]));
        if value.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else {
            refuse(errors, &path, value, names::path_segment(value));
        }
    }
}

fn target(errors: &mut Errors, path: &str, field: &str, target: &Value) {
    let path = format!("{path}.target");
    let target_kind = text(&target["type"]);
    if target_kind.is_empty() {
        errors.push(FieldError::required(format!("{path}.type"), "must specify a metric target type"));
    }
    if !matches!(target_kind, "Utilization" | "Value" | "AverageValue") {
        let message = "must be either Utilization, Value, or AverageValue";
        errors.push(FieldError::invalid(format!("{path}.type"), target_kind, message));
    }
    for field in ["value", "averageValue"] {
        if let Some(quantity) = quantities::parse(&target[field]).filter(|q| q.nano <= 0) {
            errors.push(FieldError::invalid(format!("{path}.{field}"), quantity.to_string(), "must be positive"));
        }
    }
    if let Some(percent) = target["averageUtilization"].as_i64().filter(|percent| *percent < 1) {
        errors.push(FieldError::invalid(format!("{path}.averageUtilization"), percent, "must be greater than 0"));
    }
    let (percent, value, average) = (has(&target["averageUtilization"]), has(&target["value"]), has(&target["averageValue"]));
    let missing = match field {
        "object" if !value && !average => Some(("averageValue", "must set either a target value or averageValue")),
        "external" if !value && !average => Some(("averageValue", "must set either a target value for metric or a per-pod target")),
        "pods" if !average => Some(("averageValue", "must specify a positive target averageValue")),
        "resource" | "containerResource" if !percent && !average => {
            Some(("averageUtilization", "must set either a target raw value or a target utilization"))
        }
        _ => None,
    };
    if let Some((field, message)) = missing {
        errors.push(FieldError::required(format!("{path}.{field}"), message));
    }
    let both = match field {
        "external" if value && average => Some(("value", "may not set both a target value for metric and a per-pod target")),
        "resource" | "containerResource" if percent && average => {
            Some(("averageValue", "may not set both a target raw value and a target utilization"))
        }
        _ => None,
    };
    if let Some((field, message)) = both {
        errors.push(FieldError::forbidden(format!("{path}.{field}"), message));
    }
}

fn behavior(errors: &mut Errors, path: &str, rules: &Value) {
    if let Some(seconds) = rules["stabilizationWindowSeconds"].as_i64() {
        let path = format!("{path}.stabilizationWindowSeconds");
        if seconds < 0 {
            errors.push(FieldError::invalid(&path, seconds, "must be greater than or equal to zero"));
        }
        if seconds > 3600 {
            errors.push(FieldError::invalid(&path, seconds, "must be less than or equal to 3600"));
        }
    }
    if let Some(policy) = rules["selectPolicy"].as_str() {
        supported_or_refuse(errors, &format!("{path}.selectPolicy"), policy, &["Disabled", "Max", "Min"]);
    }
    let policies = list(&rules["policies"]);
    if policies.is_empty() {
        errors.push(FieldError::required(format!("{path}.policies"), "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        let path = format!("{path}.policies[{index}]");
        supported_or_refuse(errors, &format!("{path}.type"), text(&policy["type"]), &["Percent", "Pods"]);
        for field in ["value", "periodSeconds"] {
            if number(&policy[field]) <= 0 {
                errors.push(FieldError::invalid(format!("{path}.{field}"), number(&policy[field]), "must be greater than zero"));
            }
        }
        if number(&policy["periodSeconds"]) > 1800 {
            let message = "must be less than or equal to 1800";
            errors.push(FieldError::invalid(format!("{path}.periodSeconds"), number(&policy["periodSeconds"]), message));
        }
    }
}
