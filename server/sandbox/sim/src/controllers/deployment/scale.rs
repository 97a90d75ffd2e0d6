//! Numbers of replicas: the new ReplicaSet's share, and proportional scaling of several.

use super::{COMPONENT, Rollout, revision, total, wanted};
use crate::{
    controllers::common::{self, int},
    events::{self, Event},
    step::Context,
};
use machinery::{gvr, object};
use serde_json::Value;
use std::sync::Arc;

/// How many replicas the new ReplicaSet, which has `present`, may have now.
pub fn new_replicas(rollout: &Rollout, present: i64) -> i64 {
    let desired = rollout.wanted();
    if !rollout.is_rolling_update() {
        return desired;
    }
    let others = total(&rollout.old, wanted);
    let room = desired + rollout.max_surge() - others - present;
    if room <= 0 { present } else { present + room.min(desired - present) }
}

/// Whether somebody changed `spec.replicas` since the ReplicaSets were last scaled.
pub fn is_scaling(rollout: &Rollout) -> bool {
    rollout.all().filter(|set| wanted(set) > 0).any(|set| {
        object::annotation(set, revision::DESIRED_REPLICAS)
            .and_then(|text| text.parse::<i64>().ok())
            .is_some_and(|noted| noted != rollout.wanted())
    })
}

/// Sets the replicas of a ReplicaSet and records it; the set as it then is.
pub fn set_replicas(context: &mut Context<'_>, rollout: &Rollout, set: &Arc<Value>, replicas: i64) -> Arc<Value> {
    let from = wanted(set);
    let changed = common::modify(context.client, gvr::REPLICA_SETS, set, |changed| {
        changed["spec"]["replicas"] = replicas.into();
        annotate(rollout, changed);
    });
    let Some(changed) = changed else { return Arc::clone(set) };
    if from != replicas {
        let direction = if replicas > from { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {} from {from} to {replicas}", object::name(set));
        events::record(context, &rollout.deployment, &Event::normal(COMPONENT, "ScalingReplicaSet", message));
    }
    changed
}

fn annotate(rollout: &Rollout, set: &mut Value) {
    if !set["metadata"]["annotations"].is_object() {
        set["metadata"]["annotations"] = serde_json::json!({});
    }
    set["metadata"]["annotations"][revision::DESIRED_REPLICAS] = rollout.wanted().to_string().into();
    set["metadata"]["annotations"][revision::MAX_REPLICAS] = (rollout.wanted() + rollout.max_surge()).to_string().into();
}

/// Follows a changed `spec.replicas`: one active ReplicaSet takes it all; a finished rollout drops the old ones; several active
/// ones share in proportion to what they have.
pub fn scale(context: &mut Context<'_>, rollout: &mut Rollout) {
    let active: Vec<_> = rollout.all().filter(|set| wanted(set) > 0).cloned().collect();
    let only = match active.as_slice() {
        [] => rollout.new.clone().or_else(|| rollout.old.iter().max_by_key(|set| revision::revision(set)).cloned()),
        [one] => Some(Arc::clone(one)),
        _ => None,
    };
    if let Some(only) = only {
        set_replicas(context, rollout, &only, rollout.wanted());
        return;
    }
    let saturated = rollout.new.as_ref().is_some_and(|new| {
        let desired = rollout.wanted();
        wanted(new) == desired && int(&new["status"]["availableReplicas"], 0) == desired
    });
    if saturated {
        for old in rollout.active_old() {
            set_replicas(context, rollout, &old, 0);
        }
        return;
    }
    if rollout.is_rolling_update() {
        proportionally(context, rollout, active);
    }
}

fn proportionally(context: &mut Context<'_>, rollout: &Rollout, mut active: Vec<Arc<Value>>) {
    let present = total(&active, wanted);
    let allowed = if rollout.wanted() > 0 { rollout.wanted() + rollout.max_surge() } else { 0 };
    let to_add = allowed - present;
    // Larger ones first; of equal ones the newer when growing, the older when shrinking.
    active.sort_by_key(|set| (wanted(set), if to_add > 0 { common::created_at(set) } else { None }));
    active.reverse();
    let mut added = 0;
    let mut sizes: Vec<i64> = active.iter().map(|set| wanted(set)).collect();
    if to_add != 0 {
        for (size, set) in sizes.iter_mut().zip(&active) {
            let noted = object::annotation(set, revision::MAX_REPLICAS).and_then(|text| text.parse::<i64>().ok()).filter(|max| *max > 0);
            let base = noted.unwrap_or(present).max(1);
            let share = (*size as f64 * allowed as f64 / base as f64).round() as i64 - *size;
            let left = to_add - added;
            let share = if to_add > 0 { share.clamp(0, left.max(0)) } else { share.clamp(left.min(0), 0) };
            *size += share;
            added += share;
        }
        if let Some(first) = sizes.first_mut() {
            *first = (*first + to_add - added).max(0);
        }
    }
    for (set, size) in active.iter().zip(sizes) {
        set_replicas(context, rollout, set, size);
    }
}
