//! The NVIDIA device plugin: it registers `nvidia.com/gpu` with the kubelet through the folder of sockets
//! (github.com/NVIDIA/k8s-device-plugin). Simulated.

use super::handle_signals;
use crate::shell::{filesystem::Kind, process::Process};
use images::behaviour::device_plugin as plugin;

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    let stamp = process.now().strftime("%m%d %H:%M:%S.000000").to_string();
    let log = async |level: char, text: &str| process.err(plugin::line(level, &stamp, text)).await;
    log('I', plugin::STARTING).await;
    log('I', plugin::STARTING_WATCHER).await;
    let kubelet = process.find(plugin::KUBELET_SOCKET, true);
    let mounted = kubelet.is_ok_and(|found| matches!(found.inode.kind, Kind::Socket));
    if !mounted {
        log('E', plugin::NO_FOLDER).await;
        return 1;
    }
    if process.write(plugin::SOCKET, Vec::new()).is_err() {
        log('E', &plugin::cannot_listen("permission denied")).await;
        return 1;
    }
    for text in plugin::LOADING {
        log('I', text).await;
    }
    if process.machine.facts.gpus.is_empty() {
        for text in plugin::NO_GPU {
            log('E', text).await;
        }
        if plugin::fails_without_gpu(arguments, process.environment.get("FAIL_ON_INIT_ERROR").map(String::as_str)) {
            log('E', plugin::FAILS).await;
            return 1;
        }
        log('I', plugin::WAITS).await;
        process.control.signalled().await;
        return 0;
    }
    for text in plugin::SERVING {
        log('I', text).await;
    }
    let registered = Registered::new(process, plugin::RESOURCE);
    log('I', plugin::REGISTERED).await;
    process.control.signalled().await;
    drop(registered);
    let _ = process.remove(plugin::SOCKET, false);
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
