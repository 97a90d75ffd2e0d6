//! What a sandbox is made of, and what goes wrong with it.

use machinery::{Clock, clock::ManualClock};
use sim::ImageCatalogue;
use std::{fmt::Debug, io, path::PathBuf, sync::Arc};

/// What all clusters of one process share.
#[derive(Clone)]
pub struct Options {
    /// Folder that holds one folder per cluster. `None` keeps everything in memory, for tests.
    pub data: Option<PathBuf>,
    pub time: Time,
    pub catalogue: Arc<ImageCatalogue>,
    /// PEM of the certificate authority that clusters publish as `kube-root-ca.crt`.
    pub certificate_authority: String,
    /// Issuer of ServiceAccount tokens.
    pub issuer: String,
    /// Seeds uids, generated names and jitter together with each cluster's id. A server draws it once at start.
    pub seed: u64,
    /// What the keys of the clusters' ServiceAccount tokens are made from, together with each cluster's id. A server draws it once at
    /// start; a cluster keeps what came of it.
    pub secret: [u8; 32],
}

impl Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No secret, and nothing that secrets are drawn from.
        f.debug_struct("Options").field("data", &self.data).field("time", &self.time).finish_non_exhaustive()
    }
}

impl Options {
    pub const DEFAULT_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

    /// In memory, with simulated time: for tests that step by hand.
    pub fn manual(clock: Arc<ManualClock>, catalogue: Arc<ImageCatalogue>) -> Self {
        Self {
            data: None,
            time: Time::Manual(clock),
            catalogue,
            certificate_authority: String::new(),
            issuer: Self::DEFAULT_ISSUER.to_owned(),
            seed: 0,
            secret: [0; 32],
        }
    }
}

/// Where time comes from, and so who steps the clusters.
#[derive(Debug, Clone)]
pub enum Time {
    /// A driver task for each awake cluster waits for changes and for this clock. Needs a tokio runtime.
    Running(Arc<dyn Clock>),
    /// Nothing moves but in [`crate::Cluster::settle`], which moves this clock forward.
    Manual(Arc<ManualClock>),
}

impl Time {
    pub fn clock(&self) -> Arc<dyn Clock> {
        match self {
            Self::Running(clock) => Arc::clone(clock),
            Self::Manual(clock) => clock.clone(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("no cluster {0:?}")]
    NotFound(String),
    #[error("there is a cluster {0:?} already")]
    Exists(String),
    #[error("{0:?} is no cluster id: 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit")]
    BadId(String),
    #[error("{0:?} is no snapshot name: 1 to 63 of a-z, 0-9, - and .")]
    BadSnapshotName(String),
    #[error("cluster {cluster:?} has no snapshot {name:?}")]
    NoSnapshot { cluster: String, name: String },
    #[error("cluster {id:?} cannot be read: {why}")]
    Damaged { id: String, why: String },
    #[error("cluster {id:?} could not be started: {source}")]
    Bootstrap {
        id: String,
        #[source]
        source: machinery::ApiError,
    },
    #[error("{doing}")]
    Disk {
        doing: String,
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    pub(crate) fn disk(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Disk { doing, source }
    }
}
