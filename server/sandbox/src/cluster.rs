//! One cluster: its API, its behaviour, its files.

use crate::{
    disk::FileDisk,
    driver::{Driver, KUBELET},
    files::{Description, Folder, is_snapshot_name},
    gone::Gone,
    options::{Options, SandboxError, Time},
    probe::{Probe, ProbeOutcome},
    template,
};
use apiserver::{Client, Router, Server, Snapshot, UserInfo};
use jiff::{SignedDuration, Timestamp};
use machinery::Clock as _;
use parking_lot::Mutex;
use sim::{
    Sim,
    bootstrap::ClusterSpec,
    controllers,
    kubelet::{Activity, Disk, Keeper, Kubelet, Prober, Reach},
    scheduler::Scheduler,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Simulated time without a write after which a cluster counts as at rest: longer than images take to be pulled, processes to
/// start and first probes to come.
const QUIET: Duration = Duration::from_secs(30);

/// A simulated Kubernetes cluster.
#[derive(Debug)]
pub struct Cluster {
    options: Arc<Options>,
    description: Description,
    folder: Option<Folder>,
    server: Server,
    sim: Arc<Mutex<Sim>>,
    prober: Prober,
    /// Tells what happens beside the API: sessions, signals.
    activity: Arc<Activity>,
    /// Brings the nodes' disks up to date.
    keeper: Keeper,
    /// The task that steps the cluster; `None` while it sleeps, and always in manual time.
    driver: Mutex<Option<Driver>>,
    snapshots: Mutex<BTreeMap<String, Snapshot>>,
}

impl Cluster {
    pub(crate) fn create(options: Arc<Options>, description: Description) -> Result<Arc<Self>, SandboxError> {
        let folder = options.data.as_ref().map(|data| Folder::new(data, &description.id));
        if let Some(folder) = &folder {
            folder.begin()?;
        }
        let snapshot = template::of(&options, &description)?;
        let cluster = Self::build(options, description, folder, false)?;
        cluster.server.restore(&snapshot).map_err(SandboxError::disk("writing the new cluster's journal"))?;
        cluster.sim.lock().restart();
        cluster.step();
        if let Some(folder) = &cluster.folder {
            folder.finish(&cluster.description)?;
        }
        cluster.wake();
        Ok(cluster)
    }

    pub(crate) fn reopen(options: Arc<Options>, description: Description) -> Result<Arc<Self>, SandboxError> {
        let folder = options.data.as_ref().map(|data| Folder::new(data, &description.id));
        Self::build(options, description, folder, true)
    }

    fn build(options: Arc<Options>, description: Description, folder: Option<Folder>, rebooted: bool) -> Result<Arc<Self>, SandboxError> {
        let server = Server::open(apiserver::Options {
            clock: options.time.clock(),
            seed: description.seed,
            token_secret: description.token_secret(),
            journal: folder.as_ref().map(Folder::journal),
            issuer: options.issuer.clone(),
            certificate_authority: options.certificate_authority.clone(),
        })
        .map_err(|error| SandboxError::Damaged { id: description.id.clone(), why: format!("its journal: {error}") })?;
        let disk = folder.as_ref().map(|folder| -> Arc<dyn Disk> { Arc::new(FileDisk(folder.disk())) });
        let kubelet = Kubelet::new(&server, Arc::clone(&options.catalogue), &description.spec, disk);
        let kubelet = if rebooted { kubelet.rebooted() } else { kubelet };
        server.set_node_runtime(kubelet.node_runtime());
        let (prober, activity, keeper) = (kubelet.prober(), kubelet.activity(), kubelet.keeper());
        let mut members = controllers::all(&options.certificate_authority);
        members.push(Box::new(Scheduler::default()));
        members.push(Box::new(kubelet));
        let sim = Sim::new(&server, Arc::clone(&options.catalogue), description.seed, members);
        Ok(Arc::new(Self {
            options,
            description,
            folder,
            server,
            sim: Arc::new(Mutex::new(sim)),
            prober,
            activity,
            keeper,
            driver: Mutex::new(None),
            snapshots: Mutex::new(BTreeMap::new()),
        }))
    }

    pub fn id(&self) -> &str {
        &self.description.id
    }

    pub fn spec(&self) -> &ClusterSpec {
        &self.description.spec
    }

    pub fn created_at(&self) -> Timestamp {
        self.description.created_at
    }

    /// The HTTP API below `/`; each request needs a [`UserInfo`] in its extensions. A request wakes a sleeping cluster.
    pub fn router(self: &Arc<Self>) -> Router {
        let cluster = Arc::clone(self);
        self.server.router_with(move || cluster.wake())
    }

    /// The API in process, past RBAC, as `kubernetes-admin`.
    pub fn client(&self) -> Client {
        self.server.client(UserInfo::admin(), "cordon")
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The user of a ServiceAccount token of this cluster.
    pub fn authenticate(&self, bearer_token: &str) -> Option<UserInfo> {
        self.server.authenticate(bearer_token)
    }

    pub fn is_awake(&self) -> bool {
        matches!(self.options.time, Time::Manual(_)) || self.driver.lock().is_some()
    }

    /// Idempotent. What came due in the meantime happens at once.
    pub fn wake(&self) {
        if let Time::Running(clock) = &self.options.time {
            let mut driver = self.driver.lock();
            if driver.is_none() {
                *driver = Some(Driver::start(&self.server, &self.sim, clock, &self.activity));
            }
        }
    }

    /// Ends the driver: nothing runs for this cluster until the next request or [`Self::wake`].
    pub fn sleep(&self) {
        if let Some(driver) = self.driver.lock().take() {
            driver.stop();
            self.keeper.save();
            self.sim.lock().rest();
        }
    }

    /// For good: lets go of what holds the API server from below.
    pub(crate) fn stop(&self) {
        self.sleep();
        self.server.set_node_runtime(Arc::new(Gone));
    }

    /// Steps once, at the present time; when to step again.
    pub fn step(&self) -> Option<Timestamp> {
        let now = self.options.time.clock().now();
        self.sim.lock().step(now)
    }

    /// Waits until nothing moves any more, though what is periodic goes on, or `limit` is over. In manual time `limit` is
    /// simulated: the clock jumps from one wake-up to the next until nothing has been written for a while and nothing is expected.
    pub async fn settle(&self, limit: Duration) {
        match &self.options.time {
            Time::Manual(_) => self.settle_manually(limit),
            Time::Running(clock) => {
                self.wake();
                let deadline = after(clock.now(), limit);
                let rests = || {
                    let sim = self.sim.lock();
                    let driver = self.driver.lock();
                    sim.is_current() && driver.as_ref().is_none_or(|driver| driver.rests(clock.now()))
                };
                while !rests() && clock.now() < deadline {
                    crate::driver::pause().await;
                }
            }
        }
    }

    /// [`Self::settle`] for callers without async, in manual time only.
    pub fn settle_manually(&self, limit: Duration) {
        let Time::Manual(clock) = &self.options.time else { return };
        let deadline = after(clock.now(), limit);
        let mut sim = self.sim.lock();
        sim.rouse(KUBELET);
        let mut written = *self.server.committed().borrow();
        let mut last_write = clock.now();
        while let Some(next) = sim.step(clock.now()).filter(|next| *next <= deadline) {
            let now = *self.server.committed().borrow();
            if now != written {
                (written, last_write) = (now, clock.now());
            }
            if sim.next_change().is_none_or(|at| at > after(last_write, QUIET)) {
                break;
            }
            clock.advance_to(next);
        }
    }

    /// Lets simulated time pass, in manual time only; everything that comes due on the way happens.
    pub fn advance(&self, duration: Duration) {
        let Time::Manual(clock) = &self.options.time else { return };
        let until = after(clock.now(), duration);
        let mut sim = self.sim.lock();
        sim.rouse(KUBELET);
        while let Some(next) = sim.step(clock.now()).filter(|next| *next <= until) {
            clock.advance_to(next);
        }
        clock.advance_to(until);
        sim.step(until);
    }

    /// Remembers the present state under `name`; the same name again replaces it.
    pub fn snapshot(&self, name: &str) -> Result<(), SandboxError> {
        if !is_snapshot_name(name) {
            return Err(SandboxError::BadSnapshotName(name.to_owned()));
        }
        let snapshot = match &self.folder {
            Some(folder) => {
                self.server.snapshot_to(&folder.snapshot(name)).map_err(SandboxError::disk(format!("writing snapshot {name:?}")))?
            }
            None => self.server.snapshot(),
        };
        self.snapshots.lock().insert(name.to_owned(), snapshot);
        Ok(())
    }

    /// Puts a remembered state in place of the present one. Clients that watch see the differences.
    pub fn restore(&self, name: &str) -> Result<(), SandboxError> {
        let snapshot = self.find_snapshot(name)?;
        let mut sim = self.sim.lock();
        self.server.restore(&snapshot).map_err(SandboxError::disk(format!("restoring snapshot {name:?}")))?;
        sim.restart();
        drop(sim);
        // Also where nothing differed: what ran has to begin again.
        self.activity.notify_one();
        Ok(())
    }

    fn find_snapshot(&self, name: &str) -> Result<Snapshot, SandboxError> {
        if let Some(snapshot) = self.snapshots.lock().get(name) {
            return Ok(snapshot.clone());
        }
        let missing = || SandboxError::NoSnapshot { cluster: self.id().to_owned(), name: name.to_owned() };
        let folder = self.folder.as_ref().filter(|_| is_snapshot_name(name)).ok_or_else(missing)?;
        let read = Snapshot::read_from(&folder.snapshot(name)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(),
            _ => SandboxError::disk(format!("reading snapshot {name:?}"))(error),
        })?;
        Ok(self.snapshots.lock().entry(name.to_owned()).or_insert(read).clone())
    }

    /// Names of the states that can be restored, in order.
    pub fn snapshots(&self) -> Vec<String> {
        let mut names: Vec<_> = self.snapshots.lock().keys().cloned().collect();
        if let Some(folder) = &self.folder {
            names.extend(folder.snapshots());
        }
        names.sort();
        names.dedup();
        names
    }

    /// Tries a connection as a process in the pod would.
    pub async fn probe(&self, probe: &Probe) -> ProbeOutcome {
        let reached = self.prober.reach(&probe.from_namespace, &probe.from_pod, &probe.to_host, probe.to_port, probe.http_path.as_deref());
        match reached.await {
            Reach::Connected(response) => ProbeOutcome::Connected {
                status: response.as_ref().map(|response| response.status),
                body: response.map(|response| beginning(&response.body)).unwrap_or_default(),
            },
            Reach::NoSuchHost => ProbeOutcome::NoSuchHost,
            Reach::Refused => ProbeOutcome::Refused,
            Reach::TimedOut => ProbeOutcome::TimedOut,
            Reach::Unknown(reason) => ProbeOutcome::Unknown { reason },
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// As much of an answer as evidence keeps.
fn beginning(body: &[u8]) -> String {
    const MOST: usize = 4_096;
    String::from_utf8_lossy(&body[..body.len().min(MOST)]).into_owned()
}

fn after(now: Timestamp, limit: Duration) -> Timestamp {
    let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    now.saturating_add(limit).unwrap_or(Timestamp::MAX)
}
