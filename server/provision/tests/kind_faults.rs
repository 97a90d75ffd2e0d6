//! Tier: real containers, and a socket that only looks like Docker. Faults under clusters that run, and of Docker itself.

#[expect(dead_code, reason = "other suites use more of it")]
mod common;
#[expect(dead_code, reason = "other suites use more of it")]
mod desk;

use common::{World, chain, edge, not_run, one_node, turn};
use desk::{Desk, is_ready, learner, pod};
use http::{Method, Request, Response};
use http_body_util::Full;
use provision::{
    Provisioner,
    kind::{KindProvisioner, KindSettings, PoolSettings},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, convert::Infallible, time::Duration};
use tokio::{net::UnixListener, sync::mpsc};

/// A node dies in the middle of work, and what a learner does to its limits stays within them.
#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_node() {
    let _turn = turn().await;
    let desk = match Desk::new().await {
        Ok(desk) => desk,
        Err(why) => return not_run("faults of a node that runs", &why),
    };
    desk.provisioner.finished().await;
    let node = desk.world.node("a");

    // More processes than the node may have: the node says no, this machine does not notice.
    let bomb = "for i in $(seq 6000); do sleep 60 & done 2>&1 | head -1; pkill sleep";
    let (_, said) = desk.world.sh(&node, bomb).await;
    assert!(said.contains("Resource temporarily unavailable"), "{said}");
    // More memory than the node may have: who asks for it dies, and nobody else.
    let (code, _) = desk.world.sh(&node, "head -c 4G /dev/zero | tail").await;
    assert_ne!(code, 0);
    desk.until("the API", "/readyz", |_| true).await;
    assert_eq!(desk.ask(learner(), Method::GET, "/api/v1/nodes", &Value::Null).await.0, 200);

    // Its first process is killed. Whoever asks next is told; whoever asks then finds it as it was, with its egress closed.
    desk.make("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "kept"}})).await;
    let found = desk.world.docker.inspect_container(&node, None).await.unwrap();
    let first = found.state.unwrap().pid.unwrap();
    let killed = std::process::Command::new("kill").args(["-9", &first.to_string()]).status();
    if !killed.is_ok_and(|status| status.success()) {
        return not_run("a node whose first process is killed", "its processes are not this machine's");
    }
    let ended = async { while desk.world.docker.inspect_container(&node, None).await.unwrap().state.unwrap().running == Some(true) {} };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the node ends");
    let (code, answer) = desk.ask(learner(), Method::GET, "/api/v1/namespaces/default/configmaps/kept", &Value::Null).await;
    assert!(code == 503 && answer["message"].as_str().unwrap_or_default().contains("does not answer"), "{code} {answer}");
    assert_eq!(desk.ask(learner(), Method::GET, "/api/v1/namespaces/default/configmaps/kept", &Value::Null).await.0, 200);
    let (_, rules) = desk.world.sh(&node, "iptables -t mangle -S CORDON-POSTROUTING").await;
    assert!(rules.contains("-j DROP"), "{rules}");
    // Stopped, as when Docker stops; found again by whoever opens it in the same process.
    desk.world.docker.stop_container(&node, None).await.unwrap();
    let again = desk.provisioner.open("a").await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(again.id(), "a");
    assert_eq!(desk.ask(learner(), Method::GET, "/api/v1/namespaces/default/configmaps/kept", &Value::Null).await.0, 200);
    desk.make("/api/v1/namespaces/default/pods", pod("after", &["sleep", "3600"])).await;
    desk.until("a new pod", "/api/v1/namespaces/default/pods/after", is_ready).await;
    desk.provisioner.delete("a").await.unwrap();
    assert!(desk.world.left().await.is_empty());
}

/// Two learners want the one cluster that is ready, while the reaper goes round: one gets it, the other one gets its own.
#[tokio::test(flavor = "multi_thread")]
async fn two_claims_and_a_reaper() {
    let world = match World::new().await {
        Ok(world) => world,
        Err(why) => return not_run("two claims for one cluster of the pool", &why),
    };
    let _turn = turn().await;
    let provisioner = world.with(|settings| settings.pool = PoolSettings { capacity: 2, reserved: 0, initial: 1 }).await;
    let warm = provisioner.keep_warm(one_node());
    let filled = async { while provisioner.idle().await.unwrap() != 1 {} };
    tokio::time::timeout(Duration::from_secs(240), filled).await.expect("the pool is filled");
    let create = async |id: &str| {
        let (sender, _) = mpsc::unbounded_channel();
        provisioner.create(id, &one_node(), sender).await.unwrap_or_else(|error| panic!("{}", chain(&error)))
    };
    let known = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    let (a, b, reaped) = tokio::join!(create("a"), create("b"), provisioner.reap(&known));
    assert_eq!(reaped.unwrap().clusters, [""; 0]);
    assert_eq!((a.id(), b.id()), ("a", "b"));
    assert_eq!(provisioner.list().await.unwrap(), ["a", "b"]);
    drop(warm);
    for id in ["a", "b"] {
        provisioner.delete(id).await.unwrap();
    }
    provisioner.finished().await;
    assert_eq!(world.left().await, BTreeSet::new());
}

/// What a Docker says of itself, on a socket of its own.
async fn docker_that_says(version: &'static str, create: &'static str) -> (tempfile::TempDir, KindSettings) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| async move {
                let path = request.uri().path();
                let (code, body) = match path {
                    path if path.ends_with("/version") => (200, json!({"ApiVersion": version, "Version": "0", "MinAPIVersion": "1.12"})),
                    path if path.ends_with("/info") => (
                        200,
                        json!({"OSType": "linux", "CgroupVersion": "2", "ServerVersion": "0",
                        "MemoryLimit": true, "PidsLimit": true, "NCPU": 2}),
                    ),
                    path if path.contains("/images/") => (200, json!({"Id": "sha256:a"})),
                    path if path.ends_with("/networks/create") => (500, json!({"message": create})),
                    _ => (200, json!([])),
                };
                let answer = Response::builder().status(code).header("content-type", "application/json");
                Ok::<_, Infallible>(answer.body(Full::new(hyper::body::Bytes::from(body.to_string()))).unwrap())
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service));
        }
    });
    let settings =
        KindSettings { docker: format!("unix://{}", socket.display()), data: folder.path().join("kind"), ..KindSettings::default() };
    (folder, settings)
}

#[tokio::test]
async fn a_docker_that_is_too_old() {
    let (_folder, settings) = docker_that_says("1.40", "").await;
    let error = chain(&KindProvisioner::connect(settings, edge()).await.expect_err("API 1.40"));
    assert!(error.contains("speaks API 1.40, and nodes need 1.41") && error.contains("install Docker 20.10 or newer"), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_called_one() {
    let (_folder, settings) = docker_that_says("1.45", "mkdir /var/lib/docker/x: no space left on device").await;
    let provisioner = KindProvisioner::connect(settings, edge()).await.unwrap();
    let (sender, _) = mpsc::unbounded_channel();
    let error = chain(&provisioner.create("a", &one_node(), sender).await.expect_err("a full disk"));
    assert!(error.contains("the disk is full where Docker keeps its data") && error.contains("docker system prune"), "{error}");
}
