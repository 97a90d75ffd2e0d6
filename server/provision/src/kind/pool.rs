//! Clusters that wait for learners: made like every other, each with keys of its own, paused while idle, claimed by a new name.
//!
//! ```text
//! keep_warm ──► fill: start "pool-…", pause ──► idle ──claim: rename, wake──► a learner's cluster ──► fill again
//! ```
//!
//! Docker remembers the pool: an idle member is paused and still has its own name. A claim renames its container, which two
//! servers of the same instance must not do at once; within one process claims take turns.

use crate::{
    contract::{ClusterSpec, Progress, ProgressSender, ProvisionError},
    kind::{
        Inner,
        cluster::KindCluster,
        docker::{Listed, of_instance},
        failed,
        names::{self, Names},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the page shows instead of the stages of a start.
pub const CLAIM: &str = "Taking a cluster that is ready";

/// Begins the ids of members that nobody has claimed.
const PREFIX: &str = "pool-";
/// How long the pool waits after a failure, and at most between two looks.
const PAUSE: Duration = Duration::from_secs(30);

/// The pool of one server; empty until [`Pool::begin`].
#[derive(Debug, Default)]
pub struct Pool {
    /// Only learners who ask for exactly this get a member.
    spec: parking_lot::Mutex<Option<ClusterSpec>>,
    claims: Mutex<()>,
    changed: Notify,
}

/// Keeps the pool filled as long as it is held. What is idle then stays, and is found again by the next server.
#[derive(Debug)]
#[must_use]
pub struct Warm(#[expect(dead_code, reason = "its drop ends the filling")] DropGuard);

/// Whether a container is an idle member.
pub fn is_idle(instance: &str, container: &Listed) -> bool {
    container.state == "paused" && is_member(instance, container)
}

/// Whether a container is a member that nobody has claimed, idle or still being made.
pub fn is_member(instance: &str, container: &Listed) -> bool {
    container.labels.contains_key(names::POOL)
        && names::id_of_control_plane(instance, &container.name).is_some_and(|id| id.starts_with(PREFIX))
}

/// How many members are to be made now.
pub fn missing(idle: usize, clusters: usize, wanted: usize, capacity: usize) -> usize {
    let room = if capacity == 0 { usize::MAX } else { capacity.saturating_sub(clusters) };
    wanted.saturating_sub(idle).min(room)
}

impl Pool {
    pub fn begin(inner: &Arc<Inner>, spec: ClusterSpec) -> Warm {
        *inner.pool.spec.lock() = Some(spec.clone());
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        if inner.gpus.wanted_by(&spec) {
            tracing::warn!("no clusters are kept ready: their lab gets GPUs of this machine, which idle clusters do not hold");
            return Warm(guard);
        }
        tokio::spawn(fill(inner.clone(), spec, cancel));
        Warm(guard)
    }

    pub fn is_kept(&self) -> bool {
        self.spec.lock().is_some()
    }

    /// An idle member under a learner's name, awake. `None`: there is none, or the learner's cluster is another one.
    pub async fn claim(
        inner: &Arc<Inner>,
        names: &Names,
        spec: &ClusterSpec,
        progress: &ProgressSender,
    ) -> Result<Option<Arc<KindCluster>>, ProvisionError> {
        if inner.pool.spec.lock().as_ref() != Some(spec) || inner.gpus.wanted_by(spec) {
            return Ok(None);
        }
        let _turn = inner.pool.claims.lock().await;
        let mut idle = idle(inner).await?;
        idle.sort_by_key(|container| container.created);
        let Some(member) = idle.first() else { return Ok(None) };
        let tell = |done| {
            let _ = progress.send(Progress { stage: CLAIM.to_owned(), at: (inner.edge.now)(), done });
        };
        tell(false);
        // Between two names it is nobody's: the reaper leaves it alone.
        let start = member.labels.get(names::START).cloned().unwrap_or_default();
        inner.starting.lock().insert(start.clone());
        let renamed = inner.engine.rename(&member.id, &names.control_plane()).await.map_err(|error| failed(CLAIM, error));
        let cluster = match renamed {
            Ok(()) => KindCluster::open(names.clone(), inner.engine.clone(), inner.settings.clone(), &inner.gpus).await,
            Err(error) => Err(error),
        };
        inner.starting.lock().remove(&start);
        tell(true);
        inner.pool.changed.notify_one();
        Ok(Some(Arc::new(cluster?)))
    }
}

async fn idle(inner: &Inner) -> Result<Vec<Listed>, ProvisionError> {
    let all = inner.engine.containers(&[of_instance(&inner.settings.instance)]).await.map_err(|error| failed(CLAIM, error))?;
    Ok(all.into_iter().filter(|container| is_idle(&inner.settings.instance, container)).collect())
}

/// First as many as there shall be in the beginning, then as many as shall be ready.
async fn fill(inner: Arc<Inner>, spec: ClusterSpec, cancel: CancellationToken) {
    let mut wanted = inner.settings.pool.initial.max(inner.settings.pool.reserved);
    loop {
        let filled = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            filled = fill_once(&inner, &spec, wanted, &cancel) => filled,
        };
        match filled {
            Ok(true) => continue,
            Ok(false) => wanted = inner.settings.pool.reserved,
            Err(error) => tracing::error!("a cluster for the pool cannot be made: {error}: {:?}", std::error::Error::source(&error)),
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = inner.pool.changed.notified() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Makes one member where one is missing.
async fn fill_once(inner: &Arc<Inner>, spec: &ClusterSpec, wanted: usize, cancel: &CancellationToken) -> Result<bool, ProvisionError> {
    let clusters = inner.clusters().await?.len();
    if missing(idle(inner).await?.len(), clusters, wanted, inner.settings.pool.capacity) == 0 {
        return Ok(false);
    }
    let names = inner.names(&format!("{PREFIX}{:08x}", (inner.edge.random)() & 0xffff_ffff))?;
    let (progress, _) = tokio::sync::mpsc::unbounded_channel();
    // Spawned, so that a start which is cancelled removes what it made.
    let start = inner.clone().start(names, spec.clone(), progress, cancel.child_token(), true);
    inner.tasks.spawn(start).await.map_err(|error| failed("filling the pool", error))??;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn how_many_are_missing() {
        // idle, clusters, wanted, capacity
        let rows = [
            ((0, 0, 0, 0), 0),
            ((0, 0, 2, 0), 2),
            ((1, 5, 2, 0), 1),
            ((2, 5, 2, 0), 0),
            ((3, 5, 2, 0), 0),
            ((0, 5, 2, 6), 1),
            ((0, 6, 2, 6), 0),
            ((0, 9, 2, 6), 0),
        ];
        for ((idle, clusters, wanted, capacity), expected) in rows {
            assert_eq!(missing(idle, clusters, wanted, capacity), expected, "{idle} {clusters} {wanted} {capacity}");
        }
    }

    #[test]
    fn who_is_idle() {
        let container = |name: &str, state: &str, pool: bool| Listed {
            id: String::new(),
            name: name.to_owned(),
            state: state.to_owned(),
            labels: pool.then(|| (names::POOL.to_owned(), "true".to_owned())).into_iter().collect::<HashMap<_, _>>(),
            created: 0,
        };
        let rows = [
            (container("cordon-pool-1-control-plane", "paused", true), true),
            // Still being made.
            (container("cordon-pool-1-control-plane", "running", true), false),
            // Claimed, and asleep.
            (container("cordon-a-control-plane", "paused", true), false),
            (container("cordon-pool-1-control-plane", "paused", false), false),
            (container("other-pool-1-control-plane", "paused", true), false),
            (container("cordon-pool-1-worker", "paused", true), false),
        ];
        for (container, expected) in rows {
            assert_eq!(is_idle("cordon", &container), expected, "{container:?}");
        }
    }
}
