//! DeletingPolicy and NamespacedDeletingPolicy: whether an object would be deleted when the schedule comes round.

use super::{
    kinds::Kinds,
    library::Library,
    matching::matches,
    policy::{Judge, conditions, exceptions, holds, run_of, text},
    request::{Request, text_at},
};
use crate::{Evidence, RuleResult, RuleType, Status};
use serde_json::{Value, json};

pub(super) fn apply(policy: &Value, request: &Request, evidence: &Evidence, kinds: &Kinds<'_>) -> Vec<RuleResult> {
    let kind = if text(policy, "kind") == "NamespacedDeletingPolicy" { "NamespacedDeletingPolicy" } else { "DeletingPolicy" };
    let judge = Judge { policy, kind, rule_type: RuleType::Deletion, request };
    let spec = &policy["spec"];
    let namespace = text_at(policy, "/metadata/namespace");
    let name = text_at(policy, "/metadata/name");
    if !namespace.is_empty() && namespace != request.namespace {
        return Vec::new();
    }
    // What is no object of a cluster is judged by the conditions alone.
    if !request.kind.kind.is_empty() {
        let mut constraints = spec["matchConstraints"].clone();
        if !constraints.is_object() {
            return Vec::new();
        }
        for rule in constraints["resourceRules"].as_array_mut().into_iter().flatten() {
            rule["operations"] = json!(["*"]);
        }
        match matches(&constraints, request) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(error) => return vec![judge.result(name, Status::Error, error)],
        }
    }
    vec![match judge.is_deleted(spec, evidence, kinds) {
        Ok(true) => judge.result(name, Status::Pass, "resource matched"),
        Ok(false) => judge.result(name, Status::Fail, "resource did not match"),
        Err(error) => judge.result(name, Status::Error, error),
    }]
}

impl Judge<'_> {
    fn is_deleted(&self, spec: &Value, evidence: &Evidence, kinds: &Kinds<'_>) -> Result<bool, String> {
        let library = Library::new(evidence, kinds, text_at(self.policy, "/metadata/namespace"));
        let mut run = run_of(&library, self.request, spec)?;
        for exception in exceptions(evidence, self.kind, self.policy) {
            let conditions = conditions(&exception["spec"]["matchConditions"], "spec.matchConditions")?;
            if holds(&mut run, &conditions)? {
                return Ok(false);
            }
        }
        let conditions = conditions(&spec["conditions"], "spec.conditions")?;
        holds(&mut run, &conditions)
    }
}
