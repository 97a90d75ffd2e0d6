//! A pod's status as the kubelet reports it.

use super::{
    container::{Container, Phase, Role},
    pod::Worker,
};
use jiff::Timestamp;
use machinery::{clock::rfc3339, quantity::Quantity};
use serde_json::{Map, Value, json};

/// The whole status, from the one that is stored.
pub fn build(worker: &Worker, stored: &Value, now: Timestamp) -> Value {
    let mut status = stored["status"].as_object().cloned().unwrap_or_default();
    let pod = &worker.pod;
    let generation = &stored["metadata"]["generation"];
    if generation.is_number() {
        status.insert("observedGeneration".to_owned(), generation.clone());
    }
    status.insert("startTime".to_owned(), rfc3339(worker.start_time).into());
    status.insert("qosClass".to_owned(), stored["status"]["qosClass"].as_str().map_or_else(|| qos(pod), str::to_owned).into());
    if let Some((reason, message)) = &worker.rejected {
        status.insert("phase".to_owned(), "Failed".into());
        status.insert("reason".to_owned(), reason.clone().into());
        status.insert("message".to_owned(), message.clone().into());
        let conditions = conditions(worker, &status, "Failed", now);
        status.insert("conditions".to_owned(), conditions);
        return Value::Object(status);
    }
    let phase = if worker.doom.is_some() { "Failed" } else { phase(worker) };
    if let Some((reason, message)) = &worker.doom {
        status.insert("reason".to_owned(), (*reason).into());
        status.insert("message".to_owned(), message.clone().into());
    }
    status.insert("phase".to_owned(), phase.into());
    let node = worker.host_address.to_string();
    status.insert("hostIP".to_owned(), node.clone().into());
    status.insert("hostIPs".to_owned(), json!([{"ip": node}]));
    if let Some(sandbox) = &worker.sandbox {
        status.insert("podIP".to_owned(), sandbox.address.to_string().into());
        status.insert("podIPs".to_owned(), json!([{"ip": sandbox.address.to_string()}]));
    }
    for (key, roles) in [
        ("initContainerStatuses", &[Role::Init, Role::Sidecar][..]),
        ("containerStatuses", &[Role::Regular]),
        ("ephemeralContainerStatuses", &[Role::Ephemeral]),
    ] {
        let mut list: Vec<&Container> = worker.containers.iter().filter(|c| roles.contains(&c.role)).collect();
        // The kubelet sorts by name what does not start in an order.
        if key != "initContainerStatuses" {
            list.sort_by(|a, b| a.name.cmp(&b.name));
        }
        if !list.is_empty() {
            let list: Vec<Value> = list.into_iter().map(|c| container(worker, c)).collect();
            status.insert(key.to_owned(), list.into());
        }
    }
    let conditions = conditions(worker, &status, phase, now);
    status.insert("conditions".to_owned(), conditions);
    Value::Object(status)
}

