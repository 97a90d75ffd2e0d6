//! What a learner sees of their cluster at a glance: pods, events, and who can reach whom. Pure: objects in, panel out.

use askama::Template;
use jiff::Timestamp;
use network_policy::{Cluster, Protocol};
use serde_json::Value;
use std::collections::BTreeSet;

/// More pods than this are not drawn as a matrix: nobody could read it.
const MATRIX_LIMIT: usize = 24;
const EVENT_LIMIT: usize = 40;
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

#[derive(Debug, Default, Template)]
#[template(path = "partials/cluster.html")]
pub struct ClusterPanel {
    pub problem: Option<String>,
    pub pods: Vec<PodRow>,
    /// Names over the matrix's columns.
    pub columns: Vec<String>,
    pub matrix: Vec<MatrixRow>,
    pub events: Vec<EventRow>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct PodRow {
    pub namespace: String,
    pub name: String,
    pub ready: String,
    pub status: String,
    pub tone: &'static str,
    pub restarts: i64,
    pub gpus: String,
}

#[derive(Debug, PartialEq, Eq)]
pub struct MatrixRow {
    pub from: String,
    pub cells: Vec<Cell>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Cell {
    pub class: &'static str,
    pub sign: &'static str,
    pub why: String,
}

#[derive(Debug, PartialEq, Eq)]
pub struct EventRow {
    pub when: String,
    pub warning: bool,
    pub object: String,
    pub reason: String,
    pub message: String,
}

/// The panel of `objects`: Pods, Events, Namespaces and NetworkPolicies, others are passed over.
pub fn panel(objects: &[Value], now: Timestamp) -> ClusterPanel {
    let of = |kind: &str| objects.iter().filter(move |object| object["kind"] == kind).collect::<Vec<_>>();
    let mut pods: Vec<PodRow> = of("Pod").into_iter().map(pod).collect();
    // The learner's own namespaces first.
    pods.sort_by_key(|pod| (SYSTEM.contains(&pod.namespace.as_str()), pod.namespace.clone(), pod.name.clone()));
    let (columns, matrix) = reachability(objects);
    ClusterPanel { problem: None, pods, columns, matrix, events: events(of("Event"), now) }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// READY, STATUS and RESTARTS as `kubectl get pods` computes them.
fn pod(pod: &Value) -> PodRow {
    let list = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let statuses = list("/status/containerStatuses");
    let init = list("/status/initContainerStatuses");
    let ready = statuses.iter().filter(|status| status["ready"] == true).count();
    let mut status = match text(pod, "/status/reason") {
        "" => text(pod, "/status/phase"),
        reason => reason,
    }
    .to_owned();
    let waiting_init = init.iter().find_map(|status| {
        let reason = text(status, "/state/waiting/reason");
        (!reason.is_empty() && reason != "PodInitializing").then(|| format!("Init:{reason}"))
    });
    for container in statuses {
        for state in ["/state/waiting/reason", "/state/terminated/reason"] {
            let reason = text(container, state);
            if !reason.is_empty() {
                status = reason.to_owned();
            }
        }
    }
    if let Some(waiting) = waiting_init {
        status = waiting;
    }
    if !text(pod, "/metadata/deletionTimestamp").is_empty() {
        status = "Terminating".to_owned();
    }
    let containers = list("/spec/containers");
    let gpus: i64 = containers
        .iter()
        .filter_map(|container| container.pointer("/resources/limits/nvidia.com~1gpu"))
        .filter_map(|count| count.as_i64().or_else(|| count.as_str()?.parse().ok()))
        .sum();
    let tone = match status.as_str() {
        "Running" if ready == containers.len() => "good",
        "Succeeded" | "Completed" => "good",
        "Running" | "Pending" | "ContainerCreating" | "PodInitializing" | "Terminating" => "warn",
        _ => "bad",
    };
    PodRow {
        namespace: text(pod, "/metadata/namespace").to_owned(),
        name: text(pod, "/metadata/name").to_owned(),
        ready: format!("{ready}/{}", containers.len()),
        status: if status.is_empty() { "Unknown".to_owned() } else { status },
        tone,
        restarts: statuses.iter().filter_map(|status| status["restartCount"].as_i64()).sum(),
        gpus: if gpus > 0 { gpus.to_string() } else { String::new() },
    }
}

fn events(mut events: Vec<&Value>, now: Timestamp) -> Vec<EventRow> {
    let last = |event: &Value| {
        ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/firstTimestamp", "/metadata/creationTimestamp"]
            .into_iter()
            .find_map(|pointer| event.pointer(pointer)?.as_str()?.parse::<Timestamp>().ok())
    };
    events.sort_by_key(|event| std::cmp::Reverse(last(event)));
    events
        .into_iter()
        .take(EVENT_LIMIT)
        .map(|event| {
            let object = if event["involvedObject"].is_object() { &event["involvedObject"] } else { &event["regarding"] };
            let count = event["count"].as_i64().unwrap_or(1);
            let message = [text(event, "/message"), text(event, "/note")].into_iter().find(|text| !text.is_empty()).unwrap_or("");
            EventRow {
                when: last(event).map(|at| ago(at, now)).unwrap_or_default(),
                warning: event["type"] == "Warning",
                object: format!("{} {}/{}", text(object, "/kind"), text(object, "/namespace"), text(object, "/name")),
                reason: text(event, "/reason").to_owned(),
                message: if count > 1 { format!("{message} (×{count})") } else { message.to_owned() },
            }
        })
        .collect()
}

/// `now`, `40s ago`, `3m ago`, `2h ago`, `5d ago`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.as_second().saturating_sub(at.as_second()) {
        ..=1 => "now".to_owned(),
        seconds @ ..=119 => format!("{seconds}s ago"),
        seconds @ ..=7199 => format!("{}m ago", seconds / 60),
        seconds @ ..=172_799 => format!("{}h ago", seconds / 3600),
        seconds => format!("{}d ago", seconds / 86_400),
    }
}

/// The ports that a pod says it listens on; 80 where it says nothing, so that a policy without ports still shows.
fn ports(pod: &Value) -> Vec<(Protocol, u16)> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let named: BTreeSet<(u16, bool)> = containers
        .iter()
        .flat_map(|container| container["ports"].as_array().map(Vec::as_slice).unwrap_or_default())
        .filter_map(|port| Some((u16::try_from(port["containerPort"].as_u64()?).ok()?, port["protocol"] == "UDP")))
        .collect();
    let mut list: Vec<_> = named.into_iter().map(|(port, udp)| (if udp { Protocol::Udp } else { Protocol::Tcp }, port)).collect();
    if list.is_empty() {
        list.push((Protocol::Tcp, 80));
    }
    list
}

