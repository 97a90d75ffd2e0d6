//! A cluster for tests: a real API server in memory, time that stands still, and a kubelet that says yes to everything.

use crate::{
    bootstrap::{self, ClusterSpec, NodeSpec},
    catalogue::ImageCatalogue,
    controllers::{self, common},
    scheduler::Scheduler,
    step::{Context, Controller, Sim},
};
use apiserver::{Change, Client, Options, Server, UserInfo, client::DeleteOptions};
use jiff::{SignedDuration, Timestamp};
use machinery::{Clock as _, Gvr, clock, clock::ManualClock, gvr, object};
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug)]
pub struct Lab {
    pub client: Client,
    pub clock: Arc<ManualClock>,
    sim: Sim,
}

impl Lab {
    /// Two namespaces' worth of cluster, without what kubeadm adds.
    pub fn bare(nodes: &[NodeSpec]) -> Self {
        Self::with(|server| {
            let client = server.client(UserInfo::admin(), "test");
            for name in ["default", "kube-system"] {
                client.create(gvr::NAMESPACES, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).unwrap();
            }
            for (index, spec) in nodes.iter().enumerate() {
                let node = bootstrap::node::node(spec, index, server.clock().now());
                let mut created = (*client.create(gvr::NODES, node.clone()).unwrap()).clone();
                created["status"] = node["status"].clone();
                client.update_status(gvr::NODES, created).unwrap();
            }
        })
    }

    /// A whole cluster.
    pub fn whole(spec: &ClusterSpec) -> Self {
        Self::with(|server| bootstrap::bootstrap(server, spec).unwrap())
    }

    fn with(fill: impl FnOnce(&Server)) -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        let server = Server::open(Options {
            clock: clock.clone(),
            seed: 1,
            token_secret: [1; 32],
            journal: None,
            issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            certificate_authority: "-----BEGIN CERTIFICATE-----\n".to_owned(),
        })
        .unwrap();
        fill(&server);
        let mut members = controllers::all("-----BEGIN CERTIFICATE-----\n");
        members.push(Box::new(Scheduler::default()));
        members.push(Box::new(AgreeableKubelet { addresses: 0 }));
        let sim = Sim::new(&server, Arc::new(ImageCatalogue::default()), 1, members);
        let client = server.client(UserInfo::admin(), "test");
        let mut lab = Self { client, clock, sim };
        lab.step();
        lab
    }

    /// Until nothing happens at the present time.
    pub fn step(&mut self) -> Option<Timestamp> {
        self.sim.step(self.clock.now())
    }

    /// Lets time pass, from one wake-up to the next.
    pub fn pass(&mut self, seconds: i64) {
        let until = self.clock.now().checked_add(SignedDuration::from_secs(seconds)).unwrap();
        while let Some(next) = self.step().filter(|next| *next <= until) {
            self.clock.advance_to(next);
        }
        self.clock.advance_to(until);
        self.step();
    }

    pub fn apply(&mut self, gvr: Gvr, text: &str) -> Arc<Value> {
        let mut object: Value = serde_saphyr::from_str(text).unwrap();
        if gvr != gvr::NAMESPACES
            && object["metadata"]["namespace"].is_null()
            && !matches!(gvr.resource, "nodes" | "priorityclasses" | "storageclasses" | "clusterroles")
        {
            object["metadata"]["namespace"] = "default".into();
        }
        let created = self.client.create(gvr, object).unwrap_or_else(|error| panic!("{error}"));
        self.step();
        created
    }

    pub fn edit(&mut self, gvr: Gvr, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = (*self.get(gvr, name)).clone();
        edit(&mut object);
        self.client.update(gvr, object).unwrap_or_else(|error| panic!("{error}"));
        self.step();
    }

    pub fn get(&self, gvr: Gvr, name: &str) -> Arc<Value> {
        self.client.get(gvr, "default", name).unwrap_or_else(|| panic!("no {gvr} {name}"))
    }

    pub fn list(&self, gvr: Gvr) -> Vec<Arc<Value>> {
        self.client.list(gvr, Some("default"))
    }

    pub fn delete(&mut self, gvr: Gvr, name: &str, options: &DeleteOptions) {
        self.client.delete(gvr, "default", name, options).unwrap_or_else(|error| panic!("{error}"));
        self.step();
    }

    /// `reason message` of all events about objects of this kind, in the order of their names, counts behind.
    pub fn events(&self, kind: &str) -> Vec<String> {
        let mut events: Vec<_> = self.list(gvr::EVENTS).into_iter().filter(|event| event["involvedObject"]["kind"] == kind).collect();
        events.sort_by_key(|event| object::resource_version(event));
        events
            .iter()
            .map(|event| {
                let count = match event["count"].as_i64().unwrap_or(1) {
                    1 => String::new(),
                    count => format!(" (x{count})"),
                };
                format!("{} {}{count}", common::text(&event["reason"]), common::text(&event["message"]))
            })
            .collect()
    }
}

/// Runs every pod at once. Images speak: `fails` ends with code 1, `ends` with 0, `pending` never starts, `unready` runs and is not ready.
/// Pods of Jobs end well unless their image says otherwise.
#[derive(Debug)]
struct AgreeableKubelet {
    addresses: usize,
}

impl Controller for AgreeableKubelet {
    fn name(&self) -> &'static str {
        "agreeable-kubelet"
    }

    fn interested(&self, change: &Change) -> bool {
        common::concerns(change, &[gvr::PODS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        for pod in context.client.list(gvr::PODS, None) {
            let node = common::text(&pod["spec"]["nodeName"]);
            if node.is_empty() {
                continue;
            }
            if object::is_terminating(&pod) {
                let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
                let _ = context.client.delete(gvr::PODS, object::namespace(&pod), object::name(&pod), &now);
            } else if pod["status"]["phase"] == "Pending" {
                let image = common::text(&pod["spec"]["containers"][0]["image"]);
                let of_job = object::controller_of(&pod).is_some_and(|owner| owner["kind"] == "Job");
                let phase = match image {
                    "pending" => continue,
                    "fails" => "Failed",
                    "runs" | "unready" => "Running",
                    "ends" => "Succeeded",
                    _ if of_job => "Succeeded",
                    _ => "Running",
                };
                self.addresses += 1;
                let mut changed = (*pod).clone();
                let at = clock::rfc3339(context.now);
                let ready = if phase == "Running" && image != "unready" { "True" } else { "False" };
                let state = match phase {
                    "Running" => json!({"running": {"startedAt": at}}),
                    phase => json!({"terminated": {"exitCode": i32::from(phase == "Failed"), "startedAt": at, "finishedAt": at}}),
                };
                changed["status"]["phase"] = phase.into();
                changed["status"]["podIP"] = format!("10.244.0.{}", self.addresses + 10).into();
                changed["status"]["conditions"] = json!([
                    {"type": "PodScheduled", "status": "True", "lastTransitionTime": at},
                    {"type": "Ready", "status": ready, "lastTransitionTime": at}]);
                changed["status"]["containerStatuses"] = json!([{
                    "name": pod["spec"]["containers"][0]["name"], "image": image, "imageID": "", "ready": ready == "True", "restartCount": 0, "state": state}]);
                if let Err(error) = context.client.update_status(gvr::PODS, changed) {
                    panic!("{error}");
                }
            }
        }
    }
}
