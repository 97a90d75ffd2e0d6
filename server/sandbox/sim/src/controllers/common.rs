//! What several controllers do alike: owners, templates, conditions, readiness.

use crate::step::Context;
use apiserver::{Change, Client};
use jiff::{SignedDuration, Timestamp};
use machinery::{ApiError, Gvr, clock, gvr, object, selector::LabelSelector};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// `app.kubernetes.io`-free label that ties pods to one revision of a Deployment.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// Whether the change is to one of these resources.
pub fn concerns(change: &Change, resources: &[Gvr]) -> bool {
    resources.iter().any(|gvr| gvr.resource == &*change.resource && gvr.group == &*change.group)
}

/// An integer field; `default` where it is absent.
pub fn int(value: &Value, default: i64) -> i64 {
    value.as_i64().unwrap_or(default)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A `metav1.Time` or `MicroTime`.
pub fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

pub fn created_at(object: &Value) -> Option<Timestamp> {
    time(&object["metadata"]["creationTimestamp"])
}

/// `namespace/name`, or `name`.
pub fn key(object: &Value) -> String {
    match object::namespace(object) {
        "" => object::name(object).to_owned(),
        namespace => format!("{namespace}/{}", object::name(object)),
    }
}

/// The owner reference of a managing controller.
pub fn owner_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    })
}

pub fn is_controlled_by(object: &Value, owner: &Value) -> bool {
    object::controller_of(object).is_some_and(|reference| reference["uid"] == owner["metadata"]["uid"])
}

/// A workload's `spec.selector`, whether it is a LabelSelector or, as a ReplicationController's, a plain map.
pub fn selector_of(owner: &Value) -> LabelSelector {
    let selector = &owner["spec"]["selector"];
    if object::kind(owner) == "ReplicationController" {
        return selector.as_object().map(LabelSelector::from_map).unwrap_or_default();
    }
    LabelSelector::from_object(selector).unwrap_or_default()
}

/// The objects that `owner` manages: its own that still match, orphans that match (adopted), without its own that no longer match
/// (released). What is terminating is neither adopted nor released.
pub fn claim(client: &Client, gvr: Gvr, owner: &Value, candidates: &[Arc<Value>]) -> Vec<Arc<Value>> {
    let selector = selector_of(owner);
    let adopts = !selector.requirements().is_empty() && !object::is_terminating(owner);
    let mut claimed = Vec::new();
    for candidate in candidates {
        let matches = selector.matches(object::labels(candidate));
        match object::controller_of(candidate) {
            Some(reference) if reference["uid"] != owner["metadata"]["uid"] => {}
            Some(_) if matches => claimed.push(Arc::clone(candidate)),
            Some(_) if object::is_terminating(owner) => {}
            Some(_) => {
                let kept: Vec<_> = items(&candidate["metadata"]["ownerReferences"])
                    .iter()
                    .filter(|reference| reference["uid"] != owner["metadata"]["uid"])
                    .cloned()
                    .collect();
                set_owners(client, gvr, candidate, kept);
            }
            None if adopts && matches && !object::is_terminating(candidate) => {
                let mut references = items(&candidate["metadata"]["ownerReferences"]).to_vec();
                references.push(owner_reference(owner));
                claimed.extend(set_owners(client, gvr, candidate, references));
            }
            None => {}
        }
    }
    claimed
}

fn set_owners(client: &Client, gvr: Gvr, object: &Value, references: Vec<Value>) -> Option<Arc<Value>> {
    let references = if references.is_empty() { Value::Null } else { Value::Array(references) };
    let patch = json!({"metadata": {"uid": object["metadata"]["uid"], "ownerReferences": references}});
    tolerate("changing the owner of an object", client.merge_patch(gvr, object::namespace(object), object::name(object), patch))
}

/// A result that the next round will make good: conflicts and objects that are gone are part of life.
pub fn tolerate<T>(doing: &str, result: Result<T, ApiError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            if error.code == 404 || error.code == 409 || error.code == 403 {
                tracing::debug!(%error, "{doing}");
            } else {
                tracing::warn!(%error, "{doing}");
            }
            None
        }
    }
}

