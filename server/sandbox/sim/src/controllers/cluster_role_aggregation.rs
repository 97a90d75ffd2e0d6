//! ClusterRoles with an aggregation rule hold the rules of those that it selects.

use super::common::{self, concerns, items};
use crate::step::{Context, Controller};
use apiserver::Change;
use machinery::{gvr, object, selector::LabelSelector};
use serde_json::Value;

#[derive(Debug, Default)]
pub struct ClusterRoleAggregationController {}

impl Controller for ClusterRoleAggregationController {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::CLUSTER_ROLES])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let roles = context.client.list(gvr::CLUSTER_ROLES, None);
        for role in roles.iter().filter(|role| role["aggregationRule"].is_object()) {
            let selectors: Vec<_> = items(&role["aggregationRule"]["clusterRoleSelectors"])
                .iter()
                .filter_map(|selector| LabelSelector::from_object(selector).ok())
                .collect();
            let mut rules: Vec<&Value> = Vec::new();
            for selector in &selectors {
                let chosen = roles.iter().filter(|other| object::name(other) != object::name(role));
                for other in chosen.filter(|other| selector.matches(object::labels(other))) {
                    for rule in items(&other["rules"]) {
                        if !rules.contains(&rule) {
                            rules.push(rule);
                        }
                    }
                }
            }
            if items(&role["rules"]).iter().collect::<Vec<_>>() == rules {
                continue;
            }
            common::modify(context.client, gvr::CLUSTER_ROLES, role, |changed| {
                changed["rules"] = rules.into_iter().cloned().collect::<Vec<_>>().into();
            });
        }
    }
}
