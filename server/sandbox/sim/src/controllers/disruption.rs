//! PodDisruptionBudgets: how many pods may be evicted now.

use super::common::{self, concerns, int, items, set_condition, text};
use crate::step::{Context, Controller};
use apiserver::Change;
use machinery::{Gvr, gvr, object, selector::LabelSelector};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Kinds whose `spec.replicas` says how many pods are expected.
const SCALED: [(&str, Gvr); 3] =
    [("ReplicaSet", gvr::REPLICA_SETS), ("ReplicationController", gvr::REPLICATION_CONTROLLERS), ("StatefulSet", gvr::STATEFUL_SETS)];

#[derive(Debug, Default)]
pub struct DisruptionController {}

impl Controller for DisruptionController {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::POD_DISRUPTION_BUDGETS, gvr::PODS, gvr::REPLICA_SETS, gvr::STATEFUL_SETS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        for budget in context.client.list(gvr::POD_DISRUPTION_BUDGETS, None) {
            sync(context, &budget);
        }
    }
}

fn sync(context: &Context<'_>, budget: &Arc<Value>) {
    let Ok(selector) = LabelSelector::from_object(&budget["spec"]["selector"]) else { return };
    let pods: Vec<_> = context
        .client
        .list(gvr::PODS, Some(object::namespace(budget)))
        .into_iter()
        .filter(|pod| budget["spec"]["selector"].is_object() && selector.matches(object::labels(pod)) && !common::is_pod_finished(pod))
        .collect();
    let healthy = pods.iter().filter(|pod| common::is_pod_ready(pod) && !object::is_terminating(pod)).count() as i64;
    let (expected, desired) = if budget["spec"]["maxUnavailable"].is_null() {
        match &budget["spec"]["minAvailable"] {
            Value::String(_) => {
                let expected = expected(context, &pods);
                (expected, common::scaled(&budget["spec"]["minAvailable"], expected, true))
            }
            number => (pods.len() as i64, int(number, 1)),
        }
    } else {
        let expected = expected(context, &pods);
        (expected, (expected - common::scaled(&budget["spec"]["maxUnavailable"], expected, true)).max(0))
    };
    let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
    let mut conditions = items(&budget["status"]["conditions"]).to_vec();
    let (word, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    set_condition(&mut conditions, context.now, false, "DisruptionAllowed", word, reason, "");
    for condition in &mut conditions {
        condition["observedGeneration"] = budget["metadata"]["generation"].clone();
    }
    let mut status = json!({
        "currentHealthy": healthy, "desiredHealthy": desired, "disruptionsAllowed": allowed, "expectedPods": expected,
        "observedGeneration": budget["metadata"]["generation"], "conditions": conditions,
    });
    if let Some(disrupted) = budget["status"]["disruptedPods"].as_object() {
        // Evictions are on their way until their pods are gone.
        let left: serde_json::Map<_, _> = disrupted
            .iter()
            .filter(|(name, _)| pods.iter().any(|pod| object::name(pod) == *name))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        if !left.is_empty() {
            status["disruptedPods"] = left.into();
        }
    }
    common::write_status(context.client, gvr::POD_DISRUPTION_BUDGETS, budget, &status);
}

/// The pods that the owners want, each owner counted once; pods without an owner count for themselves.
fn expected(context: &Context<'_>, pods: &[Arc<Value>]) -> i64 {
    let mut owners: BTreeMap<&str, i64> = BTreeMap::new();
    let mut alone = 0;
    for pod in pods {
        let Some(owner) = object::controller_of(pod) else {
            alone += 1;
            continue;
        };
        let kind = SCALED.iter().find(|(kind, _)| owner["kind"] == *kind);
        let replicas = kind
            .and_then(|(_, gvr)| context.client.get(*gvr, object::namespace(pod), text(&owner["name"])))
            .map(|owner| int(&owner["spec"]["replicas"], 1));
        match replicas {
            Some(replicas) => {
                owners.insert(text(&owner["uid"]), replicas);
            }
            None => *owners.entry(text(&owner["uid"])).or_insert(0) += 1,
        }
    }
    owners.values().sum::<i64>() + alone
}
