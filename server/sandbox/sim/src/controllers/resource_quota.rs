//! ResourceQuotas: how much of each is used. Refusing what goes beyond is admission's work, not this controller's.

use super::common::{self, concerns, items, text};
use crate::{
    scheduler,
    step::{Context, Controller},
};
use apiserver::Change;
use machinery::{
    Gvr, gvr, object,
    quantity::{Quantity, QuantityFormat},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Objects that a quota counts by a name of their own.
const COUNTED: [(&str, Gvr); 8] = [
    ("pods", gvr::PODS),
    ("services", gvr::SERVICES),
    ("secrets", gvr::SECRETS),
    ("configmaps", gvr::CONFIG_MAPS),
    ("persistentvolumeclaims", gvr::PERSISTENT_VOLUME_CLAIMS),
    ("replicationcontrollers", gvr::REPLICATION_CONTROLLERS),
    ("resourcequotas", gvr::RESOURCE_QUOTAS),
    ("endpoints", gvr::ENDPOINTS),
];

#[derive(Debug, Default)]
pub struct ResourceQuotaController {
    /// Namespaces that have a quota: only changes in them matter.
    watched: Vec<String>,
}

impl Controller for ResourceQuotaController {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::RESOURCE_QUOTAS])
            || (self.watched.iter().any(|name| name == object::namespace(&change.object)) && !concerns(change, &[gvr::EVENTS]))
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let quotas = context.client.list(gvr::RESOURCE_QUOTAS, None);
        self.watched = quotas.iter().map(|quota| object::namespace(quota).to_owned()).collect();
        for quota in quotas {
            let hard = quota["spec"]["hard"].as_object().cloned().unwrap_or_default();
            let mut used = Map::new();
            for (name, limit) in &hard {
                used.insert(name.clone(), use_of(context, &quota, name, limit).into());
            }
            common::write_status(context.client, gvr::RESOURCE_QUOTAS, &quota, &json!({"hard": hard, "used": used}));
        }
    }
}

fn use_of(context: &Context<'_>, quota: &Value, name: &str, limit: &Value) -> String {
    let namespace = object::namespace(quota);
    if let Some(resource) = name.strip_prefix("count/") {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let count = context
            .client
            .everything()
            .iter()
            .filter(|(other_group, other, object)| &**other == plural && &**other_group == group && object::namespace(object) == namespace)
            .count();
        return count.to_string();
    }
    if name == "services.nodeports" || name == "services.loadbalancers" {
        let services = context.client.list(gvr::SERVICES, Some(namespace));
        let count: usize = services
            .iter()
            .map(|service| match (name, text(&service["spec"]["type"])) {
                ("services.nodeports", "NodePort" | "LoadBalancer") => items(&service["spec"]["ports"]).len(),
                ("services.loadbalancers", "LoadBalancer") => 1,
                _ => 0,
            })
            .sum();
        return count.to_string();
    }
    if let Some((_, gvr)) = COUNTED.iter().find(|(other, gvr)| *other == name && *gvr != gvr::PODS) {
        return context.client.list(*gvr, Some(namespace)).len().to_string();
    }
    if name == "requests.storage" {
        let claims = context.client.list(gvr::PERSISTENT_VOLUME_CLAIMS, Some(namespace));
        let sum = claims.iter().filter_map(|claim| nano(&claim["spec"]["resources"]["requests"]["storage"])).sum();
        return written(sum, limit);
    }
    let pods = context.client.list(gvr::PODS, Some(namespace));
    let counted: Vec<_> = pods.iter().filter(|pod| !common::is_pod_finished(pod) && in_scope(quota, pod)).collect();
    if name == "pods" {
        return counted.len().to_string();
    }
    let sum = counted.iter().map(|pod| pod_amount(pod, name)).sum();
    written(sum, limit)
}

fn pod_amount(pod: &Arc<Value>, name: &str) -> i128 {
    let (kind, resource) = match name.split_once('.') {
        Some(("limits", resource)) => ("limits", resource),
        Some(("requests", resource)) => ("requests", resource),
        _ => ("requests", name),
    };
    if kind == "requests" {
        return scheduler::pod_requests(pod).get(resource).copied().unwrap_or(0);
    }
    let of = |container: &Value| nano(&container["resources"]["limits"][resource]).unwrap_or(0);
    let together: i128 = items(&pod["spec"]["containers"]).iter().map(of).sum();
    let during_init = items(&pod["spec"]["initContainers"]).iter().map(of).max().unwrap_or(0);
    together.max(during_init)
}

fn nano(quantity: &Value) -> Option<i128> {
    Quantity::parse(quantity.as_str()?).ok().map(|quantity| quantity.nano)
}

/// In the notation of the limit.
fn written(nano: i128, limit: &Value) -> String {
    let format = limit.as_str().and_then(|text| Quantity::parse(text).ok()).map_or(QuantityFormat::DecimalSi, |limit| limit.format);
    Quantity { nano, format }.to_string()
}

fn in_scope(quota: &Value, pod: &Value) -> bool {
    let best_effort = pod["status"]["qosClass"] == "BestEffort";
    let terminating = pod["spec"]["activeDeadlineSeconds"].is_i64();
    let holds = |scope: &str| match scope {
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        _ => true,
    };
    let class = text(&pod["spec"]["priorityClassName"]);
    let expressions = items(&quota["spec"]["scopeSelector"]["matchExpressions"]).iter().all(|expression| {
        let listed = items(&expression["values"]).iter().any(|value| value == class);
        match (text(&expression["scopeName"]), text(&expression["operator"])) {
            ("PriorityClass", "In") => listed,
            ("PriorityClass", "NotIn") => !listed,
            ("PriorityClass", "Exists") => !class.is_empty(),
            ("PriorityClass", "DoesNotExist") => class.is_empty(),
            (scope, _) => holds(scope),
        }
    });
    items(&quota["spec"]["scopes"]).iter().all(|scope| holds(text(scope))) && expressions
}
