//! Kyverno's background controller: what rules generate, and what they change of objects that exist
//! (<https://kyverno.io/docs/policy-types/cluster-policy/generate/>).
//!
//! ```text
//! changes ──triggers──► kyverno::apply ──generated, targets──► API server
//!    └──downstream objects that changed or are gone ──their triggers──┘
//! ```
//!
//! The real controller keeps what it has to do in UpdateRequests; here it is done at once. Who asked is not known any more, so that matches by
//! user do not count.

use super::{
    super::in_cluster::InCluster,
    policies::{self, CEL, CLASSIC},
    reach::{self, EVERY_GROUP, Filters},
};
use crate::shell::process::Process;
use apiserver::{Change, ChangeKind, Changes, Client};
use kyverno::{Policies, RuleResult, RuleType, Status};
use machinery::{Gvr, object};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// What decides on objects that exist; of each kind the first version that is served counts.
const KINDS: &[&[Gvr]] = &[
    &[Gvr::new(CLASSIC, "v1", "clusterpolicies")],
    &[Gvr::new(CLASSIC, "v1", "policies")],
    &[Gvr::new(CEL, "v1", "mutatingpolicies"), Gvr::new(CEL, "v1beta1", "mutatingpolicies"), Gvr::new(CEL, "v1alpha1", "mutatingpolicies")],
    &[
        Gvr::new(CEL, "v1", "generatingpolicies"),
        Gvr::new(CEL, "v1beta1", "generatingpolicies"),
        Gvr::new(CEL, "v1alpha1", "generatingpolicies"),
    ],
    &[Gvr::new(CEL, "v1", "namespacedgeneratingpolicies"), Gvr::new(CEL, "v1beta1", "namespacedgeneratingpolicies")],
];
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const POLICY: &str = "generate.kyverno.io/policy-name";
const RULE: &str = "generate.kyverno.io/rule-name";
const TRIGGER: &str = "generate.kyverno.io/trigger-uid";

pub async fn run(process: &Process, api: &InCluster<'_>, client: &Client, namespace: &str) -> i32 {
    let changed = process.machine.announce.changes(EVERY_GROUP);
    let mut controller = Background::default();
    for held in reach::everything(client) {
        controller.known.insert(object::uid(&held).to_owned(), content(&held));
    }
    controller.seen = client.resource_version();
    loop {
        for why in controller.pass(process, api, client, namespace).await {
            process.err(format!("{} ERR {why}\n", process.now())).await;
        }
        tokio::select! {
            biased;
            signal = process.control.signalled() => return if signal == 9 { 137 } else { 0 },
            () = changed.notified() => {}
        }
    }
}

#[derive(Debug, Default)]
struct Background {
    seen: u64,
    /// What of each object can be a trigger's change, by uid.
    known: HashMap<String, u64>,
    /// Policies as they were, by kind and name.
    policies: BTreeMap<(String, String), Arc<Value>>,
}

