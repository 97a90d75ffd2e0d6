//! Real kind clusters through the Docker API, one for each learner.
//!
//! ```text
//! KindProvisioner ──► Start      image, network, node, kubeadm, pod network, storage: in stages, cancellable
//!        │               └──► docker (bollard), api (the cluster's API server over TLS)
//!        ├──────────► KindCluster  serve, probe, snapshot, sleep
//!        ├──────────► exchange     a cluster of the pool takes the place of one that goes back to a snapshot
//!        ├──────────► reaper       what nobody knows any more is removed
//!        └──────────► preflight    what this machine lacks, and what mends it
//! ```
//!
//! Docker itself is the memory: a cluster is found again by the names and labels of its containers. This room must never mount
//! a path of the host or Docker's socket into a node, hand a node's own credentials to a learner, or remove what carries another
//! server's label. Cluster-admin on a node is root on the host: see `guard`.

mod api;
mod capacity;
mod cluster;
mod docker;
mod egress;
mod exchange;
mod fit;
mod gpu_report;
mod gpus;
mod guard;
mod identity;
mod images;
mod kubeadm;
mod lab_images;
mod names;
mod network;
mod node;
mod objects;
mod pool;
pub mod preflight;
mod probe;
mod recording;
mod rest;
mod settings;
mod stage;
mod start;
mod subnet;

use crate::contract::{
    Capabilities, Cluster, ClusterSpec, EngineKind, GpuLedger, GpuSupport, ImageOrigin, ProgressSender, ProvisionError, Provisioner,
};
use async_trait::async_trait;
use cluster::KindCluster;
pub use docker::DockerError;
use docker::{Engine, label, of_instance};
pub use fit::will_fit;
pub use gpu_report::examine as examine_gpus;
use gpus::{Allocation, Gpus};
use jiff::Timestamp;
use names::Names;
use node::HostTraits;
use parking_lot::Mutex;
pub use pool::{CLAIM, Warm};
pub use settings::{DEFAULT_IMAGE, DevicePlugin, Edge, KindSettings, LabImages, NodeLimits, PoolSettings};
pub use stage::{GPUS, IMAGES, NO_IMAGES, STAGES, StageError};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// All kind clusters of one server.
#[derive(Debug, Clone)]
pub struct KindProvisioner(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Engine,
    host: HostTraits,
    settings: KindSettings,
    edge: Edge,
    /// Clusters that this process has made or opened.
    open: Mutex<HashMap<String, Arc<KindCluster>>>,
    /// Starts under way in this process: the reaper leaves them alone.
    starting: Mutex<BTreeSet<String>>,
    tasks: TaskTracker,
    pool: pool::Pool,
    gpus: Gpus,
    /// Whether the pod network of the node image enforces NetworkPolicies; `None` until that has been tried out.
    enforced: Mutex<Option<bool>>,
}

/// What a reaper removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reaped {
    /// Ids of clusters that nobody knew.
    pub clusters: Vec<String>,
}

/// What `doctor` says of this engine: everything that was looked at. `Err`: Docker cannot be asked at all.
pub async fn examine(settings: &KindSettings, now: Timestamp) -> Result<Vec<preflight::Verdict>, DockerError> {
    let engine = Engine::connect(&settings.docker).await?;
    let (facts, _) = engine.facts().await?;
    let mut verdicts = preflight::judge(&facts, wanted(settings));
    verdicts.push(match engine.image(&settings.image).await? {
        Some(_) => preflight::Verdict::fine("node image", format!("{} is here", settings.image)),
        None if settings.pull => preflight::Verdict::fine("node image", format!("{} will be pulled at the first start", settings.image)),
        None => preflight::Verdict::fatal(
            "node image",
            format!("there is no {} in this Docker", settings.image),
            format!("docker pull {}", settings.image),
        ),
    });
    verdicts.push(network_policies(&engine, settings, now).await);
    Ok(verdicts)
}

