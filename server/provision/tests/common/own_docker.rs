//! A Docker of one test's own, with CDI switched on, and a machine of three GPUs for it: device nodes without a driver behind them,
//! an `nvidia-smi` that lists what it finds, and the driver's files in `/proc`, all brought into containers by a CDI specification,
//! as NVIDIA's toolkit does it. Containers that are privileged have all device nodes, so that the specification gives all of them to each.

use crate::common::{Machine, cache, machine};
use bollard::{
    Docker,
    query_parameters::{ListContainersOptions, RemoveContainerOptions},
};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Device node and UUID of the two whole GPUs, and the third, which is divided.
pub const GPUS: [(u32, &str); 2] = [(1, "GPU-a"), (0, "GPU-b")];
pub const DIVIDED: (u32, &str) = (2, "GPU-c");
/// UUID, number of the GPU instance, minor numbers of its capabilities and of its compute instance's.
pub const PARTS: [(&str, u32, u32, u32); 2] = [("MIG-x", 1, 12, 13), ("MIG-y", 2, 21, 22)];

/// Ends with the thread that started it, or before.
#[derive(Debug)]
pub struct OwnDocker {
    pub machine: Machine,
    folder: tempfile::TempDir,
    daemon: Child,
}

impl OwnDocker {
    /// `Err`: why there can be none here.
    pub async fn start() -> Result<Self, String> {
        let given = machine().await?;
        let dockerd = dockerd().ok_or("there is no dockerd that could be started beside the Docker of this machine")?;
        let folder = tempfile::Builder::new().prefix("gpu").tempdir_in("/tmp").map_err(|error| error.to_string())?;
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("cdi")).map_err(|error| error.to_string())?;
        // The images of earlier runs are kept, since loading one takes a minute.
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gpu-docker");
        let settings = json!({"features": {"cdi": true}, "cdi-spec-dirs": [at("cdi")], "runtimes": {"nvidia": {"path": at("runtime")}}});
        fs::write(at("daemon.json"), settings.to_string()).map_err(|error| error.to_string())?;
        let mut paths = vec![dockerd.parent().map(Path::to_path_buf).unwrap_or_default()];
        paths.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let address = format!("unix://{}", at("docker.sock").display());
        // Without iptables and a default bridge it leaves the other Docker's network alone.
        let daemon = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(&dockerd)
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--host", &address])
            .args(["--config-file".into(), at("daemon.json"), "--data-root".into(), data])
            .args(["--exec-root".into(), at("exec"), "--pidfile".into(), at("pid")])
            .env("PATH", env::join_paths(paths).map_err(|error| error.to_string())?)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("setpriv cannot be run: {error}"))?;
        let machine = Machine { docker: address, image: given.image.clone() };
        let mut own = Self { machine, folder, daemon };
        own.until_it_listens()?;
        let client = Docker::connect_with_host(&own.machine.docker).map_err(|error| error.to_string())?;
        if client.info().await.map_err(|error| error.to_string())?.cdi_spec_dirs.is_none_or(|folders| folders.is_empty()) {
            return Err("this dockerd knows no CDI (25 and newer do)".to_owned());
        }
        own.empty().await;
        own.load(&given).await?;
        Ok(own)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `names`: the devices of the specification. `shown`: the UUIDs that `nvidia-smi` gives to the whole GPUs of [`GPUS`].
    pub fn describe(&self, names: &[&str], shown: [&str; 2]) {
        self.program("nvidia-smi", &nvidia_smi(shown));
        self.program("hook", HOOK);
        let nodes = device_nodes();
        let devices = names.iter().map(|name| json!({"name": name, "containerEdits": {"env": [format!("GIVEN={name}")]}}));
        let specification = json!({
            "cdiVersion": "0.5.0",
            "kind": "nvidia.com/gpu",
            "devices": devices.collect::<Vec<_>>(),
            "containerEdits": {
                "deviceNodes": nodes,
                "mounts": [{"hostPath": self.path("nvidia-smi"), "containerPath": "/usr/bin/nvidia-smi", "options": ["ro", "bind"]}],
                "hooks": [{"hookName": "createContainer", "path": self.path("hook")}],
            },
        });
        fs::write(self.path("cdi/nvidia.json"), specification.to_string()).expect("a specification");
    }

    /// The other way: a runtime that brings the same into containers which mount something below `/var/run/nvidia-container-devices`.
    pub fn describe_runtime(&self, accepts_mounts: bool) {
        self.program("nvidia-smi", &nvidia_smi(["GPU-a", "GPU-b"]));
        self.program("hook", HOOK);
        let nodes: Vec<String> = device_nodes().iter().map(|node| format!("{node},")).collect();
        let smi =
            json!({"destination": "/usr/bin/nvidia-smi", "source": self.path("nvidia-smi"), "type": "bind", "options": ["ro", "bind"]});
        let hooks = json!({"createContainer": [{"path": self.path("hook")}]}).to_string();
        let edits = [
            format!(r#"s|"mounts":\[|&{smi},|"#),
            format!(r#"s|"devices":\[{{"path"|"devices":[{}{{"path"|"#, nodes.concat()),
            format!(r#"s|"hooks":{{|&{},|"#, &hooks[1..hooks.len() - 1]),
        ];
        fs::write(self.path("edits"), edits.join("\n")).expect("edits");
        self.program("runtime", &RUNTIME.replace("EDITS", &self.path("edits").to_string_lossy()));
        let text = format!("accept-nvidia-visible-devices-as-volume-mounts = {accepts_mounts}\n");
        fs::write(self.path("nvidia-runtime.toml"), text).expect("a configuration");
    }

    fn program(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a program");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("a program");
    }

    /// Reads what the daemon says until it listens, and goes on reading, since a full pipe would stop it.
    fn until_it_listens(&mut self) -> Result<(), String> {
        let mut lines = BufReader::new(self.daemon.stderr.take().ok_or("the daemon has no output")?).lines();
        let mut last = String::new();
        for line in lines.by_ref() {
            last = line.map_err(|error| error.to_string())?;
            if last.contains("API listen on") {
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(());
            }
        }
        Err(format!("a dockerd of the test's own cannot run here: {last}"))
    }

    /// What a test that was killed has left.
    async fn empty(&self) {
        let client = Docker::connect_with_host(&self.machine.docker).expect("an address");
        let all = ListContainersOptions { all: true, ..ListContainersOptions::default() };
        for container in client.list_containers(Some(all)).await.expect("Docker lists containers") {
            let options = RemoveContainerOptions { v: true, force: true, link: false };
            let _ = client.remove_container(&container.id.unwrap_or_default(), Some(options)).await;
        }
        let _ = client.prune_networks(None::<bollard::query_parameters::PruneNetworksOptions>).await;
    }

    async fn load(&self, given: &Machine) -> Result<(), String> {
        let from = Docker::connect_with_host(&given.docker).map_err(|error| error.to_string())?;
        let to = Docker::connect_with_host(&self.machine.docker).map_err(|error| error.to_string())?;
        let id = |image: bollard::models::ImageInspect| image.id;
        let wanted = from.inspect_image(&given.image).await.map(id).map_err(|error| error.to_string())?;
        if to.inspect_image(&given.image).await.map(id).ok() == Some(wanted) {
            return Ok(());
        }
        let to = to.with_timeout(Duration::from_secs(900));
        let exported = from.export_image(&given.image).map_err(std::io::Error::other);
        let mut loading = to.import_image_stream(bollard::query_parameters::ImportImageOptions::default(), exported, None);
        while let Some(said) = loading.next().await {
            said.map_err(|error| format!("the node image cannot be loaded: {error}"))?;
        }
        Ok(())
    }
}

impl Drop for OwnDocker {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.daemon);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.daemon.wait();
    }
}

