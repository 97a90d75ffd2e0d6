//! Tier: real containers. GPUs from the claim to the release, on a Docker that hands over by CDI device nodes without a driver, with a
//! library of our own in the place of NVML.

#[expect(dead_code, reason = "this suite needs a part of what the others share")]
mod common;
#[path = "common/own_docker.rs"]
mod own_docker;

use async_trait::async_trait;
use bollard::query_parameters::InspectContainerOptions;
use common::{World, chain, edge, not_run, turn};
use nvml_mock::{Gpu, Instance, Machine, Process, library};
use own_docker::{DIVIDED, GPUS, OwnDocker, PARTS};
use parking_lot::Mutex;
use provision::{
    ClusterSpec, GpuLedger, GpuSupport, LedgerError, NodeSpec, Progress, ProvisionError, Provisioner,
    gpu::GpuChoice,
    kind::{GPUS as STAGE, KindProvisioner},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::mpsc;

/// Claims as the database keeps them.
#[derive(Debug, Default)]
struct Ledger(Mutex<BTreeMap<String, String>>);

#[async_trait]
impl GpuLedger for Ledger {
    async fn claim(&self, cluster: &str, uuids: &[String]) -> Result<bool, LedgerError> {
        let mut claims = self.0.lock();
        if uuids.iter().any(|uuid| claims.contains_key(uuid)) {
            return Ok(false);
        }
        claims.extend(uuids.iter().map(|uuid| (uuid.clone(), cluster.to_owned())));
        Ok(true)
    }

    async fn release(&self, cluster: &str) -> Result<(), LedgerError> {
        self.0.lock().retain(|_, owner| owner != cluster);
        Ok(())
    }

    async fn claims(&self) -> Result<BTreeMap<String, String>, LedgerError> {
        Ok(self.0.lock().clone())
    }
}

impl Ledger {
    /// `UUID=cluster`, one after the other.
    fn text(&self) -> String {
        self.0.lock().iter().map(|(uuid, cluster)| format!("{uuid}={cluster}")).collect::<Vec<_>>().join(" ")
    }
}

fn gpu(minor: u32, uuid: &str) -> Gpu {
    Gpu { uuid: uuid.to_owned(), name: "NVIDIA H100 80GB HBM3".to_owned(), minor, total: 80 << 30, mig: Some(false), ..Gpu::default() }
}

/// The GPUs of [`own_docker`], as NVML sees them.
fn machine() -> Machine {
    let part = |(uuid, gpu_instance, _, _): (&str, u32, u32, u32)| Instance {
        uuid: uuid.to_owned(),
        profile: "1g.10gb".to_owned(),
        gpu_instance,
        total: 10 << 30,
        ..Instance::default()
    };
    let divided = Gpu { mig: Some(true), instances: (0..).zip(PARTS.map(part)).collect(), ..gpu(DIVIDED.0, DIVIDED.1) };
    let gpus = GPUS.iter().map(|(minor, uuid)| gpu(*minor, uuid)).chain([divided]).collect();
    Machine { driver: "570.86.15".to_owned(), cuda: 12_080, gpus, ..Machine::default() }
}

fn nodes(gpus: u32, product: &str) -> ClusterSpec {
    let node = NodeSpec { control_plane: true, gpu_product: product.to_owned(), ..NodeSpec::with_gpus("gpu-node", gpus) };
    ClusterSpec { nodes: vec![node], ..ClusterSpec::default() }
}

/// A Docker, a world in it and the driver of its machine.
struct Lab {
    ledger: Arc<Ledger>,
    world: World,
    docker: OwnDocker,
}

const ALL: &[&str] = &["GPU-a", "GPU-b", "MIG-x", "MIG-y"];
const TRUE: [&str; 2] = ["GPU-a", "GPU-b"];

impl Lab {
    async fn new() -> Result<Self, String> {
        let docker = OwnDocker::start().await?;
        docker.describe(ALL, TRUE);
        let mut world = World::on(docker.machine.clone());
        world.settings.subnets = "10.202.0.0/16".parse().expect("a range");
        let lab = Self { ledger: Arc::default(), world, docker };
        lab.driver(&machine());
        Ok(lab)
    }

    fn driver(&self, machine: &Machine) {
        library(&self.docker.path(""), machine).expect("a library");
    }

    async fn provisioner(&self, gpus: GpuChoice) -> KindProvisioner {
        let settings = provision::kind::KindSettings {
            gpus,
            nvml: self.docker.path("libnvidia-ml.so"),
            nvidia_runtime: self.docker.path("nvidia-runtime.toml"),
            ..self.world.settings.clone()
        };
        let made = KindProvisioner::connect_with_gpus(settings, edge(), self.ledger.clone()).await;
        made.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    /// A start until the node has its GPUs, which takes some seconds; then it is cancelled.
    async fn as_far_as_its_gpus(&self, provisioner: &KindProvisioner, spec: ClusterSpec, claimed: &str, devices: &str) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let owned = provisioner.clone();
        let start = tokio::spawn(async move { owned.create("m", &spec, sender).await.map(drop) });
        while let Some(progress) = receiver.recv().await {
            if progress.stage == STAGE && progress.done {
                break;
            }
        }
        assert!(!start.is_finished(), "{:?}", start.await.map(|made| made.map_err(|error| chain(&error))));
        assert_eq!(self.ledger.text(), claimed);
        assert_eq!(self.devices("m").await, devices);
        start.abort();
        let _ = start.await;
        provisioner.finished().await;
        assert_eq!((self.ledger.text().as_str(), self.world.left().await.len()), ("", 0), "{claimed}");
    }

    /// The device nodes that a node has.
    async fn devices(&self, id: &str) -> String {
        let (_, text) =
            self.world.sh(&self.world.node(id), "cd /dev && ls -d nvidia[0-9]* nvidiactl nvidia-uvm nvidia-caps/* 2>/dev/null").await;
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

macro_rules! lab {
    ($what:literal) => {
        match Lab::new().await {
            Ok(lab) => lab,
            Err(why) => return not_run($what, &why),
        }
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_gets_its_gpu_and_nothing_else() {
    let _turn = turn().await;
    let lab = lab!("GPUs from the claim to the release");
    let provisioner = lab.provisioner(GpuChoice::Auto).await;
    assert_eq!(provisioner.capabilities().gpus, GpuSupport::PassedThrough);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut spec = nodes(1, "NVIDIA-H100-80GB-HBM3");
    spec.nodes[0].gpus_in_capacity = true;
    let cluster = provisioner.create("a", &spec, sender).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    let mut told: Vec<Progress> = Vec::new();
    while let Ok(progress) = receiver.try_recv() {
        told.push(progress);
    }
    assert_eq!(told.iter().filter(|progress| progress.stage == STAGE).map(|progress| progress.done).collect::<Vec<_>>(), [false, true]);
    assert_eq!(lab.ledger.text(), "GPU-a=a");

    // Its own device node by minor number, and those that all share. Everything else is gone, and the driver makes none anew.
    let node = lab.world.node("a");
    assert_eq!(lab.devices("a").await, "nvidia-uvm nvidia1 nvidiactl");
    let (_, listed) = lab.world.sh(&node, "nvidia-smi -L").await;
    assert_eq!(listed.trim(), "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-a)");
    let (_, params) = lab.world.sh(&node, "cat /proc/driver/nvidia/params").await;
    assert!(params.contains("ModifyDeviceFiles: 0") && params.contains("DeviceFileMode: 438"), "{params}");
    let (_, links) = lab.world.sh(&node, "readlink /dev/char/195:1 /dev/char/195:255").await;
    assert_eq!(links.split_whitespace().collect::<Vec<_>>(), ["/dev/nvidia1", "/dev/nvidiactl"]);
    let found = lab.world.docker.inspect_container(&node, None::<InspectContainerOptions>).await.unwrap();
    assert_eq!(found.config.unwrap().labels.unwrap()["cordon.dev/gpus"], "GPU-a");
    let labels =
        r"kubectl get node gpu-node -o jsonpath='{.metadata.labels.nvidia\.com/gpu\.product} {.metadata.labels.nvidia\.com/gpu\.count}'";
    assert_eq!(lab.world.sh(&node, labels).await.1, "NVIDIA-H100-80GB-HBM3 1");

    // What is left, what is not, and why. The claims of the database and the labels of Docker say the same, each alone.
    let refused = async |count: u32, words: &[&str]| {
        let (sender, _) = mpsc::unbounded_channel();
        let error = provisioner.create("b", &nodes(count, ""), sender).await.expect_err("too few GPUs");
        let text = error.to_string();
        assert!(
            matches!(error, ProvisionError::Unavailable(_)) && words.iter().all(|word| text.contains(word)),
            "{text}\nexpected {words:?}"
        );
    };
    refused(2, &["1 of 2 GPUs are free, and this lab needs 2; try again later"]).await;
    let mut busy = machine();
    busy.gpus[1].compute = vec![Process { pid: 4242, ..Process::default() }];
    lab.driver(&busy);
    refused(1, &["all 2 GPUs are in use", "GPU 1 (GPU-b): process 4242 (compute) on it", "kill 4242"]).await;
    lab.driver(&machine());
    assert_eq!(lab.ledger.text(), "GPU-a=a");
    lab.ledger.0.lock().clear();
    refused(2, &["1 of 2 GPUs are free"]).await;
    lab.ledger.claim("a", &["GPU-a".to_owned()]).await.unwrap();

    // A node that starts again has all device nodes again, until its kubelet starts; and one whose GPU is gone is not opened.
    lab.world.docker.restart_container(&node, None).await.unwrap();
    let (code, said) =
        lab.world.sh(&node, "until systemctl is-active -q kubelet; do sleep 0.2; done; systemctl show -p ExecStartPre kubelet").await;
    assert!(code == 0 && said.contains("/kind/cordon-gpus"), "{said}");
    assert_eq!(lab.devices("a").await, "nvidia-uvm nvidia1 nvidiactl");
    let other = lab.provisioner(GpuChoice::Auto).await;
    let mut lost = machine();
    lost.gpus[0].errors.insert("nvmlDeviceGetHandleByIndex_v2".to_owned(), 15);
    lab.driver(&lost);
    let error = chain(&other.open("a").await.expect_err("the GPU is lost"));
    assert!(error.contains("GPU-a is gone") && error.contains("nvidia-smi --gpu-reset"), "{error}");
    lab.driver(&machine());
    other.open("a").await.unwrap_or_else(|error| panic!("{}", chain(&error)));

    // The reaper keeps what is held, and frees what a process that died had claimed.
    lab.ledger.claim("dead", &["GPU-b".to_owned()]).await.unwrap();
    other.tidy().await.unwrap();
    assert_eq!(lab.ledger.text(), "GPU-a=a");
    drop(cluster);
    provisioner.delete("a").await.unwrap();
    assert_eq!((lab.ledger.text().as_str(), lab.world.left().await.len()), ("", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cdi_gpus_come_by_mounts() {
    let _turn = turn().await;
    let lab = lab!("GPUs by the mounts of NVIDIA's container runtime");
    lab.docker.describe(&["0"], TRUE);
    lab.docker.describe_runtime(true);
    let provisioner = lab.provisioner(GpuChoice::Auto).await;
    assert_eq!(provisioner.capabilities().gpus, GpuSupport::PassedThrough);
    lab.as_far_as_its_gpus(&provisioner, nodes(2, ""), "GPU-a=m GPU-b=m", "nvidia-uvm nvidia0 nvidia1 nvidiactl").await;
    lab.as_far_as_its_gpus(&provisioner, nodes(1, ""), "GPU-a=m", "nvidia-uvm nvidia1 nvidiactl").await;
    lab.docker.describe_runtime(false);
    let (sender, _) = mpsc::unbounded_channel();
    let error = chain(&provisioner.create("m", &nodes(1, ""), sender).await.expect_err("mounts are not read"));
    assert!(error.contains("does not accept devices as volume mounts") && error.contains("nvidia-ctk config --set"), "{error}");
    assert_eq!((lab.ledger.text().as_str(), lab.world.left().await.len()), ("", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_divided_gpu_is_given_in_parts() {
    let _turn = turn().await;
    let lab = lab!("MIG instances in nodes");
    let provisioner = lab.provisioner(GpuChoice::Listed(vec!["GPU-b".to_owned(), "MIG-y".to_owned()])).await;
    for (spec, claimed, devices) in [
        (
            nodes(1, "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb"),
            "MIG-y=m",
            "nvidia-caps/nvidia-cap21 nvidia-caps/nvidia-cap22 nvidia-uvm nvidia2 nvidiactl",
        ),
        (nodes(1, ""), "GPU-b=m", "nvidia-uvm nvidia0 nvidiactl"),
        // A lab without GPUs, on a machine that has some.
        (nodes(0, ""), "", ""),
    ] {
        lab.as_far_as_its_gpus(&provisioner, spec, claimed, devices).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_name_their_cause_and_release_the_gpu() {
    let _turn = turn().await;
    let lab = lab!("faults on the way of a GPU into a node");
    let listed = |uuid: &str| GpuChoice::Listed(vec![uuid.to_owned()]);
    let fails = async |choice: GpuChoice, words: &[&str]| {
        let provisioner = lab.provisioner(choice).await;
        let (sender, _) = mpsc::unbounded_channel();
        let error = chain(&provisioner.create("f", &nodes(1, ""), sender).await.expect_err("a fault"));
        assert!(words.iter().all(|word| error.contains(word)), "{error}\nexpected {words:?}");
        assert_eq!((lab.ledger.text().as_str(), lab.world.left().await.len()), ("", 0), "{words:?}");
    };

    // The node sees another GPU than the one that was given: the specification is older than the machine.
    lab.docker.describe(ALL, ["GPU-z", "GPU-b"]);
    fails(listed("GPU-a"), &[STAGE, "the node sees the GPUs GPU-z and shall see GPU-a", "nvidia-ctk cdi generate"]).await;
    lab.docker.describe(&["GPU-b"], TRUE);
    fails(listed("GPU-a"), &["no CDI specification in", "names GPU-a", "nvidia-ctk cdi generate --device-name-strategy=uuid"]).await;
    // Docker does not take what the file says.
    lab.docker.describe(ALL, TRUE);
    let specification = lab.docker.path("cdi/nvidia.json");
    let text = std::fs::read_to_string(&specification).unwrap();
    std::fs::write(&specification, text.replace("0.5.0", "99.0.0")).unwrap();
    fails(listed("GPU-a"), &["unresolvable CDI devices nvidia.com/gpu=GPU-a", "nvidia-ctk cdi generate"]).await;
    lab.docker.describe(ALL, TRUE);
    fails(listed("GPU-q"), &["GPU-q of kind.gpus is not here", "nvidia-smi -L"]).await;
    let smi = lab.docker.path("nvidia-smi");
    std::fs::write(&smi, "#!/bin/sh\necho 'Failed to initialize NVML: Unknown Error'\nexit 255\n").unwrap();
    fails(listed("GPU-a"), &["nvidia-smi in the node ended with code 255", "Failed to initialize NVML"]).await;
    std::fs::write(&smi, "#!/bin/sh\necho 'No devices found.'\n").unwrap();
    fails(listed("GPU-a"), &["the node sees the GPUs none and shall see GPU-a"]).await;
    lab.docker.describe(ALL, TRUE);
    lab.driver(&Machine { errors: BTreeMap::from([("nvmlInit_v2".to_owned(), 9)]), ..machine() });
    fails(listed("GPU-a"), &["the NVIDIA driver does not work", "modprobe nvidia"]).await;
    let mut lost = machine();
    lost.gpus[0].errors.insert("nvmlDeviceGetUUID".to_owned(), 15);
    lab.driver(&lost);
    fails(listed("GPU-a"), &["GPU 0 does not answer (device fell off the bus", "dmesg | grep Xid"]).await;
    lab.driver(&machine());

    // Where the operator says so, and where Docker has no way for them, the machine's GPUs are not offered.
    for choice in [GpuChoice::None, GpuChoice::Simulated] {
        assert_ne!(lab.provisioner(choice).await.capabilities().gpus, GpuSupport::PassedThrough);
    }
    lab.docker.describe(&["0", "1"], TRUE);
    assert_ne!(lab.provisioner(GpuChoice::Auto).await.capabilities().gpus, GpuSupport::PassedThrough);
}
