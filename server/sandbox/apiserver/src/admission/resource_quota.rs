//! ResourceQuota: what a namespace may hold (plugin/pkg/admission/resourcequota, pkg/quota/v1/evaluator/core). Usage is counted
//! anew from what is stored, so `status` is true after every write.

use super::limit_ranger::pod_amounts;
use crate::{
    call::{Call, Operation},
    store::{State, Transaction},
};
use machinery::{
    ApiError, object,
    quantity::{Quantity, QuantityFormat},
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

type Usage = BTreeMap<String, Quantity>;

fn quotas(state: &State, namespace: &str) -> Vec<Arc<Value>> {
    state.list("", "resourcequotas", Some(namespace)).collect()
}

fn one() -> Quantity {
    Quantity { nano: 1_000_000_000, format: QuantityFormat::DecimalSi }
}

fn add(usage: &mut Usage, name: impl Into<String>, quantity: Quantity) {
    usage.entry(name.into()).and_modify(|held| held.nano = held.nano.saturating_add(quantity.nano)).or_insert(quantity);
}

/// What one object costs.
fn cost(group: &str, plural: &str, object: &Value) -> Usage {
    let mut usage = Usage::new();
    let qualified = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    if group.is_empty() && plural == "pods" {
        // A finished pod counts only as an object.
        add(&mut usage, "count/pods", one());
        if matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            return usage;
        }
        add(&mut usage, "pods", one());
        let (requests, limits) = pod_amounts(object);
        for (name, quantity) in requests {
            if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
                add(&mut usage, name.clone(), quantity);
            }
            add(&mut usage, format!("requests.{name}"), quantity);
        }
        for (name, quantity) in limits {
            add(&mut usage, format!("limits.{name}"), quantity);
        }
        return usage;
    }
    add(&mut usage, format!("count/{qualified}"), one());
    if !group.is_empty() {
        return usage;
    }
    match plural {
        "services" => {
            add(&mut usage, "services", one());
            let ports = object["spec"]["ports"].as_array().map_or(0, Vec::len);
            let ports = Quantity { nano: i128::try_from(ports).unwrap_or(0) * 1_000_000_000, ..one() };
            match object["spec"]["type"].as_str() {
                Some("NodePort") => add(&mut usage, "services.nodeports", ports),
                Some("LoadBalancer") => {
                    add(&mut usage, "services.loadbalancers", one());
                    if object["spec"]["allocateLoadBalancerNodePorts"] != false {
                        add(&mut usage, "services.nodeports", ports);
                    }
                }
                _ => {}
            }
        }
        "persistentvolumeclaims" => {
            add(&mut usage, "persistentvolumeclaims", one());
            let size = object["spec"]["resources"]["requests"]["storage"].as_str().and_then(|text| Quantity::parse(text).ok());
            let class = object["spec"]["storageClassName"].as_str();
            if let Some(class) = class {
                add(&mut usage, format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one());
            }
            if let Some(size) = size {
                add(&mut usage, "requests.storage", size);
                if let Some(class) = class {
                    add(&mut usage, format!("{class}.storageclass.storage.k8s.io/requests.storage"), size);
                }
            }
        }
        "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas" => add(&mut usage, plural, one()),
        _ => {}
    }
    usage
}

/// The stored resources whose objects a hard limit counts.
fn counted_by(name: &str) -> Option<(String, String)> {
    if let Some(counted) = name.strip_prefix("count/") {
        let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
        return Some((group.to_owned(), plural.to_owned()));
    }
    let plural = match name {
        "services" | "services.nodeports" | "services.loadbalancers" => "services",
        "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas" | "persistentvolumeclaims" => name,
        "requests.storage" => "persistentvolumeclaims",
        _ if name.contains(".storageclass.storage.k8s.io/") => "persistentvolumeclaims",
        _ => "pods",
    };
    Some((String::new(), plural.to_owned()))
}

