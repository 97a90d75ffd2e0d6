//! The simulated kubelet and container runtime.
//!
//! ```text
//! Pods of this cluster's nodes ──► Worker (one per pod) ──► start (files, credentials, process) ──► shell, components
//!                                      │                                                               │
//!                                      └──► status, events                      exec, logs, forward ───┘ (NodeRuntime)
//! ```
//!
//! One controller stands for the kubelets of all nodes. Processes are tasks that only a step polls; sessions (`exec`) run where they
//! were asked for and see the same files, sockets and processes.

mod admission;
mod api;
mod container;
mod disk;
mod doom;
mod ending;
mod env;
mod executor;
mod held;
mod hooks;
mod host_folders;
mod informers;
mod live;
mod logs;
mod node;
mod pod;
mod probes;
mod pull;
mod reboot;
mod runtime;
mod security;
mod start;
mod status;
mod volumes;

pub use api::{Prober, Reach};
pub use disk::{Disk, Keeper};
pub use executor::Activity;
pub use runtime::NODE_TOOLS;

use crate::{
    bootstrap::ClusterSpec,
    catalogue::ImageCatalogue,
    step::{Context, Controller},
};
use apiserver::{Change, ChangeKind, Changes, NodeRuntime, Server, UserInfo};
use jiff::Timestamp;
use machinery::{gvr, object};
use pod::{Step, Worker};
use runtime::Runtime;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Rounds of one reconcile: beyond it, time must pass first.
const MOST_ROUNDS: usize = 200;

/// The kubelets of a cluster.
#[derive(Debug)]
pub struct Kubelet {
    runtime: Arc<Runtime>,
    /// By uid.
    workers: BTreeMap<String, Worker>,
    /// Newest resource version that was looked at; `None` before the first look.
    seen: Option<u64>,
    /// The process that ran the containers of this cluster has ended, and this one begins.
    rebooted: bool,
    /// When what has changed is written to the disk.
    save_at: Option<Timestamp>,
}

impl Kubelet {
    /// Over a cluster whose containers run, as far as its objects say, or that has none yet. Without a disk nothing outlives the process.
    pub fn new(server: &Server, catalogue: Arc<ImageCatalogue>, spec: &ClusterSpec, disk: Option<Arc<dyn Disk>>) -> Self {
        // One user for the kubelets of all nodes: as any single node it could not write the pods of the others.
        let user = UserInfo { name: "system:kubelets".to_owned(), groups: vec!["system:authenticated".to_owned()], ..UserInfo::default() };
        let client = server.client(user, "kubelet");
        let runtime = Runtime::new(server, client, catalogue, spec, disk);
        Self { runtime: Arc::new(runtime), workers: BTreeMap::new(), seen: None, rebooted: false, save_at: None }
    }

    /// Over a cluster that another process ran before.
    #[must_use]
    pub fn rebooted(mut self) -> Self {
        self.rebooted = true;
        self
    }

    /// Has everything written to the disk.
    pub fn keeper(&self) -> Keeper {
        Keeper(Arc::clone(&self.runtime))
    }

    /// For `Server::set_node_runtime`.
    pub fn node_runtime(&self) -> Arc<dyn NodeRuntime> {
        Arc::new(api::Api { runtime: Arc::clone(&self.runtime) })
    }

    /// Tries connections as a process in a pod would.
    pub fn prober(&self) -> Prober {
        Prober::new(Arc::clone(&self.runtime))
    }

