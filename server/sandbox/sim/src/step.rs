//! The step: one round after another over all controllers until the cluster is at rest.

use crate::catalogue::ImageCatalogue;
use apiserver::{Change, Changes, Client, Server, UserInfo};
use jiff::{SignedDuration, Timestamp};
use rand::{SeedableRng, rngs::StdRng};
use std::{fmt::Debug, sync::Arc};

/// More rounds than any honest sequence of reactions takes; beyond it two controllers are fighting.
const MAXIMUM_ROUNDS: usize = 1_000;
/// How long a cluster that does not come to rest is left alone.
const QUARREL_PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// What a controller may use while it runs.
pub struct Context<'a> {
    /// Acts as the controller manager; `client.as_user` for others.
    pub client: &'a Client,
    pub now: Timestamp,
    pub rng: &'a mut dyn rand::Rng,
    pub catalogue: &'a Arc<ImageCatalogue>,
    wake: &'a mut Wake,
}

/// When to run again although nothing was committed.
#[derive(Debug, Default, Clone, Copy)]
struct Wake {
    at: Option<Timestamp>,
    /// The same without routine.
    change: Option<Timestamp>,
}

fn earliest(one: Option<Timestamp>, at: Timestamp) -> Option<Timestamp> {
    Some(one.map_or(at, |earlier| earlier.min(at)))
}

impl Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// Asks to be stepped again at `at`, or before. Whatever was asked for earlier is forgotten when `reconcile` starts.
    pub fn wake_at(&mut self, at: Timestamp) {
        self.wake.change = earliest(self.wake.change, at);
        self.routine_at(at);
    }

    /// The same for what goes on for ever and is expected to change nothing, as a probe of a container that is well: it keeps no
    /// cluster from being at rest.
    pub fn routine_at(&mut self, at: Timestamp) {
        self.wake.at = earliest(self.wake.at, at);
    }

    /// The same, `seconds` from now.
    pub fn wake_in(&mut self, seconds: i64) {
        self.wake_at(self.now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX));
    }
}

/// One controller, one file. It may keep caches, never truths: after a restart it starts from what the API holds.
pub trait Controller: Send + Debug {
    fn name(&self) -> &'static str;

    /// Whether this change is any of its business.
    fn interested(&self, change: &Change) -> bool;

    /// Brings the cluster one round closer to what its objects say. Called when something of interest has changed, when a
    /// time it asked for has come, and once after start. It asks anew for every time that it still needs.
    fn reconcile(&mut self, context: &mut Context<'_>);

    /// Nothing has happened for a while: gives back memory that only one at work needs.
    fn rest(&mut self) {}

    /// Forgets what it knows beside the API: another state was put in place of the one that it comes from.
    fn restart(&mut self) {}
}

#[derive(Debug)]
struct Member {
    controller: Box<dyn Controller>,
    pending: bool,
    wake: Wake,
}

/// All controllers of one cluster.
#[derive(Debug)]
pub struct Sim {
    server: Server,
    client: Client,
    catalogue: Arc<ImageCatalogue>,
    rng: StdRng,
    /// The newest resource version whose change has been handed to `interested`.
    seen: u64,
    members: Vec<Member>,
    restarts: bool,
}

impl Sim {
    /// The order of `controllers` is the order within a round.
    pub fn new(server: &Server, catalogue: Arc<ImageCatalogue>, seed: u64, controllers: Vec<Box<dyn Controller>>) -> Self {
        let user = UserInfo {
            name: "system:kube-controller-manager".to_owned(),
            groups: vec!["system:authenticated".to_owned()],
            ..UserInfo::default()
        };
        let members =
            controllers.into_iter().map(|controller| Member { controller, pending: true, wake: Wake::default() }).collect::<Vec<_>>();
        Self {
            client: server.client(user, "kube-controller-manager"),
            server: server.clone(),
            catalogue,
            rng: StdRng::seed_from_u64(seed),
            seen: *server.committed().borrow(),
            members,
            restarts: false,
        }
    }

    /// Runs until nothing more happens at `now`; returns when to step again although nothing changes (probes, back-off, jobs).
    pub fn step(&mut self, now: Timestamp) -> Option<Timestamp> {
        if std::mem::take(&mut self.restarts) {
            self.members.iter_mut().for_each(|member| member.controller.restart());
        }
        let mut quarrelling = Vec::new();
        for _ in 0..MAXIMUM_ROUNDS {
            self.notice(now);
            if self.members.iter().all(|member| !member.pending) {
                return self.members.iter().filter_map(|member| member.wake.at).min();
            }
            quarrelling.clear();
            for member in self.members.iter_mut().filter(|member| member.pending) {
                quarrelling.push(member.controller.name());
                member.pending = false;
                member.wake = Wake::default();
                let mut context =
                    Context { client: &self.client, now, rng: &mut self.rng, catalogue: &self.catalogue, wake: &mut member.wake };
                member.controller.reconcile(&mut context);
            }
        }
        tracing::error!(rounds = MAXIMUM_ROUNDS, controllers = ?quarrelling, "the simulated cluster does not come to rest");
        now.saturating_add(QUARREL_PAUSE).ok()
    }

    /// When the next change is expected, after a step: what comes due before is routine.
    pub fn next_change(&self) -> Option<Timestamp> {
        self.members.iter().filter_map(|member| member.wake.change).min()
    }

    /// Whether everything that was committed has been stepped over.
    pub fn is_current(&self) -> bool {
        self.seen >= *self.server.committed().borrow() && self.members.iter().all(|member| !member.pending)
    }

    /// Has every controller start anew in the next step, as after a restored snapshot or in a new process.
    pub fn restart(&mut self) {
        self.restarts = true;
        for member in &mut self.members {
            member.pending = true;
            member.wake = Wake::default();
        }
    }

    /// Has every controller give back memory, and then the API server.
    pub fn rest(&mut self) {
        self.members.iter_mut().for_each(|member| member.controller.rest());
        self.server.rest();
    }

    /// Has the controller of this name run in the next step, though no change or time calls it: something happened beside the API.
    pub fn rouse(&mut self, name: &str) {
        for member in self.members.iter_mut().filter(|member| member.controller.name() == name) {
            member.pending = true;
        }
    }

    /// Marks who has something to do: changes of interest, times that have come.
    fn notice(&mut self, now: Timestamp) {
        match self.client.changes_since(self.seen) {
            Changes::Since(changes) => {
                for change in &changes {
                    self.seen = self.seen.max(change.resource_version);
                    for member in self.members.iter_mut().filter(|member| !member.pending) {
                        member.pending = member.controller.interested(change);
                    }
                }
            }
            Changes::Expired => {
                self.seen = *self.server.committed().borrow();
                self.members.iter_mut().for_each(|member| member.pending = true);
            }
        }
        for member in &mut self.members {
            member.pending |= member.wake.at.is_some_and(|at| at <= now);
        }
    }
}
