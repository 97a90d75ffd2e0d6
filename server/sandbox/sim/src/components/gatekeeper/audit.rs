//! Gatekeeper's audit: constraints judge what exists, and their statuses say what they find
//! (<https://open-policy-agent.github.io/gatekeeper/website/docs/audit/>).

use super::{
    super::in_cluster::InCluster,
    known::{self, Known},
};
use apiserver::Client;
use gatekeeper::{Origin, Review, Violation};
use jiff::Timestamp;
use machinery::{clock, gvr, object};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const POINT: &str = "audit.gatekeeper.sh";
/// Longest message in a status, in bytes.
const LONGEST: usize = 256;

/// One round over the cluster. `limit`: how many violations a status names. What could not be written is said.
pub async fn round(api: &InCluster<'_>, client: &Client, known: &Known, now: Timestamp, limit: usize) -> Vec<String> {
    let found = violations(client, known, now);
    let mut failures = Vec::new();
    for constraint in known::constraints(client) {
        let none = Vec::new();
        let own = found.get(&(object::kind(&constraint).to_owned(), object::name(&constraint).to_owned())).unwrap_or(&none);
        let status = json!({ "status": {
            "auditTimestamp": clock::rfc3339(now),
            "totalViolations": own.len(),
            "violations": own.iter().take(limit).collect::<Vec<_>>(),
        } });
        let scheme = client.scheme();
        let Some(resource) = scheme.for_kind(object::api_version(&constraint), object::kind(&constraint)) else { continue };
        let path = format!("/apis/{}/{}/{}/status", object::api_version(&constraint), resource.plural, object::name(&constraint));
        if let Err(refused) = api.call("PATCH", &path, Some(&status)).await {
            failures.push(format!("could not update constraint status of {}: {}", object::name(&constraint), refused.message));
        }
    }
    failures
}

/// By kind and name of the constraint, what a status says of each violation.
fn violations(client: &Client, known: &Known, now: Timestamp) -> BTreeMap<(String, String), Vec<Value>> {
    let mut found: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    let mut engine = known.engine.lock();
    known.fill(&mut engine, client, now);
    for (group, _, held) in client.everything() {
        let namespace = object::namespace(&held);
        let place = if object::kind(&held) == "Namespace" { object::name(&held) } else { namespace };
        if group.ends_with("gatekeeper.sh") || known.excludes("audit", place) {
            continue;
        }
        let own = (!namespace.is_empty()).then(|| client.get(gvr::NAMESPACES, "", namespace)).flatten();
        let review = Review::of_object(&held, Origin::Original).in_namespace(own.map(|own| Value::clone(&own)));
        match engine.review(&review, POINT) {
            Ok(violations) => violations.into_iter().for_each(|violation| {
                let constraint = (violation.kind.clone(), violation.name.clone());
                found.entry(constraint).or_default().push(written(&violation, &held));
            }),
            Err(error) => tracing::debug!(%error, object = object::name(&held), "an object could not be audited"),
        }
    }
    found
}

fn written(violation: &Violation, held: &Value) -> Value {
    let (group, version) = object::api_version(held).split_once('/').unwrap_or(("", object::api_version(held)));
    let end = (0..=LONGEST.min(violation.message.len())).rev().find(|end| violation.message.is_char_boundary(*end)).unwrap_or(0);
    let mut written = json!({
        "enforcementAction": violation.enforcement_action,
        "group": group,
        "version": version,
        "kind": object::kind(held),
        "name": object::name(held),
        "message": violation.message[..end],
    });
    if !object::namespace(held).is_empty() {
        written["namespace"] = json!(object::namespace(held));
    }
    if !violation.scoped_actions.is_empty() {
        written["enforcementActions"] = json!(violation.scoped_actions);
    }
    written
}
