//! Steps an awake cluster when something was committed or a time has come. The only place here that knows timers.

use apiserver::Server;
use jiff::{SignedDuration, Timestamp};
use machinery::Clock;
use parking_lot::Mutex;
use sim::{Sim, kubelet::Activity};
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::sync::{Semaphore, watch};

/// A cluster that expects no change for this long counts as at rest.
const REST: SignedDuration = SignedDuration::from_millis(1_500);
/// After so long without anything to do a cluster gives back memory that only one at work needs.
const LULL: Duration = Duration::from_secs(1);
/// How often a waiting `settle` looks again.
const PAUSE: Duration = Duration::from_millis(5);

/// Steps of clusters that run at the same time. They are work for the processors: more of them would only spread over more threads,
/// and each thread keeps memory of its own.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

/// The controller whose processes move beside the API.
pub const KUBELET: &str = "kubelet";

/// The task of one cluster. Dropping it stops the task.
#[derive(Debug)]
pub struct Driver {
    stop: watch::Sender<bool>,
    next: Arc<Mutex<Next>>,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    /// A step is running, or one is due.
    Busy,
    /// When a change is expected.
    At(Option<Timestamp>),
}

impl Driver {
    pub fn start(server: &Server, sim: &Arc<Mutex<Sim>>, clock: &Arc<dyn Clock>, activity: &Arc<Activity>) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let next = Arc::new(Mutex::new(Next::Busy));
        let mut committed = server.committed();
        let (sim, clock, activity, shared) = (Arc::clone(sim), Arc::clone(clock), Arc::clone(activity), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                committed.borrow_and_update();
                let step = {
                    let Ok(_turn) = TURNS.acquire().await else { return };
                    let (sim, clock) = (Arc::clone(&sim), Arc::clone(&clock));
                    tokio::task::spawn_blocking(move || {
                        let mut sim = sim.lock();
                        let next = sim.step(clock.now());
                        (next, sim.next_change(), sim.is_current())
                    })
                    .await
                };
                let (wake_at, change, current) = match step {
                    Ok(stepped) => stepped,
                    Err(error) => {
                        tracing::error!(%error, "a step of a simulated cluster broke off; it stands still until it is woken anew");
                        *shared.lock() = Next::At(None);
                        return;
                    }
                };
                if *stopped.borrow() {
                    return;
                }
                if !current {
                    continue;
                }
                *shared.lock() = Next::At(change);
                let due = async {
                    match wake_at {
                        Some(at) => tokio::time::sleep(until(clock.now(), at)).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::pin!(due);
                let mut rested = false;
                loop {
                    tokio::select! {
                        _ = stopped.changed() => return,
                        changed = committed.changed() => if changed.is_err() { return },
                        () = activity.happened() => sim.lock().rouse(KUBELET),
                        () = due.as_mut() => {}
                        () = tokio::time::sleep(LULL), if !rested => {
                            let sim = Arc::clone(&sim);
                            tokio::task::spawn_blocking(move || sim.lock().rest());
                            rested = true;
                            continue;
                        }
                    }
                    break;
                }
                *shared.lock() = Next::Busy;
            }
        });
        Self { stop, next }
    }

    pub fn stop(self) {
        self.stop.send_replace(true);
    }

    /// Nothing is running, and no change is expected soon.
    pub fn rests(&self, now: Timestamp) -> bool {
        match *self.next.lock() {
            Next::Busy => false,
            Next::At(next) => next.is_none_or(|at| at.duration_since(now) > REST),
        }
    }
}

/// One look later.
pub async fn pause() {
    tokio::time::sleep(PAUSE).await;
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}
