//! From the old ReplicaSets to the new one: RollingUpdate and Recreate.

use super::{Rollout, progress, revision, scale, total, wanted};
use crate::{
    controllers::common::{self, int, text},
    step::Context,
};
use machinery::{gvr, object};
use serde_json::Value;
use std::sync::Arc;

fn available(set: &Value) -> i64 {
    int(&set["status"]["availableReplicas"], 0)
}

pub fn rolling(context: &mut Context<'_>, rollout: &mut Rollout) {
    revision::find(context, rollout, true);
    let scaled = scale_new(context, rollout) || scale_old_down(context, rollout);
    if !scaled && progress::is_complete(rollout) {
        revision::clean_up(context, rollout);
    }
    progress::write(context, rollout);
}

/// The new one grows as far as `maxSurge` lets it.
fn scale_new(context: &mut Context<'_>, rollout: &mut Rollout) -> bool {
    let Some(new) = rollout.new.clone() else { return false };
    let desired = rollout.wanted();
    let replicas = match wanted(&new) {
        present if present == desired => return false,
        present if present > desired => desired,
        present => scale::new_replicas(rollout, present),
    };
    if replicas == wanted(&new) {
        return false;
    }
    rollout.new = Some(scale::set_replicas(context, rollout, &new, replicas));
    true
}

/// The old ones shrink as far as `maxUnavailable` lets them: unhealthy replicas first, which cost nothing.
fn scale_old_down(context: &mut Context<'_>, rollout: &mut Rollout) -> bool {
    let old = rollout.active_old();
    if old.is_empty() {
        return false;
    }
    let minimum = rollout.wanted() - rollout.max_unavailable();
    let new_unavailable = rollout.new.as_ref().map_or(0, |new| wanted(new) - available(new));
    let mut budget = total(rollout.all(), wanted) - minimum - new_unavailable;
    if budget <= 0 {
        return false;
    }
    let mut scaled = false;
    let mut sizes: Vec<_> = old.iter().map(|set| wanted(set)).collect();
    for (size, set) in sizes.iter_mut().zip(&old) {
        let unhealthy = (*size - available(set)).clamp(0, budget);
        *size -= unhealthy;
        budget -= unhealthy;
    }
    let mut surplus = (total(rollout.all(), available) - minimum).min(budget).max(0);
    for size in &mut sizes {
        let fewer = (*size).min(surplus);
        *size -= fewer;
        surplus -= fewer;
    }
    for (set, size) in old.iter().zip(sizes) {
        if size != wanted(set) {
            let changed = scale::set_replicas(context, rollout, set, size);
            if let Some(place) = rollout.old.iter_mut().find(|other| object::uid(other) == object::uid(set)) {
                *place = changed;
            }
            scaled = true;
        }
    }
    scaled
}

/// All old pods go before the first new one comes.
pub fn recreate(context: &mut Context<'_>, rollout: &mut Rollout) {
    revision::find(context, rollout, false);
    let active = rollout.active_old();
    if !active.is_empty() {
        for set in &active {
            scale::set_replicas(context, rollout, set, 0);
        }
        progress::write(context, rollout);
        return;
    }
    if old_pods_run(context, rollout) {
        progress::write(context, rollout);
        return;
    }
    if rollout.new.is_none() {
        revision::find(context, rollout, true);
    }
    scale_new(context, rollout);
    if progress::is_complete(rollout) {
        revision::clean_up(context, rollout);
    }
    progress::write(context, rollout);
}

fn old_pods_run(context: &Context<'_>, rollout: &Rollout) -> bool {
    let old: Vec<&Arc<Value>> = rollout.old.iter().collect();
    context.client.list(gvr::PODS, Some(object::namespace(&rollout.deployment))).iter().any(|pod| {
        !common::is_pod_finished(pod)
            && old.iter().any(|set| object::controller_of(pod).is_some_and(|owner| text(&owner["uid"]) == object::uid(set)))
    })
}
