//! Tier: real containers. Clusters come and go, and every fault leaves Docker as it was.

mod common;

use bollard::query_parameters::InspectContainerOptions;
use common::{World, chain, edge, kind_command, not_run, one_node, turn};
use provision::{
    Progress, Provisioner,
    kind::{KindProvisioner, KindSettings, STAGES},
};
use std::{collections::BTreeSet, net::TcpListener, os::unix::fs::PermissionsExt, process::Command, sync::Arc};
use tokio::sync::mpsc;

macro_rules! world {
    ($what:literal) => {
        match World::new().await {
            Ok(world) => world,
            Err(why) => return not_run($what, &why),
        }
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_come_and_go() {
    let world = world!("kind clusters come and go");
    let _turn = turn().await;
    let provisioner = world.provisioner().await;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let cluster = provisioner.create("a", &one_node(), sender).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(cluster.id(), "a");

    // Stages as they happened, each begun and done once, in order, with times that do not go back.
    let mut told: Vec<Progress> = Vec::new();
    while let Ok(progress) = receiver.try_recv() {
        told.push(progress);
    }
    let seen: Vec<(&str, bool)> = told.iter().map(|progress| (progress.stage.as_str(), progress.done)).collect();
    let expected: Vec<(&str, bool)> = STAGES.iter().flat_map(|stage| [(*stage, false), (*stage, true)]).collect();
    assert_eq!(seen, expected);
    assert!(told.is_sorted_by_key(|progress| progress.at));

    // The limits hold: Docker has them, and the node's own control group too.
    let node = world.node("a");
    let found = world.docker.inspect_container(&node, None::<InspectContainerOptions>).await.unwrap();
    let host = found.host_config.unwrap();
    assert_eq!(
        (host.memory, host.memory_swap, host.nano_cpus, host.pids_limit),
        (Some(2 << 30), Some(2 << 30), Some(2_000_000_000), Some(4096))
    );
    let (_, memory) =
        world.sh(&node, "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null | head -1").await;
    assert_eq!(memory.trim(), (2_u64 << 30).to_string());
    // The API is on loopback only.
    let bindings = host.port_bindings.unwrap()["6443/tcp"].clone().unwrap();
    assert_eq!(bindings.iter().map(|binding| binding.host_ip.as_deref()).collect::<Vec<_>>(), [Some("127.0.0.1")]);

    // The digest of the image is recorded, on the node and in the engine's folder.
    let id = world.docker.inspect_image(&world.settings.image).await.unwrap().id.unwrap();
    assert_eq!(found.config.unwrap().labels.unwrap()["cordon.dev/image-id"], id);
    assert!(std::fs::read_to_string(world.settings.data.join("images.json")).unwrap().contains(&id));

    // A second learner: another network, which does not see the first, nor the first it.
    let (sender, _) = mpsc::unbounded_channel();
    provisioner.create("b", &one_node(), sender).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    let address = async |id: &str| {
        let (_, text) = world.sh(&world.node(id), "ip -4 -o addr show eth0 | awk '{print $4}' | cut -d/ -f1").await;
        text.trim().to_owned()
    };
    let (a, b) = (address("a").await, address("b").await);
    let reaches = async |id: &str, to: &str| world.sh(&world.node(id), &format!("timeout 2 bash -c '>/dev/tcp/{to}/6443'")).await.0 == 0;
    assert!(reaches("a", &a).await && reaches("b", &b).await, "each reaches its own API server");
    assert!(!reaches("a", &b).await && !reaches("b", &a).await, "{a} and {b} see each other");

    // A second process finds them; ids are Docker's to tell.
    let other = world.provisioner().await;
    assert_eq!(other.list().await.unwrap(), ["a", "b"]);
    assert_eq!(other.open("b").await.unwrap().id(), "b");
    assert!(matches!(other.open("c").await, Err(provision::ProvisionError::NotFound)));

    // kind's own command knows them, and takes one away.
    if let Some(kind) = kind_command() {
        let docker = kind.parent().map(|folder| folder.with_file_name("docker")).unwrap_or_default();
        let run = |arguments: &[&str]| {
            let path = format!("{}:{}", docker.display(), std::env::var_os("PATH").unwrap_or_default().to_string_lossy());
            let output = Command::new(&kind).args(arguments).env("DOCKER_HOST", &world.settings.docker).env("PATH", path).output().unwrap();
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        };
        let name = format!("{}-b", world.settings.instance);
        assert!(run(&["get", "clusters"]).lines().any(|line| line == name));
        run(&["delete", "cluster", "--name", &name]);
        assert_eq!(other.list().await.unwrap(), ["a"]);
    } else {
        not_run("the kind command on our clusters", "there is no kind command");
    }

    for id in ["a", "b", "a", "never was", ""] {
        provisioner.delete(id).await.unwrap();
    }
    assert_eq!(world.left().await, BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_cancelled_at_any_stage_leaves_nothing() {
    let world = world!("a start cancelled at any stage leaves nothing");
    let _turn = turn().await;
    let provisioner = world.provisioner().await;
    for stage in STAGES {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (owned, spec) = (provisioner.clone(), one_node());
        let start = tokio::spawn(async move { owned.create("c", &spec, sender).await.map(drop) });
        while let Some(progress) = receiver.recv().await {
            if progress.stage == stage {
                break;
            }
        }
        start.abort();
        assert!(start.await.unwrap_err().is_cancelled(), "{stage}: the start was over before it was cancelled");
        provisioner.finished().await;
        assert_eq!(world.left().await, BTreeSet::new(), "{stage}");
    }
}

/// An image whose first process says something and ends. Removed in the end.
struct BrokenImage {
    docker: bollard::Docker,
    name: String,
}

impl BrokenImage {
    async fn new(world: &World) -> Self {
        let name = format!("cordon-test-broken:{}", world.settings.instance);
        let body = bollard::models::ContainerCreateBody { image: Some(world.settings.image.clone()), ..Default::default() };
        let made = world.docker.create_container(None, body).await.unwrap();
        let options = bollard::query_parameters::CommitContainerOptions {
            container: Some(made.id.clone()),
            repo: Some("cordon-test-broken".to_owned()),
            tag: Some(world.settings.instance.clone()),
            changes: Some("ENTRYPOINT [\"sh\", \"-c\", \"echo this is no node; exit 3\"]".to_owned()),
            ..Default::default()
        };
        world.docker.commit_container(options, bollard::models::ContainerConfig::default()).await.unwrap();
        let options = bollard::query_parameters::RemoveContainerOptions { v: true, force: true, link: false };
        world.docker.remove_container(&made.id, Some(options)).await.unwrap();
        Self { docker: world.docker.clone(), name }
    }

    async fn remove(self) {
        self.docker.remove_image(&self.name, None::<bollard::query_parameters::RemoveImageOptions>, None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_name_their_cause_and_leave_nothing() {
    let world = world!("faults of a start");
    let _turn = turn().await;
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let broken = BrokenImage::new(&world).await;
    type Change<'a> = Box<dyn Fn(&mut KindSettings) + 'a>;
    let rows: Vec<(Change, &str, &str)> = vec![
        (Box::new(|s| s.image = "cordon.invalid/none:v1.34.0".into()), STAGES[0], "docker pull cordon.invalid/none:v1.34.0"),
        (Box::new(move |s| s.ports = port..=port), STAGES[2], "set kind.ports to a larger range"),
        (
            // The range is one piece, and it is Docker's default bridge that has it.
            Box::new(|s| (s.subnets, s.subnet_prefix) = ("172.17.0.0/28".parse().unwrap(), 28)),
            STAGES[1],
            "set kind.subnets to a range that this machine does not use",
        ),
        (Box::new(|s| s.image = broken.name.clone()), STAGES[3], "the node ended while it started; it said: this is no node"),
        (Box::new(|s| s.limits.memory = 1 << 20), STAGES[2], "emory"),
    ];
    for (change, stage, words) in rows {
        let provisioner = world.with(|settings| change(settings)).await;
        let (sender, _) = mpsc::unbounded_channel();
        let error = provisioner.create("f", &one_node(), sender).await.expect_err(words);
        let text = chain(&error);
        assert!(text.contains(stage) && text.contains(words), "{text}\nexpected {stage:?} and {words:?}");
        assert_eq!(world.left().await, BTreeSet::new(), "{words}");
    }
    broken.remove().await;

    // Where one port of two is taken, the other one is used; only as far as the node, which takes a second.
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let ports = port.min(free)..=port.max(free);
    let provisioner = world.with(|settings| settings.ports = ports).await;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let owned = provisioner.clone();
    let start = tokio::spawn(async move { owned.create("p", &one_node(), sender).await.map(drop) });
    while let Some(progress) = receiver.recv().await {
        if progress.stage == STAGES[2] && progress.done {
            break;
        }
    }
    assert!(!start.is_finished(), "{:?}", start.await);
    let found = world.docker.inspect_container(&world.node("p"), None::<InspectContainerOptions>).await.unwrap();
    let bound = found.host_config.unwrap().port_bindings.unwrap()["6443/tcp"].clone().unwrap()[0].host_port.clone().unwrap();
    assert_ne!(bound, port.to_string());
    start.abort();
    let _ = start.await;
    provisioner.finished().await;
    assert_eq!(world.left().await, BTreeSet::new());
    for id in ["", "A", "-x", &"x".repeat(60)] {
        let (sender, _) = mpsc::unbounded_channel();
        assert!(chain(&provisioner.create(id, &one_node(), sender).await.unwrap_err()).contains("no cluster id"), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reaper_removes_what_nobody_knows() {
    let world = world!("the reaper after a crash");
    let _turn = turn().await;
    // A process that dies in the middle of a start: nothing of it runs on, and nobody tidies up.
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for id in ["x", "y"] {
        let settings = world.settings.clone();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        process.spawn(async move {
            let provisioner = KindProvisioner::connect(settings, edge()).await.unwrap();
            provisioner.create(id, &one_node(), sender).await.map(drop)
        });
        while let Some(progress) = receiver.recv().await {
            if progress.stage == STAGES[3] {
                break;
            }
        }
    }
    process.shutdown_background();
    // And a network whose node never came to be.
    let orphan = format!("{}-z", world.settings.instance);
    let labels = [("cordon.dev/instance", world.settings.instance.as_str()), ("cordon.dev/start", "0"), ("cordon.dev/cluster", "z")];
    let request = bollard::models::NetworkCreateRequest {
        name: orphan.clone(),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..Default::default()
    };
    world.docker.create_network(request).await.unwrap();
    assert_eq!(world.left().await.len(), 5);

    let provisioner = world.provisioner().await;
    let other = world.with(|settings| settings.instance = format!("{}o", &settings.instance[..11])).await;
    assert_eq!(other.reap(&BTreeSet::new()).await.unwrap().clusters, [""; 0], "another server's clusters are none of its business");
    assert_eq!(provisioner.reap(&BTreeSet::from(["x".to_owned()])).await.unwrap().clusters, ["y"]);
    let node = format!("/{}", world.node("x"));
    assert_eq!(world.left().await, BTreeSet::from([node, format!("{}-x", world.settings.instance)]));

    // A start under way in this process is left alone, though the database knows nothing of it yet.
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let owned = provisioner.clone();
    let start = tokio::spawn(async move { owned.create("w", &one_node(), sender).await.map(drop) });
    while let Some(progress) = receiver.recv().await {
        if progress.stage == STAGES[2] && progress.done {
            break;
        }
    }
    assert_eq!(provisioner.reap(&BTreeSet::new()).await.unwrap().clusters, ["x"]);
    assert_eq!(world.left().await.len(), 2);
    start.abort();
    let _ = start.await;
    provisioner.finished().await;
    assert_eq!(world.left().await, BTreeSet::new());
}

#[tokio::test]
async fn no_docker_and_what_to_do_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let rows = [
        (format!("unix://{}", folder.path().join("none.sock").display()), "systemctl start docker"),
        (format!("unix://{}", file.display()), "Docker does not answer"),
        ("tcp://127.0.0.1:1".to_owned(), "set kind.docker or DOCKER_HOST"),
        ("nonsense".to_owned(), "does not answer at nonsense"),
    ];
    for (docker, words) in rows {
        let settings = KindSettings { docker: docker.clone(), ..KindSettings::default() };
        let error = KindProvisioner::connect(settings, edge()).await.expect_err(words);
        assert!(chain(&error).contains(words), "{docker}: {}", chain(&error));
    }
    for instance in ["", "Cordon", "a-b", "aaaaaaaaaaaaaaaaa"] {
        let settings = KindSettings { instance: instance.to_owned(), ..KindSettings::default() };
        assert!(chain(&KindProvisioner::connect(settings, edge()).await.unwrap_err()).contains("kind.instance"), "{instance}");
    }
}

/// Root may use any socket, so that this test runs itself again as somebody who may not.
#[tokio::test]
async fn no_permission_on_the_socket() {
    const SOCKET: &str = "CORDON_TEST_SOCKET";
    if let Some(socket) = std::env::var_os(SOCKET) {
        let settings = KindSettings { docker: format!("unix://{}", socket.to_string_lossy()), ..KindSettings::default() };
        let error = chain(&KindProvisioner::connect(settings, edge()).await.expect_err("a closed socket"));
        assert!(error.contains("may not use Docker's socket") && error.contains("usermod -aG docker"), "{error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = folder.path().join("docker.sock");
    let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).unwrap();
    let program = folder.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let arguments = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let ran = Command::new("setpriv")
        .args(arguments)
        .arg(&program)
        .args(["--exact", "no_permission_on_the_socket", "--nocapture"])
        .env(SOCKET, &socket)
        .output();
    match ran {
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("setpriv: ") => {
            not_run("no permission on Docker's socket", "this user may not become another one");
        }
        Ok(output) => {
            let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
        }
        Err(error) => not_run("no permission on Docker's socket", &format!("setpriv cannot be run: {error}")),
    }
    drop(Arc::new(folder));
}
