//! ReplicationControllers keep their number of pods.

use super::{
    common::{Backoff, concerns},
    replicas::Replicas,
};
use crate::step::{Context, Controller};
use apiserver::Change;
use machinery::gvr;

#[derive(Debug)]
pub struct ReplicationController(Replicas);

impl Default for ReplicationController {
    fn default() -> Self {
        Self(Replicas { gvr: gvr::REPLICATION_CONTROLLERS, component: "replication-controller", backoff: Backoff::default() })
    }
}

impl Controller for ReplicationController {
    fn name(&self) -> &'static str {
        self.0.component
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::REPLICATION_CONTROLLERS, gvr::PODS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        self.0.reconcile(context);
    }
}
