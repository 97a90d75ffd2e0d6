//! ReplicaSets keep their number of pods.

use super::{
    common::{Backoff, concerns},
    replicas::Replicas,
};
use crate::step::{Context, Controller};
use apiserver::Change;
use machinery::gvr;

#[derive(Debug)]
pub struct ReplicaSetController(Replicas);

impl Default for ReplicaSetController {
    fn default() -> Self {
        Self(Replicas { gvr: gvr::REPLICA_SETS, component: "replicaset-controller", backoff: Backoff::default() })
    }
}

impl Controller for ReplicaSetController {
    fn name(&self) -> &'static str {
        self.0.component
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::REPLICA_SETS, gvr::PODS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        self.0.reconcile(context);
    }
}
