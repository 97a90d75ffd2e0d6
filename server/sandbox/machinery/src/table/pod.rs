//! Pods: what STATUS, READY and RESTARTS say.

use super::column::{Column, age, name, text, wide};
use super::duration::{self, since};
use super::text::{condition, integer, items, or, str_of};
use crate::object;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const COLUMNS: &[Column] = &[
    name(),
    text("Ready"),
    text("Status"),
    text("Restarts"),
    age(),
    wide("IP"),
    wide("Node"),
    wide("Nominated Node"),
    wide("Readiness Gates"),
];

/// The condition that a finished pod's row carries.
pub(super) fn completion(pod: &Value) -> Option<Value> {
    let (reason, message) = match str_of(&pod["status"]["phase"]) {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts != 0 => format!("{} ({} ago)", summary.restarts, duration::between(last, now)),
        _ => summary.restarts.to_string(),
    };
    vec![
        object::name(pod).into(),
        format!("{}/{}", summary.ready, summary.containers).into(),
        summary.reason.into(),
        restarts.into(),
        since(&pod["metadata"]["creationTimestamp"], now).into(),
        or(&status["podIPs"][0]["ip"], "<none>").into(),
        or(&spec["nodeName"], "<none>").into(),
        or(&status["nominatedNodeName"], "<none>").into(),
        readiness_gates(pod).into(),
    ]
}

fn readiness_gates(pod: &Value) -> String {
    let gates = items(&pod["spec"]["readinessGates"]);
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let conditions = &pod["status"]["conditions"];
    let holding = gates.iter().filter(|gate| condition(conditions, str_of(&gate["conditionType"])) == Some("True")).count();
    format!("{holding}/{}", gates.len())
}

struct Summary {
    ready: usize,
    containers: usize,
    reason: String,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let (spec, status) = (&pod["spec"], &pod["status"]);
        let init_containers = items(&spec["initContainers"]);
        let is_sidecar = |name: &Value| init_containers.iter().any(|c| c["name"] == *name && c["restartPolicy"] == "Always");
        let phase = str_of(&status["phase"]);
        let mut summary = Self {
            ready: 0,
            containers: items(&spec["containers"]).len() + init_containers.iter().filter(|c| c["restartPolicy"] == "Always").count(),
            reason: or(&status["reason"], phase).to_owned(),
            restarts: 0,
            last_restart: None,
        };
        if items(&status["conditions"]).iter().any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated") {
            summary.reason = "SchedulingGated".to_owned();
        }

        let (mut sidecar_restarts, mut last_sidecar_restart) = (0, None);
        let mut initializing = false;
        for (index, container) in items(&status["initContainerStatuses"]).iter().enumerate() {
            let restarted = duration::parse(&container["lastState"]["terminated"]["finishedAt"]);
            summary.restarts += integer(&container["restartCount"]);
            summary.last_restart = summary.last_restart.max(restarted);
            let sidecar = is_sidecar(&container["name"]);
            if sidecar {
                sidecar_restarts += integer(&container["restartCount"]);
                last_sidecar_restart = last_sidecar_restart.max(restarted);
            }
            let terminated = &container["state"]["terminated"];
            let waiting = or(&container["state"]["waiting"]["reason"], "PodInitializing");
            if terminated.is_object() && integer(&terminated["exitCode"]) == 0 {
                continue;
            }
            if sidecar && container["started"] == true {
                summary.ready += usize::from(container["ready"] == true);
                continue;
            }
            summary.reason = if terminated.is_object() {
                format!("Init:{}", ended(terminated))
            } else if waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", init_containers.len())
            };
            initializing = true;
            break;
        }

        if !initializing || condition(&status["conditions"], "Initialized") == Some("True") {
            summary.restarts = sidecar_restarts;
            summary.last_restart = last_sidecar_restart;
            summary.read_containers(status);
        }

        if object::is_terminating(pod) {
            if status["reason"] == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if phase != "Succeeded" && phase != "Failed" {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    fn read_containers(&mut self, status: &Value) {
        let mut running = false;
        for container in items(&status["containerStatuses"]).iter().rev() {
            self.restarts += integer(&container["restartCount"]);
            self.last_restart = self.last_restart.max(duration::parse(&container["lastState"]["terminated"]["finishedAt"]));
            let state = &container["state"];
            let waiting = str_of(&state["waiting"]["reason"]);
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if state["terminated"].is_object() {
                self.reason = ended(&state["terminated"]);
            } else if container["ready"] == true && state["running"].is_object() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            let ready = condition(&status["conditions"], "Ready") == Some("True");
            self.reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }
}

/// How a container ended: its reason, else its signal, else its exit code.
fn ended(terminated: &Value) -> String {
    match (str_of(&terminated["reason"]), integer(&terminated["signal"])) {
        ("", 0) => format!("ExitCode:{}", integer(&terminated["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}
