//! One container of a pod over its restarts.

use super::{hooks::Outcome, probes::Probes, start::Refusal};
use crate::catalogue::Resolved;
use jiff::{SignedDuration, Timestamp};
use machinery::clock::rfc3339;
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Init,
    /// An init container with `restartPolicy: Always`.
    Sidecar,
    Regular,
    Ephemeral,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Terminated {
    pub exit_code: i32,
    pub reason: String,
    pub message: String,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub container_id: String,
}

impl Terminated {
    pub fn to_value(&self) -> Value {
        let mut value = json!({"exitCode": self.exit_code, "reason": self.reason, "startedAt": rfc3339(self.started_at),
            "finishedAt": rfc3339(self.finished_at), "containerID": self.container_id});
        if !self.message.is_empty() {
            value["message"] = self.message.clone().into();
        }
        value
    }

    pub fn read(value: &Value) -> Option<Self> {
        value.as_object()?;
        let time = |key: &str| value[key].as_str().and_then(|t| t.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        Some(Self {
            exit_code: value["exitCode"].as_i64().and_then(|c| i32::try_from(c).ok()).unwrap_or(0),
            reason: text("reason"),
            message: text("message"),
            started_at: time("startedAt"),
            finished_at: time("finishedAt"),
            container_id: text("containerID"),
        })
    }
}

/// Where a container stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// It has not begun, or begins anew.
    Idle,
    Pulling {
        until: Timestamp,
        since: Timestamp,
    },
    /// `ErrImagePull`, then `ImagePullBackOff`.
    PullFailed {
        message: String,
        backing_off: bool,
        until: Timestamp,
    },
    /// The image is there; the process starts in a moment.
    Starting {
        at: Timestamp,
    },
    /// The kubelet or the runtime refuses.
    Refused {
        refusal: Refusal,
        retry_at: Option<Timestamp>,
    },
    Running {
        since: Timestamp,
    },
    Terminated(Terminated),
    /// `CrashLoopBackOff`, or a start that the runtime refused.
    BackOff {
        until: Timestamp,
        delay: SignedDuration,
        shown: Option<Refusal>,
    },
}

#[derive(Debug)]
pub struct Container {
    pub name: String,
    pub role: Role,
    pub spec: Value,
    pub phase: Phase,
    pub last: Option<Terminated>,
    pub restarts: i64,
    /// The next delay; zero: the first restart is immediate.
    pub back_off: SignedDuration,
    pub pull_back_off: SignedDuration,
    pub image: Option<Resolved>,
    pub container_id: String,
    pub user: Option<(i64, i64, Vec<i64>)>,
    pub probes: Probes,
    /// It ran already: it goes on without an event.
    pub adopted: bool,
    /// Why it is being ended: kills after this time.
    pub killing: Option<Killing>,
    pub told: Option<String>,
    /// The `postStart` hook, until it is through: before that the container does not count as running.
    pub post_start: Option<Outcome>,
    /// It has been running for long enough to be reported so.
    pub seen: bool,
    /// Why its last start did not succeed, as the status says until it starts again.
    pub failure: Option<Refusal>,
}

#[derive(Debug, Clone)]
pub struct Killing {
    /// When the grace is over.
    pub deadline: Timestamp,
    /// The `preStop` hook, until it is through.
    pub hook: Option<Outcome>,
    /// A sidecar outlives those that it serves.
    pub waits_for_turn: bool,
    /// SIGTERM has been sent; SIGKILL follows at this time.
    pub kill_at: Option<Timestamp>,
}

impl Container {
    pub fn new(spec: &Value, role: Role) -> Self {
        Self {
            name: spec["name"].as_str().unwrap_or_default().to_owned(),
            role,
            phase: Phase::Idle,
            last: None,
            restarts: 0,
            back_off: SignedDuration::ZERO,
            pull_back_off: SignedDuration::ZERO,
            image: None,
            container_id: String::new(),
            user: None,
            probes: Probes::new(spec),
            spec: spec.clone(),
            adopted: false,
            killing: None,
            told: None,
            post_start: None,
            seen: true,
            failure: None,
        }
    }

