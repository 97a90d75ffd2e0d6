//! What is measured: all clusters of one process, in real time, behind the engine's contract.

use futures::StreamExt;
use http_body_util::BodyExt;
use jiff::Timestamp;
use machinery::Clock;
use provision::{Body, Cluster, ClusterSpec, Provisioner, SandboxProvisioner, UserInfo};
use sandbox::{ImageCatalogue, Options, Sandbox, Time};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tests::measure::Distribution;

/// Clusters that are brought to rest at the same time.
const AT_ONCE: usize = 50;
const SETTLE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "a benchmark is an edge: it measures real time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is an edge: it measures real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// One request in process, past the gateway: code and body.
pub async fn ask(cluster: &dyn Cluster, method: &str, path: &str, content_type: &str, body: String) -> (u16, Vec<u8>) {
    let request = http::Request::builder().method(method).uri(path).header("content-type", content_type).body(Body::from(body));
    let response = cluster.serve(UserInfo::admin(), request.expect("a request")).await;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (code, bytes.to_vec())
}

/// A server-side apply of a ConfigMap that changes something.
pub fn config_map(name: &str, value: usize) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": value.to_string()}}).to_string()
}

#[derive(Debug)]
pub struct World {
    folder: tempfile::TempDir,
    spec: ClusterSpec,
    sandbox: Sandbox,
    pub engine: SandboxProvisioner,
    pub clusters: Vec<Arc<dyn Cluster>>,
}

impl World {
    pub fn new(spec: ClusterSpec) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sandbox = Sandbox::new(Options {
            data: Some(folder.path().join("clusters")),
            time: Time::Running(Arc::new(WallClock)),
            catalogue: Arc::new(ImageCatalogue::parse(labs::images()).expect("the catalogue holds")),
            certificate_authority: String::new(),
            issuer: Options::DEFAULT_ISSUER.to_owned(),
            seed: 1,
            secret: [1; 32],
        })
        .expect("a sandbox");
        Self { folder, spec, engine: SandboxProvisioner::new(sandbox.clone()), sandbox, clusters: Vec::new() }
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// One cluster more; how long it took until it answered with a Ready node, its state stored.
    pub async fn add(&mut self) -> Duration {
        let id = format!("c{}", self.clusters.len());
        let (progress, _) = tokio::sync::mpsc::unbounded_channel();
        let began = now();
        let cluster = self.engine.create(&id, &self.spec, progress).await.expect("a cluster");
        assert!(is_ready(&*cluster).await, "{id} is ready when it is made");
        let took = began.elapsed();
        self.clusters.push(cluster);
        took
    }

    /// Until nothing moves in any cluster from number `first` on.
    pub async fn settle(&self, first: usize) {
        for some in self.clusters[first..].chunks(AT_ONCE) {
            futures::future::join_all(some.iter().map(|cluster| cluster.settle(SETTLE))).await;
        }
    }

    /// Round trips that visit the clusters in turn: a get, a list of twelve pods, an apply that changes something.
    pub async fn round_trips(&self, count: usize) -> [Distribution; 3] {
        let [mut gets, mut lists, mut applies] = [const { Vec::new() }; 3];
        for (number, cluster) in self.clusters.iter().cycle().take(count).enumerate() {
            let began = now();
            let (code, _) = ask(&**cluster, "GET", "/api/v1/nodes/gpu-node", "", String::new()).await;
            gets.push(began.elapsed());
            assert_eq!(code, 200);
            let began = now();
            let (code, _) = ask(&**cluster, "GET", "/api/v1/namespaces/kube-system/pods", "", String::new()).await;
            lists.push(began.elapsed());
            assert_eq!(code, 200);
            let path = "/api/v1/namespaces/default/configmaps/bench?fieldManager=bench&force=true";
            let began = now();
            let (code, answer) = ask(&**cluster, "PATCH", path, "application/apply-patch+yaml", config_map("bench", number)).await;
            applies.push(began.elapsed());
            assert!(code == 200 || code == 201, "{}", String::from_utf8_lossy(&answer));
        }
        [gets, lists, applies].map(Distribution::of)
    }

    /// Snapshots and rewinds of `count` clusters, each changed in between.
    pub async fn rewinds(&self, count: usize) -> [Distribution; 2] {
        let [mut taken, mut rewound] = [const { Vec::new() }; 2];
        for (number, cluster) in self.clusters.iter().cycle().take(count).enumerate() {
            let began = now();
            cluster.snapshot("bench").await.expect("a snapshot");
            taken.push(began.elapsed());
            let path = "/api/v1/namespaces/default/configmaps/after?fieldManager=bench";
            ask(&**cluster, "PATCH", path, "application/apply-patch+yaml", config_map("after", number)).await;
            cluster.settle(SETTLE).await;
            let began = now();
            cluster.restore("bench").await.expect("a rewind");
            rewound.push(began.elapsed());
            cluster.settle(SETTLE).await;
        }
        [taken, rewound].map(Distribution::of)
    }

    /// Ends every cluster and opens the data folder anew: how long until all are known, and how long the first answer of each takes
    /// where so many are asked at once.
    pub async fn restart(&mut self, at_once: usize) -> (Duration, Duration, Distribution) {
        let options = self.sandbox.options().clone();
        let ids: Vec<_> = self.clusters.drain(..).map(|cluster| cluster.id().to_owned()).collect();
        self.sandbox = Sandbox::new(Options { data: None, ..options.clone() }).expect("an empty sandbox");
        self.engine = SandboxProvisioner::new(self.sandbox.clone());
        // Their tasks take the old clusters down, which is no part of a start.
        tokio::time::sleep(SETTLE).await;
        let began = now();
        self.sandbox = Sandbox::new(options).expect("the same data folder");
        self.engine = SandboxProvisioner::new(self.sandbox.clone());
        let found = began.elapsed();
        assert_eq!(self.sandbox.list().len(), ids.len());
        let answers: Vec<_> = futures::stream::iter(ids)
            .map(async |id| {
                let began = now();
                let cluster = self.engine.open(&id).await.expect("it is there again");
                assert!(is_ready(&*cluster).await, "{id} answers after the restart");
                (cluster, began.elapsed())
            })
            .buffered(at_once)
            .collect()
            .await;
        let all = began.elapsed();
        let (clusters, firsts): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
        self.clusters = clusters;
        (found, all, Distribution::of(firsts))
    }
}

/// The request that a learner's page waits for: a Ready node.
async fn is_ready(cluster: &dyn Cluster) -> bool {
    let (code, bytes) = ask(cluster, "GET", "/api/v1/nodes", "", String::new()).await;
    let nodes: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let conditions = nodes["items"][0]["status"]["conditions"].as_array().cloned().unwrap_or_default();
    code == 200 && conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// Processor time that this process used so far, as `/proc/self/stat` says.
pub fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<u64> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
    // utime and stime are the 14th and 15th field; two stand before the parenthesis. A tick is 10 ms on Linux.
    Duration::from_millis(10 * fields.iter().skip(11).take(2).sum::<u64>())
}
