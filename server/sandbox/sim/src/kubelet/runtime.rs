//! What all pods of a cluster share: nodes, network, tasks, time.

use super::{
    disk::{Disk, Saved},
    executor::{Activity, StepTimer, Tasks},
    informers::Informers,
    live::Live,
};
use crate::{
    bootstrap::{self, ClusterSpec},
    catalogue::{ImageCatalogue, LookupError, Resolved, ToolSet, Tools},
    network::{self, Fabric, Handler, Listener, Place, Protocol, Request, Response, Sockets},
    shell::{
        filesystem::{Inode, Tree},
        machine::{Gpu, Processes, Timer},
    },
};
use apiserver::{Client, Server};
use futures::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

/// Most bytes of a node's own files.
const NODE_BYTES: usize = 64 << 20;

/// A node as its kubelet and container runtime know it.
#[derive(Debug)]
pub struct Node {
    pub address: Ipv4Addr,
    /// First three octets of its pods' addresses.
    pub pods: [u8; 3],
    pub last_address: u8,
    pub gpus: Vec<Gpu>,
    pub memory: u64,
    pub cpus: u32,
    /// References that need no pull, by repository and digest.
    pub images: BTreeSet<String>,
    pub tree: Option<Arc<Tree>>,
    pub sockets: Arc<Sockets>,
    pub processes: Arc<Processes>,
    /// GPU index to pod uid and container.
    pub granted: BTreeMap<u32, (String, String)>,
    /// Whether a device plugin serves; `None`: nothing was said since the start.
    pub plugin: Option<bool>,
    pub plugin_changed: Timestamp,
    pub labels: BTreeMap<String, String>,
}

/// Shared by the controller, the API server's requests, and the processes.
#[derive(Debug)]
pub struct Runtime {
    pub client: Client,
    pub catalogue: Arc<ImageCatalogue>,
    pub run_unknown: bool,
    pub timer: Arc<StepTimer>,
    pub tasks: Arc<Tasks>,
    pub fabric: Arc<Fabric>,
    pub activity: Arc<Activity>,
    pub informers: Informers,
    pub nodes: Mutex<BTreeMap<String, Node>>,
    /// By pod uid.
    pub pods: Mutex<BTreeMap<String, Arc<Live>>>,
    pub(super) claims: Mutex<BTreeMap<String, Arc<Tree>>>,
    /// The node of the control plane, and what answers on the API server's port there.
    pub(super) api_server: Option<(String, Listener)>,
    /// `None`: nothing outlives the process.
    pub(super) disk: Option<Arc<dyn Disk>>,
    pub(super) saved: Saved,
}

impl Runtime {
    pub fn new(server: &Server, client: Client, catalogue: Arc<ImageCatalogue>, spec: &ClusterSpec, disk: Option<Arc<dyn Disk>>) -> Self {
        let clock = Arc::clone(server.clock());
        let activity = Arc::new(Activity::default());
        let fabric = Arc::new(Fabric::new(client.clone()));
        let mut nodes = BTreeMap::new();
        let mut api_server = None;
        for (i, node) in spec.nodes.iter().enumerate() {
            let number = u8::try_from(i).unwrap_or(u8::MAX - 2);
            let made = Node {
                address: Ipv4Addr::new(172, 18, 0, number.saturating_add(2)),
                pods: [10, 244, number],
                last_address: 1,
                gpus: images::gpu::of_node(&node.name, node.gpus, &node.gpu_product),
                memory: machinery::quantity::Quantity::parse(&node.memory).map_or(0, |q| u64::try_from(q.value()).unwrap_or(0)),
                cpus: node.cpu,
                images: preloaded(&catalogue),
                tree: None,
                sockets: Arc::default(),
                processes: Arc::default(),
                granted: BTreeMap::new(),
                plugin: None,
                plugin_changed: clock.now(),
                labels: BTreeMap::new(),
            };
            made.sockets.listen(Protocol::Tcp, 10250, "kubelet", Listener::Silent);
            if i == bootstrap::control_plane_index(spec) {
                api_server = Some((node.name.clone(), network::api_server(server, &node.name, made.address)));
            }
            made.sockets.listen(Protocol::Tcp, 10248, "kubelet", Listener::Http(Arc::new(Healthy)));
            fabric.add(made.address, Place { sockets: Arc::clone(&made.sockets), pod: String::new() });
            nodes.insert(node.name.clone(), made);
        }
        Self {
            client,
            catalogue,
            run_unknown: spec.run_unknown_images,
            timer: Arc::new(StepTimer::new(clock, Arc::clone(&activity))),
            tasks: Arc::new(Tasks::new(Arc::clone(&activity))),
            fabric,
            activity,
            informers: Informers::default(),
            nodes: Mutex::new(nodes),
            pods: Mutex::default(),
            claims: Mutex::default(),
            api_server,
            disk,
            saved: Saved::default(),
        }
    }