fn container(worker: &Worker, c: &Container) -> Value {
    // In a pod with init containers everything that has not started says that the pod initializes.
    let mut state = c.state(worker.containers.iter().any(|c| matches!(c.role, Role::Init | Role::Sidecar)));
    if let Some(message) =
        state["waiting"]["message"].as_str().and_then(|m| m.strip_suffix("pod=POD").map(|m| format!("{m}pod={}", worker.full_name())))
    {
        state["waiting"]["message"] = message.into();
    }
    // The kubelet keeps one dead container of each name: when the second has ended, nothing is known of the first.
    let last = match c.terminated() {
        Some(ended) => Some(ended).filter(|_| c.failure.is_some()),
        None => c.last.as_ref(),
    };
    let last = last.map_or_else(|| json!({}), |t| json!({"terminated": t.to_value()}));
    let known = c.image.as_ref().filter(|_| !c.container_id.is_empty() && (c.is_seen_running() || !c.is_running()));
    let mut status = json!({
        "name": c.name,
        "image": known.map_or_else(|| c.spec["image"].as_str().unwrap_or_default().to_owned(), |i| i.reference.to_string()),
        "imageID": known.map_or_else(String::new, |i| i.image_id()),
        "ready": c.is_ready(), "restartCount": c.restarts, "state": state, "lastState": last,
    });
    if c.role != Role::Ephemeral {
        status["started"] = (c.is_seen_running() && c.probes.started).into();
    }
    if !c.container_id.is_empty() && (c.is_seen_running() || !c.is_running()) {
        status["containerID"] = c.container_id.clone().into();
        let requests = &c.spec["resources"]["requests"];
        if requests.as_object().is_some_and(|r| !r.is_empty()) {
            status["allocatedResources"] = requests.clone();
        }
        status["resources"] = if c.spec["resources"].is_null() { json!({}) } else { c.spec["resources"].clone() };
        if let Some((uid, gid, groups)) = &c.user {
            status["user"] = json!({"linux": {"uid": uid, "gid": gid, "supplementalGroups": groups}});
        }
    }
    let mounts: Vec<Value> = c.spec["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|m| {
            let mut mount = json!({"name": m["name"], "mountPath": m["mountPath"]});
            if m["readOnly"] == true {
                mount["readOnly"] = true.into();
                mount["recursiveReadOnly"] = "Disabled".into();
            }
            mount
        })
        .collect();
    if !mounts.is_empty() && c.role != Role::Ephemeral {
        status["volumeMounts"] = mounts.into();
    }
    status
}

/// As the kubelet derives it from the containers (pkg/kubelet/kubelet_pods.go, getPhase).
fn phase(worker: &Worker) -> &'static str {
    let policy = worker.pod["spec"]["restartPolicy"].as_str().unwrap_or("Always");
    if worker.containers.iter().any(|c| c.role == Role::Init && policy == "Never" && c.terminated().is_some_and(|t| t.exit_code != 0)) {
        return "Failed";
    }
    if !worker.initialized() {
        return "Pending";
    }
    let (mut waiting, mut running, mut stopped, mut succeeded) = (0, 0, 0, 0);
    for c in worker.containers.iter().filter(|c| matches!(c.role, Role::Regular | Role::Sidecar)) {
        match &c.phase {
            Phase::Running { .. } if c.is_seen_running() || c.last.is_some() => running += 1,
            // A sidecar that has ended says nothing about the pod.
            Phase::Terminated(_) if c.role == Role::Sidecar => {}
            _ if c.role == Role::Sidecar && c.last.is_some() => {}
            Phase::Terminated(t) => {
                stopped += 1;
                succeeded += usize::from(t.exit_code == 0);
            }
            _ if c.last.is_some() => stopped += 1,
            _ => waiting += 1,
        }
    }
    if waiting > 0 {
        "Pending"
    } else if running > 0 {
        "Running"
    } else if stopped > 0 {
        let all_ended = worker.containers.iter().filter(|c| c.role == Role::Regular).all(|c| c.terminated().is_some());
        match policy {
            "Always" if !worker.is_ending() => "Running",
            _ if stopped == succeeded => "Succeeded",
            "Never" => "Failed",
            "OnFailure" if !worker.is_ending() && !all_ended => "Running",
            "OnFailure" if !worker.is_ending() => "Running",
            _ => "Failed",
        }
    } else {
        "Pending"
    }
}

