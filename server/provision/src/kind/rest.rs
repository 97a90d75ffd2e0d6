//! Whether anything still moves in a cluster: checks look at a cluster at rest.

use crate::kind::{api::Api, objects::text};
use serde_json::Value;
use std::time::Duration;

/// Containers that wait for one of these go on waiting until somebody changes something.
const LASTING: &[&str] = &[
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// What is looked at: workloads first, so that pods that they are about to make count.
const PATHS: [&str; 6] = [
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/statefulsets",
    "/apis/batch/v1/jobs",
    "/api/v1/pods",
];

/// Waits until two looks in a row see a cluster at rest and the same; without an end of its own.
pub async fn wait(api: &Api) {
    let mut before = None;
    loop {
        let lists = futures::future::join_all(PATHS.iter().map(|path| api.get(path))).await;
        let now: Option<Vec<Vec<Value>>> =
            lists.into_iter().map(|list| Some(list.ok()?["items"].as_array().cloned().unwrap_or_default())).collect();
        let resting = now.as_ref().is_some_and(|lists| {
            let (pods, workloads) = lists.split_last().unwrap_or((const { &Vec::new() }, &[]));
            workloads.iter().flatten().all(workload_rests) && pods.iter().all(pod_rests)
        });
        let seen = now.filter(|_| resting).map(|lists| versions(&lists));
        if seen.is_some() && seen == before {
            return;
        }
        before = seen;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// What changes with every change of an object.
fn versions(lists: &[Vec<Value>]) -> Vec<String> {
    lists
        .iter()
        .flatten()
        .map(|object| format!("{}@{}", text(object, "/metadata/uid"), text(object, "/metadata/resourceVersion")))
        .collect()
}

/// Its controller has seen what is asked for, and has as many replicas as it may.
fn workload_rests(workload: &Value) -> bool {
    let number = |pointer: &str| workload.pointer(pointer).and_then(Value::as_i64);
    if workload["metadata"]["deletionTimestamp"].is_string() {
        return false;
    }
    let Some(seen) = number("/status/observedGeneration") else {
        // A Job has none, and has begun when it has a start.
        return workload["spec"]["suspend"] == true || workload["status"]["startTime"].is_string() || workload["spec"]["completions"] == 0;
    };
    if seen < number("/metadata/generation").unwrap_or(0) {
        return false;
    }
    // Pods that cannot be made, by quota or by admission, are said in a condition and do not come.
    let refused = workload["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|condition| condition["type"] == "ReplicaFailure" && condition["status"] == "True"));
    let wanted = number("/status/desiredNumberScheduled").or_else(|| number("/spec/replicas")).unwrap_or(1);
    let there = number("/status/currentNumberScheduled").or_else(|| number("/status/replicas")).unwrap_or(0);
    refused || there == wanted
}

fn pod_rests(pod: &Value) -> bool {
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return false;
    }
    let condition = |name: &str, status: &str| {
        let all = pod["status"]["conditions"].as_array();
        all.is_some_and(|all| all.iter().any(|condition| condition["type"] == name && condition["status"] == status))
    };
    match text(pod, "/status/phase") {
        "Succeeded" | "Failed" => true,
        "Running" if condition("Ready", "True") => true,
        // No node takes it.
        "Pending" if condition("PodScheduled", "False") => true,
        _ => {
            let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"]
                .iter()
                .filter_map(|pointer| pod.pointer(pointer)?.as_array())
                .flatten();
            statuses.into_iter().any(|status| {
                LASTING.contains(&text(status, "/state/waiting/reason"))
                    // Runs, has come up before or is not asked, and is not ready: a probe that fails.
                    || (status["state"]["running"].is_object() && status["ready"] == false && status["started"] == true)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods() {
        let waiting = |reason: &str| json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": reason}}}]});
        let rows = [
            (json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}), true),
            (json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}), false),
            (json!({"phase": "Succeeded"}), true),
            (json!({"phase": "Failed"}), true),
            (json!({"phase": "Pending"}), false),
            (json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}), true),
            (waiting("ContainerCreating"), false),
            (waiting("ImagePullBackOff"), true),
            (waiting("CrashLoopBackOff"), true),
            (json!({"phase": "Running", "containerStatuses": [{"state": {"running": {}}, "ready": false, "started": true}]}), true),
            (json!({"phase": "Running", "containerStatuses": [{"state": {"running": {}}, "ready": false, "started": false}]}), false),
        ];
        for (status, expected) in rows {
            assert_eq!(pod_rests(&json!({"metadata": {}, "status": status})), expected, "{status}");
        }
        assert!(!pod_rests(&json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Failed"}})));
    }

    #[test]
    fn workloads() {
        let rows = [
            (json!({"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": {"observedGeneration": 1, "replicas": 1}}), false),
            (json!({"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": {"observedGeneration": 2, "replicas": 1}}), true),
            (json!({"metadata": {"generation": 1}, "spec": {"replicas": 3}, "status": {"observedGeneration": 1, "replicas": 1}}), false),
            (json!({"metadata": {"generation": 1}, "spec": {"replicas": 0}, "status": {"observedGeneration": 1}}), true),
            (
                json!({"metadata": {}, "spec": {"replicas": 1}, "status": {"observedGeneration": 1,
                    "conditions": [{"type": "ReplicaFailure", "status": "True"}]}}),
                true,
            ),
            (
                json!({"metadata": {}, "spec": {}, "status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "currentNumberScheduled": 1}}),
                false,
            ),
            (json!({"metadata": {}, "spec": {"completions": 1}, "status": {}}), false),
            (json!({"metadata": {}, "spec": {"completions": 1}, "status": {"startTime": "2026-01-01T00:00:00Z"}}), true),
            (json!({"metadata": {"deletionTimestamp": "x"}, "spec": {}, "status": {"observedGeneration": 1}}), false),
        ];
        for (workload, expected) in rows {
            assert_eq!(workload_rests(&workload), expected, "{workload}");
        }
    }
}
