//! One pod from its assignment to its end.

use super::{
    admission,
    container::{Container, Phase, Role, Terminated},
    held::Held,
    hooks, host_folders,
    live::{ContainerLive, Live},
    runtime::Runtime,
    start::{self, Refusal, Sandbox},
    status, volumes,
};
use crate::{
    events::{self, Event},
    network::{Place, Sockets},
    step::Context,
};
use apiserver::client::DeleteOptions;
use jiff::{SignedDuration, Timestamp};
use machinery::{gvr, object};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{
    net::Ipv4Addr,
    sync::{Arc, atomic::Ordering},
};

pub(super) const LONGEST_BACK_OFF: SignedDuration = SignedDuration::from_secs(300);
pub(super) const FIRST_BACK_OFF: SignedDuration = SignedDuration::from_secs(10);

/// The worker of one pod.
#[derive(Debug)]
pub struct Worker {
    pub pod: Held,
    pub node: String,
    pub host_address: Ipv4Addr,
    pub containers: Vec<Container>,
    pub sandbox: Option<Sandbox>,
    pub rejected: Option<(String, String)>,
    pub start_time: Timestamp,
    pub live: Option<Arc<Live>>,
    /// Something changed: look at it in this step.
    pub dirty: bool,
    /// When to look again.
    pub wake: Option<Timestamp>,
    /// Its sandbox went with the node's reboot, which it has not said yet.
    pub(super) sandbox_lost: bool,
    admitted: bool,
    ready_at: Option<Timestamp>,
    /// When the tokens in its volumes are replaced.
    tokens_at: Option<Timestamp>,
    mount_retry: i64,
    address: Option<Ipv4Addr>,
    /// Labels or annotations have changed, which volumes of the downward API show.
    relabelled: bool,
    /// Why the kubelet ends the pod itself: `status.reason` and `message`.
    pub doom: Option<(&'static str, String)>,
    pub(super) ending: Option<Timestamp>,
    pub(super) deleted: bool,
}

/// One step over one pod.
pub struct Step<'a, 'b> {
    pub context: &'a Context<'b>,
    pub runtime: &'a Arc<Runtime>,
    pub now: Timestamp,
}

/// Milliseconds after its start before a container is reported as running: what ends at once is seen only when it has ended, as with a
/// kubelet that looks at its runtime from time to time.
const SETTLE: i64 = 30;

fn since_is_over(since: Timestamp, now: Timestamp) -> bool {
    after(since, SETTLE) <= now
}

pub(super) fn after(now: Timestamp, milliseconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_millis(milliseconds)).unwrap_or(Timestamp::MAX)
}

impl Worker {
    pub fn new(pod: Arc<Value>, runtime: &Runtime, now: Timestamp) -> Self {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
        let host_address = runtime.nodes.lock().get(&node).map_or(Ipv4Addr::UNSPECIFIED, |n| n.address);
        let start_time = pod["status"]["startTime"].as_str().and_then(|t| t.parse().ok());
        let mut worker = Self {
            node,
            host_address,
            containers: Vec::new(),
            sandbox: None,
            rejected: None,
            start_time: start_time.unwrap_or(now),
            live: None,
            dirty: true,
            wake: None,
            sandbox_lost: false,
            admitted: start_time.is_some(),
            ready_at: None,
            tokens_at: None,
            mount_retry: 0,
            address: pod["status"]["podIP"].as_str().and_then(|a| a.parse().ok()),
            relabelled: false,
            doom: None,
            ending: None,
            deleted: false,
            pod: pod.into(),
        };
        worker.learn_containers();
        let statuses = |key: &str| worker.pod["status"][key].as_array().cloned().unwrap_or_default();
        let all = [statuses("initContainerStatuses"), statuses("containerStatuses"), statuses("ephemeralContainerStatuses")].concat();
        for container in &mut worker.containers {
            if let Some(status) = all.iter().find(|s| s["name"] == container.name) {
                container.adopt(status);
            }
        }
        worker.doom = super::doom::known(&worker.pod["status"]);
        if worker.pod["status"]["phase"] == "Failed" && worker.pod["status"]["containerStatuses"].is_null() {
            let text = |key: &str| worker.pod["status"][key].as_str().unwrap_or_default().to_owned();
            worker.rejected = Some((text("reason"), text("message")));
        }
        worker
    }

