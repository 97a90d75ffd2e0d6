//! The server's process ended and began anew: for the nodes of a cluster that is a reboot. The containers that ran are gone, with the
//! exit code that containerd gives to what it finds no more; the kubelet makes new ones where the restart policy says so.

use super::{
    Kubelet,
    container::{Container, Phase, Role, Terminated},
    live::{ContainerLive, Live},
    pod::Worker,
    runtime::Runtime,
};
use crate::{
    events::{self, Event},
    step::Context,
};
use jiff::Timestamp;
use machinery::{gvr, object};
use parking_lot::Mutex;
use std::{net::Ipv4Addr, sync::Arc};

/// How containerd records a container whose process it does not find.
const EXIT_CODE: i32 = 255;
const REASON: &str = "Unknown";

impl Worker {
    pub(super) fn after_reboot(&mut self, runtime: &Runtime, now: Timestamp) {
        let ran = self.containers.iter().any(Container::is_running);
        // A sandbox that is lost is made again, and with it every init container runs again.
        self.sandbox_lost = ran && self.pod["spec"]["restartPolicy"] != "Never";
        for container in &mut self.containers {
            if container.container_id.is_empty() && container.last.is_none() {
                continue;
            }
            // What was pulled lies on the node's disk.
            if let (Ok(image), Some(node)) = (
                runtime.catalogue.find(container.spec["image"].as_str().unwrap_or_default(), true),
                runtime.nodes.lock().get_mut(&self.node),
            ) {
                node.images.insert(image.image_id());
            }
            container.adopted = false;
            match container.phase.clone() {
                Phase::Running { since } => {
                    container.probes.end();
                    container.phase = Phase::Terminated(Terminated {
                        exit_code: EXIT_CODE,
                        reason: REASON.to_owned(),
                        message: String::new(),
                        started_at: since,
                        finished_at: now,
                        container_id: container.container_id.clone(),
                    });
                }
                Phase::Terminated(ended) if self.sandbox_lost && container.role == Role::Init => {
                    container.last = Some(ended);
                    container.restarts += 1;
                    container.phase = Phase::Idle;
                }
                // It waited for its next start.
                Phase::Idle if container.last.is_some() => container.restarts += 1,
                _ => {}
            }
        }
        self.take_up_logs(runtime);
    }

    /// Logs lie on the node's disk.
    fn take_up_logs(&mut self, runtime: &Runtime) {
        let uid = object::uid(&self.pod).to_owned();
        let containers = self.containers.iter().map(|container| {
            let [log, previous] = runtime.load_logs(&uid, &container.name);
            (container.name.clone(), ContainerLive { instance: None, log, previous })
        });
        let containers = Mutex::new(containers.filter(|(_, held)| held.log.is_some() || held.previous.is_some()).collect());
        let live = Arc::new(Live {
            folder: Live::folder_of(&self.pod),
            node: self.node.clone(),
            volumes: Vec::new(),
            address: Ipv4Addr::UNSPECIFIED,
            sockets: Arc::default(),
            containers,
            kept: Default::default(),
        });
        runtime.pods.lock().insert(uid, Arc::clone(&live));
        self.live = Some(live);
    }
}

impl Kubelet {
    /// What the kubelets say when they come up: once, before anything else.
    pub(super) fn announce_reboot(&self, context: &mut Context<'_>) {
        for node in self.runtime.client.list(gvr::NODES, None) {
            let name = object::name(&node);
            if !self.runtime.has_node(name) {
                continue;
            }
            let mut bytes = [0; 16];
            context.rng.fill_bytes(&mut bytes);
            // Chance begins anew with the process; the time does not. The form is a random UUID's.
            bytes.iter_mut().zip(context.now.as_nanosecond().to_le_bytes()).for_each(|(byte, time)| *byte ^= time);
            (bytes[6], bytes[8]) = (bytes[6] & 0x0f | 0x40, bytes[8] & 0x3f | 0x80);
            let digits = hex::encode(bytes);
            let id = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-");
            let mut new = (*node).clone();
            new["status"]["nodeInfo"]["bootID"] = id.as_str().into();
            if let Err(error) = self.runtime.client.update_status(gvr::NODES, new) {
                tracing::warn!(node = name, %error, "a node's status was not accepted");
            }
            let starting = Event { host: name, ..Event::normal("kubelet", "Starting", "Starting kubelet.") };
            events::record(context, &node, &starting);
            let message = format!("Node {name} has been rebooted, boot id: {id}");
            let rebooted = Event { host: name, ..Event::warning("kubelet", "Rebooted", message) };
            events::record(context, &node, &rebooted);
        }
    }
}