fn conditions(worker: &Worker, status: &Map<String, Value>, phase: &str, now: Timestamp) -> Value {
    let present: Vec<Value> = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let finished = matches!(phase, "Succeeded" | "Failed");
    let names = |list: Vec<&Container>| list.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(" ");
    let uninitialized: Vec<&Container> = worker
        .containers
        .iter()
        .filter(|c| match c.role {
            Role::Init => !c.is_ready(),
            Role::Sidecar => !(c.is_running() && c.probes.started),
            _ => false,
        })
        .collect();
    let unready: Vec<&Container> =
        worker.containers.iter().filter(|c| matches!(c.role, Role::Regular | Role::Sidecar) && !c.is_ready()).collect();
    let completed = || (false, if phase == "Succeeded" { "PodCompleted" } else { "PodFailed" }, String::new());
    let initialized = if worker.rejected.is_some() {
        (false, "PodFailed", String::new())
    } else if phase == "Succeeded" {
        (true, "PodCompleted", String::new())
    } else if uninitialized.is_empty() || worker.containers.iter().any(|c| c.role == Role::Regular && c.has_started()) {
        (true, "", String::new())
    } else {
        (false, "ContainersNotInitialized", format!("containers with incomplete status: [{}]", names(uninitialized)))
    };
    let containers_ready = if finished {
        completed()
    } else if unready.is_empty() {
        (true, "", String::new())
    } else {
        (false, "ContainersNotReady", format!("containers with unready status: [{}]", names(unready)))
    };
    let mut ready = containers_ready.clone();
    let mut gates = Vec::new();
    if ready.0 {
        for gate in worker.pod["spec"]["readinessGates"].as_array().into_iter().flatten() {
            let kind = gate["conditionType"].as_str().unwrap_or_default();
            let held = present.iter().find(|c| c["type"] == kind);
            if held.is_none_or(|c| c["status"] != "True") {
                gates.push(match held {
                    None => format!("corresponding condition of pod readiness gate {kind:?} does not exist."),
                    Some(held) => {
                        format!(
                            "the status of pod readiness gate {kind:?} is not \"True\", but {}",
                            held["status"].as_str().unwrap_or_default()
                        )
                    }
                });
            }
        }
    }
    if !gates.is_empty() {
        ready = (false, "ReadinessGatesNotReady", gates.join(", "));
    }
    let sandbox = (worker.sandbox.is_some() && !(finished && worker.is_over()), "", String::new());
    let generation = &worker.pod["metadata"]["generation"];
    let mut out = Vec::new();
    let own =
        [("PodReadyToStartContainers", sandbox), ("Initialized", initialized), ("Ready", ready), ("ContainersReady", containers_ready)];
    for (kind, (value, reason, message)) in own {
        let text = if value { "True" } else { "False" };
        let before = present.iter().find(|c| c["type"] == kind);
        let since = before
            .filter(|c| c["status"] == text)
            .and_then(|c| c["lastTransitionTime"].as_str())
            .map_or_else(|| rfc3339(now), str::to_owned);
        let mut condition = json!({"type": kind, "status": text, "lastProbeTime": null, "lastTransitionTime": since});
        if !reason.is_empty() {
            condition["reason"] = reason.into();
        }
        if !message.is_empty() {
            condition["message"] = message.into();
        }
        if generation.is_number() {
            condition["observedGeneration"] = generation.clone();
        }
        out.push(condition);
    }
    match present.iter().find(|c| c["type"] == "PodScheduled") {
        Some(scheduled) => out.push(scheduled.clone()),
        None => {
            let mut scheduled =
                json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": rfc3339(now)});
            if generation.is_number() {
                scheduled["observedGeneration"] = generation.clone();
            }
            out.push(scheduled);
        }
    }
    let known = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    if let Some((super::doom::EVICTED, message)) = &worker.doom
        && !present.iter().any(|c| c["type"] == "DisruptionTarget")
    {
        out.push(json!({"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": message,
            "lastProbeTime": null, "lastTransitionTime": rfc3339(now)}));
    }
    out.extend(present.into_iter().filter(|c| !known.iter().any(|k| c["type"] == *k)));
    out.into()
}

/// `Guaranteed`, `Burstable` or `BestEffort`, from cpu and memory.
pub fn qos(pod: &Value) -> String {
    let (mut any, mut all_guaranteed) = (false, true);
    let parse = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .or_else(|| value.as_number().map(ToString::to_string))
            .and_then(|t| Quantity::parse(&t).ok())
            .map_or(0, |q| q.nano)
    };
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            for resource in ["cpu", "memory"] {
                let limit = parse(&container["resources"]["limits"][resource]);
                let request = &container["resources"]["requests"][resource];
                let request = if request.is_null() { limit } else { parse(request) };
                any |= limit > 0 || request > 0;
                all_guaranteed &= limit > 0 && limit == request;
            }
        }
    }
    match (any, all_guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
    .to_owned()
}