/// Writes `status` where it differs from what is stored.
pub fn write_status(client: &Client, gvr: Gvr, object: &Value, status: &Value) {
    let Some(fresh) = client.get(gvr, object::namespace(object), object::name(object)) else { return };
    if fresh["metadata"]["uid"] != object["metadata"]["uid"] || fresh["status"] == *status {
        return;
    }
    let mut changed = (*fresh).clone();
    changed["status"] = status.clone();
    tolerate("writing a status", client.update_status(gvr, changed));
}

/// Changes the stored object where `edit` changes it; the object as it then is.
pub fn modify(client: &Client, gvr: Gvr, object: &Value, edit: impl FnOnce(&mut Value)) -> Option<Arc<Value>> {
    let fresh = client.get(gvr, object::namespace(object), object::name(object))?;
    if fresh["metadata"]["uid"] != object["metadata"]["uid"] {
        return None;
    }
    let mut changed = (*fresh).clone();
    edit(&mut changed);
    if changed == *fresh {
        return Some(fresh);
    }
    tolerate("updating an object", client.update(gvr, changed))
}

/// Like [`modify`], through the `status` subresource: for what a controller notes without a new generation.
pub fn modify_status(client: &Client, gvr: Gvr, object: &Value, edit: impl FnOnce(&mut Value)) -> Option<Arc<Value>> {
    let fresh = client.get(gvr, object::namespace(object), object::name(object))?;
    if fresh["metadata"]["uid"] != object["metadata"]["uid"] {
        return None;
    }
    let mut changed = (*fresh).clone();
    edit(&mut changed);
    if changed == *fresh {
        return Some(fresh);
    }
    tolerate("updating a status", client.update_status(gvr, changed))
}

pub fn delete(client: &Client, gvr: Gvr, object: &Value) -> Result<(), ApiError> {
    let options = apiserver::client::DeleteOptions { uid: object["metadata"]["uid"].as_str().map(str::to_owned), ..Default::default() };
    match client.delete(gvr, object::namespace(object), object::name(object), &options) {
        Err(error) if error.code == 404 || error.code == 409 => Ok(()),
        other => other,
    }
}

/// A condition of the object, or of a bare `status`.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(&object["status"]["conditions"]).iter().find(|condition| condition["type"] == kind)
}

/// Sets a condition among `conditions`. `lastTransitionTime` moves when the status does. True where anything changed.
/// `updated`: the kind has a `lastUpdateTime` too, which moves with status and reason.
pub fn set_condition(
    conditions: &mut Vec<Value>,
    now: Timestamp,
    updated: bool,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
) -> bool {
    let at = clock::rfc3339(now);
    let earlier = conditions.iter().position(|condition| condition["type"] == kind);
    let mut new = json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at});
    if updated {
        new["lastUpdateTime"] = at.into();
    }
    match earlier {
        Some(index) => {
            let old = &conditions[index];
            if old["status"] == status && old["reason"] == reason && (old["message"] == message || updated) {
                return false;
            }
            if old["status"] == status {
                new["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            if let Some(generation) = old.get("observedGeneration") {
                new["observedGeneration"] = generation.clone();
            }
            conditions[index] = new;
        }
        None => conditions.push(new),
    }
    true
}

pub fn is_pod_finished(pod: &Value) -> bool {
    matches!(text(&pod["status"]["phase"]), "Succeeded" | "Failed")
}

/// Neither finished nor going away.
pub fn is_pod_active(pod: &Value) -> bool {
    !is_pod_finished(pod) && !object::is_terminating(pod)
}

pub fn is_pod_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready["status"] == "True")
}

/// Whether a pod has been ready for `minReadySeconds`, or when it will have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    Yes,
    At(Timestamp),
    No,
}

pub fn availability(pod: &Value, min_ready_seconds: i64, now: Timestamp) -> Availability {
    let Some(ready) = condition(pod, "Ready").filter(|ready| ready["status"] == "True") else { return Availability::No };
    if min_ready_seconds == 0 {
        return Availability::Yes;
    }
    match time(&ready["lastTransitionTime"]).map(|since| later(since, min_ready_seconds)) {
        Some(at) if at <= now => Availability::Yes,
        Some(at) => Availability::At(at),
        None => Availability::No,
    }
}

