//! The gateway's TLS door before all clusters, and the real kubectl at it.

use crate::world::{WallClock, World, config_map, now};
use async_trait::async_trait;
use provision::Cluster;
use server::{
    app::apply::learner,
    cli::kubeconfig::Kubeconfig,
    gateway::{
        Access, Admission, Gateway, Limits, Refusal, Tls,
        audit::LogOnly,
        listener::{self, ConnectionLimits},
    },
};
use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use tests::measure::Distribution;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "cordon_bench";

/// Lets one token into every cluster that it was told of.
#[derive(Debug, Default)]
struct Known(Mutex<Vec<Arc<dyn Cluster>>>);

#[async_trait]
impl Admission for Known {
    async fn admit(&self, cluster: &str, bearer_token: &str) -> Result<Access, Refusal> {
        let known = self.0.lock().expect("nobody panicked").iter().find(|known| known.id() == cluster).cloned();
        match known {
            Some(cluster) if bearer_token == TOKEN => {
                Ok(Access { user: learner(), cluster, token_id: "bench".to_owned(), is_learner: true })
            }
            _ => Err(Refusal::Unauthorized),
        }
    }

    async fn home(&self, _bearer_token: &str) -> Option<String> {
        None
    }
}

#[derive(Debug)]
pub struct Door {
    known: Arc<Known>,
    url: String,
    authority: String,
    stop: CancellationToken,
}

impl Door {
    pub async fn open(folder: &Path) -> Self {
        let tls = Tls::own(&folder.join("tls"), &[], machinery::Clock::now(&WallClock)).expect("a certificate");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let many = NonZeroU32::new(1_000_000).expect("not zero");
        let limits = Limits { requests_per_second: many, burst: many, ..Limits::default() };
        let known = Arc::new(Known::default());
        let gateway = Gateway::new(known.clone(), Arc::new(LogOnly), None, Arc::new(WallClock), limits);
        let stop = CancellationToken::new();
        tokio::spawn(listener::serve(listener, Some(tls.config), gateway.service(), ConnectionLimits::default(), stop.clone()));
        Self { known, url, authority: tls.authority.expect("an authority of our own"), stop }
    }

    /// The way to a cluster from now on.
    pub fn kubeconfig(&self, cluster: &Arc<dyn Cluster>) -> String {
        self.known.0.lock().expect("nobody panicked").push(cluster.clone());
        let config = Kubeconfig {
            server: &format!("{}/clusters/{}", self.url, cluster.id()),
            authority: Some(&self.authority),
            user: "learner",
            token: TOKEN,
            name: "bench",
            namespace: None,
        };
        config.to_yaml()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A real kubectl with a kubeconfig and a discovery cache of its own.
#[derive(Debug)]
pub struct Kubectl {
    program: PathBuf,
    folder: PathBuf,
}

impl Kubectl {
    /// `Err`: why there is none.
    pub fn at(world: &World, kubeconfig: &str) -> Result<Self, String> {
        let program = tests::sandbox::kubectl()?;
        let folder = world.folder().join("kubectl");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("config"), kubeconfig).expect("a kubeconfig");
        Ok(Self { program, folder })
    }

    async fn run(&self, words: &'static [&'static str]) -> Duration {
        let mut command = Command::new(&self.program);
        command.args(words).env("KUBECONFIG", self.folder.join("config")).env("HOME", &self.folder);
        command.current_dir(&self.folder).stdin(Stdio::null());
        let began = now();
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("kubectl runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        began.elapsed()
    }

    /// `kubectl get pods` and `kubectl apply`, process start, discovery cache and TLS handshake included.
    pub async fn measure(&self, count: usize) -> [Distribution; 2] {
        let [mut gets, mut applies] = [const { Vec::new() }; 2];
        // Fills the discovery cache, as a learner's first command does.
        self.run(&["get", "nodes"]).await;
        for number in 0..count {
            gets.push(self.run(&["get", "pods", "-n", "kube-system"]).await);
            std::fs::write(self.folder.join("object.json"), config_map("kubectl", number)).expect("a file");
            applies.push(self.run(&["apply", "-f", "object.json"]).await);
        }
        [gets, applies].map(Distribution::of)
    }
}