    /// What nodes and volumes were before any pod ran. The pods are gone already.
    pub fn restart(&self) {
        for node in self.nodes.lock().values_mut() {
            node.images = preloaded(&self.catalogue);
            node.tree = None;
            node.granted.clear();
            node.plugin = None;
            node.plugin_changed = self.timer.now();
            node.labels.clear();
        }
        self.claims.lock().clear();
        self.wipe();
    }

    pub fn now(&self) -> Timestamp {
        self.timer.now()
    }

    pub fn has_node(&self, name: &str) -> bool {
        self.nodes.lock().contains_key(name)
    }

    /// The addresses that the node's object has, where they differ from what we assume.
    pub fn learn_node(&self, object: &Value) {
        let mut nodes = self.nodes.lock();
        let Some(node) = nodes.get_mut(machinery::object::name(object)) else { return };
        let internal = object["status"]["addresses"].as_array().into_iter().flatten().find(|a| a["type"] == "InternalIP");
        if let Some(address) = internal.and_then(|a| a["address"].as_str()).and_then(|a| a.parse().ok())
            && address != node.address
        {
            self.fabric.remove(node.address, "");
            self.fabric.add(address, Place { sockets: Arc::clone(&node.sockets), pod: String::new() });
            node.address = address;
        }
        if let Some(range) = object["spec"]["podCIDR"].as_str().and_then(|c| c.split('/').next()).and_then(|a| a.parse::<Ipv4Addr>().ok()) {
            let [a, b, c, _] = range.octets();
            node.pods = [a, b, c];
        }
    }

    /// The next free pod address of a node, as host-local hands them out.
    pub fn take_address(&self, node: &str) -> Option<Ipv4Addr> {
        let mut nodes = self.nodes.lock();
        let node = nodes.get_mut(node)?;
        for _ in 0..253 {
            node.last_address = if node.last_address >= 254 { 2 } else { node.last_address + 1 };
            let [a, b, c] = node.pods;
            let address = Ipv4Addr::new(a, b, c, node.last_address);
            if !self.fabric.is_taken(address) {
                return Some(address);
            }
        }
        None
    }

    pub fn find_image(&self, reference: &str) -> Result<Resolved, LookupError> {
        self.catalogue.find(reference, self.run_unknown)
    }

    pub fn claim_tree(&self, volume: &str, limit: usize, now: Timestamp) -> Arc<Tree> {
        let make = || self.load_tree(&format!("claims/{volume}"), limit).unwrap_or_else(|| Tree::new(0o777, limit, now));
        Arc::clone(self.claims.lock().entry(volume.to_owned()).or_insert_with(|| Arc::new(make())))
    }

    /// The node's files where somebody has asked for them.
    pub fn present_tree(&self, node: &str) -> Option<Arc<Tree>> {
        self.nodes.lock().get(node)?.tree.clone()
    }

