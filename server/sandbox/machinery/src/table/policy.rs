//! Role bindings, disruption budgets, priorities and the API server's own fairness.

use super::Printer;
use super::column::{age, boolean, integer as number, name, text, wide};
use super::duration::age as age_of;
use super::text::{integer, items, scalar, str_of};
use crate::object;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

pub(super) fn printer(group: &str, kind: &str) -> Option<Printer> {
    let printer = match (group, kind) {
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => Printer {
            columns: const { &[name(), text("Role"), age(), wide("Users"), wide("Groups"), wide("ServiceAccounts")] },
            cells: binding,
        },
        ("policy", "PodDisruptionBudget") => Printer {
            columns: const { &[name(), text("Min Available"), text("Max Unavailable"), number("Allowed Disruptions"), age()] },
            cells: disruption_budget,
        },
        ("scheduling.k8s.io", "PriorityClass") => Printer {
            columns: const { &[name(), number("Value"), boolean("Global-Default"), age(), text("PreemptionPolicy")] },
            cells: priority_class,
        },
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => Printer {
            columns: const {
                &[name(), text("PriorityLevel"), text("MatchingPrecedence"), text("DistinguisherMethod"), age(), text("MissingPL")]
            },
            cells: flow_schema,
        },
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => Printer {
            columns: const {
                &[name(), text("Type"), text("NominalConcurrencyShares"), text("Queues"), text("HandSize"), text("QueueLengthLimit"), age()]
            },
            cells: priority_level,
        },
        _ => return None,
    };
    Some(printer)
}

/// Flow schemas are listed in the order in which they are tried.
pub(super) fn sort_flow_schemas(objects: &[Arc<Value>], rows: &mut Vec<Value>) {
    let mut keyed: Vec<_> = objects.iter().zip(rows.drain(..)).collect();
    keyed.sort_by_key(|(object, _)| (integer(&object["spec"]["matchingPrecedence"]), object::name(object).to_owned()));
    rows.extend(keyed.into_iter().map(|(_, row)| row));
}

fn binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = &object["roleRef"];
    let subjects = |kind: &str| -> Value {
        let named = items(&object["subjects"]).iter().filter(|s| s["kind"] == kind).map(|s| match kind {
            "ServiceAccount" => format!("{}/{}", str_of(&s["namespace"]), str_of(&s["name"])),
            _ => str_of(&s["name"]).to_owned(),
        });
        named.collect::<Vec<_>>().join(", ").into()
    };
    vec![
        object::name(object).into(),
        format!("{}/{}", str_of(&role["kind"]), str_of(&role["name"])).into(),
        age_of(object, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

fn disruption_budget(object: &Value, now: Timestamp) -> Vec<Value> {
    let wanted = |value: &Value| if value.is_null() { "N/A".to_owned() } else { scalar(value) };
    vec![
        object::name(object).into(),
        wanted(&object["spec"]["minAvailable"]).into(),
        wanted(&object["spec"]["maxUnavailable"]).into(),
        integer(&object["status"]["disruptionsAllowed"]).into(),
        age_of(object, now),
    ]
}

fn priority_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        object::name(object).into(),
        integer(&object["value"]).into(),
        (object["globalDefault"] == true).into(),
        age_of(object, now),
        str_of(&object["preemptionPolicy"]).into(),
    ]
}

fn flow_schema(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let dangling = items(&object["status"]["conditions"]).iter().find(|c| c["type"] == "Dangling");
    vec![
        object::name(object).into(),
        str_of(&spec["priorityLevelConfiguration"]["name"]).into(),
        integer(&spec["matchingPrecedence"]).into(),
        spec["distinguisherMethod"]["type"].as_str().unwrap_or("<none>").into(),
        age_of(object, now),
        dangling.map_or("?", |c| str_of(&c["status"])).into(),
    ]
}

fn priority_level(object: &Value, now: Timestamp) -> Vec<Value> {
    let limited = &object["spec"]["limited"];
    let queuing = &limited["limitResponse"]["queuing"];
    let number = |part: &Value, field: &str| if part.is_object() { integer(&part[field]).into() } else { Value::from("<none>") };
    vec![
        object::name(object).into(),
        str_of(&object["spec"]["type"]).into(),
        number(limited, "nominalConcurrencyShares"),
        number(queuing, "queues"),
        number(queuing, "handSize"),
        number(queuing, "queueLengthLimit"),
        age_of(object, now),
    ]
}
