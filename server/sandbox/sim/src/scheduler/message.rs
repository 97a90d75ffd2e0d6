//! The words of FailedScheduling (k8s.io/kubernetes/pkg/scheduler/framework FitError).

use super::{preemption::Outcome, state::Refusal};
use std::collections::BTreeMap;

/// The pod cannot be placed whatever the nodes are.
pub fn before_filters(nodes: usize, why: &str) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    format!("0/{nodes} nodes are available: {why}. not found")
}

pub fn no_node(nodes: usize, refusals: &[(usize, Refusal)], preemption: &Outcome) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let reasons = histogram(refusals.iter().flat_map(|(_, refusal)| refusal.reasons.iter().map(String::as_str)));
    let mut message = format!("0/{nodes} nodes are available: {reasons}.");
    match preemption {
        Outcome::Nominated { .. } => {}
        Outcome::NotEligible(why) => message.push_str(&format!(" no new claims to deallocate, preemption: {why}")),
        Outcome::NoHelp(words) => {
            let words = histogram(words.iter().copied());
            message.push_str(&format!(" no new claims to deallocate, preemption: 0/{nodes} nodes are available: {words}."));
        }
    }
    message
}

/// `1 this, 2 that`, sorted as text.
fn histogram<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut lines: Vec<_> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    lines.sort();
    lines.join(", ")
}
