//! Affinity and anti-affinity between pods.

use super::state::{Cluster, NodeInfo, Refusal};
use crate::controllers::common::{int, items, text};
use machinery::{object, selector::LabelSelector};
use serde_json::{Value, json};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub fn filter(cluster: &Cluster, node: &NodeInfo, pod: &Value) -> Result<(), Refusal> {
    let affinity = items(&pod["spec"]["affinity"]["podAffinity"][REQUIRED]);
    if !affinity.is_empty() && !satisfied(cluster, node, pod, affinity) {
        return Err(Refusal::unresolvable("node(s) didn't match pod affinity rules"));
    }
    let anti = items(&pod["spec"]["affinity"]["podAntiAffinity"][REQUIRED]);
    let repelled = |term: &Value| {
        node.label(text(&term["topologyKey"])).is_some_and(|here| {
            cluster
                .placed()
                .any(|(other, placed)| other.label(text(&term["topologyKey"])) == Some(here) && term_matches(cluster, term, pod, placed))
        })
    };
    if anti.iter().any(repelled) {
        return Err(Refusal::resolvable("node(s) didn't match pod anti-affinity rules"));
    }
    let repels = cluster.placed().any(|(other, placed)| {
        items(&placed["spec"]["affinity"]["podAntiAffinity"][REQUIRED]).iter().any(|term| {
            let key = text(&term["topologyKey"]);
            node.label(key).is_some() && other.label(key) == node.label(key) && term_matches(cluster, term, placed, pod)
        })
    });
    if repels {
        return Err(Refusal::resolvable("node(s) didn't satisfy existing pods anti-affinity rules"));
    }
    Ok(())
}

/// Every term has a matching pod in this node's topology. A pod that matches its own terms may be the first of its kind.
fn satisfied(cluster: &Cluster, node: &NodeInfo, pod: &Value, terms: &[Value]) -> bool {
    if terms.iter().any(|term| node.label(text(&term["topologyKey"])).is_none()) {
        return false;
    }
    let near = |term: &Value| {
        let key = text(&term["topologyKey"]);
        cluster.placed().any(|(other, placed)| other.label(key) == node.label(key) && term_matches(cluster, term, pod, placed))
    };
    if terms.iter().all(near) {
        return true;
    }
    let anywhere = terms.iter().any(|term| cluster.placed().any(|(_, placed)| term_matches(cluster, term, pod, placed)));
    !anywhere && terms.iter().all(|term| term_matches(cluster, term, pod, pod))
}

/// Whether `term`, which `owner` carries, speaks of `other`.
fn term_matches(cluster: &Cluster, term: &Value, owner: &Value, other: &Value) -> bool {
    if object::is_terminating(other) && object::uid(owner) != object::uid(other) {
        return false;
    }
    let namespace = object::namespace(other);
    let (names, by_label) = (items(&term["namespaces"]), &term["namespaceSelector"]);
    let in_namespace = if names.is_empty() && by_label.is_null() {
        namespace == object::namespace(owner)
    } else {
        names.iter().any(|name| name == namespace)
            || (by_label.is_object()
                && LabelSelector::from_object(by_label).is_ok_and(|selector| selector.matches(cluster.namespaces.get(namespace))))
    };
    in_namespace
        && term["labelSelector"].is_object()
        && LabelSelector::from_object(&with_label_keys(term, owner)).is_ok_and(|selector| selector.matches(object::labels(other)))
}

/// `matchLabelKeys` and `mismatchLabelKeys`, as requirements with the owner's own values.
fn with_label_keys(term: &Value, owner: &Value) -> Value {
    let mut selector = term["labelSelector"].clone();
    let mut expressions = items(&selector["matchExpressions"]).to_vec();
    for (keys, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in items(&term[keys]) {
            if let Some(value) = object::labels(owner).and_then(|labels| labels.get(text(key))) {
                expressions.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    if !expressions.is_empty() {
        selector["matchExpressions"] = expressions.into();
    }
    selector
}

/// Weight of the preferred terms that hold here, less those that are to be avoided.
pub fn preference(cluster: &Cluster, node: &NodeInfo, pod: &Value) -> i64 {
    let weigh = |kind: &str| -> i64 {
        items(&pod["spec"]["affinity"][kind][PREFERRED])
            .iter()
            .map(|weighted| {
                let term = &weighted["podAffinityTerm"];
                let Some(here) = node.label(text(&term["topologyKey"])) else { return 0 };
                let near = cluster
                    .placed()
                    .filter(|(other, placed)| {
                        other.label(text(&term["topologyKey"])) == Some(here) && term_matches(cluster, term, pod, placed)
                    })
                    .count();
                int(&weighted["weight"], 0).saturating_mul(i64::try_from(near).unwrap_or(i64::MAX))
            })
            .sum()
    };
    weigh("podAffinity") - weigh("podAntiAffinity")
}
