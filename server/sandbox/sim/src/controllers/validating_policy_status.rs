//! The type check of ValidatingAdmissionPolicies, whose warnings stand in their status.

use super::common::{self, concerns};
use crate::step::{Context, Controller};
use apiserver::Change;
use machinery::{gvr, policy};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub struct ValidatingPolicyStatusController {}

impl Controller for ValidatingPolicyStatusController {
    fn name(&self) -> &'static str {
        "validatingadmissionpolicy-status-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::VALIDATING_ADMISSION_POLICIES])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let scheme = context.client.scheme();
        for policy in context.client.list(gvr::VALIDATING_ADMISSION_POLICIES, None) {
            let generation = &policy["metadata"]["generation"];
            if policy["status"]["observedGeneration"] == *generation {
                continue;
            }
            let warnings = policy::type_warnings(&policy, &scheme).into_iter();
            let warnings: Vec<Value> = warnings.map(|(field, warning)| json!({"fieldRef": field, "warning": warning})).collect();
            let checking = if warnings.is_empty() { json!({}) } else { json!({"expressionWarnings": warnings}) };
            let status = json!({"observedGeneration": generation, "typeChecking": checking});
            common::write_status(context.client, gvr::VALIDATING_ADMISSION_POLICIES, &policy, &status);
        }
    }
}
