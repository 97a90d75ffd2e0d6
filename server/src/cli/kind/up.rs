//! `cordon kind up`: one real cluster in the foreground.

use crate::cli::foreground::{Door, Front};
use crate::cli::{complain, interrupted, kind::Real, serve::Place};
use anyhow::Context;
use clap::Args;
use provision::{Cluster, ClusterSpec, Progress, Provisioner, kind::KindProvisioner};
use std::process::ExitCode;
use std::sync::Arc;

const COMMAND: &str = "kind-up";

/// See the help of `kind up`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    front: Front,
    /// No guard between the three users and the node: whoever has a kubeconfig may become root on this machine.
    #[arg(long)]
    trusted: bool,
}

pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.place.read_config()?;
    let door = Door::open(&arguments.front, &Real::folder(&config, COMMAND)).await?;
    let real = Real::connect(config, COMMAND, arguments.trusted).await?;
    let mut spec = ClusterSpec::default();
    if !arguments.front.nodes.is_empty() {
        spec.nodes = arguments.front.nodes;
    }
    let served = tokio::select! {
        made = make(&real.engine, &spec) => match made {
            Ok(cluster) => door.serve(cluster, "a real cluster").await,
            Err(error) => Err(error),
        },
        () = interrupted() => Ok(()),
    };
    real.leave().await?;
    served.map(|()| ExitCode::SUCCESS)
}

async fn make(engine: &KindProvisioner, spec: &ClusterSpec) -> anyhow::Result<Arc<dyn Cluster>> {
    let (progress, mut stages) = tokio::sync::mpsc::unbounded_channel::<Progress>();
    let telling = async {
        while let Some(stage) = stages.recv().await {
            if !stage.done {
                complain(format_args!("cordon: {} …", stage.stage));
            }
        }
    };
    let (made, ()) = tokio::join!(engine.create("real", spec, progress), telling);
    made.context("cannot make the cluster")
}
