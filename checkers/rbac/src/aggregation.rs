//! Aggregated ClusterRoles: their rules are those of all that their selectors choose (the clusterrole-aggregation controller).

use crate::{items, name};
use serde_json::Value;
use std::collections::BTreeMap;

/// How many roles may aggregate one another in a row.
const CHAIN: usize = 8;

/// The aggregated roles of `roles` whose rules are not what their selectors choose, as they should be. `matches` says whether a label
/// selector (JSON) matches an object's labels.
pub fn stale<'a>(roles: impl Iterator<Item = &'a Value>, matches: impl Fn(&Value, &Value) -> bool) -> Vec<Value> {
    let (aggregated, plain): (Vec<&Value>, Vec<&Value>) =
        roles.partition(|role| role["aggregationRule"]["clusterRoleSelectors"].is_array());
    let mut settled: BTreeMap<&str, Value> = aggregated.iter().map(|role| (name(role), Value::clone(role))).collect();
    for _ in 0..CHAIN {
        let mut changed = false;
        for role in &aggregated {
            let rules = chosen(role, plain.iter().copied().chain(settled.values()), &matches);
            let mine = &mut settled.get_mut(name(role)).expect("every aggregated role is there")["rules"];
            if mine.as_array().map(Vec::as_slice).unwrap_or_default() != rules.as_slice() {
                *mine = rules.into();
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    aggregated.iter().filter_map(|role| settled.remove(name(role)).filter(|new| new["rules"] != role["rules"])).collect()
}

/// The rules that the selectors of `role` choose: selector by selector, roles by name, each rule once.
fn chosen<'a>(role: &Value, others: impl Iterator<Item = &'a Value>, matches: impl Fn(&Value, &Value) -> bool) -> Vec<Value> {
    let mut others: Vec<&Value> = others.filter(|other| name(other) != name(role)).collect();
    others.sort_by_key(|other| name(other));
    let mut rules: Vec<Value> = Vec::new();
    for selector in items(&role["aggregationRule"], "clusterRoleSelectors") {
        for other in others.iter().filter(|other| matches(selector, &other["metadata"]["labels"])) {
            for rule in items(other, "rules") {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    rules
}