/// Policies, a trigger, and what happened to it.
type Task = (Arc<Policies>, Arc<Value>, &'static str);

impl Background {
    /// Does what the changes since the last pass ask for; what could not be done is said.
    async fn pass(&mut self, process: &Process, api: &InCluster<'_>, client: &Client, namespace: &str) -> Vec<String> {
        let now = client.resource_version();
        let changes = match client.changes_since(self.seen) {
            Changes::Since(changes) => changes,
            Changes::Expired => Vec::new(),
        };
        self.seen = now;
        let triggers = self.triggers(&changes);
        let key = |policy: &Value| (object::kind(policy).to_owned(), policies::key(policy));
        let policies: BTreeMap<_, _> = reach::newest(client, KINDS)
            .into_iter()
            .filter(|(_, policy)| !object::is_terminating(policy) && acts(policy))
            .map(|(_, policy)| (key(&policy), policy))
            .collect();
        let before = std::mem::replace(&mut self.policies, policies.clone());
        let same = policies.len() == before.len()
            && policies.iter().all(|(key, policy)| before.get(key).is_some_and(|b| b["spec"] == policy["spec"]));
        let nothing_to_do = triggers.is_empty() && !changes.iter().any(|change| change.kind == ChangeKind::Deleted);
        if policies.is_empty() && before.is_empty() || same && nothing_to_do {
            return Vec::new();
        }
        let filters = Filters::read(client, namespace);
        let all: Vec<Arc<Value>> = reach::everything(client).into_iter().filter(|held| !filters.hide(held)).collect();
        let mut failures = Vec::new();
        for gone in before.iter().filter(|(key, _)| !policies.contains_key(*key)).map(|(_, policy)| policy) {
            remove(api, client, &all, &mut failures, |held| is_made_by(held, gone) && goes_with(gone, label(held, RULE))).await;
        }
        for change in changes.iter().filter(|change| change.kind == ChangeKind::Deleted) {
            let is_left = |held: &Value| {
                let policy = policies.values().find(|policy| is_made_by(held, policy));
                label(held, TRIGGER) == object::uid(&change.object) && policy.is_some_and(|policy| synchronizes(policy, label(held, RULE)))
            };
            remove(api, client, &all, &mut failures, is_left).await;
        }
        let mut tasks = Vec::new();
        for (key, policy) in &policies {
            let known = before.get(key);
            if known.is_none_or(|known| known["spec"] != policy["spec"]) {
                let existing = read(policy, existing);
                tasks
                    .extend(all.iter().filter(|_| existing.is_some()).filter_map(|held| Some((existing.clone()?, held.clone(), "CREATE"))));
                let synced = read(policy, synchronizes).filter(|_| known.is_some());
                let of_policy = all.iter().filter(|held| is_made_by(held, policy));
                tasks.extend(of_policy.filter_map(|held| Some((synced.clone()?, by_uid(&all, label(held, TRIGGER))?, "UPDATE"))));
            }
        }
        tasks.extend(again(&policies, &changes, &all));
        // A policy sees what comes after it.
        let new = |policy: &Value| !before.contains_key(&key(policy));
        let is_policy =
            |change: &&Change| change.kind == ChangeKind::Added && policies.contains_key(&key(&change.object)) && new(&change.object);
        let latest = changes.iter().filter(is_policy).map(|change| change.resource_version).max().unwrap_or(0);
        let all_of = |new_ones: bool| {
            let objects: Vec<Value> =
                policies.values().filter(|policy| new_ones || !new(policy)).map(|policy| Value::clone(policy)).collect();
            Arc::new(Policies::read(&objects))
        };
        let (known, every) = (all_of(false), all_of(true));
        for (held, operation, at) in triggers.into_iter().filter(|(held, ..)| !filters.hide(held)) {
            tasks.push((if at > latest { every.clone() } else { known.clone() }, held, operation));
        }
        if !tasks.is_empty() {
            work(process, api, client, tasks, &mut failures).await;
        }
        failures
    }

    /// Objects that came or changed, and when. What only their status says is no change.
    fn triggers(&mut self, changes: &[Change]) -> Vec<(Arc<Value>, &'static str, u64)> {
        let mut triggers: HashMap<String, (Arc<Value>, &'static str, u64)> = HashMap::default();
        for change in changes {
            let uid = object::uid(&change.object).to_owned();
            let own = matches!(&*change.group, CLASSIC | CEL | "events.k8s.io" | "coordination.k8s.io" | "wgpolicyk8s.io")
                || &*change.resource == "events";
            if change.kind == ChangeKind::Deleted {
                self.known.remove(&uid);
                triggers.remove(&uid);
                continue;
            }
            let content = content(&change.object);
            let before = self.known.insert(uid.clone(), content);
            if own || before == Some(content) || object::is_terminating(&change.object) {
                continue;
            }
            let operation = if before.is_none() { "CREATE" } else { "UPDATE" };
            let trigger = triggers.entry(uid).or_insert((change.object.clone(), operation, 0));
            (trigger.0, trigger.2) = (change.object.clone(), change.resource_version);
        }
        let mut triggers: Vec<_> = triggers.into_values().collect();
        triggers.sort_by_key(|(.., at)| *at);
        triggers
    }
}

async fn work(process: &Process, api: &InCluster<'_>, client: &Client, tasks: Vec<Task>, failures: &mut Vec<String>) {
    let mut evidence = reach::evidence(client, process.now(), policies::exceptions(client));
    for (policies, trigger, operation) in tasks {
        evidence.values.global.insert("request.operation".to_owned(), json!(operation));
        for result in kyverno::apply(&policies, std::slice::from_ref(&*trigger), &evidence) {
            for wanted in written(&result, &trigger) {
                if let Err(refused) = reach::write(api, client, &wanted).await {
                    let (policy, name) = (&result.policy, object::name(&wanted));
                    failures.push(format!("policy {policy}: failed to write {} {name}: {}", object::kind(&wanted), refused.message));
                }
            }
            if result.status == Status::Error {
                failures.push(format!("policy {} rule {}: {}", result.policy, result.rule, result.message));
            }
        }
    }
}

/// What a result asks to be written.
fn written(result: &RuleResult, trigger: &Value) -> Vec<Value> {
    match result.rule_type {
        RuleType::Mutation => result.targets.clone(),
        RuleType::Generation => {
            let in_cel = result.kind.ends_with("GeneratingPolicy");
            let made = result.generated.iter().cloned();
            made.map(|made| if in_cel { labelled(made, &result.policy, trigger) } else { made }).collect()
        }
        _ => Vec::new(),
    }
}

/// The triggers of what synchronized rules have made and others have changed or deleted, and of clones whose source may have changed.
fn again(policies: &BTreeMap<(String, String), Arc<Value>>, changes: &[Change], all: &[Arc<Value>]) -> Vec<Task> {
    let mut tasks = Vec::new();
    for policy in policies.values() {
        let Some(synced) = read(policy, synchronizes) else { continue };
        let clones = policy["spec"].to_string().contains("\"clone");
        let is_source = |change: &Change| clones && change.kind == ChangeKind::Modified && label(&change.object, POLICY).is_empty();
        let mut uids: Vec<&str> = changes
            .iter()
            .filter(|change| change.kind != ChangeKind::Added && is_made_by(&change.object, policy))
            .map(|change| label(&change.object, TRIGGER))
            .collect();
        if changes.iter().any(is_source) {
            uids.extend(all.iter().filter(|held| is_made_by(held, policy)).map(|held| label(held, TRIGGER)));
        }
        uids.sort_unstable();
        uids.dedup();
        tasks.extend(uids.into_iter().filter_map(|uid| Some((synced.clone(), by_uid(all, uid)?, "UPDATE"))));
    }
    tasks
}

async fn remove(api: &InCluster<'_>, client: &Client, all: &[Arc<Value>], failures: &mut Vec<String>, goes: impl Fn(&Value) -> bool) {
    for held in all.iter().filter(|held| !label(held, POLICY).is_empty() && !object::is_terminating(held) && goes(held)) {
        if let Err(refused) = reach::delete(api, client, held, None).await {
            failures.push(format!("failed to delete {} {}: {}", object::kind(held), object::name(held), refused.message));
        }
    }
}

fn label<'a>(held: &'a Value, name: &str) -> &'a str {
    held["metadata"]["labels"][name].as_str().unwrap_or_default()
}

