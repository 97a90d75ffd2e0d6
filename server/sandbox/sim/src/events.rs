//! Events as the recorders of Kubernetes' components write them (k8s.io/client-go/tools/record and tools/events): the same
//! event again raises a count instead of making another object.

use crate::step::Context;
use jiff::{SignedDuration, Timestamp};
use machinery::{clock, gvr, object};
use serde_json::{Value, json};
use std::sync::Arc;

/// How long an event is kept: kube-apiserver's `--event-ttl`.
pub const TIME_TO_LIVE: SignedDuration = SignedDuration::from_hours(1);
/// A series of the newer recorder goes on when it was last seen at most this long ago.
const SERIES_WINDOW: SignedDuration = SignedDuration::from_mins(6);

/// `type` of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    fn text(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What happened.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// `deployment-controller`, `kubelet`, …
    pub component: &'a str,
    /// The node, for events of a kubelet; else empty.
    pub host: &'a str,
    pub kind: EventType,
    pub reason: &'a str,
    pub message: String,
    /// As `spec.containers{nginx}`; empty where the whole object is meant.
    pub field_path: String,
}

impl<'a> Event<'a> {
    pub fn normal(component: &'a str, reason: &'a str, message: impl Into<String>) -> Self {
        Self { component, host: "", kind: EventType::Normal, reason, message: message.into(), field_path: String::new() }
    }

    pub fn warning(component: &'a str, reason: &'a str, message: impl Into<String>) -> Self {
        Self { kind: EventType::Warning, ..Self::normal(component, reason, message) }
    }
}

/// An `ObjectReference` to `object`, as events and volumes hold it.
pub fn reference(object: &Value) -> Value {
    let mut reference = json!({"kind": object["kind"], "apiVersion": object["apiVersion"], "name": object["metadata"]["name"]});
    for key in ["namespace", "uid", "resourceVersion"] {
        if object["metadata"][key].is_string() {
            reference[key] = object["metadata"][key].clone();
        }
    }
    reference
}

/// Records an event about `about`, counting it where it happened before. A namespace that is going away takes no more events:
/// that is nobody's error.
pub fn record(context: &Context<'_>, about: &Value, event: &Event<'_>) {
    let namespace = namespace_of(about);
    let mut involved = reference(about);
    if !event.field_path.is_empty() {
        involved["fieldPath"] = event.field_path.as_str().into();
    }
    let now = clock::rfc3339(context.now);
    let same = |other: &Arc<Value>| {
        other["eventTime"].is_null()
            && other["involvedObject"]["uid"] == involved["uid"]
            && other["involvedObject"]["name"] == involved["name"]
            && other["involvedObject"]["kind"] == involved["kind"]
            && other["involvedObject"]["fieldPath"] == involved["fieldPath"]
            && other["reason"] == event.reason
            && other["type"] == event.kind.text()
            && other["message"] == event.message
            && other["source"]["component"] == event.component
    };
    if let Some(earlier) = context.client.list(gvr::EVENTS, Some(namespace)).into_iter().rev().find(same) {
        let mut counted = (*earlier).clone();
        counted["count"] = (counted["count"].as_i64().unwrap_or(1) + 1).into();
        counted["lastTimestamp"] = now.into();
        write(context.client.update(gvr::EVENTS, counted).map(drop), event);
        return;
    }
    let mut source = json!({"component": event.component});
    if !event.host.is_empty() {
        source["host"] = event.host.into();
    }
    let object = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name(context, about), "namespace": namespace},
        "involvedObject": involved,
        "reason": event.reason, "message": event.message, "type": event.kind.text(), "source": source,
        "firstTimestamp": now, "lastTimestamp": now, "count": 1, "eventTime": null,
        "reportingComponent": event.component, "reportingInstance": event.host,
    });
    write(context.client.create(gvr::EVENTS, object).map(drop), event);
}

/// Records an event as the newer recorder (events.k8s.io) does, which the scheduler uses: `eventTime`, `action` and a series
/// instead of a count.
pub fn record_series(context: &Context<'_>, about: &Value, event: &Event<'_>, action: &str) {
    let namespace = namespace_of(about);
    let involved = reference(about);
    let now = clock::rfc3339_micro(context.now);
    let same = |other: &Arc<Value>| {
        other["eventTime"].is_string()
            && other["involvedObject"]["uid"] == involved["uid"]
            && other["involvedObject"]["kind"] == involved["kind"]
            && other["reason"] == event.reason
            && other["type"] == event.kind.text()
            && other["message"] == event.message
            && other["reportingComponent"] == event.component
            && last_seen(other).is_none_or(|at| context.now.duration_since(at) <= SERIES_WINDOW)
    };
    if let Some(earlier) = context.client.list(gvr::EVENTS, Some(namespace)).into_iter().rev().find(same) {
        let mut counted = (*earlier).clone();
        let count = counted["series"]["count"].as_i64().unwrap_or(1) + 1;
        counted["series"] = json!({"count": count, "lastObservedTime": now});
        write(context.client.update(gvr::EVENTS, counted).map(drop), event);
        return;
    }
    let object = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name(context, about), "namespace": namespace},
        "involvedObject": involved,
        "reason": event.reason, "message": event.message, "type": event.kind.text(), "source": {},
        "firstTimestamp": null, "lastTimestamp": null, "eventTime": now, "action": action,
        "reportingComponent": event.component,
        "reportingInstance": if event.host.is_empty() { event.component.to_owned() } else { format!("{}-{}", event.component, event.host) },
    });
    write(context.client.create(gvr::EVENTS, object).map(drop), event);
}

/// When an event was last seen.
pub fn last_seen(event: &Value) -> Option<Timestamp> {
    [&event["series"]["lastObservedTime"], &event["lastTimestamp"], &event["eventTime"], &event["metadata"]["creationTimestamp"]]
        .into_iter()
        .find_map(|time| time.as_str()?.parse().ok())
}

fn namespace_of(about: &Value) -> &str {
    match object::namespace(about) {
        "" => "default",
        namespace => namespace,
    }
}

/// `<object>.<time in hexadecimal nanoseconds>`; one more where that moment is taken, as when simulated time stands.
fn name(context: &Context<'_>, about: &Value) -> String {
    let (base, namespace) = (object::name(about), namespace_of(about));
    let mut nanoseconds = context.now.as_nanosecond();
    loop {
        let name = format!("{base}.{nanoseconds:x}");
        if context.client.get(gvr::EVENTS, namespace, &name).is_none() {
            return name;
        }
        nanoseconds += 1;
    }
}

fn write(result: Result<(), machinery::ApiError>, event: &Event<'_>) {
    if let Err(error) = result {
        tracing::debug!(reason = event.reason, %error, "an event was not recorded");
    }
}