fn dockerd() -> Option<PathBuf> {
    let kit = cache().map(|cache| cache.join("cordon/real-kubernetes/docker"));
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(kit).map(|folder| folder.join("dockerd")).find(|path| path.is_file())
}

/// Those of all GPUs, whoever asks: that is what a privileged container gets.
fn device_nodes() -> Vec<Value> {
    let node = |path: String, major: u32, minor: u32| json!({"path": path, "type": "c", "major": major, "minor": minor, "fileMode": 438});
    let mut nodes: Vec<Value> = (0..3).map(|minor| node(format!("/dev/nvidia{minor}"), 195, minor)).collect();
    nodes.push(node("/dev/nvidiactl".to_owned(), 195, 255));
    nodes.push(node("/dev/nvidia-uvm".to_owned(), 509, 0));
    let of_parts = PARTS.iter().flat_map(|(_, _, instance, compute)| [*instance, *compute]);
    nodes.extend([1, 2].into_iter().chain(of_parts).map(|minor| node(format!("/dev/nvidia-caps/nvidia-cap{minor}"), 510, minor)));
    nodes
}

/// Lists the GPUs whose device nodes are there, as the real one does.
fn nvidia_smi(shown: [&str; 2]) -> String {
    let mut text =
        "#!/bin/sh\n[ \"$1\" = -L ] || exit 2\nn=0\ngpu() { echo \"GPU $n: NVIDIA H100 80GB HBM3 (UUID: $1)\"; n=$((n + 1)); }\n"
            .to_owned();
    for ((minor, _), uuid) in GPUS.iter().zip(shown) {
        text.push_str(&format!("if [ -e /dev/nvidia{minor} ]; then gpu {uuid}; fi\n"));
    }
    text.push_str(&format!("[ -e /dev/nvidia{} ] || exit 0\ngpu {}\n", DIVIDED.0, DIVIDED.1));
    for (uuid, _, instance, compute) in PARTS {
        let there = format!("[ -e /dev/nvidia-caps/nvidia-cap{instance} ] && [ -e /dev/nvidia-caps/nvidia-cap{compute} ]");
        text.push_str(&format!("if {there}; then echo '  MIG 1g.10gb     Device  0: (UUID: {uuid})'; fi\n"));
    }
    text.push_str("exit 0\n");
    text
}

