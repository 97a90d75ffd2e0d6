//! Aggregated ClusterRoles: their rules are those of all that their selectors choose (clusterroleaggregation controller).

use super::GROUP;
use crate::store::Transaction;
use machinery::{object, selector::LabelSelector};
use serde_json::Value;
use std::sync::Arc;

/// Writes the rules of every aggregated role anew, in the transaction that changed a role.
pub(crate) fn refresh(transaction: &mut Transaction) {
    // A role that another one aggregates may itself be aggregated; three rounds carry rules through such chains.
    for _ in 0..3 {
        let roles: Vec<Arc<Value>> = transaction.state.list(GROUP, "clusterroles", None, None).map(|(_, role)| role.clone()).collect();
        let mut changed = false;
        for role in roles.iter().filter(|role| role["aggregationRule"]["clusterRoleSelectors"].is_array()) {
            let mut rules: Vec<Value> = Vec::new();
            for selector in role["aggregationRule"]["clusterRoleSelectors"].as_array().into_iter().flatten() {
                let Ok(selector) = LabelSelector::from_object(selector) else { continue };
                for other in
                    roles.iter().filter(|other| object::name(other) != object::name(role) && selector.matches(object::labels(other)))
                {
                    for rule in other["rules"].as_array().into_iter().flatten() {
                        if !rules.contains(rule) {
                            rules.push(rule.clone());
                        }
                    }
                }
            }
            if role["rules"].as_array().map(Vec::as_slice).unwrap_or_default() != rules.as_slice() {
                let mut new = Value::clone(role);
                new["rules"] = rules.into();
                transaction.put(GROUP, "clusterroles", new);
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}