/// Tried out anew where a cluster runs; else what was found out earlier.
async fn network_policies(engine: &Engine, settings: &KindSettings, now: Timestamp) -> preflight::Verdict {
    let what = "NetworkPolicy";
    let record = network::Record::new(&settings.data);
    let mut known = None;
    if let Some(names) = network::running(engine, &settings.instance).await
        && let Some(image) = network::image_of(engine, &names).await
    {
        known = record.get(&image);
        if let Ok(gpus) = Gpus::new(settings, engine, None).await
            && let Ok(cluster) = KindCluster::open(names, engine.clone(), settings.clone(), &gpus).await
            && let Ok(enforced) = cluster.enforces_policies().await
        {
            let measured = network::Measured { enforced, at: now.to_string() };
            if let Err(error) = record.put(&image, measured.clone()) {
                tracing::warn!("what was found out about the pod network cannot be recorded: {error}");
            }
            known = Some(measured);
        }
    } else if let Some(id) = engine.image(&settings.image).await.ok().flatten().and_then(|image| image.id) {
        known = record.get(&id);
    }
    match known {
        Some(known) if known.enforced => {
            preflight::Verdict::fine(what, format!("enforced by the pod network, as tried out at {}", known.at))
        }
        Some(known) => preflight::Verdict::narrow(
            what,
            format!("not enforced by the pod network, as tried out at {}; learners are told, and not failed for it", known.at),
            "name a node image in kind.image whose pod network enforces policies, as kindnet does from kind v0.24 on",
        ),
        None => preflight::Verdict::fine(what, "whether the pod network enforces it is tried out with the first cluster"),
    }
}

/// What the page says of an engine that works. `enforced`: what was found out about the pod network, if it was.
fn offers(enforced: Option<bool>) -> Capabilities {
    Capabilities {
        engine: EngineKind::Kind,
        simulated: false,
        snapshots: true,
        network_policy_enforced: enforced,
        gpus: GpuSupport::None,
        unavailable: None,
    }
}

fn wanted(settings: &KindSettings) -> preflight::Wanted {
    // `kindest/node:v1.34.11@sha256:…`: the tag names the version.
    let tag = settings.image.split('@').next().and_then(|name| name.rsplit_once(":v1."));
    let minor = tag.and_then(|(_, rest)| rest.split('.').next()?.parse().ok());
    preflight::Wanted { minor, node_memory: settings.limits.memory }
}

impl KindProvisioner {
    /// Connects to Docker and looks whether clusters can run here. `Unavailable` says why not, and what mends it. GPUs of this
    /// machine stay where they are.
    pub async fn connect(settings: KindSettings, edge: Edge) -> Result<Self, ProvisionError> {
        Self::connect_with(settings, edge, None).await
    }

    /// As [`Self::connect`]; clusters get GPUs of this machine, of which `ledger` keeps account.
    pub async fn connect_with_gpus(settings: KindSettings, edge: Edge, ledger: Arc<dyn GpuLedger>) -> Result<Self, ProvisionError> {
        Self::connect_with(settings, edge, Some(ledger)).await
    }

    async fn connect_with(settings: KindSettings, edge: Edge, ledger: Option<Arc<dyn GpuLedger>>) -> Result<Self, ProvisionError> {
        let unavailable = |error: DockerError| ProvisionError::Unavailable(error.to_string());
        let named = settings.instance.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !named || settings.instance.is_empty() || settings.instance.len() > 16 {
            return Err(ProvisionError::Unavailable(format!("kind.instance: {:?} must be 1 to 16 of a-z and 0-9", settings.instance)));
        }
        let engine = Engine::connect(&settings.docker).await.map_err(unavailable)?;
        let (facts, host) = engine.facts().await.map_err(unavailable)?;
        if let Some(why) = preflight::fatal(&preflight::judge(&facts, wanted(&settings))) {
            return Err(ProvisionError::Unavailable(why));
        }
        let gpus = Gpus::new(&settings, &engine, ledger).await.map_err(unavailable)?;
        exchange::undo(&engine, &settings.instance).await.map_err(unavailable)?;
        let image = engine.image(&settings.image).await.ok().flatten().and_then(|image| image.id);
        let known = image.and_then(|image| network::Record::new(&settings.data).get(&image));
        Ok(Self(Arc::new(Inner {
            gpus,
            engine,
            host,
            settings,
            edge,
            open: Mutex::default(),
            starting: Mutex::default(),
            tasks: TaskTracker::new(),
            pool: pool::Pool::default(),
            enforced: Mutex::new(known.map(|known| known.enforced)),
        })))
    }

    pub fn settings(&self) -> &KindSettings {
        &self.0.settings
    }

    /// Keeps idle clusters of this kind ready, as many as the settings say, until what it gives is dropped.
    pub fn keep_warm(&self, spec: ClusterSpec) -> Warm {
        pool::Pool::begin(&self.0, spec)
    }

