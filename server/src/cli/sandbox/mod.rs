//! `cordon sandbox …`: embedded clusters for the command line.

use clap::Subcommand;
use std::process::ExitCode;

mod up;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start one embedded Kubernetes cluster and print where its kubeconfig is. Ends with Ctrl-C.
    ///
    /// Three kubeconfigs are written: `admin` (may do everything), `dev` (user dev-user) and
    /// `view` (user viewer, group viewers); the latter two may do what you let them do by RBAC.
    /// Nodes, GPUs, images and processes are simulated and say so (label
    /// cordon.dev/simulated=true).
    ///
    /// Examples:
    ///   cordon sandbox up --kubeconfig-dir ./sandbox
    ///   KUBECONFIG=./sandbox/admin.kubeconfig kubectl get nodes
    ///   cordon sandbox up --node name=gpu-node-1,gpus=8 --node name=cpu-node-1
    #[command(verbatim_doc_comment)]
    Up(up::Arguments),
}

pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(arguments) => up::run(arguments).await,
    }
}
