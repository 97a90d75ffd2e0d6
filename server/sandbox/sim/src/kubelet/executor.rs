//! Processes as tasks, and simulated time for them: both move only when the simulator steps.

use crate::shell::machine::{Spawner, Timer};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use machinery::Clock;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use tokio::sync::Notify;

/// A process that sleeps longer than this does so between two rounds of what it does for ever.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// Who waits for which time, in order.
type Waiting = Arc<Mutex<BTreeMap<(Timestamp, u64), Sleeper>>>;

#[derive(Debug)]
struct Sleeper {
    /// `None` until it was asked first.
    waker: Option<Waker>,
    /// See [`PAUSE`].
    pauses: bool,
}

/// Tells whoever drives the simulator that something happened outside a step: a session that waits, a process that was signalled.
#[derive(Debug, Default)]
pub struct Activity {
    notify: Notify,
    stepping: AtomicBool,
}

impl Activity {
    pub fn notify_one(&self) {
        if !self.stepping.load(Ordering::SeqCst) {
            self.notify.notify_one();
        }
    }

    /// During a step nobody needs to be told: the step ends by looking.
    pub fn stepping(&self, stepping: bool) {
        self.stepping.store(stepping, Ordering::SeqCst);
    }

    pub async fn happened(&self) {
        self.notify.notified().await;
    }
}

/// Deadlines that somebody waits for.
#[derive(Debug)]
pub struct StepTimer {
    clock: Arc<dyn Clock>,
    stepped: Mutex<Timestamp>,
    waiting: Waiting,
    next: AtomicU64,
    activity: Arc<Activity>,
}

impl StepTimer {
    pub fn new(clock: Arc<dyn Clock>, activity: Arc<Activity>) -> Self {
        let stepped = Mutex::new(clock.now());
        Self { clock, stepped, waiting: Arc::default(), next: AtomicU64::new(0), activity }
    }

    /// Time has come to `now`: wakes whoever waited for it. True where somebody did.
    pub fn advance(&self, now: Timestamp) -> bool {
        {
            let mut stepped = self.stepped.lock();
            *stepped = (*stepped).max(now);
        }
        let due: Vec<_> = {
            let mut waiting = self.waiting.lock();
            let later = waiting.split_off(&(now, u64::MAX));
            std::mem::replace(&mut *waiting, later).into_values().collect()
        };
        let any = !due.is_empty();
        due.into_iter().filter_map(|sleeper| sleeper.waker).for_each(Waker::wake);
        any
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.waiting.lock().keys().next().map(|(at, _)| *at)
    }

    /// The same without processes that only pause.
    pub fn next_step(&self) -> Option<Timestamp> {
        self.waiting.lock().iter().find(|(_, sleeper)| !sleeper.pauses).map(|((at, _), _)| *at)
    }
}

impl Timer for StepTimer {
    fn now(&self) -> Timestamp {
        self.clock.now().max(*self.stepped.lock())
    }

    fn sleep(&self, duration: SignedDuration) -> BoxFuture<'static, ()> {
        let at = self.now().saturating_add(duration).unwrap_or(Timestamp::MAX);
        if duration <= SignedDuration::ZERO {
            return Box::pin(std::future::ready(()));
        }
        let key = (at, self.next.fetch_add(1, Ordering::Relaxed));
        self.waiting.lock().insert(key, Sleeper { waker: None, pauses: duration > PAUSE });
        self.activity.notify_one();
        Box::pin(Sleep { key, waiting: Arc::clone(&self.waiting) })
    }
}

struct Sleep {
    key: (Timestamp, u64),
    waiting: Waiting,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.waiting.lock().get_mut(&self.key) {
            Some(sleeper) => {
                sleeper.waker = Some(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.key);
    }
}

struct Flag {
    woken: AtomicBool,
    any: Arc<AtomicBool>,
    activity: Arc<Activity>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.any.store(true, Ordering::SeqCst);
        self.activity.notify_one();
    }
}

struct Task {
    future: BoxFuture<'static, ()>,
    flag: Arc<Flag>,
}

/// All tasks of one cluster. Polled by the step, never by a runtime.
pub struct Tasks {
    all: Mutex<BTreeMap<u64, Option<Task>>>,
    next: AtomicU64,
    any: Arc<AtomicBool>,
    activity: Arc<Activity>,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("count", &self.all.lock().len()).finish()
    }
}

/// Polls of one run: beyond it the tasks are only waking each other, and time must pass.
const MOST_POLLS: usize = 20_000;

impl Tasks {
    pub fn new(activity: Arc<Activity>) -> Self {
        Self { all: Mutex::default(), next: AtomicU64::new(0), any: Arc::default(), activity }
    }

    pub fn spawn(&self, future: BoxFuture<'static, ()>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let flag = Arc::new(Flag { woken: AtomicBool::new(true), any: Arc::clone(&self.any), activity: Arc::clone(&self.activity) });
        self.all.lock().insert(id, Some(Task { future, flag }));
        self.any.store(true, Ordering::SeqCst);
        self.activity.notify_one();
        id
    }

    /// Ends a task where it stands.
    pub fn cancel(&self, id: u64) {
        let task = self.all.lock().remove(&id);
        drop(task);
    }

    /// Ends all of them. Processes hold what they run on, which holds them: without this nothing of a cluster would ever be let go.
    pub fn end(&self) {
        let all = std::mem::take(&mut *self.all.lock());
        drop(all);
    }

    pub fn is_due(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Polls what was woken until nothing is. False where there is still more to do.
    pub fn run(&self) -> bool {
        let mut polls = 0;
        while self.any.swap(false, Ordering::SeqCst) {
            let ids: Vec<u64> = self.all.lock().keys().copied().collect();
            for id in ids {
                let taken = match self.all.lock().get_mut(&id) {
                    Some(slot) if slot.as_ref().is_some_and(|task| task.flag.woken.swap(false, Ordering::SeqCst)) => slot.take(),
                    _ => None,
                };
                let Some(mut task) = taken else { continue };
                polls += 1;
                let waker = Waker::from(Arc::clone(&task.flag));
                let outcome = task.future.as_mut().poll(&mut Context::from_waker(&waker));
                let mut all = self.all.lock();
                if outcome.is_ready() {
                    all.remove(&id);
                } else if let Some(slot) = all.get_mut(&id) {
                    *slot = Some(task);
                }
                drop(all);
                if polls >= MOST_POLLS {
                    self.any.store(true, Ordering::SeqCst);
                    return false;
                }
            }
        }
        true
    }
}

impl Spawner for Tasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        Self::spawn(self, task);
    }
}

/// The tasks of one container: they end with it.
#[derive(Debug)]
pub struct ContainerTasks {
    tasks: Arc<Tasks>,
    own: Mutex<Vec<u64>>,
}

impl ContainerTasks {
    pub fn new(tasks: &Arc<Tasks>) -> Self {
        Self { tasks: Arc::clone(tasks), own: Mutex::default() }
    }

    pub fn end(&self) {
        let own = std::mem::take(&mut *self.own.lock());
        for id in own {
            self.tasks.cancel(id);
        }
    }
}

impl Spawner for ContainerTasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let id = Tasks::spawn(&self.tasks, task);
        let mut own = self.own.lock();
        own.push(id);
        if own.len() > 256 {
            let held = self.tasks.all.lock();
            own.retain(|id| held.contains_key(id));
        }
    }
}
