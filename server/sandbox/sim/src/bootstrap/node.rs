//! Node objects, as a kubelet registers them on a kind cluster and keeps them.

use super::NodeSpec;
use jiff::Timestamp;
use machinery::clock;
use serde_json::{Map, Value, json};

/// Version that every node and component says it has.
pub const VERSION: &str = "v1.34.4";
/// Marks what is simulated.
pub const SIMULATED: &str = "cordon.dev/simulated";
/// Images that every node has from the start: the control plane's own.
const IMAGES: [(&str, u64); 8] = [
    ("registry.k8s.io/coredns/coredns:v1.12.1", 22_384_805),
    ("registry.k8s.io/etcd:3.6.4-0", 74_311_308),
    ("registry.k8s.io/kube-apiserver:v1.34.4", 91_126_784),
    ("registry.k8s.io/kube-controller-manager:v1.34.4", 77_721_600),
    ("registry.k8s.io/kube-proxy:v1.34.4", 74_202_112),
    ("registry.k8s.io/kube-scheduler:v1.34.4", 53_849_600),
    ("docker.io/kindest/kindnetd:v20250512-df8de77b", 44_375_501),
    ("docker.io/kindest/local-path-provisioner:v20250214-acbabc1a", 22_541_737),
];

/// The address of the node with this number in its cluster.
pub fn address(index: usize) -> String {
    format!("172.18.{}.{}", index / 250, index % 250 + 2)
}

/// Addresses of its pods.
pub fn pod_cidr(index: usize) -> String {
    format!("10.244.{index}.0/24")
}

/// The Node with its status, as it is once it is Ready.
pub fn node(spec: &NodeSpec, index: usize, now: Timestamp) -> Value {
    let name = &spec.name;
    let mut annotations = Map::new();
    let mut put = |key: &str, value: String| annotations.insert(key.to_owned(), value.into());
    put("node.alpha.kubernetes.io/ttl", "0".to_owned());
    put("volumes.kubernetes.io/controller-managed-attach-detach", "true".to_owned());
    let capacity = capacity(spec);
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": labels(spec), "annotations": annotations},
        "spec": {"podCIDR": pod_cidr(index), "podCIDRs": [pod_cidr(index)], "providerID": format!("kind://simulated/cordon/{name}")},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address(index)}, {"type": "Hostname", "address": name}],
            "allocatable": capacity, "capacity": capacity,
            "conditions": conditions(now),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "images": IMAGES.iter().map(|(image, size)| json!({"names": [image], "sizeBytes": size})).collect::<Vec<_>>(),
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "osImage": "Debian GNU/Linux 12 (bookworm)",
                "kernelVersion": "6.8.0-60-generic", "containerRuntimeVersion": "containerd://2.1.3",
                "kubeletVersion": VERSION, "kubeProxyVersion": "",
                "machineID": identity(name, 'm').replace('-', ""), "systemUUID": identity(name, 's'), "bootID": identity(name, 'b'),
            },
            "runtimeHandlers": [{"name": "", "features": {"recursiveReadOnlyMounts": true, "userNamespaces": true}},
                                {"name": "runc", "features": {"recursiveReadOnlyMounts": true, "userNamespaces": true}}],
            "features": {"supplementalGroupsPolicy": true},
        },
    })
}

fn labels(spec: &NodeSpec) -> Map<String, Value> {
    let mut labels = Map::new();
    let mut put = |key: &str, value: &str| labels.insert(key.to_owned(), value.into());
    put("beta.kubernetes.io/arch", "amd64");
    put("beta.kubernetes.io/os", "linux");
    put("kubernetes.io/arch", "amd64");
    put("kubernetes.io/hostname", &spec.name);
    put("kubernetes.io/os", "linux");
    put(SIMULATED, "true");
    if spec.control_plane {
        put("node-role.kubernetes.io/control-plane", "");
    }
    if spec.gpus > 0 {
        put("feature.node.kubernetes.io/pci-10de.present", "true");
    }
    if spec.gpus > 0 && spec.gpus_in_capacity {
        put("nvidia.com/gpu.present", "true");
        put("nvidia.com/gpu.product", &spec.gpu_product);
        put("nvidia.com/gpu.count", &spec.gpus.to_string());
    }
    for (key, value) in &spec.labels {
        put(key, value);
    }
    labels
}

fn capacity(spec: &NodeSpec) -> Value {
    let mut capacity = json!({
        "cpu": spec.cpu.to_string(), "memory": spec.memory, "pods": "110", "ephemeral-storage": "100Gi", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
    });
    if spec.gpus > 0 && spec.gpus_in_capacity {
        capacity["nvidia.com/gpu"] = spec.gpus.to_string().into();
    }
    capacity
}

fn conditions(now: Timestamp) -> Value {
    let at = clock::rfc3339(now);
    let of = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": at, "lastTransitionTime": at});
    json!([
        of("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        of("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        of("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        of("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ])
}

/// A UUID that is the same for the same node name: a machine keeps its identity.
fn identity(name: &str, salt: char) -> String {
    use sha2::{Digest, Sha256};
    let digest = hex::encode(Sha256::digest(format!("{salt}/{name}")));
    format!("{}-{}-4{}-8{}-{}", &digest[0..8], &digest[8..12], &digest[13..16], &digest[17..20], &digest[20..32])
}

/// The node's heartbeat.
pub fn lease(spec: &NodeSpec, uid: &str, now: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": spec.name, "namespace": "kube-node-lease",
                     "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": spec.name, "uid": uid}]},
        "spec": {"holderIdentity": spec.name, "leaseDurationSeconds": 40, "renewTime": clock::rfc3339_micro(now)},
    })
}
