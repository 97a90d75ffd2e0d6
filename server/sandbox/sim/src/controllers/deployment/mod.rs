//! Deployments: revisions of ReplicaSets, rolled out one into the next (k8s.io/kubernetes/pkg/controller/deployment).

mod progress;
mod revision;
mod rollout;
mod scale;

use super::common::{self, claim, concerns, int};
use crate::step::{Context, Controller};
use apiserver::Change;
use machinery::{gvr, object};
use serde_json::Value;
use std::sync::Arc;

const COMPONENT: &str = "deployment-controller";

#[derive(Debug, Default)]
pub struct DeploymentController {}

impl Controller for DeploymentController {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn interested(&self, change: &Change) -> bool {
        // Of pods only their going matters here (Recreate waits for it); their readiness arrives through the ReplicaSets.
        concerns(change, &[gvr::DEPLOYMENTS, gvr::REPLICA_SETS, gvr::PODS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let sets = common::by_namespace(context.client.list(gvr::REPLICA_SETS, None));
        let none = Vec::new();
        for deployment in context.client.list(gvr::DEPLOYMENTS, None) {
            sync(context, &deployment, sets.get(object::namespace(&deployment)).unwrap_or(&none));
        }
    }
}

/// A Deployment with its ReplicaSets, oldest first.
#[derive(Debug)]
struct Rollout {
    deployment: Arc<Value>,
    /// The one whose template is the Deployment's.
    new: Option<Arc<Value>>,
    old: Vec<Arc<Value>>,
}

impl Rollout {
    fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }

    fn active_old(&self) -> Vec<Arc<Value>> {
        self.old.iter().filter(|set| wanted(set) > 0).cloned().collect()
    }

    fn wanted(&self) -> i64 {
        int(&self.deployment["spec"]["replicas"], 1)
    }

    fn is_rolling_update(&self) -> bool {
        self.deployment["spec"]["strategy"]["type"] != "Recreate"
    }

    fn max_surge(&self) -> i64 {
        if self.is_rolling_update() { self.surge_and_unavailable().0 } else { 0 }
    }

    fn max_unavailable(&self) -> i64 {
        if self.is_rolling_update() && self.wanted() > 0 { self.surge_and_unavailable().1.min(self.wanted()) } else { 0 }
    }

    /// Both zero would stand still, so then one may be unavailable.
    fn surge_and_unavailable(&self) -> (i64, i64) {
        let rolling = &self.deployment["spec"]["strategy"]["rollingUpdate"];
        let surge = common::scaled(&rolling["maxSurge"], self.wanted(), true);
        let unavailable = common::scaled(&rolling["maxUnavailable"], self.wanted(), false);
        (surge, if surge == 0 && unavailable == 0 { 1 } else { unavailable })
    }

    fn is_paused(&self) -> bool {
        self.deployment["spec"]["paused"] == true
    }
}

/// `spec.replicas` of a ReplicaSet.
fn wanted(set: &Value) -> i64 {
    int(&set["spec"]["replicas"], 1)
}

fn total(sets: impl IntoIterator<Item = impl AsRef<Value>>, of: impl Fn(&Value) -> i64) -> i64 {
    sets.into_iter().map(|set| of(set.as_ref())).sum()
}

fn sync(context: &mut Context<'_>, deployment: &Arc<Value>, candidates: &[Arc<Value>]) {
    let mut sets = claim(context.client, gvr::REPLICA_SETS, deployment, candidates);
    sets.sort_by(|a, b| (common::created_at(a), object::name(a)).cmp(&(common::created_at(b), object::name(b))));
    let mut rollout = revision::split(deployment, sets);
    if object::is_terminating(deployment) {
        progress::write_plain(context, &rollout);
        return;
    }
    progress::note_pause(context, &mut rollout);
    if rollout.is_paused() {
        revision::find(context, &mut rollout, false);
        scale::scale(context, &mut rollout);
        revision::clean_up(context, &rollout);
        progress::write_plain(context, &rollout);
        return;
    }
    if scale::is_scaling(&rollout) {
        revision::find(context, &mut rollout, false);
        scale::scale(context, &mut rollout);
        progress::write_plain(context, &rollout);
        return;
    }
    if rollout.is_rolling_update() {
        rollout::rolling(context, &mut rollout);
    } else {
        rollout::recreate(context, &mut rollout);
    }
}
