//! Topology spread constraints.

use super::{
    affinity, filters,
    state::{Cluster, NodeInfo, Refusal},
};
use crate::controllers::common::{int, items, text};
use machinery::{object, selector::LabelSelector};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn filter(cluster: &Cluster, node: &NodeInfo, pod: &Value) -> Result<(), Refusal> {
    let constraints = items(&pod["spec"]["topologySpreadConstraints"]);
    let hard: Vec<_> = constraints.iter().filter(|constraint| constraint["whenUnsatisfiable"] != "ScheduleAnyway").collect();
    for constraint in &hard {
        let key = text(&constraint["topologyKey"]);
        let Some(here) = node.label(key) else {
            return Err(Refusal::unresolvable("node(s) didn't match pod topology spread constraints (missing required label)"));
        };
        let counts = counts(cluster, pod, constraint, &hard);
        let selector = selector(constraint, pod);
        let itself = i64::from(selector.matches(object::labels(pod)));
        let domains = int(&constraint["minDomains"], 1);
        let least = if i64::try_from(counts.len()).unwrap_or(i64::MAX) < domains { 0 } else { counts.values().copied().min().unwrap_or(0) };
        let skew = counts.get(here).copied().unwrap_or(0) + itself - least;
        if skew > int(&constraint["maxSkew"], 1) {
            return Err(Refusal::resolvable("node(s) didn't match pod topology spread constraints"));
        }
    }
    Ok(())
}

fn selector(constraint: &Value, pod: &Value) -> LabelSelector {
    let mut selector = constraint["labelSelector"].clone();
    let mut expressions = items(&selector["matchExpressions"]).to_vec();
    for key in items(&constraint["matchLabelKeys"]) {
        if let Some(value) = object::labels(pod).and_then(|labels| labels.get(text(key))) {
            expressions.push(json!({"key": key, "operator": "In", "values": [value]}));
        }
    }
    if !selector.is_object() {
        selector = json!({});
    }
    if !expressions.is_empty() {
        selector["matchExpressions"] = expressions.into();
    }
    LabelSelector::from_object(&selector).unwrap_or_default()
}

/// Matching pods in each domain that counts.
fn counts<'a>(cluster: &'a Cluster, pod: &Value, constraint: &Value, all: &[&Value]) -> BTreeMap<&'a str, i64> {
    let key = text(&constraint["topologyKey"]);
    let selector = selector(constraint, pod);
    let mut counts = BTreeMap::new();
    for node in &cluster.nodes {
        if all.iter().any(|other| node.label(text(&other["topologyKey"])).is_none()) {
            continue;
        }
        if constraint["nodeAffinityPolicy"] != "Ignore" && !affinity::matches(&node.node, pod) {
            continue;
        }
        if constraint["nodeTaintsPolicy"] == "Honor" && filters::taints(node, pod).is_err() {
            continue;
        }
        let Some(domain) = node.label(key) else { continue };
        let matching = node.pods.iter().filter(|other| {
            object::namespace(other) == object::namespace(pod) && !object::is_terminating(other) && selector.matches(object::labels(other))
        });
        *counts.entry(domain).or_insert(0) += i64::try_from(matching.count()).unwrap_or(i64::MAX);
    }
    counts
}

/// Pods alike on this node: fewer is better. Soft constraints, and without any the pods of the same owner.
pub fn crowding(cluster: &Cluster, node: &NodeInfo, pod: &Value) -> i64 {
    let constraints = items(&pod["spec"]["topologySpreadConstraints"]);
    let soft: Vec<_> = constraints.iter().filter(|constraint| constraint["whenUnsatisfiable"] == "ScheduleAnyway").collect();
    if soft.is_empty() {
        let owner = object::controller_of(pod).map(|owner| &owner["uid"]);
        let alike = |other: &&std::sync::Arc<Value>| owner.is_some() && object::controller_of(other).map(|owner| &owner["uid"]) == owner;
        return i64::try_from(node.pods.iter().filter(alike).count()).unwrap_or(i64::MAX);
    }
    soft.iter()
        .map(|constraint| {
            let here = node.label(text(&constraint["topologyKey"]));
            here.map_or(0, |here| counts(cluster, pod, constraint, &soft).get(here).copied().unwrap_or(0))
        })
        .sum()
}
