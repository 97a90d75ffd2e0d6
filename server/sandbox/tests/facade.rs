//! The facade: creation, time, snapshots, sleep, and what a restart finds.

use jiff::Timestamp;
use machinery::{Clock, clock::ManualClock, gvr};
use sandbox::{ClusterSpec, ImageCatalogue, Options, Sandbox, SandboxError, Time};
use serde_json::json;
use std::{fs, path::Path, sync::Arc, time::Duration};

fn options(data: Option<&Path>) -> (Options, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap()));
    let options = Options::manual(clock.clone(), catalogue());
    (Options { data: data.map(Path::to_path_buf), ..options }, clock)
}

/// The images that the labs know.
fn catalogue() -> Arc<ImageCatalogue> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../labs/content/images");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()));
    Arc::new(ImageCatalogue::parse(files).unwrap())
}

fn config_map(name: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}})
}

#[test]
fn a_cluster_is_ready_when_it_is_there_and_clusters_are_apart() {
    let sandbox = Sandbox::new(options(None).0).unwrap();
    let one = sandbox.create("one", &ClusterSpec::default()).unwrap();
    let two = sandbox.create("two", &ClusterSpec::default()).unwrap();
    let node = one.client().get(gvr::NODES, "", "gpu-node").unwrap();
    assert!(node["status"]["conditions"].as_array().unwrap().iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
    one.client().create(gvr::CONFIG_MAPS, config_map("mine")).unwrap();
    assert!(two.client().get(gvr::CONFIG_MAPS, "default", "mine").is_none());
    assert!(matches!(sandbox.create("one", &ClusterSpec::default()), Err(SandboxError::Exists(_))));
    assert!(matches!(sandbox.create("../x", &ClusterSpec::default()), Err(SandboxError::BadId(_))));
    sandbox.delete("one").unwrap();
    sandbox.delete("one").unwrap();
    assert!(matches!(sandbox.get("one"), Err(SandboxError::NotFound(_))));
    let ids: Vec<_> = sandbox.list().into_iter().map(|listed| listed.id).collect();
    assert_eq!(ids, ["two"]);
}

#[test]
fn settling_moves_simulated_time_to_what_comes_due() {
    let (options, _) = options(None);
    let spec = ClusterSpec { run_unknown_images: true, ..ClusterSpec::default() };
    let cluster = Sandbox::new(options).unwrap().create("one", &spec).unwrap();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
                     "spec": {"containers": [{"name": "c", "image": "registry.example.com/any:1"}]}});
    cluster.client().create(gvr::PODS, pod).unwrap();
    cluster.settle_manually(Duration::from_secs(60));
    let pod = cluster.client().get(gvr::PODS, "default", "p").unwrap();
    assert_eq!(pod["status"]["phase"], "Running", "{}", pod["status"]);
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "namespace": "default"}, "spec": {
        "schedule": "*/10 * * * *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}});
    cluster.client().create(gvr::CRON_JOBS, cron).unwrap();
    cluster.settle_manually(Duration::from_secs(60));
    assert_eq!(cluster.client().list(gvr::JOBS, Some("default")).len(), 0);
    cluster.advance(Duration::from_secs(600));
    assert_eq!(cluster.client().list(gvr::JOBS, Some("default")).len(), 1);
}

