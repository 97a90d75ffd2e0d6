//! The embedded Kubernetes as an engine.

use crate::contract::{
    Body, Capabilities, Cluster, ClusterSpec, EngineKind, GpuSupport, Probe, ProbeOutcome, Progress, ProgressSender, ProvisionError,
    Provisioner, UserInfo,
};
use ::sandbox::{Router, Sandbox, SandboxError};
use async_trait::async_trait;
use http::{Request, Response};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

/// All sandbox clusters of this process.
#[derive(Debug, Clone)]
pub struct SandboxProvisioner {
    sandbox: Sandbox,
}

impl SandboxProvisioner {
    pub fn new(sandbox: Sandbox) -> Self {
        Self { sandbox }
    }

    /// What every machine can run.
    pub fn offers() -> Capabilities {
        Capabilities {
            engine: EngineKind::Sandbox,
            simulated: true,
            snapshots: true,
            network_policy_enforced: Some(true),
            gpus: GpuSupport::Simulated,
            unavailable: None,
        }
    }

    /// Work on files and clusters takes milliseconds of a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        stage: &'static str,
        work: impl FnOnce(&Sandbox) -> Result<T, SandboxError> + Send + 'static,
    ) -> Result<T, ProvisionError> {
        let sandbox = self.sandbox.clone();
        let done = tokio::task::spawn_blocking(move || work(&sandbox)).await;
        done.map_err(|error| ProvisionError::Stage { stage: stage.to_owned(), source: Box::new(error) })?
            .map_err(|error| problem(stage, error))
    }
}

fn problem(stage: &str, error: SandboxError) -> ProvisionError {
    match error {
        SandboxError::NotFound(_) | SandboxError::NoSnapshot { .. } => ProvisionError::NotFound,
        other => ProvisionError::Stage { stage: stage.to_owned(), source: Box::new(other) },
    }
}

#[async_trait]
impl Provisioner for SandboxProvisioner {
    fn capabilities(&self) -> Capabilities {
        Self::offers()
    }

    async fn create(&self, id: &str, spec: &ClusterSpec, progress: ProgressSender) -> Result<Arc<dyn Cluster>, ProvisionError> {
        let at = self.sandbox.options().time.clock().now();
        let _ = progress.send(Progress { stage: "Starting the control plane and its simulated nodes".to_owned(), at, done: false });
        let (owned, spec) = (id.to_owned(), spec.clone());
        let made = self.blocking("making the cluster", move |sandbox| sandbox.create(&owned, &spec)).await?;
        let at = self.sandbox.options().time.clock().now();
        let _ = progress.send(Progress { stage: "Starting the control plane and its simulated nodes".to_owned(), at, done: true });
        Ok(Arc::new(SandboxCluster { router: made.router(), cluster: made }))
    }

    async fn open(&self, id: &str) -> Result<Arc<dyn Cluster>, ProvisionError> {
        let owned = id.to_owned();
        let opened = self.blocking("opening the cluster", move |sandbox| sandbox.open(&owned)).await?;
        Ok(Arc::new(SandboxCluster { router: opened.router(), cluster: opened }))
    }

    async fn delete(&self, id: &str) -> Result<(), ProvisionError> {
        let owned = id.to_owned();
        self.blocking("removing the cluster", move |sandbox| sandbox.delete(&owned)).await
    }

    async fn list(&self) -> Result<Vec<String>, ProvisionError> {
        Ok(self.sandbox.list().into_iter().map(|listed| listed.id).collect())
    }
}

/// One embedded cluster, awake or not: a request wakes it.
#[derive(Debug)]
struct SandboxCluster {
    cluster: Arc<::sandbox::Cluster>,
    router: Router,
}

impl SandboxCluster {
    async fn blocking(
        &self,
        stage: &'static str,
        work: impl FnOnce(&::sandbox::Cluster) -> Result<(), SandboxError> + Send + 'static,
    ) -> Result<(), ProvisionError> {
        let cluster = self.cluster.clone();
        let done = tokio::task::spawn_blocking(move || work(&cluster)).await;
        done.map_err(|error| ProvisionError::Stage { stage: stage.to_owned(), source: Box::new(error) })?
            .map_err(|error| problem(stage, error))
    }
}

#[async_trait]
impl Cluster for SandboxCluster {
    fn id(&self) -> &str {
        self.cluster.id()
    }

    async fn serve(&self, user: UserInfo, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(user);
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn authenticate(&self, bearer_token: &str) -> Option<UserInfo> {
        self.cluster.authenticate(bearer_token)
    }

    async fn probe(&self, probe: &Probe) -> ProbeOutcome {
        self.cluster.probe(probe).await
    }

    async fn snapshot(&self, name: &str) -> Result<(), ProvisionError> {
        let name = name.to_owned();
        self.blocking("taking a snapshot", move |cluster| cluster.snapshot(&name)).await
    }

    async fn restore(&self, name: &str) -> Result<(), ProvisionError> {
        let name = name.to_owned();
        self.blocking("restoring a snapshot", move |cluster| cluster.restore(&name)).await
    }

    async fn settle(&self, limit: Duration) {
        self.cluster.settle(limit).await;
    }

    async fn sleep(&self) -> Result<(), ProvisionError> {
        self.cluster.sleep();
        Ok(())
    }
}
