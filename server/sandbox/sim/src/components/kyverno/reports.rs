//! Kyverno's reports controller: it judges what exists and writes a PolicyReport for each object, named by its uid
//! (<https://kyverno.io/docs/policy-reports/>).

use super::{
    super::in_cluster::{InCluster, Refused},
    policies,
    reach::{self, EVERY_GROUP, Filters},
};
use crate::shell::process::Process;
use apiserver::{ChangeKind, Changes, Client};
use jiff::Timestamp;
use kyverno::{Evidence, Policies, RuleResult, RuleType};
use machinery::{Gvr, object};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const GROUP: &str = "wgpolicyk8s.io";
const REPORTS: [Gvr; 2] = [Gvr::new(GROUP, "v1alpha2", "clusterpolicyreports"), Gvr::new(GROUP, "v1alpha2", "policyreports")];
const CATEGORY: &str = "policies.kyverno.io/category";
const SEVERITY: &str = "policies.kyverno.io/severity";
const SCORED: &str = "policies.kyverno.io/scored";

pub async fn run(process: &Process, api: &InCluster<'_>, client: &Client, namespace: &str) -> Result<i32, String> {
    for gvr in REPORTS {
        let asked = api.get(&format!("/apis/{GROUP}/{}/{}?limit=1", gvr.version, gvr.resource)).await;
        asked.map_err(|refused| match refused.code {
            404 => format!("failed to run sanity checks: CRD {}.{GROUP} is not installed", gvr.resource),
            _ => format!("failed to list {}.{GROUP}: {}", gvr.resource, refused.message),
        })?;
    }
    let changed = process.machine.announce.changes(EVERY_GROUP);
    let mut seen = None;
    loop {
        let now = client.resource_version();
        let concerned = concerned(client, seen);
        let judges = Judges::read(client, namespace, process.now());
        for held in concerned {
            if let Err(refused) = judges.report(process, api, client, &held).await {
                process.err(format!("{} ERR failed to report on {}: {}\n", process.now(), object::name(&held), refused.message)).await;
            }
        }
        seen = Some(now);
        tokio::select! {
            biased;
            signal = process.control.signalled() => return Ok(if signal == 9 { 137 } else { 0 }),
            () = changed.notified() => {}
        }
    }
}

/// The objects to judge anew: what changed, or all where the judges or the labels of namespaces did.
fn concerned(client: &Client, seen: Option<u64>) -> Vec<Arc<Value>> {
    let changes = match seen.map(|seen| client.changes_since(seen)) {
        Some(Changes::Since(changes)) => changes,
        Some(Changes::Expired) | None => return reach::everything(client),
    };
    let judges =
        |group: &str, resource: &str| matches!(group, policies::CLASSIC | policies::CEL) || matches!(resource, "namespaces" | "configmaps");
    if changes.iter().any(|change| judges(&change.group, &change.resource)) {
        return reach::everything(client);
    }
    let mut objects: Vec<Arc<Value>> = Vec::new();
    for change in changes.into_iter().filter(|change| &*change.group != GROUP) {
        objects.retain(|held| object::uid(held) != object::uid(&change.object));
        if change.kind != ChangeKind::Deleted {
            objects.push(change.object);
        }
    }
    objects
}

/// What a round of judging has in common.
struct Judges {
    filters: Filters,
    objects: Vec<Arc<Value>>,
    policies: Policies,
    evidence: Evidence,
}

impl Judges {
    fn read(client: &Client, namespace: &str, now: Timestamp) -> Self {
        let objects: Vec<Arc<Value>> = policies::list(client).into_iter().filter(|policy| scans(policy)).collect();
        let values: Vec<Value> = objects.iter().map(|policy| Value::clone(policy)).collect();
        let exceptions = policies::exceptions(client);
        let evidence = if values.iter().any(policies::asks_cluster) {
            reach::evidence(client, now, exceptions)
        } else {
            Evidence { now, namespaces: policies::namespaces(client), exceptions, ..Evidence::default() }
        };
        Self { filters: Filters::read(client, namespace), policies: Policies::read(&values), evidence, objects }
    }

    /// Brings the report on an object up to date.
    async fn report(&self, process: &Process, api: &InCluster<'_>, client: &Client, held: &Value) -> Result<(), Refused> {
        let group = object::api_version(held).split('/').next().unwrap_or_default();
        let own = [GROUP, policies::CLASSIC, policies::CEL, "events.k8s.io", "coordination.k8s.io"].contains(&group);
        if own || object::kind(held) == "Event" || object::is_terminating(held) || self.filters.hide(held) {
            return Ok(());
        }
        let results = if self.objects.is_empty() { Vec::new() } else { self.judge(process, held) };
        let kind = if object::namespace(held).is_empty() { "ClusterPolicyReport" } else { "PolicyReport" };
        let there = client.get(REPORTS[usize::from(kind == "PolicyReport")], object::namespace(held), object::uid(held));
        match there {
            Some(there) if results.is_empty() => reach::delete(api, client, &there, None).await,
            None if results.is_empty() => Ok(()),
            Some(there) if timeless(&there["results"]) == timeless(&json!(results)) => Ok(()),
            _ => {
                let wanted = of(kind, held, results);
                let Some(collection) = reach::collection(client, &wanted) else { return Ok(()) };
                api.put(&collection, &wanted).await.map(drop)
            }
        }
    }