/// Everything of a cluster has a hand on its clock: when nobody else has, nothing is left of it.
#[test]
fn nothing_is_left_of_a_cluster_that_was_deleted() {
    let (options, clock) = options(None);
    let sandbox = Sandbox::new(options).unwrap();
    let spec = ClusterSpec { run_unknown_images: true, ..ClusterSpec::default() };
    let mut hands = Vec::new();
    for _ in 0..2 {
        hands.push(Arc::strong_count(&clock));
        let cluster = sandbox.create("one", &spec).unwrap();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
                         "spec": {"containers": [{"name": "c", "image": "busybox:1.37", "command": ["sh", "-c", "sleep 1000 & wait"]}]}});
        cluster.client().create(gvr::PODS, pod).unwrap();
        cluster.settle_manually(Duration::from_secs(10));
        assert_eq!(cluster.client().get(gvr::PODS, "default", "p").unwrap()["status"]["phase"], "Running");
        drop(cluster);
        sandbox.delete("one").unwrap();
    }
    // The first cluster left the template.
    assert_eq!(hands[1], Arc::strong_count(&clock));
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    {
        let sandbox = Sandbox::new(options(Some(folder.path())).0).unwrap();
        let cluster = sandbox.create("one", &ClusterSpec::default()).unwrap();
        cluster.client().create(gvr::CONFIG_MAPS, config_map("before")).unwrap();
        cluster.snapshot("step-1").unwrap();
        cluster.client().create(gvr::CONFIG_MAPS, config_map("after")).unwrap();
        sandbox.create("gone", &ClusterSpec::default()).unwrap();
        sandbox.delete("gone").unwrap();
        sandbox.create("damaged", &ClusterSpec::default()).unwrap();
    }
    fs::write(folder.path().join("damaged/cluster.json"), "{").unwrap();
    fs::create_dir_all(folder.path().join("unfinished/snapshots")).unwrap();
    let sandbox = Sandbox::new(options(Some(folder.path())).0).unwrap();
    assert!(!folder.path().join("unfinished").exists(), "a creation that did not end leaves nothing");
    let listed: Vec<_> = sandbox.list().into_iter().map(|listed| (listed.id, listed.damaged.is_some())).collect();
    assert_eq!(listed, [("damaged".to_owned(), true), ("one".to_owned(), false)]);
    assert!(matches!(sandbox.get("damaged"), Err(SandboxError::Damaged { .. })));
    let cluster = sandbox.open("one").unwrap();
    assert!(cluster.client().get(gvr::CONFIG_MAPS, "default", "after").is_some());
    assert_eq!(cluster.snapshots(), ["step-1"]);
    cluster.restore("step-1").unwrap();
    assert!(cluster.client().get(gvr::CONFIG_MAPS, "default", "before").is_some());
    assert!(cluster.client().get(gvr::CONFIG_MAPS, "default", "after").is_none());
    assert!(matches!(cluster.restore("nope"), Err(SandboxError::NoSnapshot { .. })));
    assert!(matches!(cluster.snapshot("../x"), Err(SandboxError::BadSnapshotName(_))));
    // Another file in its place: the snapshot itself is the journal by a second name.
    fs::remove_file(folder.path().join("one/snapshots/step-1")).unwrap();
    fs::write(folder.path().join("one/snapshots/step-1"), "no snapshot").unwrap();
    drop((cluster, sandbox));
    let cluster = Sandbox::new(options(Some(folder.path())).0).unwrap().open("one").unwrap();
    assert!(matches!(cluster.restore("step-1"), Err(SandboxError::Disk { .. })), "a damaged snapshot is said to be one");
}

/// What ran at the snapshot runs again, what came since is gone without a trace, and the cluster comes to rest, however often.
#[test]
fn a_restored_cluster_is_as_it_was_and_comes_to_rest() {
    let cluster = Sandbox::new(options(None).0).unwrap().create("one", &ClusterSpec::default()).unwrap();
    let client = cluster.client();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
                     "spec": {"containers": [{"name": "c", "image": "busybox:1.37", "command": ["sleep", "infinity"]}]}});
    let plugin = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "plugin", "namespace": "kube-system"}, "spec": {
        "selector": {"matchLabels": {"a": "plugin"}}, "template": {"metadata": {"labels": {"a": "plugin"}}, "spec": {
            "containers": [{"name": "c", "image": "nvcr.io/nvidia/k8s-device-plugin:v0.17.4", "volumeMounts": [{"name": "v", "mountPath": "/var/lib/kubelet/device-plugins"}]}],
            "volumes": [{"name": "v", "hostPath": {"path": "/var/lib/kubelet/device-plugins"}}]}}}});
    let gpus = || client.get(gvr::NODES, "", "gpu-node").unwrap()["status"]["capacity"]["nvidia.com/gpu"].clone();
    let pods = || {
        let shown = |pod: Arc<serde_json::Value>| (machinery::object::uid(&pod).to_owned(), pod["spec"].clone(), pod["status"].clone());
        client.list(gvr::PODS, None).into_iter().map(shown).collect::<Vec<_>>()
    };
    client.create(gvr::PODS, pod.clone()).unwrap();
    cluster.settle_manually(Duration::from_secs(60));
    cluster.snapshot("start").unwrap();
    let (before, gpus_before) = (pods(), gpus());
    for round in 0..3 {
        // Another pod of the same name, and a device plugin that changes the node.
        client
            .delete(gvr::PODS, "default", "p", &apiserver::client::DeleteOptions { grace_period_seconds: Some(0), ..Default::default() })
            .unwrap();
        cluster.settle_manually(Duration::from_secs(60));
        client.create(gvr::PODS, pod.clone()).unwrap();
        client.create(gvr::DAEMON_SETS, plugin.clone()).unwrap();
        cluster.settle_manually(Duration::from_secs(60));
        assert_eq!(gpus(), "1", "round {round}");
        assert_ne!(pods(), before, "round {round}");
        cluster.restore("start").unwrap();
        cluster.settle_manually(Duration::from_secs(60));
        assert_eq!(gpus(), gpus_before, "round {round}");
        assert_eq!(pods(), before, "round {round}");
        let rests_at = client.resource_version();
        cluster.advance(Duration::from_secs(600));
        assert_eq!(client.resource_version(), rests_at, "round {round}: nothing moves any more");
    }
}

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this test lets real time run")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_driver_reacts_by_itself_and_sleeps_when_told() {
    let (options, _) = options(None);
    let sandbox = Sandbox::new(Options { time: Time::Running(Arc::new(SystemClock)), ..options }).unwrap();
    let cluster = sandbox.create("one", &ClusterSpec::default()).unwrap();
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    cluster.client().create(gvr::NAMESPACES, namespace("awake")).unwrap();
    cluster.settle(Duration::from_secs(10)).await;
    assert!(cluster.client().get(gvr::SERVICE_ACCOUNTS, "awake", "default").is_some());
    cluster.sleep();
    assert!(!cluster.is_awake());
    cluster.client().create(gvr::NAMESPACES, namespace("asleep")).unwrap();
    assert!(cluster.client().get(gvr::SERVICE_ACCOUNTS, "asleep", "default").is_none());
    cluster.settle(Duration::from_secs(10)).await;
    assert!(cluster.client().get(gvr::SERVICE_ACCOUNTS, "asleep", "default").is_some(), "whoever wakes it finds it where it was");
}

