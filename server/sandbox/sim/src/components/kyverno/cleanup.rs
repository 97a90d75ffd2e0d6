//! Kyverno's cleanup controller: it deletes what cleanup and deleting policies take, by their schedules, and what the label
//! `cleanup.kyverno.io/ttl` lets live for a while only (<https://kyverno.io/docs/policy-types/cleanup-policy/>).

use super::{
    super::in_cluster::InCluster,
    policies::{self, CEL, CLASSIC},
    reach::{self, EVERY_GROUP, Filters},
};
use crate::{controllers::cron_job::schedule::Schedule, shell::process::Process};
use apiserver::Client;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use kyverno::{Policies, Status};
use machinery::{Gvr, clock, object};
use serde_json::{Value, json};
use std::sync::Arc;

const KINDS: &[&[Gvr]] = &[
    &[Gvr::new(CLASSIC, "v2", "clustercleanuppolicies"), Gvr::new(CLASSIC, "v2beta1", "clustercleanuppolicies")],
    &[Gvr::new(CLASSIC, "v2", "cleanuppolicies"), Gvr::new(CLASSIC, "v2beta1", "cleanuppolicies")],
    &[Gvr::new(CEL, "v1", "deletingpolicies"), Gvr::new(CEL, "v1beta1", "deletingpolicies"), Gvr::new(CEL, "v1alpha1", "deletingpolicies")],
    &[Gvr::new(CEL, "v1", "namespaceddeletingpolicies"), Gvr::new(CEL, "v1beta1", "namespaceddeletingpolicies")],
];
const TTL: &str = "cleanup.kyverno.io/ttl";
/// Longest wait without a look at the clock.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

pub async fn run(process: &Process, api: &InCluster<'_>, client: &Client, namespace: &str) -> i32 {
    let changed = process.machine.announce.changes(EVERY_GROUP);
    loop {
        let (next, failures) = pass(process, api, client, namespace).await;
        for why in failures {
            process.err(format!("{} ERR {why}\n", process.now())).await;
        }
        let wait = next.map_or(LONGEST, |next| next.duration_since(process.now()).clamp(SignedDuration::from_secs(1), LONGEST));
        tokio::select! {
            biased;
            signal = process.control.signalled() => return if signal == 9 { 137 } else { 0 },
            () = process.machine.timer.sleep(wait) => {}
            () = changed.notified() => {}
        }
    }
}

/// Deletes what is due, and says when something is due next.
async fn pass(process: &Process, api: &InCluster<'_>, client: &Client, namespace: &str) -> (Option<Timestamp>, Vec<String>) {
    let (now, mut failures, mut next) = (process.now(), Vec::new(), None::<Timestamp>);
    let mut earlier = |at: Timestamp| next = Some(next.map_or(at, |next| next.min(at)));
    for (gvr, policy) in reach::newest(client, KINDS) {
        match due(&policy) {
            Some(at) if at <= now => {
                failures.extend(clean_up(process, api, client, namespace, &policy).await);
                failures.extend(say_when(api, gvr, &policy, at).await);
                // The status changes, and this comes round again.
            }
            Some(at) => earlier(at),
            None => {}
        }
    }
    for held in reach::everything(client).iter().filter(|held| held["metadata"]["labels"][TTL].is_string()) {
        match end_of(held) {
            Some(at) if at <= now && !object::is_terminating(held) => {
                failures.extend(reach::delete(api, client, held, None).await.err().map(|refused| refused.message));
            }
            Some(at) if at > now => earlier(at),
            _ => {}
        }
    }
    (next, failures)
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// When a policy's schedule comes round after its last execution, or after it was made.
fn due(policy: &Value) -> Option<Timestamp> {
    let after = time(&policy["status"]["lastExecutionTime"]).or_else(|| time(&policy["metadata"]["creationTimestamp"]))?;
    Schedule::parse(policy["spec"]["schedule"].as_str()?).ok()?.next(after, &TimeZone::UTC)
}

/// When an object has lived long enough: a time, a day, or so long after it was made.
fn end_of(held: &Value) -> Option<Timestamp> {
    let ttl = held["metadata"]["labels"][TTL].as_str()?;
    if let Ok(lifetime) = kyverno_duration(ttl) {
        return time(&held["metadata"]["creationTimestamp"])?.checked_add(lifetime).ok();
    }
    // Labels have no colons: 2026-01-02T030405Z.
    let written = ["%Y-%m-%dT%H%M%SZ", "%Y-%m-%d"];
    let at = written.iter().find_map(|format| jiff::fmt::strtime::parse(format, ttl).ok())?;
    let at = at.to_datetime().or_else(|_| at.to_date().map(|date| date.at(0, 0, 0, 0))).ok()?;
    at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
}

/// `1h30m`, as Go writes durations.
fn kyverno_duration(text: &str) -> Result<SignedDuration, String> {
    kyverno::go_duration(text).map(SignedDuration::from_nanos)
}

async fn clean_up(process: &Process, api: &InCluster<'_>, client: &Client, namespace: &str, policy: &Arc<Value>) -> Vec<String> {
    let filters = Filters::read(client, namespace);
    let policies = Policies::read(std::slice::from_ref(&**policy));
    let evidence = reach::evidence(client, process.now(), policies::exceptions(client));
    let options = policy["spec"]["deletionPropagationPolicy"].as_str().map(|how| json!({ "propagationPolicy": how }));
    let mut failures = Vec::new();
    for held in &evidence.objects {
        if object::is_terminating(held) || filters.hide(held) {
            continue;
        }
        for result in kyverno::apply(&policies, std::slice::from_ref(held), &evidence) {
            match result.status {
                Status::Pass => {
                    let deleted = reach::delete(api, client, held, options.as_ref()).await;
                    failures.extend(deleted.err().map(|refused| format!("policy {}: {}", result.policy, refused.message)));
                }
                Status::Error => failures.push(format!("policy {}: {}", result.policy, result.message)),
                _ => {}
            }
        }
    }
    failures
}

async fn say_when(api: &InCluster<'_>, gvr: Gvr, policy: &Value, at: Timestamp) -> Option<String> {
    let namespace = object::namespace(policy);
    let within = if namespace.is_empty() { String::new() } else { format!("namespaces/{namespace}/") };
    let path = format!("/apis/{}/{}/{within}{}/{}/status", gvr.group, gvr.version, gvr.resource, object::name(policy));
    let status = json!({ "status": { "lastExecutionTime": clock::rfc3339(at) } });
    api.call("PATCH", &path, Some(&status)).await.err().map(|refused| format!("failed to write {path}: {}", refused.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_and_lifetimes_end() {
        let policy = |status: Value| json!({"metadata": {"creationTimestamp": "2026-01-01T00:02:30Z"}, "spec": {"schedule": "*/5 * * * *"}, "status": status});
        let said = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        assert_eq!(said(due(&policy(json!({})))), "2026-01-01T00:05:00Z");
        assert_eq!(said(due(&policy(json!({"lastExecutionTime": "2026-01-01T00:05:00Z"})))), "2026-01-01T00:10:00Z");
        for (ttl, end) in [
            ("90s", "2026-01-01T00:01:30Z"),
            ("1h30m", "2026-01-01T01:30:00Z"),
            ("2026-01-02", "2026-01-02T00:00:00Z"),
            ("2026-01-02T030405Z", "2026-01-02T03:04:05Z"),
            ("soon", ""),
        ] {
            let held = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "labels": {TTL: ttl}}});
            assert_eq!(said(end_of(&held)), end, "{ttl}");
        }
    }
}