/// The driver's part of `/proc`, in the container's own mount namespace.
const HOOK: &str = r#"#!/bin/sh
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
bundle=$(sed -n 's/.*"bundle":"\([^"]*\)".*/\1/p')
root=$(sed -n 's/.*"root":{"path":"\([^"]*\)".*/\1/p' "$bundle/config.json")
mount -t tmpfs tmpfs "$root/proc/driver"
mkdir "$root/proc/driver/nvidia" "$root/proc/driver/nvidia-caps"
printf 'ResmanDebugLevel: 4294967295\nModifyDeviceFiles: 1\nDeviceFileMode: 438\n' > "$root/proc/driver/nvidia/params"
printf 'config 1\nmonitor 2\ngpu2/gi1/access 12\ngpu2/gi1/ci0/access 13\ngpu2/gi2/access 21\ngpu2/gi2/ci0/access 22\n' \
    > "$root/proc/driver/nvidia-caps/mig-minors"
"#;

/// What NVIDIA's container runtime does to a container that asks for a GPU by a mount, in front of runc.
const RUNTIME: &str = r#"#!/bin/sh
set -eu
bundle=
previous=
for word in "$@"; do
    [ "$previous" != --bundle ] || bundle=$word
    previous=$word
done
if [ -n "$bundle" ] && grep -q '"/var/run/nvidia-container-devices/' "$bundle/config.json"; then
    sed -i -f EDITS "$bundle/config.json"
fi
exec runc "$@"
"#;