    /// Containers of the spec that are not known yet: all at first, later the ephemeral ones.
    fn learn_containers(&mut self) {
        for (list, role) in [("initContainers", Role::Init), ("containers", Role::Regular), ("ephemeralContainers", Role::Ephemeral)] {
            for spec in self.pod["spec"][list].as_array().into_iter().flatten() {
                match self.containers.iter_mut().find(|c| spec["name"] == c.name) {
                    Some(container) => container.spec = spec.clone(),
                    None => {
                        let role = if role == Role::Init && spec["restartPolicy"] == "Always" { Role::Sidecar } else { role };
                        self.containers.push(Container::new(spec, role));
                    }
                }
            }
        }
    }

    pub fn update(&mut self, pod: Arc<Value>) {
        let differs = |map: &str| self.pod["metadata"][map] != pod["metadata"][map];
        self.relabelled |= differs("labels") || differs("annotations");
        self.pod = pod.into();
        self.learn_containers();
        self.dirty = true;
    }

    /// `name_namespace(uid)`.
    pub fn full_name(&self) -> String {
        format!("{}_{}({})", object::name(&self.pod), object::namespace(&self.pod), object::uid(&self.pod))
    }

    pub fn initialized(&self) -> bool {
        self.containers.iter().all(|c| match c.role {
            Role::Init => c.is_ready(),
            // One that has begun once is through, even where it has ended since.
            Role::Sidecar => c.restarts > 0 || c.terminated().is_some() || (c.is_running() && c.probes.started),
            _ => true,
        })
    }

    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// No container runs or will run again.
    pub fn is_over(&self) -> bool {
        let policy = self.pod["spec"]["restartPolicy"].as_str().unwrap_or("Always");
        let init_failed =
            self.containers.iter().any(|c| c.role == Role::Init && policy == "Never" && c.terminated().is_some_and(|t| t.exit_code != 0));
        self.rejected.is_some()
            || init_failed
            || (self.doom.is_some() && !self.containers.iter().any(Container::is_running))
            || self.containers.iter().filter(|c| c.role == Role::Regular).all(|c| match c.terminated() {
                Some(t) => self.ending.is_some() || policy == "Never" || (policy == "OnFailure" && t.exit_code == 0),
                None => false,
            })
    }

    pub fn is_due(&self, now: Timestamp) -> bool {
        if self.deleted {
            return false;
        }
        self.dirty
            || self.wake.is_some_and(|at| at <= now)
            || self.containers.iter().any(|c| {
                c.is_running()
                    && (c.probes.is_due(now)
                        || c.hook_is_through()
                        || self.live.as_ref().and_then(|l| l.instance(&c.name)).is_some_and(|i| i.exit.lock().is_some()))
            })
    }

    pub fn next_wake(&self) -> Option<Timestamp> {
        let probes = self.containers.iter().filter(|c| c.is_running()).filter_map(|c| c.probes.next_at());
        self.wake.into_iter().chain(probes).min().filter(|_| !self.deleted)
    }

    /// When something is expected to change: without the probes of containers that are well.
    pub fn next_change(&self) -> Option<Timestamp> {
        let probes = self.containers.iter().filter(|c| c.is_running()).filter_map(|c| c.probes.next_change());
        self.wake.into_iter().chain(probes).min().filter(|_| !self.deleted)
    }