#[test]
fn pods_run_on_every_node() {
    let (options, _) = options(None);
    let gpu = |name: &str, gpus| sandbox::NodeSpec { gpus_in_capacity: true, ..sandbox::NodeSpec::with_gpus(name, gpus) };
    let spec = ClusterSpec { nodes: vec![gpu("gpu-node-1", 8), gpu("gpu-node-2", 4), gpu("cpu-node-1", 0)], run_unknown_images: true };
    let cluster = Sandbox::new(options).unwrap().create("one", &spec).unwrap();
    let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "namespace": "default"}, "spec": {
        "selector": {"matchLabels": {"a": "d"}}, "template": {"metadata": {"labels": {"a": "d"}}, "spec": {"containers": [{"name": "c", "image": "registry.example.com/any:1"}]}}}});
    cluster.client().create(gvr::DAEMON_SETS, set).unwrap();
    cluster.settle_manually(Duration::from_secs(60));
    assert_eq!(cluster.client().get(gvr::DAEMON_SETS, "default", "d").unwrap()["status"]["numberReady"], 3);
}

/// The first cluster of a shape is made together with its template; what it makes later must not bear uids of what it began with.
#[test]
fn no_two_objects_share_a_uid() {
    // A shape that no other test has, so that its template is made here.
    let spec = ClusterSpec { run_unknown_images: true, nodes: vec![sandbox::NodeSpec::with_gpus("uids", 3)] };
    let cluster = Sandbox::new(options(None).0).unwrap().create("one", &spec).unwrap();
    for index in 0..200 {
        cluster.client().create(gvr::CONFIG_MAPS, config_map(&format!("c{index}"))).unwrap();
    }
    let objects = cluster.client().everything();
    let uids: std::collections::BTreeSet<_> = objects.iter().map(|(_, _, object)| machinery::object::uid(object)).collect();
    assert_eq!(uids.len(), objects.len());
}

/// Clusters begin from one state, so their ServiceAccounts and first pods share uids; what tells their tokens apart is the key.
#[test]
fn a_token_opens_its_own_cluster_and_does_so_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let secret = || Options { secret: [3; 32], ..options(Some(folder.path())).0 };
    let sandbox = Sandbox::new(secret()).unwrap();
    let [one, two] = ["one", "two"].map(|id| sandbox.create(id, &ClusterSpec::default()).unwrap());
    let dns = one.client().list(gvr::PODS, Some("kube-system")).into_iter().find(|pod| pod["spec"]["serviceAccountName"] == "coredns");
    let dns = dns.expect("CoreDNS runs from the start");
    let token = one.client().pod_token(&dns, "", 3600).unwrap();
    let twin = two.client().get(gvr::PODS, "kube-system", machinery::object::name(&dns)).unwrap();
    assert_eq!(machinery::object::uid(&twin), machinery::object::uid(&dns), "the same pod, as far as its object goes");
    assert_eq!(one.authenticate(&token).map(|user| user.name).as_deref(), Some("system:serviceaccount:kube-system:coredns"));
    assert!(two.authenticate(&token).is_none());
    drop((one, two, sandbox));
    // The next process draws another secret; a cluster keeps what came of the first.
    let sandbox = Sandbox::new(Options { secret: [4; 32], ..secret() }).unwrap();
    assert!(sandbox.open("one").unwrap().authenticate(&token).is_some());
    assert!(sandbox.open("two").unwrap().authenticate(&token).is_none());
}
