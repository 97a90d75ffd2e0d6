//! The stages of a start, as the page shows them, and the ways in which a start ends early.

use crate::{
    contract::{Progress, ProgressSender, ProvisionError},
    kind::{api::ApiError, docker::DockerError, settings::Edge},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// In their order.
pub const STAGES: [&str; 8] = [IMAGE, NETWORK, NODE, SYSTEMD, CONTROL_PLANE, POD_NETWORK, STORAGE, READY];
pub const IMAGE: &str = "Looking for the node image";
pub const NETWORK: &str = "Making a network of your own";
pub const NODE: &str = "Starting the node";
pub const SYSTEMD: &str = "Waiting for the node's systemd";
/// Only where this machine has GPUs, after systemd is up.
pub const GPUS: &str = "Giving the node its GPUs";
pub const CONTROL_PLANE: &str = "Starting the control plane";
pub const POD_NETWORK: &str = "Putting the pod network in";
pub const STORAGE: &str = "Putting storage in";
/// Only where lab images are configured, after storage.
pub const IMAGES: &str = "Loading the labs' images";
/// The same where the archive is not there.
pub const NO_IMAGES: &str = "Loading no lab images, since none were built (cordon images build)";
pub const READY: &str = "Waiting until the cluster is ready";

/// Why a stage did not end well.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error(transparent)]
    Docker(#[from] DockerError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("{0}")]
    Other(String),
    /// What was waited for; empty where the stage says it all.
    #[error("not done after {} seconds{}{what}", .limit.as_secs(), if .what.is_empty() { "" } else { ": " })]
    Late { limit: Duration, what: &'static str },
    #[error("cancelled")]
    Cancelled,
}

/// Tells of stages, and ends them when the start is cancelled or takes too long.
#[derive(Debug)]
pub struct Stages {
    pub progress: ProgressSender,
    pub edge: Edge,
    pub cancel: CancellationToken,
    pub limit: Duration,
    /// What the present stage waits for, for whom it takes too long.
    pub waits_for: parking_lot::Mutex<&'static str>,
}

impl Stages {
    /// A stage that may be dropped anywhere: it only waits and looks.
    pub async fn run<T>(&self, stage: &str, work: impl Future<Output = Result<T, StageError>>) -> Result<T, ProvisionError> {
        self.whole(stage, async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(StageError::Cancelled),
                done = tokio::time::timeout(self.limit, work) => done.unwrap_or_else(|_| Err(StageError::Late { limit: self.limit, what: *self.waits_for.lock() })),
            }
        })
        .await
    }

    /// A stage that changes what Docker holds. Its requests are never dropped half-way, so that what they made is known and can be
    /// removed; Docker's client has a limit of its own for each.
    pub async fn whole<T>(&self, stage: &str, work: impl Future<Output = Result<T, StageError>>) -> Result<T, ProvisionError> {
        let failed = |error: StageError| ProvisionError::Stage { stage: stage.to_owned(), source: Box::new(error) };
        if self.cancel.is_cancelled() {
            return Err(failed(StageError::Cancelled));
        }
        *self.waits_for.lock() = "";
        self.tell(stage, false);
        let done = work.await.map_err(failed)?;
        self.tell(stage, true);
        Ok(done)
    }

    pub fn wait_for(&self, what: &'static str) {
        *self.waits_for.lock() = what;
    }

    fn tell(&self, stage: &str, done: bool) {
        let _ = self.progress.send(Progress { stage: stage.to_owned(), at: (self.edge.now)(), done });
    }
}