/// Like [`availability`], and asks to be woken when that time comes.
pub fn is_available(context: &mut Context<'_>, pod: &Value, min_ready_seconds: i64) -> bool {
    match availability(pod, min_ready_seconds, context.now) {
        Availability::Yes => true,
        Availability::At(at) => {
            context.wake_at(at);
            false
        }
        Availability::No => false,
    }
}

/// A pod of `owner` from its template. The name comes from `generateName`.
pub fn pod_from_template(owner: &Value, template: &Value) -> Value {
    let mut prefix = format!("{}-", object::name(owner));
    // A prefix that no pod name could begin with is left out, as the API would refuse it anyway.
    if prefix.len() > 253 {
        prefix.truncate(247);
    }
    let mut metadata = Map::new();
    for key in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(key).filter(|value| !value.is_null()) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    metadata.insert("generateName".to_owned(), prefix.into());
    metadata.insert("namespace".to_owned(), owner["metadata"]["namespace"].clone());
    metadata.insert("ownerReferences".to_owned(), json!([owner_reference(owner)]));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

/// `rand.SafeEncodeString` of Kubernetes: letters and digits from which no word can be formed.
pub fn safe_encode(text: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    text.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

/// `intstr.GetScaledValueFromIntOrPercent`.
pub fn scaled(value: &Value, total: i64, round_up: bool) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let hundredfold = percent.saturating_mul(total);
            if round_up { (hundredfold + 99).div_euclid(100) } else { hundredfold.div_euclid(100) }
        }
        _ => 0,
    }
}

/// Pods by namespace, so that each owner looks only at its own.
pub fn by_namespace(objects: Vec<Arc<Value>>) -> BTreeMap<String, Vec<Arc<Value>>> {
    let mut grouped: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
    for object in objects {
        grouped.entry(object::namespace(&object).to_owned()).or_default().push(object);
    }
    grouped
}

pub fn pods_by_namespace(client: &Client) -> BTreeMap<String, Vec<Arc<Value>>> {
    by_namespace(client.list(gvr::PODS, None))
}

/// Puts `value` under `key` unless it is zero, as Go's `omitempty` does.
pub fn put_count(status: &mut Value, key: &str, value: i64) {
    if value != 0 {
        status[key] = value.into();
    }
}

/// How long after the nth failure in a row a controller tries again: 1, 2, 4, … up to 1,000 seconds.
#[derive(Debug, Default)]
pub struct Backoff(BTreeMap<String, (u32, Timestamp)>);

impl Backoff {
    /// Whether `uid` may be tried now; asks to be woken when not.
    pub fn ready(&self, context: &mut Context<'_>, uid: &str) -> bool {
        match self.0.get(uid) {
            Some((_, at)) if *at > context.now => {
                context.wake_at(*at);
                false
            }
            _ => true,
        }
    }

    pub fn failed(&mut self, context: &mut Context<'_>, uid: &str) {
        let failures = self.0.get(uid).map_or(0, |(failures, _)| *failures);
        let at = later(context.now, (1_i64 << failures.min(10)).min(1_000));
        self.0.insert(uid.to_owned(), (failures + 1, at));
        context.wake_at(at);
    }

    pub fn succeeded(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    /// Forgets those that are gone.
    pub fn keep(&mut self, exists: impl Fn(&str) -> bool) {
        self.0.retain(|uid, _| exists(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_asked() {
        for (value, total, up, expected) in [
            (json!(3), 10, true, 3),
            (json!("25%"), 4, true, 1),
            (json!("25%"), 5, true, 2),
            (json!("25%"), 5, false, 1),
            (json!("0%"), 5, true, 0),
            (json!("100%"), 7, false, 7),
            (Value::Null, 7, false, 0),
        ] {
            assert_eq!(scaled(&value, total, up), expected, "{value} of {total}");
        }
    }

    #[test]
    fn names_use_the_safe_alphabet() {
        // As k8s.io/apimachinery/pkg/util/rand documents it: each byte modulo the 27 letters.
        assert_eq!(safe_encode("0123456789"), "456789bcdf");
    }
}
