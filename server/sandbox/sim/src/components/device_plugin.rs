//! The NVIDIA device plugin: it registers `nvidia.com/gpu` with the kubelet through the folder of sockets
//! (github.com/NVIDIA/k8s-device-plugin). Simulated.

use super::{flag, handle_signals};
use crate::shell::{filesystem::Kind, process::Process};

/// Where the kubelet has its socket, and plugins put theirs.
pub const SOCKETS: &str = "/var/lib/kubelet/device-plugins";

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    let stamp = process.now().strftime("%m%d %H:%M:%S.000000").to_string();
    let log = async |level: char, text: &str| process.err(format!("{level}{stamp}       1 main.go] {text}\n")).await;
    log('I', "Starting NVIDIA Device Plugin (simulated by Cordon, cordon.dev/simulated)").await;
    log('I', "Starting FS watcher for /var/lib/kubelet/device-plugins").await;
    let kubelet = process.find(&format!("{SOCKETS}/kubelet.sock"), true);
    let mounted = kubelet.is_ok_and(|found| matches!(found.inode.kind, Kind::Socket));
    if !mounted {
        log('E', &format!("error starting plugins: failed to create FS watcher for {SOCKETS}/: no such file or directory")).await;
        return 1;
    }
    if process.write(&format!("{SOCKETS}/nvidia-gpu.sock"), Vec::new()).is_err() {
        log(
            'E',
            &format!(
                "Failed to start gRPC server: failed to listen on socket: listen unix {SOCKETS}/nvidia-gpu.sock: bind: permission denied"
            ),
        )
        .await;
        return 1;
    }
    log('I', "Starting OS watcher.").await;
    log('I', "Loading configuration.").await;
    log('I', "Retrieving plugins.").await;
    let gpus = process.machine.facts.gpus.clone();
    if gpus.is_empty() {
        log('E', "Incompatible strategy detected auto").await;
        log('E', "If this is a GPU node, did you configure the NVIDIA Container Toolkit?").await;
        log('E', "If this is not a GPU node, you should set up a toleration or nodeSelector to only deploy this plugin on GPU nodes").await;
        let fails = flag(arguments, "fail-on-init-error").or(process.environment.get("FAIL_ON_INIT_ERROR").map(String::as_str));
        if fails.is_none_or(|value| value != "false") {
            log('E', "error starting plugins: error getting plugins: failed to construct plugins: invalid device discovery strategy").await;
            return 1;
        }
        log('I', "No devices found. Waiting indefinitely.").await;
        process.control.signalled().await;
        return 0;
    }
    log('I', "Starting GRPC server for 'nvidia.com/gpu'").await;
    log('I', &format!("Starting to serve 'nvidia.com/gpu' on {SOCKETS}/nvidia-gpu.sock")).await;
    let registered = Registered::new(process, "nvidia.com/gpu");
    log('I', "Registered device plugin for 'nvidia.com/gpu' with Kubelet").await;
    process.control.signalled().await;
    drop(registered);
    let _ = process.remove(&format!("{SOCKETS}/nvidia-gpu.sock"), false);
    0
}

/// Tells the node when it goes, however it goes.
struct Registered<'a> {
    process: &'a Process,
    resource: &'a str,
}

impl<'a> Registered<'a> {
    fn new(process: &'a Process, resource: &'a str) -> Self {
        process.machine.announce.device_plugin(resource, true);
        Self { process, resource }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.process.machine.announce.device_plugin(self.resource, false);
    }
}