    /// Idle clusters that wait to be claimed.
    pub async fn idle(&self) -> Result<usize, ProvisionError> {
        let inner = &self.0;
        let all = inner.engine.containers(&[of_instance(&inner.settings.instance)]).await;
        let all = all.map_err(|error| failed("listing clusters", error))?;
        Ok(all.iter().filter(|container| pool::is_idle(&inner.settings.instance, container)).count())
    }

    /// Tries out whether the network of a running cluster enforces NetworkPolicies, and remembers it for its node image.
    pub async fn measure_network(&self, id: &str) -> Result<bool, ProvisionError> {
        let cluster = KindCluster::open(self.0.names(id)?, self.0.engine.clone(), self.0.settings.clone(), &self.0.gpus).await?;
        self.0.measure_network(&cluster).await.map_err(|error| failed("trying out the pod network", error))
    }

    /// Waits until starts that were cancelled have removed what they had made.
    pub async fn finished(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.tasks.reopen();
    }

    /// Removes clusters of this server that are not among `known`, and what broken starts have left. Starts under way in this
    /// process, idle clusters of a pool that is kept, and clusters of other servers are left alone.
    pub async fn reap(&self, known: &BTreeSet<String>) -> Result<Reaped, ProvisionError> {
        let inner = &self.0;
        let docker = |error| failed("removing what nobody knows", error);
        let filter = [of_instance(&inner.settings.instance)];
        let containers = inner.engine.containers(&filter).await.map_err(docker)?;
        let networks = inner.engine.networks(&filter).await.map_err(docker)?;
        let idle: BTreeSet<&String> = containers
            .iter()
            .filter(|container| inner.pool.is_kept() && pool::is_idle(&inner.settings.instance, container))
            .filter_map(|container| container.labels.get(names::START))
            .collect();
        let mut starts: HashMap<String, Option<String>> = HashMap::new();
        for labels in containers.iter().map(|container| &container.labels).chain(networks.iter().map(|(_, labels)| labels)) {
            starts.entry(labels.get(names::START).cloned().unwrap_or_default()).or_default();
        }
        for container in &containers {
            if let Some(id) = names::id_of_control_plane(&inner.settings.instance, &container.name) {
                starts.insert(container.labels.get(names::START).cloned().unwrap_or_default(), Some(id.to_owned()));
            }
        }
        let mut reaped = Reaped::default();
        for (start, id) in starts {
            let kept = id.as_ref().is_some_and(|id| known.contains(id));
            if kept || idle.contains(&start) || inner.starting.lock().contains(&start) {
                continue;
            }
            if let Some(id) = &id {
                inner.forget(id);
            }
            inner.engine.remove_all(&[of_instance(&inner.settings.instance), label(names::START, &start)]).await.map_err(docker)?;
            reaped.clusters.extend(id);
        }
        inner.gpus.reconcile(&inner.engine).await?;
        reaped.clusters.sort();
        Ok(reaped)
    }
}

impl Inner {
    fn names(&self, id: &str) -> Result<Names, ProvisionError> {
        Names::new(&self.settings.instance, id)
            .map_err(|why| ProvisionError::Stage { stage: "naming the cluster".to_owned(), source: why.into() })
    }

    /// Ids of all clusters, idle ones of the pool included.
    async fn clusters(&self) -> Result<Vec<String>, ProvisionError> {
        let containers = self.engine.containers(&[of_instance(&self.settings.instance)]).await;
        let containers = containers.map_err(|error| failed("listing clusters", error))?;
        let ids = containers.iter().filter_map(|container| names::id_of_control_plane(&self.settings.instance, &container.name));
        Ok(ids.map(str::to_owned).collect())
    }

    /// A cluster out of the pool; `None`: a new one is to be made, and there is room for it.
    async fn claim_or_room(
        self: Arc<Self>,
        names: &Names,
        spec: &ClusterSpec,
        progress: &ProgressSender,
    ) -> Result<Option<Arc<KindCluster>>, ProvisionError> {
        // Spawned: a claim that has begun is finished, whoever waits for it.
        let (inner, owned, wanted, sender) = (self.clone(), names.clone(), spec.clone(), progress.clone());
        let claim = self.tasks.spawn(async move { pool::Pool::claim(&inner, &owned, &wanted, &sender).await });
        if let Some(claimed) = claim.await.map_err(|error| failed(pool::CLAIM, error))?? {
            self.open.lock().insert(names.id.clone(), claimed.clone());
            return Ok(Some(claimed));
        }
        let capacity = self.settings.pool.capacity;
        if capacity > 0 && self.clusters().await?.len() >= capacity {
            return Err(ProvisionError::Unavailable(format!("all {capacity} clusters of this machine are in use; try again later")));
        }
        Ok(None)
    }