/// Whether a pod falls under the quota's scopes; objects other than pods fall under quotas without scopes only.
fn in_scope(quota: &Value, group: &str, plural: &str, object: &Value) -> bool {
    let scopes =
        quota["spec"]["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|scope| (scope, "Exists", &Value::Null));
    let expressions = quota["spec"]["scopeSelector"]["matchExpressions"].as_array().into_iter().flatten();
    let expressions =
        expressions.map(|e| (e["scopeName"].as_str().unwrap_or_default(), e["operator"].as_str().unwrap_or_default(), &e["values"]));
    let is_pod = group.is_empty() && plural == "pods";
    scopes.chain(expressions).all(|(scope, operator, values)| {
        if !is_pod {
            return false;
        }
        let (requests, limits) = pod_amounts(object);
        let terminating = object["spec"]["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0);
        let best_effort = requests.values().chain(limits.values()).all(|quantity| quantity.nano == 0);
        match scope {
            "Terminating" => terminating,
            "NotTerminating" => !terminating,
            "BestEffort" => best_effort,
            "NotBestEffort" => !best_effort,
            "PriorityClass" => {
                let class = object["spec"]["priorityClassName"].as_str().unwrap_or_default();
                let listed = values.as_array().into_iter().flatten().any(|value| value == class);
                match operator {
                    "In" => listed,
                    "NotIn" => !listed,
                    "DoesNotExist" => class.is_empty(),
                    _ => !class.is_empty(),
                }
            }
            _ => false,
        }
    })
}

fn used(state: &State, namespace: &str, quota: &Value) -> Usage {
    let mut usage = Usage::new();
    let mut seen = Vec::new();
    for name in quota["spec"]["hard"].as_object().into_iter().flat_map(Map::keys) {
        let Some(counted) = counted_by(name).filter(|counted| !seen.contains(counted)) else { continue };
        for object in state.list(&counted.0, &counted.1, Some(namespace)) {
            if in_scope(quota, &counted.0, &counted.1, &object) {
                for (name, quantity) in cost(&counted.0, &counted.1, &object) {
                    add(&mut usage, name, quantity);
                }
            }
        }
        seen.push(counted);
    }
    usage
}

/// The last plug-in: refuses what would exceed a quota.
pub(crate) fn validate(
    call: &Call,
    transaction: &Transaction,
    operation: Operation,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let Some(new) = new.filter(|_| operation != Operation::Delete && call.subresource.is_empty() && call.resource.namespaced) else {
        return Ok(());
    };
    let namespace = object::namespace(new);
    let (group, plural) = (call.storage_group(), &*call.resource.plural);
    for quota in quotas(&transaction.state, namespace) {
        if !in_scope(&quota, group, plural, new) {
            continue;
        }
        let hard: Usage = quota["spec"]["hard"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), Quantity::parse(value.as_str().unwrap_or_default()).ok()?)))
            .collect();
        if operation == Operation::Create && group.is_empty() && plural == "pods" {
            must_say(call, &quota, &hard, new)?;
        }
        let mut delta = cost(group, plural, new);
        for (name, quantity) in old.map(|old| cost(group, plural, old)).unwrap_or_default() {
            delta.entry(name).and_modify(|held| held.nano -= quantity.nano);
        }
        let used = used(&transaction.state, namespace, &quota);
        let (mut requested, mut present, mut limited) = (Vec::new(), Vec::new(), Vec::new());
        for (name, most) in &hard {
            let Some(more) = delta.get(name).filter(|more| more.nano > 0) else { continue };
            let held = used.get(name).copied().unwrap_or(Quantity { nano: 0, ..*most });
            if held.nano.saturating_add(more.nano) > most.nano {
                requested.push(format!("{name}={more}"));
                present.push(format!("{name}={held}"));
                limited.push(format!("{name}={most}"));
            }
        }
        if !requested.is_empty() {
            let why = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                object::name(&quota),
                requested.join(","),
                present.join(","),
                limited.join(",")
            );
            return Err(call.forbidden(object::name(new), &why));
        }
    }
    Ok(())
}

/// A quota on cpu or memory makes every container say how much.
fn must_say(call: &Call, quota: &Value, hard: &Usage, pod: &Value) -> Result<(), ApiError> {
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for container in ["containers", "initContainers"].iter().flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten()) {
        for name in hard.keys() {
            let (field, resource) = match name.as_str() {
                "cpu" | "memory" => ("requests", name.as_str()),
                _ => match name.split_once('.') {
                    Some(("requests", resource @ ("cpu" | "memory"))) => ("requests", resource),
                    Some(("limits", resource @ ("cpu" | "memory"))) => ("limits", resource),
                    _ => continue,
                },
            };
            if container["resources"][field][resource].is_null() {
                missing.entry(name).or_default().push(container["name"].as_str().unwrap_or_default());
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let words: Vec<_> = missing.into_iter().map(|(name, containers)| format!("{name} for: {}", containers.join(","))).collect();
    let why = format!("failed quota: {}: must specify {}", object::name(quota), words.join("; "));
    Err(call.forbidden(object::name(pod), &why))
}

/// Brings `status` of the namespace's quotas up to what is stored now.
pub(crate) fn refresh(transaction: &mut Transaction, namespace: &str) {
    for quota in quotas(&transaction.state, namespace) {
        let used = used(&transaction.state, namespace, &quota);
        let hard = quota["spec"]["hard"].as_object().cloned().unwrap_or_default();
        let used: Map<String, Value> =
            hard.keys().map(|name| (name.clone(), used.get(name).map_or_else(|| "0".to_owned(), ToString::to_string).into())).collect();
        let status = json!({"hard": hard, "used": used});
        if quota["status"] != status {
            let mut new = Value::clone(&quota);
            new["status"] = status;
            transaction.put("", "resourcequotas", new);
        }
    }
}