fn reachability(objects: &[Value]) -> (Vec<String>, Vec<MatrixRow>) {
    let living = |object: &&Value| object["kind"] == "Pod" && !matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
    let own = |pod: &&Value| !SYSTEM.contains(&text(pod, "/metadata/namespace"));
    let dns = |pod: &&Value| text(pod, "/metadata/labels/k8s-app") == "kube-dns";
    let mut pods: Vec<&Value> = objects.iter().filter(living).filter(own).collect();
    if pods.is_empty() || pods.len() > MATRIX_LIMIT {
        return Default::default();
    }
    pods.sort_by_key(|pod| (text(pod, "/metadata/namespace").to_owned(), text(pod, "/metadata/name").to_owned()));
    // Name resolution is what a hasty egress policy breaks first.
    pods.extend(objects.iter().filter(living).filter(dns).take(1));
    let Ok(cluster) = Cluster::from_objects(
        objects.iter().filter(|object| matches!(object["kind"].as_str(), Some("Namespace" | "Pod" | "NetworkPolicy"))),
    ) else {
        return Default::default();
    };
    let name = |pod: &Value| format!("{}/{}", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    let found: Vec<_> = pods.iter().filter_map(|pod| Some((*pod, cluster.find(&name(pod))?))).collect();
    let columns = found.iter().map(|(pod, _)| name(pod)).collect();
    let matrix = found
        .iter()
        .map(|(from_pod, from)| MatrixRow {
            from: name(from_pod),
            cells: found.iter().map(|(to_pod, to)| cell(&cluster, (from_pod, *from), (to_pod, *to), &name)).collect(),
        })
        .collect();
    (columns, matrix)
}

fn cell(cluster: &Cluster, (from_pod, from): (&Value, usize), (to_pod, to): (&Value, usize), name: &dyn Fn(&Value) -> String) -> Cell {
    if from == to {
        return Cell { class: "self", sign: "·", why: "a pod always reaches itself".to_owned() };
    }
    let decisions: Vec<_> = ports(to_pod).into_iter().map(|(protocol, port)| (port, cluster.decide(from, to, protocol, port))).collect();
    let open: Vec<String> = decisions.iter().filter(|(_, decision)| decision.allowed()).map(|(port, _)| port.to_string()).collect();
    let closed = decisions.iter().find(|(_, decision)| !decision.allowed());
    let between = format!("{} to {}", name(from_pod), name(to_pod));
    match closed {
        None => Cell { class: "yes", sign: "✓", why: format!("{between}: allowed on {}", open.join(", ")) },
        Some((port, decision)) => {
            let side = if decision.egress.allows() { "ingress" } else { "egress" };
            if open.is_empty() {
                Cell { class: "no", sign: "✗", why: format!("{between}: denied on {port} by {side} policy") }
            } else {
                Cell {
                    class: "some",
                    sign: "±",
                    why: format!("{between}: allowed on {}, denied on {port} by {side} policy", open.join(", ")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod_object(namespace: &str, name: &str, ip: &str, status: Value) -> Value {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [{"containerPort": 8501}], "resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}});
        if let (Some(into), Some(from)) = (pod["status"].as_object_mut(), status.as_object()) {
            into.extend(from.clone());
        }
        pod
    }

    #[test]
    fn shows_status_as_kubectl_does() {
        for (status, expected, tone) in [
            (json!({"containerStatuses": [{"ready": true, "restartCount": 0, "state": {"running": {}}}]}), "1/1 Running 0", "good"),
            (
                json!({"containerStatuses": [{"ready": false, "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
                "0/1 CrashLoopBackOff 4",
                "bad",
            ),
            (
                json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}),
                "0/1 ContainerCreating 0",
                "warn",
            ),
            (json!({"phase": "Pending"}), "0/1 Pending 0", "warn"),
            (json!({"phase": "Failed", "reason": "Evicted"}), "0/1 Evicted 0", "bad"),
        ] {
            let row = pod(&pod_object("ml", "a", "10.0.0.1", status));
            assert_eq!((format!("{} {} {}", row.ready, row.status, row.restarts), row.tone), (expected.to_owned(), tone));
            assert_eq!(row.gpus, "1");
        }
    }

    #[test]
    fn draws_who_reaches_whom() {
        let objects = vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ml"}}),
            pod_object("ml", "serving", "10.0.0.1", json!({})),
            pod_object("ml", "monitor", "10.0.0.2", json!({})),
            pod_object("ml", "other", "10.0.0.3", json!({})),
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"namespace": "ml", "name": "only-monitor"}, "spec": {"podSelector": {"matchLabels": {"app": "serving"}},
                "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "monitor"}}}]}]}}),
        ];
        let panel = panel(&objects, Timestamp::UNIX_EPOCH);
        let drawn: Vec<String> = panel.matrix.iter().map(|row| row.cells.iter().map(|cell| cell.sign).collect()).collect();
        assert_eq!(panel.columns, ["ml/monitor", "ml/other", "ml/serving"]);
        assert_eq!(drawn, ["·✓✓", "✓·✗", "✓✓·"]);
        assert!(panel.matrix[1].cells[2].why.contains("denied on 8501 by ingress"));
        assert!(panel.render().unwrap().contains("ml/monitor"));
    }

    #[test]
    fn newest_events_first() {
        let event = |at: &str, reason: &str| json!({"kind": "Event", "type": "Warning", "reason": reason, "message": "m", "count": 2, "lastTimestamp": at, "involvedObject": {"kind": "Pod", "namespace": "ml", "name": "a"}});
        let objects = [event("2026-01-01T00:00:00Z", "Old"), event("2026-01-01T00:00:50Z", "New")];
        let events = panel(&objects, "2026-01-01T00:01:00Z".parse().unwrap()).events;
        assert_eq!(
            events[0],
            EventRow { when: "10s ago".into(), warning: true, object: "Pod ml/a".into(), reason: "New".into(), message: "m (×2)".into() }
        );
        assert_eq!(events[1].reason, "Old");
    }
}
