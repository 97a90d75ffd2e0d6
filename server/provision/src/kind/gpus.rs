//! GPUs of this machine for the nodes of clusters: claimed before a start, given to the containers, and everything else taken away.
//!
//! ```text
//! start ──► claim: look (NVML), choose, GpuLedger ──► Allocation ──► containers ──► isolate: mask, nvidia-smi -L ──► kubeadm
//! delete, failed start ──► release          reconcile: claims without a container are let go
//! ```

use crate::{
    contract::{ClusterSpec, GpuLedger, LedgerError, ProvisionError},
    gpu::{
        Device, GpuChoice, Inventory, Look, Wanted, choose, labels, listing, mask, nvml,
        passage::{self, Passage},
    },
    kind::{
        docker::{DockerError, Engine},
        failed, names,
        node::NodeGpus,
        settings::KindSettings,
        stage,
    },
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// How often another choice is made where somebody else was faster.
const TRIES: u32 = 16;

const CDI_REMEDY: &str = "compare nvidia-smi -L on this machine with docker info; a CDI specification that is older than the driver or \
     its MIG instances is made anew with nvidia-ctk cdi generate --device-name-strategy=uuid --output=/etc/cdi/nvidia.yaml";

/// What one start has been given: by the number of the node in the lab's list.
#[derive(Debug, Default)]
pub struct Allocation {
    nodes: BTreeMap<usize, Vec<Device>>,
    passage: Option<Passage>,
    labels: BTreeMap<usize, BTreeMap<String, String>>,
}

impl Allocation {
    pub fn devices(&self, node: usize) -> &[Device] {
        self.nodes.get(&node).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn labels(&self, node: usize) -> BTreeMap<String, String> {
        self.labels.get(&node).cloned().unwrap_or_default()
    }

    pub fn of_node(&self, node: usize) -> Option<NodeGpus> {
        let uuids: Vec<String> = self.devices(node).iter().map(|device| device.uuid.clone()).collect();
        let passage = self.passage.clone().filter(|_| !uuids.is_empty())?;
        Some(NodeGpus { uuids, passage })
    }
}

/// The lender of this machine's GPUs.
#[derive(Debug)]
pub struct Gpus {
    choice: GpuChoice,
    nvml: PathBuf,
    nvidia_runtime: PathBuf,
    ledger: Option<Arc<dyn GpuLedger>>,
    /// Learners get GPUs of this machine; what a lab asks for is claimed.
    lends: bool,
    /// This machine has GPUs, so that nodes without one are kept from them.
    hides: bool,
    /// Clusters whose start is under way: they may have claims and no container.
    pending: Mutex<BTreeSet<String>>,
    /// Claims and reconciling take turns.
    turn: tokio::sync::Mutex<()>,
}

/// A start that may hold claims; they are looked after by it until this is dropped.
#[derive(Debug)]
pub struct Pending<'a>(&'a Gpus, String);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.pending.lock().remove(&self.1);
    }
}

