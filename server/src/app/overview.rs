//! The cluster view of the page: pods and events, now.

use crate::app::kube::Caller;
use crate::app::{App, AppError, apply};
use serde_json::Value;
use store::User;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLine {
    pub namespace: String,
    pub name: String,
    /// `1/2`
    pub ready: String,
    /// As kubectl prints it: `Running`, `CrashLoopBackOff`, `Completed`, `Terminating`, …
    pub status: String,
    pub restarts: i64,
    /// `nvidia.com/gpu` limits of its containers.
    pub gpus: i64,
    pub node: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine {
    /// RFC 3339; empty where the event has none.
    pub last_seen: String,
    pub warning: bool,
    /// `Pod/web-1`
    pub object: String,
    pub namespace: String,
    pub reason: String,
    pub message: String,
    pub count: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// By namespace and name, at most 200.
    pub pods: Vec<PodLine>,
    /// Newest first, at most 50.
    pub events: Vec<EventLine>,
    /// What could not be seen, in words.
    pub problem: Option<String>,
}

impl App {
    /// Does not keep the cluster awake: a page that is left open in a corner must not.
    pub async fn overview(&self, user: &User, attempt: &str) -> Result<Overview, AppError> {
        let attempt = self.attempt(user, attempt).await?;
        match attempt.state {
            store::AttemptState::Running => {}
            store::AttemptState::Sleeping => {
                let problem = "The cluster sleeps because nobody used it for a while. It wakes with your next command or check.";
                return Ok(Overview { problem: Some(problem.to_owned()), ..Overview::default() });
            }
            _ => return Ok(Overview::default()),
        }
        let cluster = self.engine.open(&attempt.id).await?;
        let caller = Caller { cluster: &*cluster, user: apply::learner() };
        let (pods, events) = tokio::join!(caller.get("/api/v1/pods?limit=200"), caller.get("/api/v1/events?limit=500"));
        let problem = [&pods, &events].into_iter().find_map(|answer| answer.as_ref().err().map(ToString::to_string));
        let lines = |answer: Result<Value, _>| answer.ok().and_then(|list| list["items"].as_array().cloned()).unwrap_or_default();
        let pods = lines(pods).iter().map(pod).collect();
        let mut events: Vec<EventLine> = lines(events).iter().map(event).collect();
        events.sort_by(|a, b| b.last_seen.cmp(&a.last_seen));
        events.truncate(50);
        Ok(Overview { pods, events, problem })
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn pod(pod: &Value) -> PodLine {
    let statuses = list(&pod["status"]["containerStatuses"]);
    let containers = list(&pod["spec"]["containers"]);
    let ready = statuses.iter().filter(|status| status["ready"] == true).count();
    let gpu = |container: &Value| match &container["resources"]["limits"]["nvidia.com/gpu"] {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(text) => text.parse().unwrap_or(0),
        _ => 0,
    };
    PodLine {
        namespace: machinery::object::namespace(pod).to_owned(),
        name: machinery::object::name(pod).to_owned(),
        ready: format!("{ready}/{}", containers.len()),
        status: status(pod),
        restarts: statuses.iter().filter_map(|status| status["restartCount"].as_i64()).sum(),
        gpus: containers.iter().map(gpu).fold(0, i64::saturating_add),
        node: text(&pod["spec"]["nodeName"]),
    }
}

/// The STATUS column (k8s.io/kubernetes/pkg/printers/internalversion, printPod), in short.
fn status(pod: &Value) -> String {
    if machinery::object::is_terminating(pod) {
        return "Terminating".to_owned();
    }
    let state = &pod["status"];
    let of = |key: &str, prefix: &str| {
        list(&state[key]).iter().rev().find_map(|status| {
            let waiting = status["state"]["waiting"]["reason"].as_str().filter(|reason| *reason != "PodInitializing");
            let ended = &status["state"]["terminated"];
            let failed = ended["reason"].as_str().filter(|_| prefix.is_empty() || ended["exitCode"] != 0);
            waiting.or(failed).map(|reason| format!("{prefix}{reason}"))
        })
    };
    of("initContainerStatuses", "Init:")
        .or_else(|| of("containerStatuses", ""))
        .or_else(|| state["reason"].as_str().map(str::to_owned))
        .unwrap_or_else(|| text(&state["phase"]))
}

fn event(event: &Value) -> EventLine {
    let seen = ["lastTimestamp", "eventTime", "firstTimestamp"].into_iter().find_map(|key| event[key].as_str());
    let series = event["series"]["lastObservedTime"].as_str();
    let involved = &event["involvedObject"];
    EventLine {
        last_seen: series.or(seen).unwrap_or_default().to_owned(),
        warning: event["type"] == "Warning",
        object: format!("{}/{}", text(&involved["kind"]), text(&involved["name"])),
        namespace: machinery::object::namespace(event).to_owned(),
        reason: text(&event["reason"]),
        message: text(&event["message"]).chars().take(1_000).collect(),
        count: event["count"].as_i64().unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_shown_as_kubectl_shows_it() {
        let base = json!({"metadata": {"namespace": "ml", "name": "a"}, "spec": {"nodeName": "n",
            "containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}, {}]}, "status": {"phase": "Running",
            "containerStatuses": [{"ready": true, "restartCount": 3, "state": {"running": {}}}, {"ready": false, "restartCount": 1, "state": {}}]}});
        let shown = pod(&base);
        assert_eq!((shown.ready.as_str(), shown.status.as_str(), shown.restarts, shown.gpus), ("1/2", "Running", 4, 2));
        let with = |change: fn(&mut Value)| {
            let mut changed = base.clone();
            change(&mut changed);
            pod(&changed).status
        };
        assert_eq!(with(|pod| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into()), "Terminating");
        assert_eq!(
            with(|pod| pod["status"]["containerStatuses"][1]["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}})),
            "CrashLoopBackOff"
        );
        assert_eq!(
            with(|pod| pod["status"]["initContainerStatuses"] = json!([{"state": {"terminated": {"exitCode": 1, "reason": "Error"}}}])),
            "Init:Error"
        );
        assert_eq!(with(|pod| pod["status"] = json!({"phase": "Pending"})), "Pending");
        assert_eq!(pod(&json!({})).ready, "0/0");
    }
}
