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
    for field in ["kind", "name"] {
        let value = text(&spec["scaleTargetRef"][field]);
        let path = format!("spec.scaleTargetRef.{field}");
        if value.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else {
            refuse(errors, &path, value, names::path_segment(value));
        }
    }
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

fn metric(errors: &mut Errors, path: &str, metric: &Value) {
    let kinds = [
        ("ContainerResource", "containerResource"),
        ("External", "external"),
        ("Object", "object"),
        ("Pods", "pods"),
        ("Resource", "resource"),
    ];
    let kind = text(&metric["type"]);
    if kind.is_empty() {
        errors.push(FieldError::required(format!("{path}.type"), "must specify a metric source type"));
    }
    let Some((_, field)) = kinds.into_iter().find(|(name, _)| *name == kind) else {
        // Told by the check of the type and again by that of its source.
        for _ in 0..2 {
            supported_or_refuse(errors, &format!("{path}.type"), kind, &kinds.map(|(name, _)| name));
        }
        return;
    };
    for (_, other) in kinds.into_iter().filter(|(_, other)| *other != field && has(&metric[*other])) {
        let message = "must populate the given metric source only";
        errors.push(FieldError::forbidden(format!("{path}.{other}"), message));
    }
    let source = &metric[field];
    let path = format!("{path}.{field}");
    if !has(source) {
        errors.push(FieldError::required(path, "must populate information for the given metric source"));
        return;
    }
    if matches!(kind, "Resource" | "ContainerResource") && text(&source["name"]).is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), "must specify a resource name"));
    }
    target(errors, &path, kind, &source["target"]);
}

fn target(errors: &mut Errors, path: &str, kind: &str, target: &Value) {
    let target_path = format!("{path}.target");
    let target_kind = text(&target["type"]);
    if target_kind.is_empty() {
        errors.push(FieldError::required(format!("{target_path}.type"), "must specify a metric target type"));
    }
    if !matches!(target_kind, "Utilization" | "Value" | "AverageValue") {
        let message = "must be either Utilization, Value, or AverageValue";
        errors.push(FieldError::invalid(format!("{target_path}.type"), target_kind, message));
    }
    if let Some(percent) = target["averageUtilization"].as_i64().filter(|percent| *percent < 1) {
        errors.push(FieldError::invalid(format!("{target_path}.averageUtilization"), percent, "must be greater than 0"));
    }
    for field in ["value", "averageValue"] {
        if let Some(quantity) = quantities::parse(&target[field]).filter(|q| q.nano <= 0) {
            errors.push(FieldError::invalid(format!("{target_path}.{field}"), quantity.to_string(), "must be positive"));
        }
    }
    if matches!(kind, "Resource" | "ContainerResource") {
        let (percent, amount) = (has(&target["averageUtilization"]), has(&target["averageValue"]));
        let field = format!("{target_path}.averageUtilization");
        if !percent && !amount {
            errors.push(FieldError::required(field, "must set either a target raw value or a target utilization"));
        } else if percent && amount {
            let message = "may not set both a target raw value and a target utilization";
            errors.push(FieldError::forbidden(format!("{target_path}.averageValue"), message));
        }
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