    /// The node's own files, as far as a hostPath can show them.
    pub fn node_tree(&self, node: &str, now: Timestamp) -> Arc<Tree> {
        let mut nodes = self.nodes.lock();
        let Some(held) = nodes.get_mut(node) else { return Arc::new(Tree::new(0o755, 1 << 20, now)) };
        if let Some(tree) = &held.tree {
            return Arc::clone(tree);
        }
        if let Some(tree) = self.load_tree(&format!("nodes/{node}"), NODE_BYTES) {
            let tree = Arc::new(tree);
            held.tree = Some(Arc::clone(&tree));
            return tree;
        }
        let tree = Tree::new(0o755, NODE_BYTES, now);
        let folders = [
            "/boot",
            "/home",
            "/kind",
            "/lib64",
            "/media",
            "/mnt",
            "/opt/cni/bin",
            "/run",
            "/srv",
            "/sys",
            "/usr/bin",
            "/usr/lib/modules",
            "/usr/sbin",
            "/proc",
            "/var/log/pods",
            "/var/log/containers",
            "/var/lib/kubelet/checkpoints",
            "/var/lib/kubelet/pki",
            "/var/lib/kubelet/plugins",
            "/var/lib/kubelet/plugins_registry",
            "/var/lib/kubelet/pod-resources",
            "/var/lib/kubelet/pods",
            "/etc/kubernetes/pki",
            "/etc/cni/net.d",
            "/run/containerd",
            "/var/lib/etcd",
            "/var/lib/containerd",
        ];
        for folder in folders {
            tree.put(folder, Inode::directory(0o755).at(now));
        }
        tree.put("/tmp", Inode::directory(0o1777).at(now));
        tree.put("/root", Inode::directory(0o700).at(now));
        tree.put("/var/lib/kubelet/device-plugins", Inode::directory(0o750).at(now));
        tree.put("/var/lib/kubelet/device-plugins/kubelet.sock", Inode::socket(0o755).at(now));
        tree.put("/run/containerd/containerd.sock", Inode::socket(0o660).at(now));
        for link in ["bin", "lib", "sbin"] {
            tree.put(&format!("/{link}"), Inode::symlink(format!("usr/{link}")).at(now));
        }
        tree.put("/var/run", Inode::symlink("/run").at(now));
        for name in crate::shell::commands::NAMES.iter().filter(|name| NODE_TOOLS.has(name)).chain(NODE_PROGRAMS) {
            tree.put(&format!("/usr/bin/{name}"), Inode::file("\x7fELF", 0o755).at(now));
        }
        for (file, text) in [
            ("/var/lib/kubelet/config.yaml", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"),
            ("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"\"\n"),
            ("/etc/containerd/config.toml", "version = 2\n"),
            ("/var/lib/kubelet/actuated_pods_state", "{}\n"),
            ("/var/lib/kubelet/allocated_pods_state", "{}\n"),
            ("/var/lib/kubelet/dra_manager_state", "{}\n"),
            ("/var/lib/kubelet/instance-config.yaml", ""),
            ("/var/lib/kubelet/cpu_manager_state", "{}\n"),
            ("/var/lib/kubelet/memory_manager_state", "{}\n"),
            ("/var/lib/kubelet/pki/kubelet-client-current.pem", ""),
            ("/var/lib/kubelet/pki/kubelet.crt", ""),
            ("/var/lib/kubelet/pki/kubelet.key", ""),
        ] {
            tree.put(file, Inode::file(format!("{text}# cordon.dev/simulated\n"), 0o644).at(now));
        }
        for file in [
            "apiserver-etcd-client.crt",
            "apiserver-etcd-client.key",
            "apiserver-kubelet-client.crt",
            "apiserver-kubelet-client.key",
            "apiserver.crt",
            "apiserver.key",
            "ca.crt",
            "ca.key",
            "etcd/ca.crt",
            "etcd/ca.key",
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            "front-proxy-client.crt",
            "front-proxy-client.key",
            "sa.key",
            "sa.pub",
        ] {
            let mode = if file.ends_with("key") { 0o600 } else { 0o644 };
            tree.put(&format!("/etc/kubernetes/pki/{file}"), Inode::file("# cordon.dev/simulated: no key is here\n", mode).at(now));
        }
        for file in ["admin", "controller-manager", "kubelet", "scheduler", "super-admin"] {
            let text = format!(
                "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: c2ltdWxhdGVk\n    server: https://{node}:6443\n  name: simulated\ncontexts: []\ncurrent-context: \"\"\nkind: Config\npreferences: {{}}\nusers:\n- name: simulated\n  user:\n    client-certificate-data: c2ltdWxhdGVk # cordon.dev/simulated: no credentials are here\n    client-key-data: c2ltdWxhdGVk\n"
            );
            tree.put(&format!("/etc/kubernetes/{file}.conf"), Inode::file(text, 0o600).at(now));
        }
        for file in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
            tree.put(
                &format!("/etc/kubernetes/manifests/{file}.yaml"),
                Inode::file(format!("apiVersion: v1\nkind: Pod # cordon.dev/simulated: it is part of the embedded cluster\nmetadata:\n  name: {file}\n  namespace: kube-system\n"), 0o600).at(now),
            );
        }
        tree.put("/etc/hostname", Inode::file(format!("{node}\n"), 0o644).at(now));
        tree.put(
            "/etc/os-release",
            Inode::file("PRETTY_NAME=\"Debian GNU/Linux 13 (trixie), simulated by Cordon\"\nID=debian\n", 0o644).at(now),
        );
        tree.put("/etc/passwd", Inode::file("root:x:0:0:root:/root:/bin/bash\n", 0o644).at(now));
        tree.put("/etc/shadow", Inode::file("root:*:20000:0:99999:7:::\n", 0o640).at(now));
        for (name, major, minor) in
            [("null", 1, 3), ("zero", 1, 5), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0), ("kmsg", 1, 11), ("mem", 1, 1)]
        {
            tree.put(&format!("/dev/{name}"), Inode::device(major, minor).at(now));
        }
        for gpu in &held.gpus {
            tree.put(&format!("/dev/nvidia{}", gpu.index), Inode::device(195, gpu.index).at(now));
        }
        if !held.gpus.is_empty() {
            tree.put("/dev/nvidiactl", Inode::device(195, 255).at(now));
            tree.put("/dev/nvidia-uvm", Inode::device(510, 0).at(now));
        }
        // A model to serve, for labs whose volume is the node's.
        tree.put("/srv/models/resnet/1/saved_model.pb", Inode::file("cordon.dev/simulated SavedModel resnet\n", 0o644).at(now));
        tree.put("/srv/models/resnet/1/variables/variables.index", Inode::file("cordon.dev/simulated\n", 0o644).at(now));
        let tree = Arc::new(tree);
        held.tree = Some(Arc::clone(&tree));
        tree
    }

    /// GPUs of a node granted to a container: the ones it has already, or free ones. `None` where there are too few.
    pub fn grant_gpus(&self, node: &str, pod: &str, container: &str, wanted: usize) -> Option<Vec<Gpu>> {
        let mut nodes = self.nodes.lock();
        let node = nodes.get_mut(node)?;
        let key = (pod.to_owned(), container.to_owned());
        let mut indices: Vec<u32> = node.granted.iter().filter(|(_, holder)| **holder == key).map(|(index, _)| *index).collect();
        let free: Vec<u32> = node.gpus.iter().map(|g| g.index).filter(|i| !node.granted.contains_key(i)).collect();
        if indices.len() + free.len() < wanted {
            return None;
        }
        indices.extend(free.into_iter().take(wanted.saturating_sub(indices.len())));
        for index in &indices {
            node.granted.insert(*index, key.clone());
        }
        Some(node.gpus.iter().filter(|g| indices.contains(&g.index)).cloned().collect())
    }

    pub fn release_gpus(&self, pod: &str) {
        for node in self.nodes.lock().values_mut() {
            node.granted.retain(|_, (holder, _)| holder != pod);
        }
    }

    /// What the container toolkit of a GPU node lets a container see for `NVIDIA_VISIBLE_DEVICES`.
    pub fn visible_gpus(&self, node: &str, wanted: &str) -> Vec<Gpu> {
        let nodes = self.nodes.lock();
        let Some(node) = nodes.get(node) else { return Vec::new() };
        images::gpu::visible(&node.gpus, wanted)
    }

    /// A ServiceAccount token for a pod, signed by this cluster's API server.
    pub fn token(&self, pod: &Value, audience: &str, seconds: i64) -> Result<String, String> {
        self.client.pod_token(pod, audience, seconds).map_err(|error| format!("failed to fetch token: {error}"))
    }
}

/// What lies on a node from the start, by repository.
fn preloaded(catalogue: &ImageCatalogue) -> BTreeSet<String> {
    catalogue.images().filter(|image| image.preloaded).map(|image| image.repository.clone()).collect()
}

/// The kubelet's health check on its own port.
#[derive(Debug)]
struct Healthy;

impl Handler for Healthy {
    fn handle(&self, _: Request) -> BoxFuture<'_, Response> {
        Box::pin(std::future::ready(Response::text(200, "ok")))
    }
}

/// What a node's own shell can run: Debian's tools, and those that a node needs.
pub static NODE_TOOLS: std::sync::LazyLock<Tools> = std::sync::LazyLock::new(|| Tools {
    set: ToolSet::Debian,
    extra: ["ps", "ip", "kill", "mount", "umount", "ss", "hostname", "ping"].map(str::to_owned).to_vec(),
});
const NODE_PROGRAMS: &[&str] = &["containerd", "crictl", "ctr", "kubeadm", "kubectl", "kubelet", "runc", "systemctl"];
