//! What ReplicaSets and ReplicationControllers have in common: so many pods, no more, no fewer.

use super::common::{self, Backoff, claim, condition, int, items, put_count, set_condition, text};
use crate::{
    events::{self, Event},
    step::Context,
};
use machinery::{Gvr, gvr, object};
use serde_json::{Value, json};
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

/// Pods that one round creates or deletes at most, as `BurstReplicas`.
const BURST: usize = 500;

#[derive(Debug)]
pub struct Replicas {
    pub gvr: Gvr,
    /// `replicaset-controller` or `replication-controller`.
    pub component: &'static str,
    pub backoff: Backoff,
}

impl Replicas {
    pub fn reconcile(&mut self, context: &mut Context<'_>) {
        let owners = context.client.list(self.gvr, None);
        let pods = common::pods_by_namespace(context.client);
        let none = Vec::new();
        for owner in &owners {
            let pods = pods.get(object::namespace(owner)).unwrap_or(&none);
            self.sync(context, owner, pods);
        }
        self.backoff.keep(|uid| owners.iter().any(|owner| object::uid(owner) == uid));
    }

    fn sync(&mut self, context: &mut Context<'_>, owner: &Value, candidates: &[Arc<Value>]) {
        let unfinished: Vec<_> = candidates.iter().filter(|pod| !common::is_pod_finished(pod)).cloned().collect();
        let claimed = claim(context.client, gvr::PODS, owner, &unfinished);
        let active: Vec<_> = claimed.iter().filter(|pod| common::is_pod_active(pod)).cloned().collect();
        let wanted = usize::try_from(int(&owner["spec"]["replicas"], 1)).unwrap_or(0);
        let mut failure = None;
        if !object::is_terminating(owner) {
            if active.len() < wanted {
                failure = self.create(context, owner, (wanted - active.len()).min(BURST));
            } else if active.len() > wanted {
                failure = self.remove(context, owner, &active, (active.len() - wanted).min(BURST));
            }
        }
        self.report(context, owner, &active, wanted, failure);
    }

    fn create(&mut self, context: &mut Context<'_>, owner: &Value, missing: usize) -> Option<(&'static str, String)> {
        if !self.backoff.ready(context, object::uid(owner)) {
            let kept = condition(owner, "ReplicaFailure").filter(|failure| failure["reason"] == "FailedCreate");
            return kept.map(|failure| ("FailedCreate", text(&failure["message"]).to_owned()));
        }
        let pod = common::pod_from_template(owner, &owner["spec"]["template"]);
        for _ in 0..missing {
            match context.client.create(gvr::PODS, pod.clone()) {
                Ok(pod) => {
                    let message = format!("Created pod: {}", object::name(&pod));
                    events::record(context, owner, &Event::normal(self.component, "SuccessfulCreate", message));
                }
                Err(error) => {
                    if error.reason == "NotFound" || text(&error.details["causes"][0]["reason"]) == "NamespaceTerminating" {
                        return None;
                    }
                    let message = format!("Error creating: {error}");
                    events::record(context, owner, &Event::warning(self.component, "FailedCreate", message));
                    self.backoff.failed(context, object::uid(owner));
                    return Some(("FailedCreate", error.to_string()));
                }
            }
        }
        self.backoff.succeeded(object::uid(owner));
        None
    }

    fn remove(&self, context: &mut Context<'_>, owner: &Value, active: &[Arc<Value>], surplus: usize) -> Option<(&'static str, String)> {
        for pod in first_to_go(active).into_iter().take(surplus) {
            let (reason, message) = match common::delete(context.client, gvr::PODS, pod) {
                Ok(()) => ("SuccessfulDelete", format!("Deleted pod: {}", object::name(pod))),
                Err(error) => {
                    events::record(context, owner, &Event::warning(self.component, "FailedDelete", format!("Error deleting: {error}")));
                    return Some(("FailedDelete", error.to_string()));
                }
            };
            events::record(context, owner, &Event::normal(self.component, reason, message));
        }
        None
    }

    fn report(&self, context: &mut Context<'_>, owner: &Value, active: &[Arc<Value>], wanted: usize, failure: Option<(&str, String)>) {
        let min_ready = int(&owner["spec"]["minReadySeconds"], 0);
        let template = owner["spec"]["template"]["metadata"]["labels"].as_object();
        let labelled =
            |pod: &Value| template.is_none_or(|wanted| wanted.iter().all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value)));
        let count = |test: &mut dyn FnMut(&Value) -> bool| active.iter().filter(|pod| test(pod)).count() as i64;
        let mut status = json!({"replicas": active.len()});
        put_count(&mut status, "fullyLabeledReplicas", count(&mut |pod| labelled(pod)));
        put_count(&mut status, "readyReplicas", count(&mut common::is_pod_ready));
        put_count(&mut status, "availableReplicas", count(&mut |pod| common::is_available(context, pod, min_ready)));
        put_count(&mut status, "observedGeneration", int(&owner["metadata"]["generation"], 0));
        let mut conditions = items(&owner["status"]["conditions"]).to_vec();
        match failure {
            Some((reason, message)) => {
                set_condition(&mut conditions, context.now, false, "ReplicaFailure", "True", reason, &message);
            }
            None if active.len() == wanted || condition(owner, "ReplicaFailure").is_some() => {
                conditions.retain(|condition| condition["type"] != "ReplicaFailure");
            }
            None => {}
        }
        if !conditions.is_empty() {
            status["conditions"] = conditions.into();
        }
        common::write_status(context.client, self.gvr, owner, &status);
    }
}

/// Pods in the order in which a controller gives them up: unassigned, pending, not ready, cheap by
/// `controller.kubernetes.io/pod-deletion-cost`, crowded on one node, young, often restarted.
pub fn first_to_go(pods: &[Arc<Value>]) -> Vec<&Arc<Value>> {
    let mut on_node: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in pods {
        *on_node.entry(text(&pod["spec"]["nodeName"])).or_default() += 1;
    }
    let mut ordered: Vec<_> = pods.iter().collect();
    ordered.sort_by_key(|pod| {
        let node = text(&pod["spec"]["nodeName"]);
        let phase = match text(&pod["status"]["phase"]) {
            "Running" => 2,
            "Unknown" => 1,
            _ => 0,
        };
        let ready = common::is_pod_ready(pod);
        let ready_since = condition(pod, "Ready").filter(|_| ready).and_then(|ready| common::time(&ready["lastTransitionTime"]));
        let cost = object::annotation(pod, "controller.kubernetes.io/pod-deletion-cost").and_then(|cost| cost.parse::<i64>().ok());
        let restarts =
            items(&pod["status"]["containerStatuses"]).iter().map(|container| int(&container["restartCount"], 0)).max().unwrap_or(0);
        (
            !node.is_empty(),
            phase,
            ready,
            cost.unwrap_or(0),
            Reverse(on_node.get(node).copied().unwrap_or(0)),
            Reverse(ready_since),
            Reverse(restarts),
            Reverse(common::created_at(pod)),
        )
    });
    ordered
}