    /// The results of a report, in the order of the real ones.
    fn judge(&self, process: &Process, held: &Value) -> Vec<Value> {
        let found = kyverno::apply(&self.policies, std::slice::from_ref(held), &self.evidence);
        let judging = found.iter().filter(|result| matches!(result.rule_type, RuleType::Validation | RuleType::ImageVerify));
        let mut results: Vec<Value> = judging.filter_map(|result| line(process, &self.objects, result)).collect();
        let by = |result: &Value| ["policy", "rule", "source"].map(|field| result[field].as_str().unwrap_or_default().to_owned());
        results.sort_by_key(by);
        results
    }
}

/// Results without when they were found.
fn timeless(results: &Value) -> Vec<Map<String, Value>> {
    let fields = |result: &Value| {
        let mut fields = result.as_object().cloned().unwrap_or_default();
        fields.remove("timestamp");
        fields
    };
    results.as_array().into_iter().flatten().map(fields).collect()
}

/// Whether a policy is asked about what exists.
fn scans(policy: &Value) -> bool {
    let spec = &policy["spec"];
    match object::api_version(policy).starts_with(policies::CEL) {
        true => object::kind(policy).ends_with("ValidatingPolicy") && spec["evaluation"]["background"]["enabled"] != false,
        false => {
            let judges = |rule: &Value| rule["validate"].is_object() || rule["verifyImages"].is_array();
            spec["background"] != false && spec["rules"].as_array().is_some_and(|rules| rules.iter().any(judges))
        }
    }
}

fn line(process: &Process, judges: &[Arc<Value>], result: &RuleResult) -> Option<Value> {
    let policy = judges.iter().find(|policy| object::kind(policy) == result.kind && policies::key(policy) == result.policy)?;
    let annotation = |name: &str| object::annotation(policy, name);
    let source = match object::kind(policy) {
        "ValidatingPolicy" | "NamespacedValidatingPolicy" => "KyvernoValidatingPolicy",
        "ImageValidatingPolicy" | "NamespacedImageValidatingPolicy" => "KyvernoImageValidatingPolicy",
        _ => "kyverno",
    };
    let mut properties = json!({ "process": "background scan" });
    if !result.exceptions.is_empty() {
        properties["exceptions"] = json!(result.exceptions.iter().filter_map(|key| key.rsplit('/').next()).collect::<Vec<_>>().join(","));
    }
    let mut line = json!({
        "policy": result.policy,
        "result": result.status,
        "scored": annotation(SCORED) != Some("false"),
        "source": source,
        "properties": properties,
        "timestamp": { "seconds": process.now().as_second(), "nanos": 0 },
    });
    let rule = result.generated_rule.as_ref().unwrap_or(&result.rule);
    let severities = ["critical", "high", "medium", "low", "info"];
    let written = [
        ("rule", Some(rule.as_str())),
        ("message", Some(result.message.as_str())),
        ("category", annotation(CATEGORY)),
        ("severity", annotation(SEVERITY).filter(|severity| severities.contains(severity))),
    ];
    for (name, text) in written {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            line[name] = json!(text);
        }
    }
    Some(line)
}

fn of(kind: &str, held: &Value, results: Vec<Value>) -> Value {
    let reference = |namespace: bool| {
        let mut reference = json!({ "apiVersion": object::api_version(held), "kind": object::kind(held), "name": object::name(held), "uid": object::uid(held) });
        if namespace && !object::namespace(held).is_empty() {
            reference["namespace"] = json!(object::namespace(held));
        }
        reference
    };
    let count = |status: &str| results.iter().filter(|result| result["result"] == status).count();
    let summary = ["pass", "fail", "warn", "error", "skip"].map(|status| (status.to_owned(), json!(count(status))));
    let mut report = json!({
        "apiVersion": format!("{GROUP}/v1alpha2"),
        "kind": kind,
        "metadata": {
            "name": object::uid(held),
            "labels": { "app.kubernetes.io/managed-by": "kyverno" },
            "ownerReferences": [reference(false)],
        },
        "scope": reference(true),
        "summary": Value::Object(summary.into_iter().collect()),
        "results": results,
    });
    if kind == "PolicyReport" {
        object::set_meta(&mut report, "namespace", object::namespace(held));
    }
    report
}
