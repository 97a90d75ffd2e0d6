//! The scheduler: which node a pod runs on, and why none would do (k8s.io/kubernetes/pkg/scheduler).
//!
//! ```text
//! pending pods ──by priority──► filters (one file each) ──► score ──► bind
//!                                     │ none left
//!                                     └──► preemption ──► FailedScheduling
//! ```

mod affinity;
mod filters;
mod inter_pod;
mod message;
mod preemption;
mod resources;
mod score;
mod spread;
mod state;
mod volumes;

use crate::{
    controllers::common::{self, concerns, condition, items, text},
    events::{self, Event},
    step::{Context, Controller},
};
use apiserver::{Change, Client, UserInfo};
use machinery::{clock, gvr, object};
use serde_json::{Value, json};
use state::{Cluster, NodeInfo, Refusal};
use std::{cmp::Reverse, sync::Arc};

pub use affinity::node_selector_matches;
pub use filters::tolerates;
pub use resources::requests as pod_requests;
pub use volumes::SELECTED_NODE;

const NAME: &str = "default-scheduler";

#[derive(Debug, Default)]
pub struct Scheduler {}

impl Controller for Scheduler {
    fn name(&self) -> &'static str {
        NAME
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(
            change,
            &[gvr::PODS, gvr::NODES, gvr::PERSISTENT_VOLUME_CLAIMS, gvr::PERSISTENT_VOLUMES, gvr::STORAGE_CLASSES, gvr::NAMESPACES],
        )
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let pods = context.client.list(gvr::PODS, None);
        let mut pending: Vec<_> = pods.iter().filter(|pod| is_pending(pod)).cloned().collect();
        if pending.is_empty() {
            return;
        }
        pending.sort_by_key(|pod| (Reverse(priority(pod)), common::created_at(pod), common::key(pod)));
        let user =
            UserInfo { name: "system:kube-scheduler".to_owned(), groups: vec!["system:authenticated".to_owned()], ..UserInfo::default() };
        let client = context.client.as_user(user, "kube-scheduler");
        let mut cluster = Cluster::look(context.client, &pods);
        for pod in pending {
            schedule(context, &client, &mut cluster, &pod);
        }
    }
}

fn is_pending(pod: &Value) -> bool {
    text(&pod["spec"]["nodeName"]).is_empty()
        && text(&pod["spec"]["schedulerName"]) == NAME
        && items(&pod["spec"]["schedulingGates"]).is_empty()
        && common::is_pod_active(pod)
}

pub(crate) fn priority(pod: &Value) -> i64 {
    pod["spec"]["priority"].as_i64().unwrap_or(0)
}

fn schedule(context: &mut Context<'_>, client: &Client, cluster: &mut Cluster, pod: &Arc<Value>) {
    let claims = match volumes::claims_of(context.client, pod) {
        Ok(claims) => claims,
        Err(why) => {
            let message = message::before_filters(cluster.nodes.len(), &why);
            report_failure(context, client, pod, &message, None);
            return;
        }
    };
    let mut refusals = Vec::new();
    let mut feasible = Vec::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        match fits(cluster, node, pod, &claims) {
            Ok(()) => feasible.push(index),
            Err(refusal) => refusals.push((index, refusal)),
        }
    }
    let Some(chosen) = score::best(context, cluster, &feasible, pod) else {
        let outcome = preemption::preempt(cluster, pod, &claims, &refusals);
        let message = message::no_node(cluster.nodes.len(), &refusals, &outcome);
        let nominated = match &outcome {
            preemption::Outcome::Nominated { node, victims } => {
                preemption::evict(context, client, pod, node, victims);
                Some(node.clone())
            }
            _ => None,
        };
        report_failure(context, client, pod, &message, nominated.as_deref());
        return;
    };
    let name = cluster.nodes[chosen].name.clone();
    if !volumes::prepare(client, &claims, &name) {
        // The volumes are being made; the claims' binding brings us back. Until then the place is kept.
        cluster.nodes[chosen].assume(pod);
        return;
    }
    match client.bind(object::namespace(pod), object::name(pod), &name) {
        Ok(()) => {
            cluster.nodes[chosen].assume(pod);
            let message = format!("Successfully assigned {}/{} to {name}", object::namespace(pod), object::name(pod));
            events::record_series(context, pod, &event(false, "Scheduled", message), "Binding");
        }
        Err(error) => {
            tracing::debug!(%error, "binding a pod");
        }
    }
}

fn event(warning: bool, reason: &'static str, message: String) -> Event<'static> {
    let event = if warning { Event::warning(NAME, reason, message) } else { Event::normal(NAME, reason, message) };
    Event { host: "control-plane", ..event }
}

/// All filters in their order; the first plug-in that refuses speaks for the node.
fn fits(cluster: &Cluster, node: &NodeInfo, pod: &Value, claims: &[volumes::Claim]) -> Result<(), Refusal> {
    filters::unschedulable(node, pod)?;
    filters::node_name(node, pod)?;
    filters::taints(node, pod)?;
    affinity::filter(node, pod)?;
    filters::ports(node, pod)?;
    resources::filter(node, pod)?;
    volumes::filter(node, claims)?;
    spread::filter(cluster, node, pod)?;
    inter_pod::filter(cluster, node, pod)
}

/// The PodScheduled condition and the event, once for each new message.
fn report_failure(context: &mut Context<'_>, client: &Client, pod: &Arc<Value>, message: &str, nominated: Option<&str>) {
    let said = condition(pod, "PodScheduled").is_some_and(|condition| {
        condition["status"] == "False" && condition["reason"] == "Unschedulable" && condition["message"] == message
    });
    if said && nominated.is_none_or(|node| text(&pod["status"]["nominatedNodeName"]) == node) {
        return;
    }
    let Some(fresh) = context.client.get(gvr::PODS, object::namespace(pod), object::name(pod)) else { return };
    let mut changed = (*fresh).clone();
    let mut conditions = items(&changed["status"]["conditions"]).to_vec();
    let before = conditions.iter().find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False");
    let since = before.map_or_else(|| Value::from(clock::rfc3339(context.now)), |condition| condition["lastTransitionTime"].clone());
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    let mut new = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastProbeTime": null, "lastTransitionTime": since,
    });
    if let Some(generation) = pod["metadata"]["generation"].as_i64() {
        new["observedGeneration"] = generation.into();
    }
    conditions.push(new);
    changed["status"]["conditions"] = conditions.into();
    if let Some(node) = nominated {
        changed["status"]["nominatedNodeName"] = node.into();
    }
    if common::tolerate("saying why a pod is not scheduled", client.update_status(gvr::PODS, changed)).is_some() && !said {
        events::record_series(context, pod, &event(true, "FailedScheduling", message.to_owned()), "Scheduling");
    }
}