    /// Whoever drives the simulator steps it when something happened here, as after a commit.
    pub fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.runtime.activity)
    }

    fn look(&mut self, context: &mut Context<'_>) {
        let changes = match self.seen {
            Some(seen) => self.runtime.client.changes_since(seen),
            None => Changes::Expired,
        };
        match changes {
            Changes::Since(changes) => {
                for change in changes {
                    self.seen = self.seen.max(Some(change.resource_version));
                    self.take(&change, context);
                }
            }
            Changes::Expired => {
                let rebooted = self.rebooted && self.seen.is_none();
                if rebooted {
                    self.announce_reboot(context);
                }
                self.list(context, rebooted);
            }
        }
    }

    fn list(&mut self, context: &Context<'_>, rebooted: bool) {
        self.runtime.informers.tell_all();
        let mut newest = 0;
        let mut pods = self.runtime.client.list(gvr::PODS, None);
        newest = pods.iter().map(|p| object::resource_version(p)).max().unwrap_or(newest);
        pods.sort_by_key(|p| p["status"]["startTime"].as_str().unwrap_or("~").to_owned());
        let present: Vec<String> = pods.iter().map(|p| object::uid(p).to_owned()).collect();
        for pod in pods {
            self.put(pod, context, rebooted);
        }
        if rebooted {
            self.runtime.sweep(&present);
        }
        let gone: Vec<String> = self.workers.keys().filter(|uid| !present.contains(uid)).cloned().collect();
        for uid in gone {
            if let Some(mut worker) = self.workers.remove(&uid) {
                worker.remove(&self.runtime);
            }
        }
        for node in self.runtime.client.list(gvr::NODES, None) {
            newest = newest.max(object::resource_version(&node));
            self.runtime.learn_node(&node);
        }
        self.seen = Some(newest);
    }

    fn put(&mut self, pod: Arc<Value>, context: &Context<'_>, rebooted: bool) {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        if node.is_empty() || !self.runtime.has_node(node) {
            return;
        }
        let uid = object::uid(&pod).to_owned();
        match self.workers.get_mut(&uid) {
            Some(worker) => worker.update(pod),
            None => {
                let mut worker = Worker::new(pod, &self.runtime, context.now);
                if rebooted {
                    worker.after_reboot(&self.runtime, context.now);
                }
                self.workers.insert(uid, worker);
            }
        }
    }

    fn take(&mut self, change: &Change, context: &Context<'_>) {
        self.runtime.informers.tell(&change.group);
        match (&*change.group, &*change.resource) {
            ("", "pods") => {
                if change.kind == ChangeKind::Deleted {
                    if let Some(mut worker) = self.workers.remove(object::uid(&change.object)) {
                        worker.remove(&self.runtime);
                    }
                    self.mirror(&change.object);
                } else {
                    self.put(Arc::clone(&change.object), context, false);
                }
            }
            ("", kind @ ("configmaps" | "secrets")) => {
                let (namespace, name) = (object::namespace(&change.object), object::name(&change.object));
                for worker in self.workers.values_mut() {
                    if object::namespace(&worker.pod) == namespace && worker.mentions(kind, name) {
                        worker.refresh(&self.runtime, context.now);
                    }
                }
            }
            ("", "nodes") => self.runtime.learn_node(&change.object),
            _ => {}
        }
    }

    /// Brings the disk up to date where the time has come; when to look again.
    fn save(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.save_at.is_some_and(|at| at <= now) {
            self.runtime.save(now);
            self.save_at = None;
        }
        if self.save_at.is_none() {
            self.save_at = self.runtime.save_due(now);
        }
        self.save_at
    }

    /// A static pod's mirror comes back: the file on the node is still there.
    fn mirror(&self, gone: &Value) {
        if object::annotation(gone, "kubernetes.io/config.mirror").is_none() {
            return;
        }
        let mut pod = gone.clone();
        pod["status"] = Value::Null;
        if let Some(metadata) = pod["metadata"].as_object_mut() {
            for key in [
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "generation",
                "managedFields",
            ] {
                metadata.remove(key);
            }
        }
        if let Some(pod) = pod.as_object_mut() {
            pod.remove("status");
        }
        if let Err(error) = self.runtime.client.create(gvr::PODS, pod) {
            tracing::debug!(%error, "a mirror pod was not made again");
        }
    }
}

impl Drop for Kubelet {
    /// Pods and processes hold what they run on.
    fn drop(&mut self) {
        self.runtime.tasks.end();
        let pods = std::mem::take(&mut *self.runtime.pods.lock());
        drop(pods);
    }
}

impl Controller for Kubelet {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn interested(&self, change: &Change) -> bool {
        matches!((&*change.group, &*change.resource), ("", "pods" | "configmaps" | "secrets" | "nodes"))
            || self.runtime.informers.concerns(&change.group)
    }

    /// As a machine that was switched off and on: containers that the pods' statuses call running run again from their images, and
    /// what was written beside the API (files, pulled images, devices) is gone.
    fn restart(&mut self) {
        for mut worker in std::mem::take(&mut self.workers).into_values() {
            worker.remove(&self.runtime);
        }
        self.runtime.restart();
        self.seen = None;
        self.rebooted = false;
    }

    fn rest(&mut self) {
        for worker in self.workers.values_mut() {
            worker.pod.rest(|pod| self.runtime.client.stored(gvr::PODS, object::namespace(pod), object::name(pod)));
        }
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let runtime = Arc::clone(&self.runtime);
        runtime.activity.stepping(true);
        runtime.timer.advance(context.now);
        let mut settled = false;
        for _ in 0..MOST_ROUNDS {
            self.look(context);
            let quiet = runtime.tasks.run();
            let due: Vec<String> = self.workers.iter().filter(|(_, w)| w.is_due(context.now)).map(|(uid, _)| uid.clone()).collect();
            if due.is_empty() {
                settled = quiet;
                break;
            }
            let step = Step { context, runtime: &runtime, now: context.now };
            for uid in due {
                if let Some(worker) = self.workers.get_mut(&uid) {
                    worker.sync(&step);
                }
            }
        }
        let node_again = node::sync(&runtime, context);
        runtime.activity.stepping(false);
        let save_again = self.save(context.now);
        let routine = self.workers.values().filter_map(Worker::next_wake).chain(runtime.timer.next_deadline()).chain(save_again).min();
        routine.into_iter().for_each(|at| context.routine_at(at));
        let change = self.workers.values().filter_map(Worker::next_change).chain(runtime.timer.next_step()).chain(node_again).min();
        change.into_iter().for_each(|at| context.wake_at(at));
        if !settled || runtime.tasks.is_due() {
            let soon = context.now.saturating_add(jiff::SignedDuration::from_millis(5)).unwrap_or(context.now);
            context.wake_at(soon);
        }
    }
}

#[cfg(test)]
mod tests;
