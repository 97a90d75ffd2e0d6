//! Pods in a whole cluster, stepped by hand.

mod failures;
mod gpu;
mod hooks;
mod inside;
mod lifecycle;
mod network;
mod node;
mod reboot;
mod security;
mod shell;

use super::{Disk, Kubelet, Prober, Reach};
use crate::{
    bootstrap::{self, ClusterSpec, NodeSpec},
    catalogue::ImageCatalogue,
    controllers,
    scheduler::Scheduler,
    step::Sim,
};
use apiserver::{
    Client, NodeRuntime, Options, Server, UserInfo,
    client::DeleteOptions,
    node::{ExecOptions, ExecStatus, ExecStreams, LogOptions},
};
use bytes::Bytes;
use jiff::SignedDuration;
use machinery::{Clock as _, Gvr, clock::ManualClock, gvr, object};
use serde_json::Value;
use std::{sync::Arc, task::Poll};
use tokio::sync::mpsc;

/// No certificate, but the form of one: nothing here looks into it.
const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\nc2ltdWxhdGVk\n-----END CERTIFICATE-----\n";

pub struct Bench {
    pub server: Server,
    pub client: Client,
    pub clock: Arc<ManualClock>,
    pub sim: Sim,
    pub runtime: Arc<dyn NodeRuntime>,
    pub prober: Prober,
    catalogue: Arc<ImageCatalogue>,
    spec: ClusterSpec,
    disk: Arc<Files>,
}

/// A disk in memory.
#[derive(Debug, Default)]
pub struct Files(parking_lot::Mutex<std::collections::BTreeMap<String, Vec<u8>>>);

impl Disk for Files {
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.0.lock().get(name).cloned()
    }

    fn write(&self, name: &str, content: &[u8]) {
        self.0.lock().insert(name.to_owned(), content.to_vec());
    }

    fn append(&self, name: &str, content: &[u8]) {
        self.0.lock().entry(name.to_owned()).or_default().extend_from_slice(content);
    }

    fn rename(&self, from: &str, to: &str) {
        let mut files = self.0.lock();
        if let Some(content) = files.remove(from) {
            files.insert(to.to_owned(), content);
        }
    }

    fn remove(&self, name: &str) {
        self.0.lock().retain(|other, _| other != name && !other.starts_with(&format!("{name}/")));
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let below = |name: &String| Some(name.strip_prefix(folder)?.strip_prefix('/')?.split('/').next()?.to_owned());
        let names: std::collections::BTreeSet<String> = self.0.lock().keys().filter_map(below).collect();
        names.into_iter().collect()
    }
}

pub fn catalogue() -> Arc<ImageCatalogue> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../labs/content/images");
    let read =
        |entry: std::fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(entry.path()).unwrap());
    Arc::new(ImageCatalogue::parse(std::fs::read_dir(folder).unwrap().map(|e| read(e.unwrap()))).unwrap())
}

impl Bench {
    pub fn new() -> Self {
        Self::with(ClusterSpec {
            nodes: vec![NodeSpec { control_plane: true, ..NodeSpec::with_gpus("gpu-node", 2) }],
            ..ClusterSpec::default()
        })
    }

