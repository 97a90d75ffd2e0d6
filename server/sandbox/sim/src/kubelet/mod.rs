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
mod doom;
mod ending;
mod env;
mod executor;
mod hooks;
mod host_folders;
mod live;
mod logs;
mod node;
mod pod;
mod probes;
mod pull;
mod runtime;
mod security;
mod start;
mod status;
mod volumes;

pub use api::{Prober, Reach};
pub use executor::Activity;
pub use runtime::NODE_TOOLS;

use crate::{
    bootstrap::ClusterSpec,
    catalogue::ImageCatalogue,
    step::{Context, Controller},
};
use apiserver::{Change, ChangeKind, Changes, NodeRuntime, Server, UserInfo};
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
}

impl Kubelet {
    pub fn new(server: &Server, catalogue: Arc<ImageCatalogue>, spec: &ClusterSpec) -> Self {
        // One user for the kubelets of all nodes: as any single node it could not write the pods of the others.
        let user = UserInfo { name: "system:kubelets".to_owned(), groups: vec!["system:authenticated".to_owned()], ..UserInfo::default() };
        let client = server.client(user, "kubelet");
        let runtime = Runtime::new(client, Arc::clone(server.clock()), catalogue, spec);
        Self { runtime: Arc::new(runtime), workers: BTreeMap::new(), seen: None }
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

    fn look(&mut self, context: &Context<'_>) {
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
            Changes::Expired => self.list(context),
        }
    }

    fn list(&mut self, context: &Context<'_>) {
        let mut newest = 0;
        let mut pods = self.runtime.client.list(gvr::PODS, None);
        newest = pods.iter().map(|p| object::resource_version(p)).max().unwrap_or(newest);
        pods.sort_by_key(|p| p["status"]["startTime"].as_str().unwrap_or("~").to_owned());
        let present: Vec<String> = pods.iter().map(|p| object::uid(p).to_owned()).collect();
        for pod in pods {
            self.put(pod, context);
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

    fn put(&mut self, pod: Arc<Value>, context: &Context<'_>) {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        if node.is_empty() || !self.runtime.has_node(node) {
            return;
        }
        let uid = object::uid(&pod).to_owned();
        match self.workers.get_mut(&uid) {
            Some(worker) => worker.update(pod),
            None => {
                let worker = Worker::new(pod, &self.runtime, context.now);
                self.workers.insert(uid, worker);
            }
        }
    }

    fn take(&mut self, change: &Change, context: &Context<'_>) {
        match (&*change.group, &*change.resource) {
            ("", "pods") => {
                if change.kind == ChangeKind::Deleted {
                    if let Some(mut worker) = self.workers.remove(object::uid(&change.object)) {
                        worker.remove(&self.runtime);
                    }
                    self.mirror(&change.object);
                } else {
                    self.put(Arc::clone(&change.object), context);
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

impl Controller for Kubelet {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn interested(&self, change: &Change) -> bool {
        matches!((&*change.group, &*change.resource), ("", "pods" | "configmaps" | "secrets" | "nodes"))
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
        let next = self.workers.values().filter_map(Worker::next_wake).chain(runtime.timer.next_deadline()).chain(node_again).min();
        if let Some(next) = next {
            context.wake_at(next);
        }
        if !settled || runtime.tasks.is_due() {
            let soon = context.now.saturating_add(jiff::SignedDuration::from_millis(5)).unwrap_or(context.now);
            context.wake_at(soon);
        }
    }
}

#[cfg(test)]
mod tests;
