//! `cordon kind …`: real clusters for the command line.

use crate::config::Config;
use crate::state::{SystemClock, SystemRandom, edge::Random, files, server};
use anyhow::Context;
use clap::Subcommand;
use machinery::Clock;
use provision::kind::KindProvisioner;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

mod up;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start one real Kubernetes cluster in Docker and print where its kubeconfig is. Ends with Ctrl-C, and the cluster with it.
    ///
    /// What `cordon sandbox up` does with an embedded cluster, this does with containers of a kind node image, as `[kind]` of the
    /// configuration describes them: the same three kubeconfigs, the same door. The guard that keeps learners away from the node
    /// stands here too, unless --trusted takes it away.
    ///
    /// Examples:
    ///   cordon kind up --kubeconfig-dir ./real
    ///   KUBECONFIG=./real/admin.kubeconfig kubectl get nodes
    #[command(verbatim_doc_comment)]
    Up(up::Arguments),
}

pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(arguments) => up::run(arguments).await,
    }
}

/// Real clusters of one command. They carry an instance of their own, so that a server and the command leave each other's alone, and
/// end with the command; what a killed one left goes when the command runs again.
#[derive(Debug)]
pub struct Real {
    pub engine: KindProvisioner,
    _lock: File,
}

impl Real {
    /// The folder of a command in the data folder.
    pub fn folder(config: &Config, command: &str) -> PathBuf {
        config.data.join(command)
    }

    pub async fn connect(config: Config, command: &str, trusted: bool) -> anyhow::Result<Self> {
        let data = Self::folder(&config, command);
        files::private_folder(&data).with_context(|| format!("cannot use {} as data folder", data.display()))?;
        let lock = server::lock(&data)?;
        let whole = std::path::absolute(&data).unwrap_or_else(|_| data.clone());
        let mut settings = config.kind;
        settings.trusted_learners |= trusted;
        settings.instance = format!("cli{}", &hex::encode(Sha256::digest(whole.as_os_str().as_encoded_bytes()))[..8]);
        settings.data = data;
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let engine = KindProvisioner::connect(settings, server::kind_edge(&clock, &random)).await?;
        engine.reap(&BTreeSet::new()).await.context("cannot remove what an earlier run left in Docker")?;
        Ok(Self { engine, _lock: lock })
    }

    /// Removes every cluster.
    pub async fn leave(self) -> anyhow::Result<()> {
        self.engine.finished().await;
        self.engine.reap(&BTreeSet::new()).await.context("cannot remove the clusters")?;
        Ok(())
    }
}