    pub fn with(spec: ClusterSpec) -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        let server = Server::open(Options {
            clock: clock.clone(),
            seed: 1,
            token_secret: [1; 32],
            journal: None,
            issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            certificate_authority: AUTHORITY.to_owned(),
        })
        .unwrap();
        bootstrap::bootstrap(&server, &spec).unwrap();
        Self::over(server, clock, spec, Arc::default(), false)
    }

    fn over(server: Server, clock: Arc<ManualClock>, spec: ClusterSpec, disk: Arc<Files>, rebooted: bool) -> Self {
        let catalogue = catalogue();
        let kubelet = Kubelet::new(&server, Arc::clone(&catalogue), &spec, Some(disk.clone()));
        let kubelet = if rebooted { kubelet.rebooted() } else { kubelet };
        let (runtime, prober) = (kubelet.node_runtime(), kubelet.prober());
        let mut members = controllers::all(AUTHORITY);
        members.push(Box::new(Scheduler::default()));
        members.push(Box::new(kubelet));
        let sim = Sim::new(&server, Arc::clone(&catalogue), 1, members);
        let client = server.client(UserInfo::admin(), "test");
        let mut bench = Self { server, client, clock, sim, runtime, prober, catalogue, spec, disk };
        bench.pass(2);
        bench
    }

    /// The server's process ends at once and starts anew: objects and disks are as they were.
    pub fn restart(self) -> Self {
        let _ = self.catalogue;
        Self::over(self.server, self.clock, self.spec, self.disk, true)
    }

    /// The objects of a running cluster are put in place, as from a template or a snapshot.
    pub fn put_in_place(self) -> Self {
        Self::over(self.server, self.clock, self.spec, Arc::default(), false)
    }

    pub fn pass(&mut self, seconds: i64) {
        let until = self.clock.now().checked_add(SignedDuration::from_secs(seconds)).unwrap();
        while let Some(next) = self.sim.step(self.clock.now()).filter(|next| *next <= until) {
            self.clock.advance_to(next);
        }
        self.clock.advance_to(until);
        self.sim.step(self.clock.now());
    }

    pub fn create(&mut self, text: &str) -> Arc<Value> {
        let mut object: Value = serde_saphyr::from_str(text).unwrap();
        let gvr = gvr_of(object::kind(&object));
        if !matches!(gvr.resource, "namespaces" | "runtimeclasses" | "customresourcedefinitions")
            && object["metadata"]["namespace"].is_null()
        {
            object["metadata"]["namespace"] = "default".into();
        }
        self.client.create(gvr, object).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A pod of one container `main`, given as flow YAML; three seconds later.
    pub fn pod(&mut self, name: &str, container: &str) -> Arc<Value> {
        self.pod_with(name, container, "")
    }

    pub fn pod_with(&mut self, name: &str, container: &str, rest: &str) -> Arc<Value> {
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {name}}}}}, spec: {{containers: [{{name: main, {container}}}]{}{rest}}}}}",
            if rest.is_empty() { "" } else { ", " }
        );
        self.create(&text);
        self.pass(3);
        self.get(name)
    }

    pub fn get(&self, name: &str) -> Arc<Value> {
        self.client.get(gvr::PODS, "default", name).unwrap_or_else(|| panic!("no pod {name}"))
    }

    pub fn delete(&mut self, name: &str) {
        self.client.delete(gvr::PODS, "default", name, &DeleteOptions::default()).unwrap();
    }

    /// Phase, readiness, and the state of the first container.
    pub fn shown(&self, name: &str) -> String {
        let pod = self.get(name);
        let status = &pod["status"]["containerStatuses"][0];
        let state = &status["state"];
        let what = ["waiting", "terminated"]
            .into_iter()
            .find_map(|s| state[s]["reason"].as_str().map(|r| format!("{r} {}", state[s]["message"].as_str().unwrap_or_default())));
        let what = what.unwrap_or_else(|| if state["running"].is_object() { "running".to_owned() } else { "none".to_owned() });
        format!(
            "{} {} {} restarts={}",
            pod["status"]["phase"].as_str().unwrap_or("?"),
            status["ready"],
            what.trim(),
            status["restartCount"]
        )
        .replace(object::uid(&pod), "UID")
    }

    pub fn events(&self, name: &str) -> Vec<String> {
        let mut events: Vec<_> =
            self.client.list(gvr::EVENTS, Some("default")).into_iter().filter(|e| e["involvedObject"]["name"] == name).collect();
        events.sort_by_key(|e| object::resource_version(e));
        events
            .iter()
            .map(|e| format!("{} {}", e["reason"].as_str().unwrap_or_default(), e["message"].as_str().unwrap_or_default()))
            .collect()
    }

    /// Runs a command in the first container; time passes as it waits.
    pub fn exec(&mut self, pod: &str, command: &[&str]) -> (ExecStatus, String, String) {
        self.exec_with(pod, command, "")
    }

    pub fn exec_with(&mut self, pod: &str, command: &[&str], stdin: &str) -> (ExecStatus, String, String) {
        let object = self.get(pod);
        let container = object["spec"]["containers"][0]["name"].as_str().unwrap_or_default().to_owned();
        let (input, from_client) = mpsc::channel(4);
        if !stdin.is_empty() {
            input.try_send(Bytes::from(stdin.to_owned())).unwrap();
        }
        drop(input);
        let (stdout, mut out) = mpsc::channel(4096);
        let (stderr, mut err) = mpsc::channel(4096);
        let (_resize, resize) = mpsc::channel(1);
        let options =
            ExecOptions { container, command: command.iter().map(|c| (*c).to_owned()).collect(), stdin: !stdin.is_empty(), tty: false };
        let streams = ExecStreams { stdin: from_client, stdout, stderr, resize };
        let runtime = Arc::clone(&self.runtime);
        let status = self.drive(runtime.exec(object, options, streams));
        // What a session did to others (a signal, a file) calls the kubelet, as the server does where something happened.
        self.sim.rouse("kubelet");
        let drain = |receiver: &mut mpsc::Receiver<Bytes>| {
            let mut all = Vec::new();
            while let Ok(bytes) = receiver.try_recv() {
                all.extend_from_slice(&bytes);
            }
            String::from_utf8_lossy(&all).into_owned()
        };
        (status, drain(&mut out), drain(&mut err))
    }

    /// Polls a session and steps the simulator in turn, until the session ends or a simulated quarter of an hour is over.
    fn drive<T>(&mut self, session: impl Future<Output = T>) -> T {
        let mut session = Box::pin(session);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let limit = self.clock.now().checked_add(SignedDuration::from_mins(15)).unwrap();
        loop {
            if let Poll::Ready(value) = session.as_mut().poll(&mut context) {
                return value;
            }
            let next = self.sim.step(self.clock.now());
            if let Poll::Ready(value) = session.as_mut().poll(&mut context) {
                return value;
            }
            let next = next.expect("something is due");
            assert!(next <= limit, "a session does not end");
            self.clock.advance_to(next);
        }
    }

    /// `sh -c`: output, error output and exit code, as one reads them.
    pub fn sh(&mut self, pod: &str, script: &str) -> String {
        let (status, out, err) = self.exec(pod, &["sh", "-c", script]);
        let code = match status {
            ExecStatus::Exited(0) => String::new(),
            ExecStatus::Exited(code) => format!("[{code}]"),
            ExecStatus::Failed(message) => format!("[failed: {message}]"),
        };
        format!("{out}{err}{code}")
    }

    pub fn logs(&self, pod: &str, options: LogOptions) -> String {
        let options = LogOptions { container: "main".to_owned(), ..options };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            match self.runtime.logs(self.get(pod), options).await {
                Err(error) => format!("error: {error}"),
                Ok(mut chunks) => {
                    let mut all = Vec::new();
                    while let Some(bytes) = chunks.recv().await {
                        all.extend_from_slice(&bytes);
                    }
                    String::from_utf8_lossy(&all).into_owned()
                }
            }
        })
    }

    pub fn reach(&mut self, from: &str, host: &str, port: u16) -> String {
        let prober = self.prober.clone();
        match self.drive(prober.reach("default", from, host, port, Some("/"))) {
            Reach::Connected(answer) => format!("connected {}", answer.map_or_else(|| "-".to_owned(), |a| a.status.to_string())),
            other => format!("{other:?}"),
        }
    }
}

fn gvr_of(kind: &str) -> Gvr {
    match kind {
        "Pod" => gvr::PODS,
        "Service" => gvr::SERVICES,
        "ConfigMap" => gvr::CONFIG_MAPS,
        "Secret" => gvr::SECRETS,
        "DaemonSet" => gvr::DAEMON_SETS,
        "Deployment" => gvr::DEPLOYMENTS,
        "NetworkPolicy" => gvr::NETWORK_POLICIES,
        "RuntimeClass" => gvr::RUNTIME_CLASSES,
        "Namespace" => gvr::NAMESPACES,
        "CustomResourceDefinition" => gvr::CUSTOM_RESOURCE_DEFINITIONS,
        other => panic!("no kind {other} here"),
    }
}

pub const SLEEP: &str = "image: 'busybox:1.37', command: [sleep, '3600']";
