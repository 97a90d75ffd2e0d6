//! What an operator may turn, and what the engine is handed from outside.

use crate::gpu::{GpuChoice, nvml, passage};
use ipnet::Ipv4Net;
use jiff::Timestamp;
use std::{fmt, net::Ipv4Addr, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};

/// The node image that is used where nobody says otherwise: the minor of the embedded cluster, as kind v0.33.0 lists it.
pub const DEFAULT_IMAGE: &str = "kindest/node:v1.34.11";

/// Everything that may be configured of this engine.
#[derive(Debug, Clone, PartialEq)]
pub struct KindSettings {
    /// Where Docker listens, as `DOCKER_HOST` says it.
    pub docker: String,
    /// Begins the names of containers and networks, and keeps two servers on one Docker apart: 1 to 16 of a-z and 0-9.
    pub instance: String,
    /// Snapshots and the record of images are kept here.
    pub data: PathBuf,
    pub image: String,
    /// Whether an image that is not there is pulled.
    pub pull: bool,
    /// Learners' networks are cut from this range …
    pub subnets: Ipv4Net,
    /// … in pieces of this prefix length.
    pub subnet_prefix: u8,
    /// Ports on 127.0.0.1 for the clusters' APIs.
    pub ports: RangeInclusive<u16>,
    pub limits: NodeLimits,
    /// Whether pods may reach more than their own cluster.
    pub egress: bool,
    /// Whether learners may be root on this host: no admission guard stands between them and the node.
    pub trusted_learners: bool,
    /// DaemonSets that may mount the kubelet's folder for device plugins, and be privileged.
    pub device_plugins: Vec<DevicePlugin>,
    /// How long one stage of a start may take.
    pub stage_limit: Duration,
    pub pool: PoolSettings,
    /// Which GPUs of this machine learners get.
    pub gpus: GpuChoice,
    /// NVML, by a name that the loader finds or by its path.
    pub nvml: PathBuf,
    /// What NVIDIA's container runtime is configured by.
    pub nvidia_runtime: PathBuf,
    pub lab_images: LabImages,
}

/// Images that are made here rather than pulled (`cordon images build`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabImages {
    /// `None`: nodes pull everything.
    pub archive: Option<PathBuf>,
    /// Repositories, as `docker.io/tensorflow/serving`, whose images nodes pull from their registries all the same.
    pub real: Vec<String>,
}

/// Limits of one node's container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodeLimits {
    /// Bytes; swap is not added.
    pub memory: u64,
    /// Cores.
    pub cpus: f64,
    pub pids: u32,
}

/// A DaemonSet that a lab deploys: exactly this name and these images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePlugin {
    pub namespace: String,
    pub name: String,
    pub image: String,
}

/// Clusters that wait for learners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolSettings {
    /// All clusters of the engine, idle and in use. 0: as many as fit.
    pub capacity: usize,
    /// Idle clusters that are kept ready.
    pub reserved: usize,
    /// Idle clusters that are made at the start.
    pub initial: usize,
}

impl Default for KindSettings {
    fn default() -> Self {
        Self {
            docker: "unix:///var/run/docker.sock".to_owned(),
            instance: "cordon".to_owned(),
            data: PathBuf::from("kind"),
            image: DEFAULT_IMAGE.to_owned(),
            pull: true,
            subnets: Ipv4Net::new_assert(Ipv4Addr::new(10, 201, 0, 0), 16),
            subnet_prefix: 28,
            ports: 21_000..=29_999,
            limits: NodeLimits { memory: 3 << 30, cpus: 2.0, pids: 4096 },
            egress: false,
            trusted_learners: false,
            device_plugins: vec![DevicePlugin {
                namespace: "kube-system".to_owned(),
                name: "nvidia-device-plugin-daemonset".to_owned(),
                image: "nvcr.io/nvidia/k8s-device-plugin:v0.17.4".to_owned(),
            }],
            stage_limit: Duration::from_secs(120),
            pool: PoolSettings::default(),
            gpus: GpuChoice::default(),
            nvml: PathBuf::from(nvml::LIBRARY),
            nvidia_runtime: PathBuf::from(passage::RUNTIME_CONFIG),
            lab_images: LabImages::default(),
        }
    }
}

/// The clock and the dice, from the edge of the program.
#[derive(Clone)]
pub struct Edge {
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Unpredictable: join tokens are made of it.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edge")
    }
}
