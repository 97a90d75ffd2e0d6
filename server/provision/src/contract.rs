//! The contract that every engine honours.

use async_trait::async_trait;
use jiff::Timestamp;
pub use sandbox::{Body, ClusterSpec, NodeSpec, Probe, ProbeOutcome, UserInfo, refusal};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    Sandbox,
    Kind,
    Host,
}

/// What an engine can and cannot do, in words that the page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    pub engine: EngineKind,
    /// True where nodes, GPUs and processes are simulated; the page and the API then say so.
    pub simulated: bool,
    /// Whether a state can be brought back. Of a real cluster that is its objects, and not what containers wrote to their disks.
    pub snapshots: bool,
    /// Whether the network does what NetworkPolicies say; `None` where that has not been found out.
    pub network_policy_enforced: Option<bool>,
    pub gpus: GpuSupport,
    /// Why this engine cannot run here at all; `None` where it can.
    pub unavailable: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuSupport {
    None,
    Simulated,
    PassedThrough,
}

/// Where the image comes from that a node runs under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageOrigin {
    /// It is what the catalogue says, its digest too.
    Catalogue,
    /// It was built as the catalogue says: its name with a tag, and `sha256:…` of what was built.
    Built { name: String, digest: String },
    /// The registry that it names. Nothing is known of it here.
    Registry,
}

/// A stage of a cluster's start, as it happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub stage: String,
    pub at: Timestamp,
    pub done: bool,
}

/// Where progress goes. A closed receiver cancels nothing.
pub type ProgressSender = tokio::sync::mpsc::UnboundedSender<Progress>;

#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error("no such cluster")]
    NotFound,
    #[error("this engine cannot run here: {0}")]
    Unavailable(String),
    #[error("{stage} failed")]
    Stage {
        stage: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Makes, finds and removes clusters of one engine.
#[async_trait]
pub trait Provisioner: Send + Sync + Debug {
    fn capabilities(&self) -> Capabilities;

    /// Returns when the first node is Ready and the state is stored.
    async fn create(&self, id: &str, spec: &ClusterSpec, progress: ProgressSender) -> Result<Arc<dyn Cluster>, ProvisionError>;

    /// A cluster that exists already, woken if it slept.
    async fn open(&self, id: &str) -> Result<Arc<dyn Cluster>, ProvisionError>;

    /// Idempotent: a cluster that is gone already is no error.
    async fn delete(&self, id: &str) -> Result<(), ProvisionError>;

    /// Brings a cluster back to a snapshot; an engine that has a fresh one at hand may let it take the old one's place. Whoever holds
    /// the old one opens it anew.
    async fn restore(&self, id: &str, snapshot: &str) -> Result<(), ProvisionError> {
        self.open(id).await?.restore(snapshot).await
    }

    /// Which image this engine's nodes run under a name, for whoever scans it.
    async fn image(&self, _reference: &str) -> Result<ImageOrigin, ProvisionError> {
        Ok(ImageOrigin::Catalogue)
    }

    /// Ids of all clusters that exist, for the reaper.
    async fn list(&self) -> Result<Vec<String>, ProvisionError>;

    /// Lets go of what is held for clusters that are gone. The reaper asks for it now and then.
    async fn tidy(&self) -> Result<(), ProvisionError> {
        Ok(())
    }
}

/// Which cluster has which GPU of this machine. The application keeps it where it keeps everything else, so that a claim outlives
/// the process.
#[async_trait]
pub trait GpuLedger: Send + Sync + Debug {
    /// Takes all of these UUIDs for a cluster, or none: `false` where somebody has one of them.
    async fn claim(&self, cluster: &str, uuids: &[String]) -> Result<bool, LedgerError>;

    /// Everything that the cluster has; nothing is no error.
    async fn release(&self, cluster: &str) -> Result<(), LedgerError>;

    /// Cluster by UUID.
    async fn claims(&self) -> Result<BTreeMap<String, String>, LedgerError>;
}

pub type LedgerError = Box<dyn std::error::Error + Send + Sync>;

/// One learner's cluster.
#[async_trait]
pub trait Cluster: Send + Sync + Debug {
    fn id(&self) -> &str;

    /// The cluster's Kubernetes API: paths as `/api/v1/…`. Upgrades (exec, port-forward) pass through.
    async fn serve(&self, user: UserInfo, request: http::Request<Body>) -> http::Response<Body>;

    /// The user of a ServiceAccount token of this cluster.
    async fn authenticate(&self, bearer_token: &str) -> Option<UserInfo>;

    async fn probe(&self, probe: &Probe) -> ProbeOutcome;

    /// Remembers the present state under `name`; the same name again replaces it.
    async fn snapshot(&self, name: &str) -> Result<(), ProvisionError>;

    async fn restore(&self, name: &str) -> Result<(), ProvisionError>;

    /// Waits until nothing moves any more, or `limit` is over; checks look at a cluster at rest.
    async fn settle(&self, limit: std::time::Duration);

    /// Frees what an idle cluster does not need; the next request wakes it in place.
    async fn sleep(&self) -> Result<(), ProvisionError>;
}
