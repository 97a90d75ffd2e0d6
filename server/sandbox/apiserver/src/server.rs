//! One cluster's API server.

use crate::{client::Client, node::NodeRuntime, user::UserInfo};
use axum::Router;
use machinery::Clock;
use std::{io, path::PathBuf, sync::Arc};

/// What a server is made of.
#[derive(Debug, Clone)]
pub struct Options {
    pub clock: Arc<dyn Clock>,
    /// Seeds uids and generated names, so that a test sees the same ones again.
    pub seed: u64,
    /// The journal file; `None` keeps everything in memory only.
    pub journal: Option<PathBuf>,
    /// Issuer of ServiceAccount tokens, as `https://kubernetes.default.svc.cluster.local`.
    pub issuer: String,
    /// PEM of the certificate authority that `kube-root-ca.crt` publishes.
    pub certificate_authority: String,
}

/// Cheap to clone; all clones are the same server.
#[derive(Debug, Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
}

/// Everything that is stored, at one resource version. Shares its objects with the server it was taken from.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub resource_version: u64,
}

impl Server {
    /// An empty server; or, where the journal file holds one already, that one with every acknowledged write.
    pub fn open(options: Options) -> io::Result<Self> {
        Ok(Self { inner: Arc::new(Inner { options }) })
    }

    /// The HTTP API below `/`. Each request needs a [`UserInfo`] in its extensions.
    pub fn router(&self) -> Router {
        Router::new()
    }

    pub fn client(&self, user: UserInfo, manager: &str) -> Client {
        Client { server: self.clone(), user: Arc::new(user), manager: manager.into() }
    }

    pub fn set_node_runtime(&self, runtime: Arc<dyn NodeRuntime>) {
        let _ = runtime;
    }

    /// The user of a ServiceAccount token that this server issued and that still holds.
    pub fn authenticate(&self, bearer_token: &str) -> Option<UserInfo> {
        let _ = bearer_token;
        None
    }

    /// The newest committed resource version; changes wake whoever waits.
    pub fn committed(&self) -> tokio::sync::watch::Receiver<u64> {
        tokio::sync::watch::channel(0).1
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot { resource_version: 0 }
    }

    /// Puts a snapshot in place of everything. Watchers see the differences as events; resource versions go on rising.
    pub fn restore(&self, snapshot: &Snapshot) -> io::Result<()> {
        let _ = snapshot;
        Ok(())
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.options.clock
    }
}
