//! Tier: real containers. Clusters that wait, paused, and are claimed.

#[expect(dead_code, reason = "other suites use more of it")]
mod common;

use bollard::query_parameters::RenameContainerOptions;
use common::{World, not_run, one_node, turn};
use http::Request;
use http_body_util::BodyExt;
use provision::{
    Body, Cluster, ProvisionError, Provisioner, UserInfo,
    kind::{CLAIM, KindProvisioner, PoolSettings},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};

async fn until_idle(provisioner: &KindProvisioner, wanted: usize) {
    let filled = async { while provisioner.idle().await.unwrap() != wanted {} };
    tokio::time::timeout(Duration::from_secs(180), filled).await.expect("the pool is filled");
}

async fn get(cluster: &Arc<dyn Cluster>, path: &str) -> Value {
    let response = cluster.serve(UserInfo::admin(), Request::get(path).body(Body::empty()).unwrap()).await;
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_is_filled_claimed_and_refilled() {
    let world = match World::new().await {
        Ok(world) => world,
        Err(why) => return not_run("the warm pool", &why),
    };
    let _turn = turn().await;
    let pool = PoolSettings { capacity: 2, reserved: 1, initial: 1 };
    let first = world.with(|settings| settings.pool = pool).await;
    let warm = first.keep_warm(one_node());
    until_idle(&first, 1).await;
    assert_eq!(first.list().await.unwrap(), [""; 0], "an idle cluster is nobody's");
    assert_eq!(first.reap(&BTreeSet::new()).await.unwrap().clusters, [""; 0]);
    assert_eq!(first.idle().await.unwrap(), 1, "the reaper leaves the pool alone");

    // The server goes and comes back: what was idle is still there, and is claimed.
    drop(warm);
    first.finished().await;
    drop(first);
    let provisioner = world.with(|settings| settings.pool = pool).await;
    let warm = provisioner.keep_warm(one_node());
    let claim = async |id: &str| {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let begin = Instant::now();
        let cluster = provisioner.create(id, &one_node(), sender).await.unwrap();
        let took = begin.elapsed();
        let mut told = Vec::new();
        while let Ok(progress) = receiver.try_recv() {
            told.push((progress.stage, progress.done));
        }
        assert_eq!(told, [(CLAIM.to_owned(), false), (CLAIM.to_owned(), true)]);
        (cluster, took)
    };
    let (a, took) = claim("a").await;
    // Far below a start; the benchmark measures how far.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!((a.id(), provisioner.list().await.unwrap()), ("a", vec!["a".to_owned()]));
    let nodes = get(&a, "/api/v1/nodes").await;
    assert!(nodes.to_string().contains(r#""reason":"KubeletReady""#), "{nodes}");
    let body =
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "busybox:1.37", "command": ["sleep", "3600"]}]}});
    let request = Request::post("/api/v1/namespaces/default/pods").header("content-type", "application/json");
    assert_eq!(a.serve(UserInfo::admin(), request.body(Body::from(body.to_string())).unwrap()).await.status(), 201);
    let running = async { while get(&a, "/api/v1/namespaces/default/pods/p").await["status"]["phase"] != "Running" {} };
    tokio::time::timeout(Duration::from_secs(60), running).await.expect("a new pod runs");

    // Refilled, with keys of its own, up to the capacity.
    until_idle(&provisioner, 1).await;
    claim("b").await;
    let key = async |id: &str| world.sh(&world.node(id), "sha256sum /etc/kubernetes/pki/ca.key /etc/kubernetes/pki/sa.key").await.1;
    let keys: BTreeSet<String> = [key("a").await, key("b").await]
        .iter()
        .flat_map(|text| text.lines().map(|line| line[..64].to_owned()).collect::<Vec<_>>())
        .collect();
    assert_eq!(keys.len(), 4, "members share no keys");

    // Back to a snapshot by a cluster that nobody has worked in: room for it is made first.
    provisioner.delete("b").await.unwrap();
    until_idle(&provisioner, 1).await;
    a.snapshot("start").await.unwrap();
    let before = key("a").await;
    let add = async |cluster: &Arc<dyn Cluster>, path: &str, body: Value| {
        let request = Request::post(path).header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
        cluster.serve(UserInfo::admin(), request).await.status()
    };
    assert_eq!(add(&a, "/api/v1/namespaces", json!({"metadata": {"name": "later"}})).await, 201);
    world.sh(&world.node("a"), "touch /var/lib/dirt").await;
    provisioner.restore("a", "start").await.unwrap();
    assert_ne!(key("a").await, before, "it is another cluster");
    assert_eq!(world.sh(&world.node("a"), "ls /var/lib/dirt").await.0, 2, "with another disk");
    let a = provisioner.open("a").await.unwrap();
    assert_eq!(get(&a, "/api/v1/namespaces/later").await["code"], 404, "what came after the snapshot is gone");
    assert_eq!(get(&a, "/api/v1/namespaces/default/pods/p").await["spec"]["containers"][0]["name"], "c", "what was in it is there");
    let authority = |object: &Value| object["data"]["ca.crt"].as_str().unwrap_or_default().trim().to_owned();
    let own = world.sh(&world.node("a"), "cat /etc/kubernetes/pki/ca.crt").await.1;
    assert_eq!(authority(&get(&a, "/api/v1/namespaces/default/configmaps/kube-root-ca.crt").await), own.trim(), "its authority is its own");
    assert_eq!(provisioner.list().await.unwrap(), ["a"]);
    let left: Vec<String> = world.left().await.into_iter().filter(|name| name.contains("next-") || name.contains("old-")).collect();
    assert_eq!(left, [""; 0]);

    // A server that dies between the two names of an exchange.
    let options = RenameContainerOptions { name: world.node("old-a") };
    world.docker.rename_container(&world.node("a"), options).await.unwrap();
    assert_eq!(provisioner.list().await.unwrap(), [""; 0]);
    let after = world.with(|settings| settings.pool = pool).await;
    assert_eq!(after.list().await.unwrap(), ["a"], "the next one gives the name back");

    until_idle(&provisioner, 1).await;
    claim("b").await;
    let (sender, _) = mpsc::unbounded_channel();
    let full = provisioner.create("c", &one_node(), sender).await.unwrap_err();
    assert!(matches!(&full, ProvisionError::Unavailable(why) if why.contains("all 2 clusters")), "{full:?}");

    drop(warm);
    for id in ["a", "b"] {
        provisioner.delete(id).await.unwrap();
    }
    provisioner.finished().await;
    assert_eq!(world.left().await, BTreeSet::new());
}
