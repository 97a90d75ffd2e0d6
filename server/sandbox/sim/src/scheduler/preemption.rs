//! Making room for a more important pod.

use super::{
    fits, priority,
    state::{Cluster, Refusal},
    volumes::Claim,
};
use crate::{
    controllers::common::{self, text},
    events,
    step::Context,
};
use apiserver::Client;
use machinery::{clock, gvr, object};
use serde_json::{Value, json};
use std::{cmp::Reverse, sync::Arc};

#[derive(Debug)]
pub enum Outcome {
    /// These pods go, then there is room on this node.
    Nominated {
        node: String,
        victims: Vec<Arc<Value>>,
    },
    NotEligible(&'static str),
    /// For each node, why taking pods away does not help.
    NoHelp(Vec<&'static str>),
}

pub fn preempt(cluster: &Cluster, pod: &Value, claims: &[Claim], refusals: &[(usize, Refusal)]) -> Outcome {
    if pod["spec"]["preemptionPolicy"] == "Never" {
        return Outcome::NotEligible("not eligible due to preemptionPolicy=Never.");
    }
    let nominated = text(&pod["status"]["nominatedNodeName"]);
    let waits = cluster
        .nodes
        .iter()
        .filter(|node| node.name == nominated)
        .any(|node| node.pods.iter().any(|other| object::is_terminating(other) && priority(other) < priority(pod)));
    if waits {
        return Outcome::NotEligible("not eligible due to a terminating pod on the nominated node.");
    }
    let mut words = Vec::new();
    let mut candidates = Vec::new();
    for (index, refusal) in refusals {
        if !refusal.resolvable {
            words.push("Preemption is not helpful for scheduling");
            continue;
        }
        match victims(cluster, *index, pod, claims) {
            Some(victims) => candidates.push((*index, victims)),
            None => words.push("No preemption victims found for incoming pod"),
        }
    }
    // The least important victims, then the fewest, then the youngest.
    let best = candidates.into_iter().min_by_key(|(_, victims)| {
        let highest = victims.iter().map(|victim| priority(victim)).max().unwrap_or(0);
        let sum: i64 = victims.iter().map(|victim| priority(victim).saturating_add(1 << 31)).fold(0, i64::saturating_add);
        let earliest = victims.iter().filter(|victim| priority(victim) == highest).filter_map(|victim| common::created_at(victim)).min();
        (highest, sum, victims.len(), Reverse(earliest))
    });
    match best {
        Some((index, victims)) => Outcome::Nominated { node: cluster.nodes[index].name.clone(), victims },
        None => Outcome::NoHelp(words),
    }
}

/// The fewest pods of lower priority that must go from the node; `None` where even all of them are not enough.
fn victims(cluster: &Cluster, index: usize, pod: &Value, claims: &[Claim]) -> Option<Vec<Arc<Value>>> {
    let mut lower: Vec<_> = cluster.nodes[index].pods.iter().filter(|other| priority(other) < priority(pod)).cloned().collect();
    if lower.is_empty() {
        return None;
    }
    let fits_without = |gone: &[Arc<Value>]| {
        let mut cluster = cluster.clone();
        let node = cluster.nodes[index].without(|other| gone.iter().any(|victim| object::uid(victim) == object::uid(other)));
        cluster.nodes[index] = node;
        fits(&cluster, &cluster.nodes[index], pod, claims).is_ok()
    };
    if !fits_without(&lower) {
        return None;
    }
    // Spare as many as possible, the most important first, of equal ones the older first.
    lower.sort_by_key(|victim| (Reverse(priority(victim)), common::created_at(victim)));
    let mut gone = lower.clone();
    for spared in &lower {
        let without: Vec<_> = gone.iter().filter(|victim| object::uid(victim) != object::uid(spared)).cloned().collect();
        if fits_without(&without) {
            gone = without;
        }
    }
    Some(gone)
}

pub fn evict(context: &mut Context<'_>, client: &Client, pod: &Value, node: &str, victims: &[Arc<Value>]) {
    for victim in victims {
        if object::is_terminating(victim) {
            continue;
        }
        let mut conditions = common::items(&victim["status"]["conditions"]).to_vec();
        conditions.retain(|condition| condition["type"] != "DisruptionTarget");
        conditions.push(json!({
            "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
            "message": "default-scheduler: preempting to accommodate a higher priority pod",
            "lastProbeTime": null, "lastTransitionTime": clock::rfc3339(context.now),
        }));
        let mut status = victim["status"].clone();
        status["conditions"] = conditions.into();
        common::write_status(client, gvr::PODS, victim, &status);
        if common::tolerate("preempting a pod", common::delete(client, gvr::PODS, victim)).is_some() {
            let message = format!("Preempted by pod {} on node {node}", object::uid(pod));
            events::record_series(context, victim, &super::event(false, "Preempted", message), "Preempting");
        }
    }
}
