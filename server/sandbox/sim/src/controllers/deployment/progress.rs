//! A Deployment's status: how far it is, and whether it still moves.

use super::{Rollout, revision, total};
use crate::{
    controllers::common::{self, condition, int, items, later, put_count, set_condition, text, time},
    step::Context,
};
use machinery::{gvr, object};
use serde_json::{Value, json};

const NO_DEADLINE: i64 = i32::MAX as i64;

pub fn has_deadline(deployment: &Value) -> bool {
    deployment["spec"]["progressDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds != NO_DEADLINE)
}

/// Every replica is of the new ReplicaSet, and available.
pub fn is_complete(rollout: &Rollout) -> bool {
    is_complete_status(rollout, &calculate(rollout))
}

fn is_complete_status(rollout: &Rollout, status: &Value) -> bool {
    let wanted = rollout.wanted();
    ["updatedReplicas", "replicas", "availableReplicas"].iter().all(|key| int(&status[*key], 0) == wanted)
        && int(&status["observedGeneration"], 0) >= int(&rollout.deployment["metadata"]["generation"], 0)
}

fn calculate(rollout: &Rollout) -> Value {
    let old = &rollout.deployment["status"];
    let count = |key: &'static str| move |set: &Value| int(&set["status"][key], 0);
    let replicas = total(rollout.all(), count("replicas"));
    let available = total(rollout.all(), count("availableReplicas"));
    let mut status = json!({});
    put_count(&mut status, "observedGeneration", int(&rollout.deployment["metadata"]["generation"], 0));
    put_count(&mut status, "replicas", replicas);
    put_count(&mut status, "updatedReplicas", rollout.new.as_ref().map_or(0, |new| int(&new["status"]["replicas"], 0)));
    put_count(&mut status, "readyReplicas", total(rollout.all(), count("readyReplicas")));
    put_count(&mut status, "availableReplicas", available);
    put_count(&mut status, "unavailableReplicas", (total(rollout.all(), super::wanted) - available).max(0));
    if let Some(collisions) = old["collisionCount"].as_i64() {
        status["collisionCount"] = collisions.into();
    }
    status
}

/// Availability, then whatever `conditions` says already.
fn with_availability(context: &Context<'_>, rollout: &Rollout, status: &Value) -> Vec<Value> {
    let mut conditions = items(&rollout.deployment["status"]["conditions"]).to_vec();
    let enough = int(&status["availableReplicas"], 0) >= rollout.wanted() - rollout.max_unavailable();
    let (word, reason, message) = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set_condition(&mut conditions, context.now, true, "Available", word, reason, message);
    conditions
}

/// The counts and the Available condition, without judging progress: while paused, scaling or terminating.
pub fn write_plain(context: &mut Context<'_>, rollout: &Rollout) {
    let mut status = calculate(rollout);
    status["conditions"] = with_availability(context, rollout, &status).into();
    common::write_status(context.client, gvr::DEPLOYMENTS, &rollout.deployment, &status);
}

/// `DeploymentPaused` and `DeploymentResumed`.
pub fn note_pause(context: &mut Context<'_>, rollout: &mut Rollout) {
    if !has_deadline(&rollout.deployment) {
        return;
    }
    let progressing = condition(&rollout.deployment, "Progressing");
    if progressing.is_some_and(|progressing| progressing["reason"] == "ProgressDeadlineExceeded") {
        return;
    }
    let noted = progressing.is_some_and(|progressing| progressing["reason"] == "DeploymentPaused");
    let (reason, message) = match (rollout.is_paused(), noted) {
        (true, false) => ("DeploymentPaused", "Deployment is paused"),
        (false, true) => ("DeploymentResumed", "Deployment is resumed"),
        _ => return,
    };
    let mut status = if rollout.deployment["status"].is_object() { rollout.deployment["status"].clone() } else { json!({}) };
    let mut conditions = items(&status["conditions"]).to_vec();
    set_condition(&mut conditions, context.now, true, "Progressing", "Unknown", reason, message);
    status["conditions"] = conditions.into();
    common::write_status(context.client, gvr::DEPLOYMENTS, &rollout.deployment, &status);
    if let Some(fresh) = context.client.get(gvr::DEPLOYMENTS, object::namespace(&rollout.deployment), object::name(&rollout.deployment)) {
        rollout.deployment = fresh;
    }
}

/// The whole status, with the Progressing condition and the deadline.
pub fn write(context: &mut Context<'_>, rollout: &Rollout) {
    let deployment = &rollout.deployment;
    let mut status = calculate(rollout);
    let mut conditions = with_availability(context, rollout, &status);
    let progressing = condition(deployment, "Progressing").cloned();
    if !has_deadline(deployment) {
        conditions.retain(|condition| condition["type"] != "Progressing");
    } else {
        let done_before = int(&status["replicas"], 0) == int(&status["updatedReplicas"], 0)
            && progressing.as_ref().is_some_and(|progressing| progressing["reason"] == "NewReplicaSetAvailable");
        if !done_before {
            let name = revision::name_of(rollout.new.as_ref());
            if is_complete_status(rollout, &status) {
                let message = if name.is_empty() {
                    format!("Deployment {:?} has successfully progressed.", object::name(deployment))
                } else {
                    format!("ReplicaSet {name:?} has successfully progressed.")
                };
                set_condition(&mut conditions, context.now, true, "Progressing", "True", "NewReplicaSetAvailable", &message);
            } else if is_progressing(&deployment["status"], &status) {
                // Each step forward starts the deadline anew, so the condition is replaced and not kept.
                let message = if name.is_empty() {
                    format!("Deployment {:?} is progressing.", object::name(deployment))
                } else {
                    format!("ReplicaSet {name:?} is progressing.")
                };
                let since = progressing
                    .as_ref()
                    .filter(|progressing| progressing["status"] == "True")
                    .map_or_else(|| revision::stamp(context), |progressing| progressing["lastTransitionTime"].clone());
                conditions.retain(|condition| condition["type"] != "Progressing");
                conditions.push(json!({
                    "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": message,
                    "lastUpdateTime": revision::stamp(context), "lastTransitionTime": since,
                }));
            } else if let Some(since) = progressing.as_ref().filter(|progressing| watches_deadline(progressing)) {
                let deadline = time(&since["lastUpdateTime"])
                    .map(|at| later(at, int(&deployment["spec"]["progressDeadlineSeconds"], 600)))
                    .unwrap_or(context.now);
                if deadline <= context.now {
                    let message = if name.is_empty() {
                        format!("Deployment {:?} has timed out progressing.", object::name(deployment))
                    } else {
                        format!("ReplicaSet {name:?} has timed out progressing.")
                    };
                    set_condition(&mut conditions, context.now, true, "Progressing", "False", "ProgressDeadlineExceeded", &message);
                } else {
                    context.wake_at(deadline);
                }
            }
        }
    }
    let failed = rollout.all().find_map(|set| condition(set, "ReplicaFailure"));
    match failed {
        Some(failure) => {
            set_condition(
                &mut conditions,
                context.now,
                true,
                "ReplicaFailure",
                "True",
                text(&failure["reason"]),
                text(&failure["message"]),
            );
        }
        None => conditions.retain(|condition| condition["type"] != "ReplicaFailure"),
    }
    // A rollout under way must be looked at when its deadline comes, though nothing changes.
    let moving = conditions.iter().find(|condition| condition["type"] == "Progressing").filter(|found| watches_deadline(found));
    if let Some(at) = moving.and_then(|moving| time(&moving["lastUpdateTime"])) {
        let deadline = later(at, int(&deployment["spec"]["progressDeadlineSeconds"], 600));
        if deadline > context.now {
            context.wake_at(deadline);
        }
    }
    status["conditions"] = conditions.into();
    common::write_status(context.client, gvr::DEPLOYMENTS, deployment, &status);
}

fn watches_deadline(progressing: &Value) -> bool {
    !matches!(text(&progressing["reason"]), "NewReplicaSetAvailable" | "ProgressDeadlineExceeded" | "DeploymentPaused" | "")
}

fn is_progressing(old: &Value, new: &Value) -> bool {
    let at = |status: &Value, key: &str| int(&status[key], 0);
    let old_of = |status: &Value| at(status, "replicas") - at(status, "updatedReplicas");
    at(new, "updatedReplicas") > at(old, "updatedReplicas")
        || old_of(new) < old_of(old)
        || at(new, "readyReplicas") > at(old, "readyReplicas")
        || at(new, "availableReplicas") > at(old, "availableReplicas")
}
