//! Horizontal pod autoscalers, in both served versions.

use super::{each, empty, missing, object_at, part};
use serde_json::{Value, json};

pub(super) fn set(version: &str, kind: &str, object: &mut Value) {
    if kind == "Scale" {
        part(object, "spec");
        if let Some(status) = part(object, "status") {
            missing(status, "replicas", 0);
        }
        return;
    }
    if kind != "HorizontalPodAutoscaler" {
        return;
    }
    let Some(spec) = part(object, "spec") else { return };
    missing(spec, "minReplicas", 1);
    if version == "v1" {
        missing(spec, "targetCPUUtilizationPercentage", 80);
    } else {
        if spec["metrics"].as_array().is_none_or(Vec::is_empty) {
            spec["metrics"] = json!([{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
            }}]);
        }
        for metric in each(spec, "metrics") {
            metric_quantities(metric);
        }
        if let Some(behavior) = object_at(spec, "behavior") {
            scaling_rules(behavior);
        }
    }
    if let Some(status) = part(object, "status") {
        if version == "v1" {
            missing(status, "currentReplicas", 0);
        } else if status.get("currentMetrics").is_none() {
            status["currentMetrics"] = Value::Null;
        }
        missing(status, "desiredReplicas", 0);
    }
}

fn metric_quantities(metric: &mut Value) {
    for source in ["resource", "containerResource", "pods", "object", "external"] {
        if let Some(target) = object_at(metric, source).and_then(|source| part(source, "target")) {
            for field in ["value", "averageValue"] {
                if let Some(quantity) = target.get_mut(field) {
                    super::canonical(quantity, false);
                }
            }
        }
    }
}

/// Once any behavior is given, every rule is spelled out.
fn scaling_rules(behavior: &mut Value) {
    missing(behavior, "scaleUp", empty());
    missing(behavior, "scaleDown", empty());
    if let Some(up) = object_at(behavior, "scaleUp") {
        missing(up, "stabilizationWindowSeconds", 0);
        missing(up, "selectPolicy", "Max");
        missing(
            up,
            "policies",
            json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]),
        );
    }
    if let Some(down) = object_at(behavior, "scaleDown") {
        missing(down, "selectPolicy", "Max");
        missing(down, "policies", json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
    }
}
