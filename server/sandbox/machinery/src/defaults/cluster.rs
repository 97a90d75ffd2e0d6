//! RBAC, disruption budgets, leases, priorities, runtime classes, certificates and fairness.

use super::{each, missing, object_at, part, resource_list, unset};
use serde_json::Value;

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn set(group: &str, kind: &str, object: &mut Value) {
    match (group, kind) {
        (RBAC, "Role" | "ClusterRole") if object.get("rules").is_none() => object["rules"] = Value::Null,
        (RBAC, "RoleBinding" | "ClusterRoleBinding") => {
            if let Some(role) = part(object, "roleRef") {
                unset(role, "apiGroup", RBAC);
            }
            for subject in each(object, "subjects") {
                if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
                    unset(subject, "apiGroup", RBAC);
                }
                super::omit_empty(subject, &["apiGroup", "namespace"]);
            }
        }
        ("policy", "PodDisruptionBudget") => {
            part(object, "spec");
            if let Some(status) = part(object, "status") {
                for counter in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
                    missing(status, counter, 0);
                }
            }
        }
        ("coordination.k8s.io", "Lease") => {
            part(object, "spec");
        }
        ("scheduling.k8s.io", "PriorityClass") => {
            missing(object, "preemptionPolicy", "PreemptLowerPriority");
            missing(object, "value", 0);
        }
        ("node.k8s.io", "RuntimeClass") => {
            if let Some(overhead) = object_at(object, "overhead") {
                resource_list(overhead, "podFixed");
            }
        }
        ("certificates.k8s.io", "CertificateSigningRequest") => {
            part(object, "spec");
            part(object, "status");
        }
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => {
            if let Some(spec) = part(object, "spec") {
                unset(spec, "matchingPrecedence", 1000);
            }
            part(object, "status");
        }
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => {
            if let Some(spec) = part(object, "spec") {
                priority_level(spec);
            }
            part(object, "status");
        }
        ("apiregistration.k8s.io", "APIService") => {
            if let Some(service) = part(object, "spec").and_then(|spec| object_at(spec, "service")) {
                missing(service, "port", 443);
            }
            part(object, "status");
        }
        _ => {}
    }
}

fn priority_level(spec: &mut Value) {
    if let Some(exempt) = object_at(spec, "exempt") {
        missing(exempt, "nominalConcurrencyShares", 0);
        missing(exempt, "lendablePercent", 0);
    }
    if let Some(limited) = object_at(spec, "limited") {
        missing(limited, "nominalConcurrencyShares", 30);
        missing(limited, "lendablePercent", 0);
        if let Some(queuing) = part(limited, "limitResponse").and_then(|response| object_at(response, "queuing")) {
            unset(queuing, "handSize", 8);
            unset(queuing, "queues", 64);
            unset(queuing, "queueLengthLimit", 50);
        }
    }
}
