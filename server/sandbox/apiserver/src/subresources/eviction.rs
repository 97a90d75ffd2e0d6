//! `eviction`: a delete that PodDisruptionBudgets may refuse (pkg/registry/core/pod/storage/eviction.go).

use crate::{call::Call, verbs::delete};
use machinery::{ApiError, object, selector::LabelSelector};
use serde_json::{Value, json};
use std::sync::Arc;

const BUDGETS: (&str, &str) = ("policy", "poddisruptionbudgets");

pub(crate) fn evict(call: &mut Call, eviction: &Value) -> Result<(), ApiError> {
    let given = object::name(eviction);
    if !given.is_empty() && given != call.name {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let (options, dry) = delete::options(&eviction["deleteOptions"], |_| None)?;
    let (server, dry_run) = (call.server.clone(), call.dry_run || dry);
    server.write(dry_run, |transaction| {
        let pod = transaction.state.get("", "pods", &call.namespace, &call.name).ok_or_else(|| call.not_found())?;
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        let counts = !matches!(phase, "Succeeded" | "Failed" | "Pending") && !object::is_terminating(&pod);
        if counts {
            let budgets: Vec<Arc<Value>> =
                transaction.state.list(BUDGETS.0, BUDGETS.1, Some(&call.namespace)).filter(|budget| selects(budget, &pod)).collect();
            match budgets.as_slice() {
                [] => {}
                [budget] => {
                    if let Some(spent) = spend(budget, &pod)? {
                        transaction.put(BUDGETS.0, BUDGETS.1, spent);
                    }
                }
                _ => {
                    let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                    return Err(ApiError::internal(message));
                }
            }
        }
        delete::remove(call, transaction, &options).map(drop)
    })
}

fn selects(budget: &Value, pod: &Value) -> bool {
    let selector = &budget["spec"]["selector"];
    selector.is_object() && LabelSelector::from_object(selector).is_ok_and(|selector| selector.matches(object::labels(pod)))
}

/// The budget with one disruption less, `None` where this pod costs none, or 429.
fn spend(budget: &Value, pod: &Value) -> Result<Option<Value>, ApiError> {
    let name = object::name(budget);
    let ready = pod["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
    let status = &budget["status"];
    let healthy = status["currentHealthy"].as_i64().unwrap_or(0);
    let desired = status["desiredHealthy"].as_i64().unwrap_or(0);
    let always = budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
    if !ready && (always || (healthy >= desired && desired > 0)) {
        return Ok(None);
    }
    if status["observedGeneration"].as_i64().unwrap_or(0) < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        return Err(refused(&format!("The disruption budget {name} is still being processed by the server."), 10));
    }
    let allowed = status["disruptionsAllowed"].as_i64().unwrap_or(0);
    if allowed <= 0 {
        let why = format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently");
        return Err(refused(&why, 0));
    }
    let mut spent = budget.clone();
    spent["status"]["disruptionsAllowed"] = (allowed - 1).into();
    Ok(Some(spent))
}

fn refused(why: &str, retry: u64) -> ApiError {
    let mut error = ApiError::new(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.");
    error.details = json!({"causes": [{"reason": "DisruptionBudget", "message": why}]});
    if retry > 0 {
        error.details["retryAfterSeconds"] = retry.into();
    }
    error
}