    /// Takes over what the status says.
    pub fn adopt(&mut self, status: &Value) {
        self.restarts = status["restartCount"].as_i64().unwrap_or(0);
        self.last = Terminated::read(&status["lastState"]["terminated"]);
        if let Some(terminated) = Terminated::read(&status["state"]["terminated"]) {
            self.container_id.clone_from(&terminated.container_id);
            self.phase = Phase::Terminated(terminated);
        } else if let Some(running) = status["state"]["running"].as_object() {
            let since = running.get("startedAt").and_then(Value::as_str).and_then(|t| t.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
            self.phase = Phase::Running { since };
            self.adopted = true;
            self.container_id = status["containerID"].as_str().unwrap_or_default().to_owned();
            self.probes.started = status["started"] == true;
            self.probes.ready = status["ready"] == true;
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    pub fn terminated(&self) -> Option<&Terminated> {
        match &self.phase {
            Phase::Terminated(terminated) => Some(terminated),
            _ => None,
        }
    }

    /// Whether one of its hooks has come to an end that nobody has looked at.
    pub fn hook_is_through(&self) -> bool {
        let hook = self.post_start.as_ref().or_else(|| self.killing.as_ref().and_then(|k| k.hook.as_ref()));
        hook.is_some_and(|hook| hook.lock().is_some())
    }

    /// Whether it runs or ran once.
    pub fn has_started(&self) -> bool {
        self.is_running() || self.terminated().is_some() || self.last.is_some()
    }

    /// The `spec.…{name}` of its events.
    pub fn field_path(&self) -> String {
        let list = match self.role {
            Role::Init | Role::Sidecar => "initContainers",
            Role::Regular => "containers",
            Role::Ephemeral => "ephemeralContainers",
        };
        format!("spec.{list}{{{}}}", self.name)
    }

    /// Whether it counts as running to those outside.
    pub fn is_seen_running(&self) -> bool {
        self.is_running() && self.seen && self.post_start.is_none()
    }

    pub fn is_ready(&self) -> bool {
        match self.role {
            Role::Init => self.terminated().is_some_and(|t| t.exit_code == 0),
            Role::Ephemeral => false,
            _ => self.is_seen_running() && self.probes.ready && self.probes.started,
        }
    }

    /// `state` of its status. `initializing`: the pod has init containers.
    pub fn state(&self, initializing: bool) -> Value {
        let waiting = |reason: &str, message: &str| {
            let mut state = json!({"waiting": {"reason": reason}});
            if !message.is_empty() {
                state["waiting"]["message"] = message.into();
            }
            state
        };
        match &self.phase {
            Phase::Idle | Phase::Pulling { .. } | Phase::Starting { .. } => {
                waiting(if initializing { "PodInitializing" } else { "ContainerCreating" }, "")
            }
            Phase::PullFailed { message, backing_off: false, .. } => waiting("ErrImagePull", message),
            Phase::PullFailed { message, .. } => {
                let image = self.spec["image"].as_str().unwrap_or_default();
                waiting("ImagePullBackOff", &format!("Back-off pulling image {image:?}: ErrImagePull: {message}"))
            }
            Phase::Refused { refusal, .. } | Phase::BackOff { shown: Some(refusal), .. } => waiting(refusal.reason, &refusal.message),
            Phase::Running { .. } if !self.is_seen_running() => {
                waiting(if initializing { "PodInitializing" } else { "ContainerCreating" }, "")
            }
            Phase::Running { since } => json!({"running": {"startedAt": rfc3339(*since)}}),
            Phase::Terminated(_) if self.failure.is_some() => {
                let failure = self.failure.as_ref();
                waiting(failure.map_or("", |f| f.reason), failure.map_or("", |f| &f.message))
            }
            Phase::Terminated(terminated) => json!({"terminated": terminated.to_value()}),
            Phase::BackOff { delay, .. } => {
                waiting("CrashLoopBackOff", &format!("back-off {} restarting failed container={} pod=POD", go_duration(*delay), self.name))
            }
        }
    }
}

/// `10s`, `1m20s`, `5m0s`, as Go prints durations.
pub fn go_duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
}
