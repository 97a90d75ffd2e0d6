//! `cordon sandbox up`: one embedded cluster in the foreground.

use crate::cli::foreground::{Door, Front};
use crate::state::{SystemClock, SystemRandom, edge};
use anyhow::Context;
use clap::Args;
use provision::{Cluster, ClusterSpec, ProvisionError, Provisioner, SandboxProvisioner};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

const CLUSTER: &str = "sandbox";

/// See the help of `sandbox up`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    front: Front,
    /// Where certificates and the cluster's state are kept; the same folder again is the same cluster. Without it, nothing outlives the command.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Let images that the catalogue does not know run as something that does nothing, instead of failing to be pulled.
    #[arg(long)]
    run_unknown_images: bool,
    /// Nodes offer their `nvidia.com/gpu` from the start, as if the NVIDIA device plugin had been deployed.
    #[arg(long)]
    device_plugin: bool,
}

impl Arguments {
    fn spec(&self) -> ClusterSpec {
        let mut spec = ClusterSpec { run_unknown_images: self.run_unknown_images, ..ClusterSpec::default() };
        if !self.front.nodes.is_empty() {
            spec.nodes = self.front.nodes.clone();
        }
        for node in &mut spec.nodes {
            node.gpus_in_capacity = self.device_plugin && node.gpus > 0;
        }
        spec
    }
}

pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let temporary = tempfile::Builder::new().prefix("cordon-sandbox-").tempdir().context("cannot make a temporary folder")?;
    let data = arguments.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    let door = Door::open(&arguments.front, &data).await?;
    let sandbox = sandbox::Sandbox::new(sandbox::Options {
        data: arguments.data.is_some().then(|| data.join("clusters")),
        time: sandbox::Time::Running(Arc::new(SystemClock)),
        catalogue: Arc::new(crate::state::server::images()?),
        certificate_authority: door.tls.authority.clone().unwrap_or_default(),
        issuer: sandbox::Options::DEFAULT_ISSUER.to_owned(),
        seed: u64::from_le_bytes(edge::bytes(&SystemRandom)),
        secret: edge::bytes(&SystemRandom),
    })?;
    let cluster = open(SandboxProvisioner::new(sandbox), arguments.spec()).await?;
    door.serve(cluster, "a simulated cluster").await?;
    Ok(ExitCode::SUCCESS)
}

/// The cluster that the data folder holds, or a new one.
async fn open(engine: SandboxProvisioner, spec: ClusterSpec) -> anyhow::Result<Arc<dyn Cluster>> {
    match engine.open(CLUSTER).await {
        Ok(cluster) => return Ok(cluster),
        Err(ProvisionError::NotFound) => {}
        Err(error) => return Err(error).context("cannot open the cluster"),
    }
    let (progress, _) = tokio::sync::mpsc::unbounded_channel();
    engine.create(CLUSTER, &spec, progress).await.context("cannot make the cluster")
}