fn is_made_by(held: &Value, policy: &Value) -> bool {
    let namespace = label(held, "generate.kyverno.io/policy-namespace");
    label(held, POLICY) == object::name(policy) && (namespace.is_empty() || namespace == object::namespace(policy))
}

fn by_uid(all: &[Arc<Value>], uid: &str) -> Option<Arc<Value>> {
    all.iter().find(|held| !uid.is_empty() && object::uid(held) == uid).cloned()
}

fn rules(policy: &Value) -> &[Value] {
    policy["spec"]["rules"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Whether a policy is about what the background controller does.
fn acts(policy: &Value) -> bool {
    match object::kind(policy) {
        "MutatingPolicy" => policy["spec"]["evaluation"]["mutateExisting"]["enabled"] == true,
        "GeneratingPolicy" | "NamespacedGeneratingPolicy" => true,
        _ => rules(policy).iter().any(is_background),
    }
}

fn is_background(rule: &Value) -> bool {
    rule["generate"].is_object() || rule["mutate"]["targets"].is_array()
}

/// Whether what a rule makes is kept as the rule says.
fn synchronizes(policy: &Value, rule: &str) -> bool {
    match rules(policy).iter().find(|held| held["name"] == rule) {
        Some(rule) => rule["generate"]["synchronize"] == true,
        None => policy["spec"]["evaluation"]["synchronize"]["enabled"] == true,
    }
}

/// Whether a rule is about what exists when its policy comes or changes.
fn existing(policy: &Value, rule: &str) -> bool {
    let spec = &policy["spec"];
    match rules(policy).iter().find(|held| held["name"] == rule) {
        Some(rule) => {
            let generate = &rule["generate"]["generateExisting"];
            let mutate = &rule["mutate"]["mutateExistingOnPolicyUpdate"];
            let says = |own: &Value, general: &Value| own == true || (own.is_null() && general == true);
            (rule["generate"].is_object() && says(generate, &spec["generateExisting"]))
                || (rule["mutate"].is_object() && says(mutate, &spec["mutateExistingOnPolicyUpdate"]))
        }
        None => spec["evaluation"]["generateExisting"]["enabled"] == true || spec["evaluation"]["mutateExisting"]["enabled"] == true,
    }
}

/// Whether what a rule made is deleted with its policy: data is, unless the rule says otherwise, and what was cloned stays.
fn goes_with(policy: &Value, rule: &str) -> bool {
    let spec = &policy["spec"];
    match rules(policy).iter().find(|held| held["name"] == rule).map(|rule| &rule["generate"]) {
        Some(generate) => {
            let is_data = generate["data"].is_object() || generate["foreach"][0]["data"].is_object();
            generate["synchronize"] == true && is_data && generate["orphanDownstreamOnPolicyDelete"] != true
        }
        None => synchronizes(policy, rule) && spec["evaluation"]["orphanDownstreamOnPolicyDelete"]["enabled"] != true,
    }
}

/// The policy with those of its rules that are so; none where no rule is.
fn read(policy: &Value, is_so: fn(&Value, &str) -> bool) -> Option<Arc<Policies>> {
    let mut part = policy.clone();
    if part["spec"]["rules"].is_array() {
        let is_so = |rule: &&Value| is_background(rule) && is_so(policy, rule["name"].as_str().unwrap_or_default());
        let kept: Vec<Value> = rules(policy).iter().filter(is_so).cloned().collect();
        part["spec"]["rules"] = json!(kept);
        if kept.is_empty() {
            return None;
        }
    } else if !is_so(policy, "") {
        return None;
    }
    Some(Arc::new(Policies::read(std::slice::from_ref(&part))))
}

/// What a policy in CEL makes says where it comes from, too.
fn labelled(mut made: Value, policy: &str, trigger: &Value) -> Value {
    let (group, version) = object::api_version(trigger).split_once('/').unwrap_or(("", object::api_version(trigger)));
    let of_trigger = [
        ("trigger-name", object::name(trigger)),
        ("trigger-namespace", object::namespace(trigger)),
        ("trigger-uid", object::uid(trigger)),
        ("trigger-kind", object::kind(trigger)),
        ("trigger-group", group),
        ("trigger-version", version),
    ];
    let labels = &mut made["metadata"]["labels"];
    if !labels.is_object() {
        *labels = json!({});
    }
    labels[MANAGED_BY] = json!("kyverno");
    labels[POLICY] = json!(policy.rsplit('/').next());
    for (name, value) in of_trigger {
        labels[format!("generate.kyverno.io/{name}")] = json!(value);
    }
    made
}

/// What of an object makes it another trigger.
fn content(held: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, value) in held.as_object().into_iter().flatten().filter(|(name, _)| *name != "status") {
        match (name.as_str(), value.as_object()) {
            ("metadata", Some(fields)) => fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "resourceVersion" | "managedFields" | "generation"))
                .for_each(|(name, value)| (name, value.to_string()).hash(&mut hasher)),
            _ => (name, value.to_string()).hash(&mut hasher),
        }
    }
    hasher.finish()
}
