//! The NVIDIA device plugin's words and settings (github.com/NVIDIA/k8s-device-plugin).

use super::flag;

/// Where the kubelet has its socket, and plugins put theirs.
pub const SOCKETS: &str = "/var/lib/kubelet/device-plugins";
pub const KUBELET_SOCKET: &str = "/var/lib/kubelet/device-plugins/kubelet.sock";
pub const SOCKET: &str = "/var/lib/kubelet/device-plugins/nvidia-gpu.sock";
pub const RESOURCE: &str = "nvidia.com/gpu";

/// A line of its log; `stamp` as klog writes it, month and day first.
pub fn line(level: char, stamp: &str, text: &str) -> String {
    format!("{level}{stamp}       1 main.go] {text}\n")
}

pub const STARTING: &str = "Starting NVIDIA Device Plugin (simulated by Cordon, cordon.dev/simulated)";
pub const STARTING_WATCHER: &str = "Starting FS watcher for /var/lib/kubelet/device-plugins";
pub const NO_FOLDER: &str =
    "error starting plugins: failed to create FS watcher for /var/lib/kubelet/device-plugins/: no such file or directory";
/// What it says once it has a socket.
pub const LOADING: [&str; 3] = ["Starting OS watcher.", "Loading configuration.", "Retrieving plugins."];
/// What it says where the node has no GPU.
pub const NO_GPU: [&str; 3] = [
    "Incompatible strategy detected auto",
    "If this is a GPU node, did you configure the NVIDIA Container Toolkit?",
    "If this is not a GPU node, you should set up a toleration or nodeSelector to only deploy this plugin on GPU nodes",
];
pub const FAILS: &str = "error starting plugins: error getting plugins: failed to construct plugins: invalid device discovery strategy";
pub const WAITS: &str = "No devices found. Waiting indefinitely.";
pub const SERVING: [&str; 2] =
    ["Starting GRPC server for 'nvidia.com/gpu'", "Starting to serve 'nvidia.com/gpu' on /var/lib/kubelet/device-plugins/nvidia-gpu.sock"];
pub const REGISTERED: &str = "Registered device plugin for 'nvidia.com/gpu' with Kubelet";

pub fn cannot_listen(reason: &str) -> String {
    format!("Failed to start gRPC server: failed to listen on socket: listen unix {SOCKET}: bind: {reason}")
}

/// Whether a node without a GPU ends it: `--fail-on-init-error`, `FAIL_ON_INIT_ERROR`.
pub fn fails_without_gpu(arguments: &[String], variable: Option<&str>) -> bool {
    flag(arguments, "fail-on-init-error").or(variable).is_none_or(|value| value != "false")
}
