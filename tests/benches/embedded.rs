//! Figures of the embedded Kubernetes, as distributions and ratios from one run: `make bench`.
//!
//! `cargo bench -p tests --bench embedded -- --clusters 1000` sets how many live clusters there are in the end.

use apiserver::UserInfo;
use http_body_util::BodyExt;
use jiff::Timestamp;
use machinery::Clock;
use sandbox::{Body, Cluster, ClusterSpec, ImageCatalogue, Options, Sandbox, Time};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tests::measure::{Distribution, resident_kib};
use tower::ServiceExt;

#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "a benchmark is an edge: it measures real time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is an edge: it measures real time")]
fn now() -> Instant {
    Instant::now()
}

async fn ask(cluster: &Arc<Cluster>, method: &str, path: &str, content_type: &str, body: String) -> (u16, Value) {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .extension(UserInfo::admin())
        .body(Body::from(body))
        .expect("a request");
    let response = cluster.router().oneshot(request).await.expect("the router never fails");
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// The request that a learner's page waits for: a Ready node.
async fn is_ready(cluster: &Arc<Cluster>) -> bool {
    let (code, nodes) = ask(cluster, "GET", "/api/v1/nodes", "application/json", String::new()).await;
    let conditions = nodes["items"][0]["status"]["conditions"].as_array().cloned().unwrap_or_default();
    code == 200 && conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

async fn make(sandbox: &Sandbox, id: &str, spec: &ClusterSpec) -> (Arc<Cluster>, Duration) {
    let began = now();
    let cluster = sandbox.create(id, spec).expect("a cluster");
    assert!(is_ready(&cluster).await, "{id} is ready when it is made");
    (cluster, began.elapsed())
}

/// Round trips to one cluster while all the others live: get, and a server-side apply that changes something.
async fn round_trips(cluster: &Arc<Cluster>, count: usize) -> (Distribution, Distribution) {
    let (mut gets, mut applies) = (Vec::new(), Vec::new());
    for index in 0..count {
        let began = now();
        let (code, _) = ask(cluster, "GET", "/api/v1/namespaces/kube-system/pods", "application/json", String::new()).await;
        assert_eq!(code, 200);
        gets.push(began.elapsed());
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bench"}, "data": {"n": index.to_string()}});
        let path = "/api/v1/namespaces/default/configmaps/bench?fieldManager=bench&force=true";
        let began = now();
        let (code, answer) = ask(cluster, "PATCH", path, "application/apply-patch+yaml", body.to_string()).await;
        assert!(code == 200 || code == 201, "{answer}");
        applies.push(began.elapsed());
    }
    (Distribution::of(gets), Distribution::of(applies))
}

fn main() {
    let mut arguments = std::env::args().skip_while(|a| a != "--clusters").skip(1);
    let most: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(most));
}

async fn run(most: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let catalogue = Arc::new(ImageCatalogue::parse(labs::images()).expect("the catalogue holds"));
    let sandbox = Sandbox::new(Options {
        data: Some(folder.path().join("clusters")),
        time: Time::Running(Arc::new(WallClock)),
        catalogue,
        certificate_authority: String::new(),
        issuer: Options::DEFAULT_ISSUER.to_owned(),
        seed: 1,
        secret: [1; 32],
    })
    .expect("a sandbox");
    let spec = ClusterSpec::default();

    let (first, took) = make(&sandbox, "first", &spec).await;
    println!("first cluster of the process (makes the template): {took:.1?}");
    first.settle(Duration::from_secs(10)).await;
    let base = resident_kib();
    let (alone_get, alone_apply) = round_trips(&first, 500).await;

    let mut clusters = vec![first.clone()];
    let mut ready = Vec::new();
    let mut next = 1;
    for target in [100.min(most), most] {
        while clusters.len() < target {
            let (cluster, took) = make(&sandbox, &format!("c{next}"), &spec).await;
            ready.push(took);
            clusters.push(cluster);
            next += 1;
        }
        for cluster in &clusters {
            cluster.settle(Duration::from_secs(30)).await;
        }
        let added = clusters.len() - 1;
        if added > 0 {
            let each = resident_kib().saturating_sub(base) / added as u64;
            println!("memory per idle cluster at {}: {each} KiB", clusters.len());
        }
    }
    println!("cluster ready (create, journal, first `get nodes` with a Ready node): {}", Distribution::of(ready));

    let (get, apply) = round_trips(&first, 500).await;
    println!(
        "get (12 pods) with 1 cluster: {alone_get}\nget with {} clusters: {get} (median x{:.2})",
        clusters.len(),
        get.median_ratio(&alone_get)
    );
    println!(
        "apply with 1 cluster: {alone_apply}\napply with {} clusters: {apply} (median x{:.2})",
        clusters.len(),
        apply.median_ratio(&alone_apply)
    );

    let (mut taken, mut rewound) = (Vec::new(), Vec::new());
    for index in 0..50 {
        let began = now();
        first.snapshot("bench").expect("a snapshot");
        taken.push(began.elapsed());
        let path = format!("/api/v1/namespaces/default/configmaps/after{index}?fieldManager=bench");
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("after{index}")}});
        ask(&first, "PATCH", &path, "application/apply-patch+yaml", body.to_string()).await;
        let began = now();
        first.restore("bench").expect("a rewind");
        rewound.push(began.elapsed());
    }
    println!("snapshot: {}\nrewind: {}", Distribution::of(taken), Distribution::of(rewound));

    drop((first, clusters));
    let began = now();
    let again = Sandbox::new(sandbox.options().clone()).expect("the same data folder");
    let found = again.list().len();
    println!("restart: {found} clusters found in {:.1?}", began.elapsed());
}