impl Gpus {
    /// Looks once. Without a ledger nothing of this machine is lent.
    pub async fn new(settings: &KindSettings, engine: &Engine, ledger: Option<Arc<dyn GpuLedger>>) -> Result<Self, DockerError> {
        // NVML speaks of this machine, and so does only a Docker that listens here.
        let found = if engine.is_local() { look(&settings.nvml).await } else { Look::NoDriver };
        let lends = match (&settings.gpus, &ledger) {
            (_, None) | (GpuChoice::None | GpuChoice::Simulated, _) => false,
            (GpuChoice::Listed(_), Some(_)) if !engine.is_local() => {
                tracing::warn!("kind.gpus names GPUs of this machine, and Docker is on another one: labs get none of them");
                false
            }
            (GpuChoice::Listed(_), Some(_)) => true,
            (GpuChoice::Auto, Some(_)) => match &found {
                Look::NoDriver => false,
                Look::Broken { cause, remedy } => {
                    tracing::warn!("the GPUs of this machine are not used: {cause}; {remedy}");
                    false
                }
                Look::Found(inventory) => {
                    let devices = choose::devices(inventory);
                    let closed = passage::passage(
                        &facts(engine, &settings.nvidia_runtime).await?,
                        devices.iter().map(|(device, _)| device.uuid.as_str()),
                    );
                    if let (Err(closed), false) = (&closed, devices.is_empty()) {
                        tracing::warn!("the GPUs of this machine are not used: {}; {}", closed.cause, closed.remedy);
                    }
                    closed.is_ok() && !devices.is_empty()
                }
            },
        };
        Ok(Self {
            choice: settings.gpus.clone(),
            nvml: settings.nvml.clone(),
            nvidia_runtime: settings.nvidia_runtime.clone(),
            ledger,
            lends,
            hides: engine.is_local() && (found != Look::NoDriver || Path::new("/dev/nvidiactl").exists()),
            pending: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Whether learners get GPUs of this machine.
    pub fn lends(&self) -> bool {
        self.lends
    }

    /// Whether nodes are kept from GPUs that are not theirs.
    pub fn hides(&self) -> bool {
        self.hides || self.lends
    }

    /// Whether a cluster of this kind gets GPUs of this machine, which no idle cluster of the pool has.
    pub fn wanted_by(&self, spec: &ClusterSpec) -> bool {
        self.lends && spec.nodes.iter().any(|node| node.gpus > 0)
    }

    pub fn pending(&self, cluster: &str) -> Pending<'_> {
        self.pending.lock().insert(cluster.to_owned());
        Pending(self, cluster.to_owned())
    }

    /// Takes what the lab asks for; nothing where GPUs are simulated. The claim is the database's: of two starts one gets a GPU.
    pub async fn claim(&self, engine: &Engine, pending: &Pending<'_>, spec: &ClusterSpec) -> Result<Allocation, ProvisionError> {
        let Some(ledger) = self.ledger.as_ref().filter(|_| self.wanted_by(spec)) else { return Ok(Allocation::default()) };
        let unavailable = |why: String| ProvisionError::Unavailable(why);
        let docker = |error: DockerError| failed(stage::GPUS, error);
        let cluster = &pending.1;
        let _turn = self.turn.lock().await;
        let inventory = self.inventory().await.map_err(unavailable)?;
        let facts = facts(engine, &self.nvidia_runtime).await.map_err(docker)?;
        let asking: Vec<(usize, Wanted)> = spec
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.gpus > 0)
            .map(|(index, node)| {
                (index, Wanted { count: usize::try_from(node.gpus).unwrap_or(usize::MAX), product: node.gpu_product.clone() })
            })
            .collect();
        let wanted: Vec<Wanted> = asking.iter().map(|(_, wanted)| wanted.clone()).collect();
        let mut swept = false;
        for _ in 0..TRIES {
            let mut taken = ledger.claims().await.map_err(ledger_failed)?;
            taken.extend(held(engine).await.map_err(docker)?);
            let chosen = match choose::choose(&inventory, &self.choice, &taken, &wanted) {
                Ok(chosen) => chosen,
                // Some of it may be held for clusters that are gone.
                Err(_) if !swept => {
                    swept = true;
                    self.sweep(engine, &**ledger).await?;
                    continue;
                }
                Err(why) => return Err(unavailable(why)),
            };
            let uuids: Vec<String> = chosen.iter().flatten().map(|device| device.uuid.clone()).collect();
            let passage = passage::passage(&facts, uuids.iter().map(String::as_str))
                .map_err(|closed| unavailable(format!("Docker cannot hand over the GPU: {}; {}", closed.cause, closed.remedy)))?;
            if !ledger.claim(cluster, &uuids).await.map_err(ledger_failed)? {
                // Another server of the same database was faster; the next look sees its claim.
                continue;
            }
            let nodes: BTreeMap<usize, Vec<Device>> = asking.iter().map(|(index, _)| *index).zip(chosen).collect();
            let labels = nodes.iter().map(|(index, devices)| {
                let discovered = spec.nodes.get(*index).is_some_and(|node| node.gpus_in_capacity);
                (*index, labels::labels(devices, &inventory, discovered))
            });
            return Ok(Allocation { labels: labels.collect(), nodes, passage: Some(passage) });
        }
        Err(unavailable("others were faster in taking the GPUs of this machine; try again".to_owned()))
    }

    pub async fn release(&self, cluster: &str) -> Result<(), ProvisionError> {
        match &self.ledger {
            Some(ledger) => ledger.release(cluster).await.map_err(ledger_failed),
            None => Ok(()),
        }
    }

    /// Lets go of claims whose cluster has no container and is not being made: of a process that died between claim and start, of
    /// clusters that somebody removed by hand.
    pub async fn reconcile(&self, engine: &Engine) -> Result<(), ProvisionError> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let _turn = self.turn.lock().await;
        self.sweep(engine, &**ledger).await
    }

    /// In this order: a claim that is read here was made before, so that its start is pending or its container is there.
    async fn sweep(&self, engine: &Engine, ledger: &dyn GpuLedger) -> Result<(), ProvisionError> {
        let claims = ledger.claims().await.map_err(ledger_failed)?;
        let pending = self.pending.lock().clone();
        let held = held(engine).await.map_err(|error| failed(stage::GPUS, error))?;
        let mut stale = claims;
        stale.retain(|uuid, cluster| !pending.contains(cluster) && !held.contains_key(uuid));
        if stale.is_empty() {
            return Ok(());
        }
        // A database may serve other machines too, whose GPUs are theirs to free.
        let Ok(inventory) = self.inventory().await else { return Ok(()) };
        let here = choose::devices(&inventory);
        stale.retain(|uuid, _| here.iter().any(|(device, _)| device.uuid == *uuid));
        for cluster in stale.into_values().collect::<BTreeSet<_>>() {
            tracing::warn!(cluster.id = cluster, "GPUs of a cluster that is gone are free again");
            ledger.release(&cluster).await.map_err(ledger_failed)?;
        }
        Ok(())
    }