    fn forget(&self, id: &str) -> Option<Arc<KindCluster>> {
        self.open.lock().remove(id)
    }

    /// Runs one start to its end, good or not; what a bad one made is removed before this returns.
    async fn start(
        self: Arc<Self>,
        names: Names,
        spec: ClusterSpec,
        progress: ProgressSender,
        cancel: CancellationToken,
        pool: bool,
    ) -> Result<Arc<KindCluster>, ProvisionError> {
        let pending = self.gpus.pending(&names.id);
        let allocation = if pool { Allocation::default() } else { self.gpus.claim(&self.engine, &pending, &spec).await? };
        let start = format!("{:016x}", (self.edge.random)());
        self.starting.lock().insert(start.clone());
        let stages =
            stage::Stages { progress, edge: self.edge.clone(), cancel, limit: self.settings.stage_limit, waits_for: Mutex::default() };
        let run = start::Start {
            engine: &self.engine,
            settings: &self.settings,
            host: self.host,
            names: &names,
            spec: &spec,
            stages: &stages,
            start: &start,
            pool,
            gpus: &self.gpus,
            allocation: &allocation,
        };
        let made = run.run().await;
        let made = match made {
            Ok(_) if stages.cancel.is_cancelled() => Err(failed(stage::READY, StageError::Cancelled)),
            Ok(api) => {
                let cluster = KindCluster::new(names.clone(), self.engine.clone(), api, self.settings.clone());
                if pool {
                    if self.enforced.lock().is_none() {
                        self.try_network(&cluster).await;
                    }
                    // Before the reaper may see it: an idle member is a paused one.
                    cluster.sleep().await.map(|()| cluster)
                } else {
                    Ok(cluster)
                }
            }
            Err(error) => Err(error),
        };
        if made.is_err() {
            let removed = self.engine.remove_all(&[label(names::START, &start)]).await.map_err(|error| failed(stage::READY, error));
            let tidied = match removed {
                Ok(()) => self.gpus.release(&names.id).await,
                Err(error) => Err(error),
            };
            if let Err(error) = tidied {
                let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(cluster.id = names.id, "a failed start has left something behind, which the reaper removes: {why}");
            }
        }
        self.starting.lock().remove(&start);
        let cluster = Arc::new(made?);
        if !pool {
            self.open.lock().insert(names.id, cluster.clone());
            // The first of an image, while its learner reads on.
            if self.enforced.lock().is_none() {
                let (inner, cluster) = (self.clone(), cluster.clone());
                self.tasks.spawn(async move { inner.try_network(&cluster).await });
            }
        }
        Ok(cluster)
    }

    async fn measure_network(&self, cluster: &KindCluster) -> Result<bool, StageError> {
        let enforced = cluster.enforces_policies().await?;
        *self.enforced.lock() = Some(enforced);
        if let Some(image) = network::image_of(&self.engine, cluster.names()).await {
            let measured = network::Measured { enforced, at: (self.edge.now)().to_string() };
            if let Err(error) = network::Record::new(&self.settings.data).put(&image, measured) {
                tracing::warn!("what was found out about the pod network cannot be recorded: {error}");
            }
        }
        if !enforced {
            tracing::warn!("the pod network of {} does not enforce NetworkPolicies", self.settings.image);
        }
        Ok(enforced)
    }

    async fn try_network(&self, cluster: &KindCluster) {
        if let Err(error) = self.measure_network(cluster).await {
            tracing::warn!("whether the pod network enforces NetworkPolicies cannot be tried out: {error}");
        }
    }
}

fn failed(stage: &str, error: impl std::error::Error + Send + Sync + 'static) -> ProvisionError {
    ProvisionError::Stage { stage: stage.to_owned(), source: Box::new(error) }
}