    pub(super) fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }

    pub(super) fn event(&self, step: &Step<'_, '_>, container: Option<usize>, warning: bool, reason: &str, message: impl Into<String>) {
        let mut event = if warning { Event::warning("kubelet", reason, message) } else { Event::normal("kubelet", reason, message) };
        event.host = &self.node;
        if let Some(index) = container {
            event.field_path = self.containers[index].field_path();
        }
        events::record(step.context, &self.pod, &event);
    }

    pub fn sync(&mut self, step: &Step<'_, '_>) {
        self.dirty = false;
        self.wake = None;
        if self.deleted {
            return;
        }
        if !self.admitted {
            self.admitted = true;
            self.start_time = step.now;
            if let Err((reason, message)) = admission::check(step.runtime, &self.pod, &self.node) {
                self.event(step, None, true, &reason, message.trim_start_matches("Pod was rejected: "));
                self.rejected = Some((reason, message));
            }
        }
        if object::is_terminating(&self.pod) && self.ending.is_none() {
            self.begin_end(step);
        }
        self.collect(step);
        self.look_for_doom(step);
        if std::mem::take(&mut self.relabelled)
            && let Some(sandbox) = &self.sandbox
        {
            volumes::refresh(step.runtime, &self.pod, &sandbox.volumes, false, step.now);
        }
        if self.rejected.is_none() && self.ending.is_none() && self.doom.is_none() && !self.is_over() {
            if std::mem::take(&mut self.sandbox_lost) {
                self.event(step, None, false, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
            }
            self.run(step);
        }
        self.probe(step);
        self.kill_due(step);
        let over = self.is_over();
        if over {
            self.stop_sidecars(step);
        }
        self.report(step);
        let nothing_runs = !self.containers.iter().any(Container::is_running);
        if (over || self.ending.is_some()) && nothing_runs {
            self.tear_down(step.runtime);
        }
        if self.ending.is_some() && nothing_runs {
            self.deleted = true;
            let options =
                DeleteOptions { grace_period_seconds: Some(0), uid: Some(object::uid(&self.pod).to_owned()), ..DeleteOptions::default() };
            if let Err(error) = step.runtime.client.delete(gvr::PODS, object::namespace(&self.pod), object::name(&self.pod), &options) {
                tracing::debug!(%error, "a terminated pod was not removed");
            }
        }
    }

    /// Writes the status where it differs from what is stored.
    fn report(&mut self, step: &Step<'_, '_>) {
        let (namespace, name) = (object::namespace(&self.pod), object::name(&self.pod));
        let Some(stored) = step.runtime.client.get(gvr::PODS, namespace, name).filter(|p| object::uid(p) == object::uid(&self.pod)) else {
            return;
        };
        let status = status::build(self, &stored, step.now);
        if stored["status"] == status {
            return;
        }
        let mut new = (*stored).clone();
        new["status"] = status;
        match step.runtime.client.update_status(gvr::PODS, new) {
            Ok(written) => self.pod = written.into(),
            Err(error) => tracing::warn!(pod = self.full_name(), %error, "a pod's status was not accepted"),
        }
    }

    /// Volumes, sandbox, then containers in their order.
    fn run(&mut self, step: &Step<'_, '_>) {
        if !self.ensure_sandbox(step) {
            return;
        }
        for index in 0..self.containers.len() {
            match self.containers[index].role {
                Role::Init | Role::Sidecar => {
                    if self.initialized() && self.containers[index].role == Role::Init {
                        continue;
                    }
                    self.drive(index, step);
                    let container = &self.containers[index];
                    let through = match container.role {
                        Role::Init => container.is_ready(),
                        _ => container.is_running() && container.probes.started,
                    };
                    if !through && !self.initialized() {
                        return;
                    }
                }
                Role::Regular | Role::Ephemeral => self.drive(index, step),
            }
            // The kubelet waits for a hook before it goes on to the next container.
            if self.containers[index].post_start.is_some() {
                return;
            }
        }
    }

    fn ensure_sandbox(&mut self, step: &Step<'_, '_>) -> bool {
        let now = step.now;
        if let Some(sandbox) = &self.sandbox {
            if self.tokens_at.is_some_and(|at| at <= now) {
                volumes::refresh(step.runtime, &self.pod, &sandbox.volumes, true, now);
                self.tokens_at = volumes::next_token(&self.pod, now);
            }
            if let Some(at) = self.tokens_at {
                self.wake_at(at);
            }
            return true;
        }
        let adopting = self.containers.iter().any(|c| c.adopted);
        match self.ready_at {
            Some(at) if at > now => {
                self.wake_at(at);
                return false;
            }
            None if !adopting => {
                self.ready_at = Some(after(now, 20));
                self.wake_at(after(now, 20));
                return false;
            }
            _ => {}
        }
        let retry = |worker: &mut Self, reason: &str, message: String| {
            worker.event(step, None, true, reason, message);
            // 0.5 s doubling to two minutes, as the volume manager does it.
            let delay = 500_i64.saturating_mul(1 << worker.mount_retry.min(8)).min(122_000);
            worker.mount_retry += 1;
            worker.ready_at = Some(after(now, delay));
            worker.wake_at(after(now, delay));
            false
        };
        let volumes = match volumes::set_up(step.runtime, &self.pod, &self.node, now) {
            Ok(volumes) => volumes,
            Err(message) => return retry(self, "FailedMount", message),
        };
        if let Some(class) = self.pod["spec"]["runtimeClassName"].as_str() {
            let handler = step.runtime.client.get(gvr::RUNTIME_CLASSES, "", class).and_then(|c| c["handler"].as_str().map(str::to_owned));
            let gpus = step.runtime.nodes.lock().get(&self.node).is_some_and(|n| !n.gpus.is_empty());
            let message = match handler.as_deref() {
                Some("runc") => None,
                Some("nvidia") if gpus => None,
                Some(handler) => Some(format!(
                    "rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for {handler:?} is configured"
                )),
                None => Some(format!("failed to get sandbox runtime: runtimeclass.node.k8s.io {class:?} not found")),
            };
            if let Some(message) = message {
                return retry(self, "FailedCreatePodSandBox", format!("Failed to create pod sandbox: {message}"));
            }
        }
        let host = self.pod["spec"]["hostNetwork"] == true;
        let (address, sockets) = if host {
            let nodes = step.runtime.nodes.lock();
            match nodes.get(&self.node) {
                Some(node) => (node.address, Arc::clone(&node.sockets)),
                None => return false,
            }
        } else {
            let address = match self.address.filter(|a| !step.runtime.fabric.is_taken(*a)).or_else(|| step.runtime.take_address(&self.node)) {
                Some(address) => address,
                None => return retry(self, "FailedCreatePodSandBox", "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: failed to allocate for range 0: no IP addresses available in range set".to_owned()),
            };
            let sockets = Arc::new(Sockets::default());
            let pod = format!("{}/{}", object::namespace(&self.pod), object::name(&self.pod));
            step.runtime.fabric.add(address, Place { sockets: Arc::clone(&sockets), pod });
            (address, sockets)
        };
        let short = |text: &str| text.chars().take(63).collect::<String>();
        let mut hostname = match self.pod["spec"]["hostname"].as_str() {
            _ if host => self.node.clone(),
            Some(hostname) if !hostname.is_empty() => short(hostname),
            _ => short(object::name(&self.pod)),
        };
        let (files, resolver) = start::sandbox_files(step.runtime, &self.pod, &hostname, address, now);
        if let (true, Some(subdomain)) = (self.pod["spec"]["setHostnameAsFQDN"] == true, self.pod["spec"]["subdomain"].as_str()) {
            hostname = format!("{hostname}.{subdomain}.{}.svc.cluster.local", object::namespace(&self.pod));
        }
        let processes = (self.pod["spec"]["shareProcessNamespace"] == true).then(|| start::shared_processes(now));
        // Logs of before a reboot are there already.
        let containers = self.live.take().map(|live| live.containers.lock().clone()).unwrap_or_default();
        let kept =
            volumes.iter().filter(|(_, volume)| volume.kept).map(|(name, volume)| (name.clone(), Arc::clone(&volume.tree))).collect();
        let live = Arc::new(Live {
            folder: Live::folder_of(&self.pod),
            node: self.node.clone(),
            volumes: host_folders::of_pod(&self.pod, &volumes),
            address,
            sockets: Arc::clone(&sockets),
            containers: parking_lot::Mutex::new(containers),
            kept,
        });
        host_folders::appear(step.runtime, &live, now);
        self.look_for_pull_secrets(step);
        step.runtime.pods.lock().insert(object::uid(&self.pod).to_owned(), Arc::clone(&live));
        self.live = Some(live);
        self.sandbox = Some(Sandbox { node: self.node.clone(), address, sockets, volumes, files, processes, resolver, hostname });
        self.address = Some(address);
        self.ready_at = None;
        self.tokens_at = volumes::next_token(&self.pod, now);
        true
    }

    /// Brings one container that should run further.
    fn drive(&mut self, index: usize, step: &Step<'_, '_>) {
        let now = step.now;
        for _ in 0..8 {
            match self.containers[index].phase.clone() {
                Phase::Idle => self.begin_image(index, step),
                Phase::Pulling { until, since } if until <= now => self.end_pull(index, since, step),
                Phase::Pulling { until, .. } | Phase::BackOff { until, .. } if until > now => return self.wake_at(until),
                Phase::BackOff { .. } => self.containers[index].phase = Phase::Idle,
                Phase::PullFailed { until, backing_off, message } => {
                    if until > now {
                        return self.wake_at(until);
                    }
                    if backing_off {
                        self.containers[index].phase = Phase::Idle;
                    } else {
                        let delay = self.containers[index].pull_back_off;
                        let image = self.containers[index].spec["image"].as_str().unwrap_or_default().to_owned();
                        self.event(step, Some(index), false, "BackOff", format!("Back-off pulling image {image:?}"));
                        self.event(step, Some(index), true, "Failed", "Error: ImagePullBackOff");
                        let until = now.saturating_add(delay).unwrap_or(Timestamp::MAX);
                        self.containers[index].phase = Phase::PullFailed { message, backing_off: true, until };
                    }
                }
                Phase::Starting { at } if at > now => return self.wake_at(at),
                Phase::Starting { .. } => self.start(index, step),
                Phase::Refused { retry_at: Some(at), .. } if at <= now => self.containers[index].phase = Phase::Starting { at: now },
                Phase::Refused { retry_at: Some(at), .. } => return self.wake_at(at),
                Phase::Refused { .. } => return,
                Phase::Running { since } => {
                    if self.containers[index].adopted {
                        self.readopt(index, since, step);
                    }
                    self.end_post_start(index, step);
                    self.containers[index].seen |= since_is_over(since, now);
                    if !self.containers[index].seen {
                        self.wake_at(after(since, SETTLE));
                    }
                    return;
                }
                Phase::Terminated(terminated) => {
                    if !self.restart(index, &terminated, step) {
                        return;
                    }
                }
                Phase::Pulling { .. } => return,
            }
        }
    }

    /// Whether a container that has ended begins anew; sets its back-off.
    fn restart(&mut self, index: usize, terminated: &Terminated, step: &Step<'_, '_>) -> bool {
        let policy = self.pod["spec"]["restartPolicy"].as_str().unwrap_or("Always");
        let container = &self.containers[index];
        let again = match container.role {
            Role::Ephemeral => false,
            Role::Sidecar => true,
            Role::Init => terminated.exit_code != 0 && policy != "Never",
            Role::Regular => policy == "Always" || (policy == "OnFailure" && terminated.exit_code != 0),
        };
        if !again {
            return false;
        }
        let now = step.now;
        let delay = container.back_off;
        let until = if delay.is_zero() { after(now, 10) } else { terminated.finished_at.saturating_add(delay).unwrap_or(Timestamp::MAX) };
        // The status shows for a moment how it ended.
        let shown_until = after(terminated.finished_at, 1_000);
        if now < shown_until && now < until {
            self.wake_at(shown_until.min(until));
            return false;
        }
        let ran_long = terminated.finished_at.duration_since(terminated.started_at) > SignedDuration::from_mins(10);
        let container = &mut self.containers[index];
        container.last = Some(terminated.clone());
        container.restarts += 1;
        if delay.is_zero() || ran_long {
            container.back_off = FIRST_BACK_OFF;
            container.phase = Phase::Idle;
            return true;
        }
        container.back_off = delay.saturating_mul(2).min(LONGEST_BACK_OFF);
        container.restarts -= 1;
        container.phase = Phase::BackOff { until, delay, shown: None };
        // Counted when it starts again.
        container.told = Some("restart".to_owned());
        let name = container.name.clone();
        let full = self.full_name();
        self.event(step, Some(index), true, "BackOff", format!("Back-off restarting failed container {name} in pod {full}"));
        true
    }

    fn container_id(&self, index: usize) -> String {
        let c = &self.containers[index];
        let digest = Sha256::digest(format!(
            "{}\0{}\0{}\0{:?}",
            object::uid(&self.pod),
            c.name,
            c.restarts,
            c.last.as_ref().map(|l| &l.container_id)
        ));
        format!("containerd://{}", hex::encode(digest))
    }

    fn start(&mut self, index: usize, step: &Step<'_, '_>) {
        let (Some(sandbox), Some(image)) = (self.sandbox.clone(), self.containers[index].image.clone()) else {
            self.containers[index].phase = Phase::Idle;
            return;
        };
        let now = step.now;
        // The downward API may ask for the address, which the stored pod does not hold yet.
        let mut pod = Value::clone(&self.pod);
        pod["status"]["podIP"] = sandbox.address.to_string().into();
        pod["status"]["hostIP"] = self.host_address.to_string().into();
        let spec = self.containers[index].spec.clone();
        let name = self.containers[index].name.clone();
        let prepared = match start::prepare(step.runtime, &pod, &spec, &image, &sandbox, now) {
            Ok(prepared) => prepared,
            Err(refusal) => {
                let again = self.containers[index].told.as_ref() == Some(&refusal.message);
                if !again {
                    self.event(step, Some(index), true, "Failed", format!("Error: {}", refusal.message));
                }
                self.containers[index].told = Some(refusal.message.clone());
                self.containers[index].phase = Phase::Refused { refusal, retry_at: Some(after(now, 10_000)) };
                return;
            }
        };
        self.containers[index].told = None;
        self.event(step, Some(index), false, "Created", format!("Created container: {name}"));
        let id = self.container_id(index);
        let user = prepared.user.clone();
        let container = &mut self.containers[index];
        container.container_id.clone_from(&id);
        match prepared.start(step.runtime, now) {
            Ok(instance) => {
                container.user = Some(user);
                container.phase = Phase::Running { since: now };
                container.killing = None;
                container.failure = None;
                container.seen = false;
                let hook = &container.spec["lifecycle"]["postStart"];
                container.post_start = hook.is_object().then(|| hooks::run(&instance, &container.spec, hook, sandbox.address));
                if container.post_start.is_none() {
                    container.probes.begin(now, false);
                }
                self.put_live(index, instance, step.runtime);
                self.event(step, Some(index), false, "Started", format!("Started container {name}"));
            }
            Err(message) => {
                let ended = Terminated {
                    exit_code: 128,
                    reason: "StartError".to_owned(),
                    message: message.clone(),
                    started_at: Timestamp::UNIX_EPOCH,
                    finished_at: now,
                    container_id: id,
                };
                let delay = container.back_off;
                container.last = Some(ended);
                container.restarts += 1;
                container.back_off = if delay.is_zero() { FIRST_BACK_OFF } else { delay.saturating_mul(2).min(LONGEST_BACK_OFF) };
                let refusal = Refusal { reason: "RunContainerError", message: message.clone() };
                let wait = if delay.is_zero() { SignedDuration::from_secs(1) } else { delay };
                container.phase =
                    Phase::BackOff { until: now.saturating_add(wait).unwrap_or(Timestamp::MAX), delay: wait, shown: Some(refusal) };
                self.event(step, Some(index), true, "Failed", format!("Error: {message}"));
            }
        }
    }

    /// The container counts as running once its `postStart` hook is through; where that fails, it is ended and starts anew.
    fn end_post_start(&mut self, index: usize, step: &Step<'_, '_>) {
        let outcome = self.containers[index].post_start.as_ref().and_then(|hook| hook.lock().clone());
        let Some(outcome) = outcome else { return };
        self.containers[index].post_start = None;
        match outcome {
            Ok(()) => self.containers[index].probes.begin(step.now, false),
            Err(message) => {
                let place = format!("for Container {:?} in Pod {:?}", self.containers[index].name, self.full_name());
                let message = message.replacen("WHERE", &place, 1);
                self.containers[index].failure = Some(Refusal { reason: "PostStartHookError", message });
                self.event(step, Some(index), true, "FailedPostStartHook", "PostStartHook failed");
                self.event(step, Some(index), false, "Killing", "FailedPostStartHook");
                self.kill(index, step, None);
            }
        }
    }

    fn put_live(&mut self, index: usize, instance: super::live::Instance, runtime: &Runtime) {
        if let Some(live) = &self.live {
            let mut containers = live.containers.lock();
            let name = &self.containers[index].name;
            let entry: &mut ContainerLive = containers.entry(name.clone()).or_default();
            entry.previous = entry.log.take();
            if let Some(log) = &entry.previous {
                runtime.rotate_log(object::uid(&self.pod), name, log);
            }
            entry.log = Some(Arc::clone(&instance.log));
            entry.instance = Some(instance);
        }
    }

    /// It ran when the cluster was as it is put in place here: its process goes on, without an event and without a restart.
    fn readopt(&mut self, index: usize, since: Timestamp, step: &Step<'_, '_>) {
        self.containers[index].adopted = false;
        let spec = self.containers[index].spec.clone();
        // It ran: that nobody describes its image now does not end it.
        let image = step.runtime.catalogue.find(spec["image"].as_str().unwrap_or_default(), true);
        let (Some(sandbox), Ok(image)) = (self.sandbox.clone(), image) else {
            self.containers[index].phase = Phase::Idle;
            return;
        };
        if let Some(node) = step.runtime.nodes.lock().get_mut(&self.node) {
            node.images.insert(image.image_id());
        }
        let prepared = start::prepare(step.runtime, &self.pod, &spec, &image, &sandbox, step.now);
        let container = &mut self.containers[index];
        container.image = Some(image);
        match prepared.map_err(|r| r.message).and_then(|p| {
            container.user = Some(p.user.clone());
            p.start(step.runtime, step.now)
        }) {
            Ok(instance) => {
                container.phase = Phase::Running { since };
                container.seen = true;
                container.probes.begin(step.now, true);
                self.put_live(index, instance, step.runtime);
            }
            Err(_) => container.phase = Phase::Idle,
        }
    }

    /// Containers that have ended since the last look.
    fn collect(&mut self, step: &Step<'_, '_>) {
        let Some(live) = self.live.clone() else { return };
        for index in 0..self.containers.len() {
            let Phase::Running { since } = self.containers[index].phase else { continue };
            let name = self.containers[index].name.clone();
            let Some(instance) = live.instance(&name) else { continue };
            let Some(code) = *instance.exit.lock() else { continue };
            start::kill(step.runtime, &instance, code);
            if let Some(entry) = live.containers.lock().get_mut(&name) {
                entry.instance = None;
            }
            let message = self.termination_message(index, &instance, code);
            let oom = code == 137 && instance.machine.out_of_memory.load(Ordering::SeqCst);
            let container = &mut self.containers[index];
            container.probes.end();
            container.killing = None;
            container.post_start = None;
            let reason = if oom {
                "OOMKilled"
            } else if code == 0 {
                "Completed"
            } else {
                "Error"
            };
            let ended = Terminated {
                exit_code: code,
                reason: reason.to_owned(),
                message,
                started_at: since,
                finished_at: step.now,
                container_id: container.container_id.clone(),
            };
            container.phase = Phase::Terminated(ended);
        }
    }

    fn termination_message(&self, index: usize, instance: &super::live::Instance, code: i32) -> String {
        let spec = &self.containers[index].spec;
        let path = spec["terminationMessagePath"].as_str().unwrap_or("/dev/termination-log");
        let written =
            instance.template.read(path).map(|c| String::from_utf8_lossy(&c[..c.len().min(4096)]).into_owned()).unwrap_or_default();
        if written.is_empty() && code != 0 && spec["terminationMessagePolicy"] == "FallbackToLogsOnError" {
            return instance.log.tail(80, 2048);
        }
        written
    }

    fn probe(&mut self, step: &Step<'_, '_>) {
        let Some(live) = self.live.clone() else { return };
        for index in 0..self.containers.len() {
            if !self.containers[index].is_running()
                || self.ending.is_some()
                || self.doom.is_some()
                || self.containers[index].post_start.is_some()
            {
                continue;
            }
            let Some(instance) = live.instance(&self.containers[index].name) else { continue };
            let container = &mut self.containers[index];
            let spec = container.spec.clone();
            for failed in container.probes.step(&instance, &spec, live.address, step.now) {
                self.event(step, Some(index), true, "Unhealthy", format!("{} probe {}", failed.kind.title(), failed.message));
                if failed.fatal && self.containers[index].killing.is_none() {
                    let name = self.containers[index].name.clone();
                    self.event(
                        step,
                        Some(index),
                        false,
                        "Killing",
                        format!("Container {name} failed {} probe, will be restarted", failed.kind.title().to_lowercase()),
                    );
                    self.kill(index, step, failed.grace);
                }
            }
        }
    }

    /// A ConfigMap or Secret changed: mounted files follow, and a refused container tries again.
    pub fn refresh(&mut self, runtime: &Runtime, now: Timestamp) {
        if let Some(sandbox) = &self.sandbox {
            volumes::refresh(runtime, &self.pod, &sandbox.volumes, false, now);
        } else if self.mount_retry > 0 {
            self.ready_at = Some(now);
            self.dirty = true;
        }
        for container in &mut self.containers {
            if let Phase::Refused { retry_at: Some(at), .. } = &mut container.phase {
                *at = now;
                self.dirty = true;
            }
        }
    }

    /// Whether the pod speaks of this ConfigMap or Secret.
    pub fn mentions(&self, kind: &str, name: &str) -> bool {
        let text = self.pod["spec"].to_string();
        text.contains(&format!("\"{name}\"")) && (kind == "secrets" || text.to_lowercase().contains("configmap"))
    }
}