    /// For a node that runs again, whose devices may have other numbers now.
    pub async fn isolate_again(&self, engine: &Engine, container: &str, uuids: &str) -> Result<(), DockerError> {
        let remedy = "the cluster's GPU may be back after nvidia-smi --gpu-reset or a reboot; else start the lab anew";
        let inventory = self.inventory().await.map_err(|why| DockerError::known(why, remedy))?;
        let devices =
            uuids.split(',').map(|uuid| inventory.device(uuid).ok_or_else(|| DockerError::known(format!("{uuid} is gone"), remedy)));
        isolate(engine, container, &devices.collect::<Result<Vec<_>, _>>()?).await
    }

    async fn inventory(&self) -> Result<Inventory, String> {
        match look(&self.nvml).await {
            Look::Found(inventory) => Ok(inventory),
            Look::NoDriver => Err(format!(
                "this machine has no NVIDIA driver ({} is not found): install one, set kind.nvml to where it is, or say kind.gpus = \"simulated\"",
                self.nvml.display()
            )),
            Look::Broken { cause, remedy } => Err(format!("the NVIDIA driver does not work: {cause}; {remedy}")),
        }
    }
}

/// Leaves the node the device nodes of these GPUs, and asks `nvidia-smi` in it what it sees.
pub async fn isolate(engine: &Engine, container: &str, devices: &[Device]) -> Result<(), DockerError> {
    engine.upload(container, &mask::files(devices)).await?;
    engine.run(container, &[mask::SCRIPT], b"").await?;
    if devices.is_empty() {
        return Ok(());
    }
    let printed = engine.exec(container, &["sh", "-c", "nvidia-smi -L"], b"").await?;
    if printed.code != 0 {
        let words = format!("{} {}", printed.stdout.trim(), printed.stderr.trim());
        return Err(DockerError::known(format!("nvidia-smi in the node ended with code {}: {}", printed.code, words.trim()), CDI_REMEDY));
    }
    listing::verify(&printed.stdout, devices).map_err(|why| DockerError::known(why, CDI_REMEDY))
}

/// Docker's words for a device that it does not know, with what mends it.
pub fn explained(error: DockerError) -> DockerError {
    if error.says(&["CDI device"]) { DockerError::known(error.to_string(), CDI_REMEDY) } else { error }
}

/// Blocks a thread of its own, since NVML may take its time.
pub async fn look(library: &Path) -> Look {
    let library = library.to_owned();
    tokio::task::spawn_blocking(move || nvml::look(&library))
        .await
        .unwrap_or_else(|error| Look::Broken { cause: format!("asking NVML failed: {error}"), remedy: "nvidia-smi says more".to_owned() })
}

/// What Docker and, where it runs here, its files say of GPUs.
pub async fn facts(engine: &Engine, runtime: &Path) -> Result<passage::Facts, DockerError> {
    let info = engine.info().await?;
    let cdi_folders = info.cdi_spec_dirs.unwrap_or_default();
    // Docker lists devices from API 1.50 on; before, one reads what it reads.
    let listed = info.discovered_devices.into_iter().flatten().filter(|device| device.source.as_deref() == Some("cdi"));
    let mut cdi_devices: BTreeSet<String> = listed.filter_map(|device| device.id).collect();
    if engine.is_local() && cdi_devices.is_empty() {
        let files = cdi_folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten().map(|entry| entry.path());
        let specifications = files.filter(|path| path.extension().is_some_and(|end| end == "json" || end == "yaml"));
        cdi_devices.extend(specifications.filter_map(|path| std::fs::read_to_string(path).ok()).flat_map(|text| passage::cdi_names(&text)));
    }
    let config = engine.is_local().then(|| std::fs::read_to_string(runtime).ok()).flatten();
    Ok(passage::Facts {
        cdi_folders,
        cdi_devices,
        runtimes: info.runtimes.unwrap_or_default().into_keys().collect(),
        default_runtime: info.default_runtime.unwrap_or_default(),
        accepts_mounts: config.map(|text| passage::accepts_mounts(&text)),
    })
}

/// UUIDs that nodes in this Docker have, of all servers, with the name of the node.
pub async fn held(engine: &Engine) -> Result<BTreeMap<String, String>, DockerError> {
    let mut held = BTreeMap::new();
    for node in engine.containers(&[names::GPUS.to_owned()]).await? {
        let label = node.labels.get(names::GPUS).map(String::as_str).unwrap_or_default();
        held.extend(label.split(',').map(|uuid| (uuid.to_owned(), node.name.clone())));
    }
    Ok(held)
}

fn ledger_failed(error: LedgerError) -> ProvisionError {
    ProvisionError::Stage { stage: "keeping account of the GPUs".to_owned(), source: error }
}
