//! The step: one round after another over all controllers until the cluster is at rest.

use crate::catalogue::ImageCatalogue;
use apiserver::{Change, Client};
use jiff::Timestamp;
use std::{fmt::Debug, sync::Arc};

/// What a controller may use while it runs.
pub struct Context<'a> {
    /// Acts as the controller manager; `client.as_user` for others.
    pub client: &'a Client,
    pub now: Timestamp,
    pub rng: &'a mut dyn rand::Rng,
    pub catalogue: &'a Arc<ImageCatalogue>,
    wake_at: &'a mut Option<Timestamp>,
}

impl Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// Asks to be stepped again at `at`, or before.
    pub fn wake_at(&mut self, at: Timestamp) {
        *self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// One controller, one file. It may keep caches, never truths: after a restart it starts from what the API holds.
pub trait Controller: Send + Debug {
    fn name(&self) -> &'static str;

    /// Whether this change is any of its business.
    fn interested(&self, change: &Change) -> bool;

    /// Brings the cluster one round closer to what its objects say. Called when something of interest has changed, when a
    /// time it asked for has come, and once after start.
    fn reconcile(&mut self, context: &mut Context<'_>);
}

/// All controllers of one cluster.
#[derive(Debug)]
pub struct Sim {
    controllers: Vec<Box<dyn Controller>>,
}

impl Sim {
    pub fn new(controllers: Vec<Box<dyn Controller>>) -> Self {
        Self { controllers }
    }

    /// Runs until nothing more happens at `now`; returns when to step again although nothing changes (probes, back-off, jobs).
    pub fn step(&mut self, now: Timestamp) -> Option<Timestamp> {
        let _ = (now, &self.controllers);
        None
    }
}