#[async_trait]
impl Provisioner for KindProvisioner {
    fn capabilities(&self) -> Capabilities {
        let gpus = match (self.0.gpus.lends(), lab_images::simulates_gpus(&self.0.settings, self.0.gpus.lends())) {
            (true, _) => GpuSupport::PassedThrough,
            (false, true) => GpuSupport::Simulated,
            (false, false) => GpuSupport::None,
        };
        Capabilities { gpus, ..offers(*self.0.enforced.lock()) }
    }

    /// Dropping the future cancels the start; its remains are removed in the background.
    async fn create(&self, id: &str, spec: &ClusterSpec, progress: ProgressSender) -> Result<Arc<dyn Cluster>, ProvisionError> {
        let names = self.0.names(id)?;
        let cancel = CancellationToken::new();
        let dropped = cancel.clone().drop_guard();
        if let Some(claimed) = self.0.clone().claim_or_room(&names, spec, &progress).await? {
            dropped.disarm();
            return Ok(claimed);
        }
        let start = self.0.clone().start(names, spec.clone(), progress, cancel, false);
        let made = self.0.tasks.spawn(start).await.map_err(|error| failed("starting the cluster", error))?;
        dropped.disarm();
        Ok(made?)
    }

    async fn open(&self, id: &str) -> Result<Arc<dyn Cluster>, ProvisionError> {
        let names = self.0.names(id).map_err(|_| ProvisionError::NotFound)?;
        let known = self.0.open.lock().get(id).cloned();
        if let Some(cluster) = known {
            cluster.wake().await?;
            cluster.revive().await?;
            return Ok(cluster);
        }
        let opened = Arc::new(KindCluster::open(names, self.0.engine.clone(), self.0.settings.clone(), &self.0.gpus).await?);
        Ok(self.0.open.lock().entry(id.to_owned()).or_insert(opened).clone())
    }

    async fn delete(&self, id: &str) -> Result<(), ProvisionError> {
        let Ok(names) = self.0.names(id) else { return Ok(()) };
        let docker = |error| failed("removing the cluster", error);
        let engine = &self.0.engine;
        self.0.forget(id);
        // Never made, or a cluster out of the pool: there may be none.
        let _ = tokio::fs::remove_dir_all(cluster::snapshots(&self.0.settings, id)).await;
        // By its start where a node is left, since a claimed cluster's labels carry the id that it had in the pool.
        let mut filters = vec![label(names::CLUSTER, id)];
        if let Some(found) = engine.inspect(&names.control_plane()).await.map_err(docker)? {
            let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
            filters.extend(labels.get(names::START).map(|start| label(names::START, start)));
        }
        for filter in filters {
            engine.remove_all(&[of_instance(&self.0.settings.instance), filter]).await.map_err(docker)?;
        }
        self.0.gpus.release(id).await
    }

    async fn tidy(&self) -> Result<(), ProvisionError> {
        self.0.gpus.reconcile(&self.0.engine).await
    }

    async fn restore(&self, id: &str, snapshot: &str) -> Result<(), ProvisionError> {
        let names = self.0.names(id).map_err(|_| ProvisionError::NotFound)?;
        // Spawned: an exchange that has begun is finished, whoever waits for it.
        let (inner, snapshot_name) = (self.0.clone(), snapshot.to_owned());
        let exchange = self.0.tasks.spawn(async move { exchange::restore(&inner, &names, &snapshot_name).await });
        if exchange.await.map_err(|error| failed("restoring a snapshot", error))?? {
            return Ok(());
        }
        self.open(id).await?.restore(snapshot).await
    }

    async fn image(&self, reference: &str) -> Result<ImageOrigin, ProvisionError> {
        let found = lab_images::origin(&self.0.settings.lab_images, reference).await;
        found.map_err(|error| failed("looking for the image", error))
    }

    async fn list(&self) -> Result<Vec<String>, ProvisionError> {
        let instance = &self.0.settings.instance;
        let containers = self.0.engine.containers(&[of_instance(instance)]).await.map_err(|error| failed("listing clusters", error))?;
        // Members of the pool are nobody's clusters, idle or still being made.
        let claimed = containers.iter().filter(|container| !pool::is_member(instance, container));
        let ids = claimed.filter_map(|container| names::id_of_control_plane(instance, &container.name));
        let mut ids: Vec<String> = ids.filter(|id| !exchange::is_passing(id)).map(str::to_owned).collect();
        ids.sort();
        Ok(ids)
    }
}
