//! The shell inside pods and its commands: a script, as `kubectl exec … -- sh -c` hands it over, in a cluster that is stepped by hand.

use apiserver::{
    Client, NodeRuntime, Options, Server, UserInfo,
    node::{ExecOptions, ExecStreams},
};
use machinery::{Clock as _, clock::ManualClock, gvr};
use serde_json::json;
use sim::{
    ImageCatalogue, Sim,
    bootstrap::{self, ClusterSpec, NodeSpec},
    controllers,
    kubelet::Kubelet,
    scheduler::Scheduler,
};
use std::{
    cell::RefCell,
    sync::Arc,
    task::{Context, Waker},
};
use tokio::sync::mpsc;

const BUSYBOX: &str = include_str!("../../labs/content/images/busybox.yaml");
/// Scripts that one cluster runs before a new one takes its place: they leave files and processes behind.
const MOST_SCRIPTS: u32 = 200;
/// Simulated seconds after which a script is left alone.
const SECONDS: i64 = 10;

struct Cluster {
    client: Client,
    clock: Arc<ManualClock>,
    sim: Sim,
    runtime: Arc<dyn NodeRuntime>,
    scripts: u32,
}

impl Cluster {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().expect("a time")));
        let authority = "-----BEGIN CERTIFICATE-----\nc2ltdWxhdGVk\n-----END CERTIFICATE-----\n";
        let options = Options {
            clock: clock.clone(),
            seed: 1,
            token_secret: [1; 32],
            journal: None,
            issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            certificate_authority: authority.to_owned(),
        };
        let server = Server::open(options).expect("a server in memory");
        let spec =
            ClusterSpec { nodes: vec![NodeSpec { control_plane: true, ..NodeSpec::with_gpus("node", 1) }], ..ClusterSpec::default() };
        bootstrap::bootstrap(&server, &spec).expect("a cluster");
        let catalogue = Arc::new(ImageCatalogue::parse([("busybox.yaml", BUSYBOX)]).expect("a catalogue"));
        let kubelet = Kubelet::new(&server, Arc::clone(&catalogue), &spec, None);
        let runtime = kubelet.node_runtime();
        let mut members = controllers::all(authority);
        members.push(Box::new(Scheduler::default()));
        members.push(Box::new(kubelet));
        let sim = Sim::new(&server, catalogue, 1, members);
        let client = server.client(UserInfo::admin(), "fuzz");
        let mut cluster = Self { client, clock, sim, runtime, scripts: 0 };
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": {
            "containers": [{"name": "c", "image": "busybox:1.37", "command": ["sleep", "1000000"]}]}});
        cluster.pass(2);
        cluster.client.create(gvr::PODS, pod).expect("a pod");
        cluster.pass(5);
        cluster
    }

    fn pass(&mut self, seconds: i64) {
        let until = self.clock.now() + jiff::SignedDuration::from_secs(seconds);
        while let Some(next) = self.sim.step(self.clock.now()).filter(|next| *next <= until) {
            self.clock.advance_to(next);
        }
        self.clock.advance_to(until);
    }

    fn exec(&mut self, script: &str) {
        self.scripts += 1;
        let pod = self.client.get(gvr::PODS, "default", "p").expect("the pod stays");
        let (input, stdin) = mpsc::channel(1);
        drop(input);
        let ((stdout, mut out), (stderr, mut err), (_resized, resize)) = (mpsc::channel(64), mpsc::channel(64), mpsc::channel(1));
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let options = ExecOptions { container: "c".to_owned(), command, stdin: false, tty: false };
        let runtime = Arc::clone(&self.runtime);
        let mut session = Box::pin(runtime.exec(pod, options, ExecStreams { stdin, stdout, stderr, resize }));
        let mut context = Context::from_waker(Waker::noop());
        let limit = self.clock.now() + jiff::SignedDuration::from_secs(SECONDS);
        loop {
            if session.as_mut().poll(&mut context).is_ready() {
                return;
            }
            let mut read = 0;
            while out.try_recv().is_ok() || err.try_recv().is_ok() {
                read += 1;
            }
            if read > 0 {
                continue;
            }
            let next = self.sim.step(self.clock.now());
            match next {
                Some(next) if next <= limit => self.clock.advance_to(next),
                _ => return,
            }
        }
    }
}

thread_local! {
    static CLUSTER: RefCell<Option<Cluster>> = const { RefCell::new(None) };
}

pub fn run(input: &[u8]) {
    let script = String::from_utf8_lossy(input).replace('\0', "");
    CLUSTER.with_borrow_mut(|held| {
        // Taken out meanwhile: after a panic nothing of it goes on.
        let mut cluster = held.take().filter(|cluster| cluster.scripts < MOST_SCRIPTS).unwrap_or_else(Cluster::new);
        cluster.exec(&script);
        *held = Some(cluster);
    });
}
