//! The policies of the cluster, sorted by which webhook asks about them.

use apiserver::Client;
use kyverno::Policies;
use machinery::{Gvr, gvr, object};
use serde_json::{Value, json};
use std::sync::Arc;

pub const CLASSIC: &str = "kyverno.io";
pub const CEL: &str = "policies.kyverno.io";
/// Groups whose changes matter: policies, and the configurations that are made of them.
pub const GROUPS: &[&str] = &[CLASSIC, CEL, "admissionregistration.k8s.io"];

/// Every kind that decides on requests, newest version first; of each kind the first version that is served counts.
const KINDS: &[&[Gvr]] = &[
    &[Gvr::new(CLASSIC, "v1", "clusterpolicies")],
    &[Gvr::new(CLASSIC, "v1", "policies")],
    &[
        Gvr::new(CEL, "v1", "validatingpolicies"),
        Gvr::new(CEL, "v1beta1", "validatingpolicies"),
        Gvr::new(CEL, "v1alpha1", "validatingpolicies"),
    ],
    &[Gvr::new(CEL, "v1", "mutatingpolicies"), Gvr::new(CEL, "v1beta1", "mutatingpolicies"), Gvr::new(CEL, "v1alpha1", "mutatingpolicies")],
    &[
        Gvr::new(CEL, "v1", "imagevalidatingpolicies"),
        Gvr::new(CEL, "v1beta1", "imagevalidatingpolicies"),
        Gvr::new(CEL, "v1alpha1", "imagevalidatingpolicies"),
    ],
    &[Gvr::new(CEL, "v1", "namespacedvalidatingpolicies"), Gvr::new(CEL, "v1beta1", "namespacedvalidatingpolicies")],
    &[Gvr::new(CEL, "v1", "namespacedmutatingpolicies"), Gvr::new(CEL, "v1beta1", "namespacedmutatingpolicies")],
    &[Gvr::new(CEL, "v1", "namespacedimagevalidatingpolicies"), Gvr::new(CEL, "v1beta1", "namespacedimagevalidatingpolicies")],
];
const EXCEPTIONS: &[&[Gvr]] = &[
    &[Gvr::new(CLASSIC, "v2", "policyexceptions"), Gvr::new(CLASSIC, "v2beta1", "policyexceptions")],
    &[Gvr::new(CEL, "v1", "policyexceptions"), Gvr::new(CEL, "v1beta1", "policyexceptions"), Gvr::new(CEL, "v1alpha1", "policyexceptions")],
];

/// Who asks: which webhook of which group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Mutate,
    Validate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    pub phase: Phase,
    pub cel: bool,
    /// `failurePolicy` of the policies that are asked about.
    pub ignore: bool,
}

impl Asked {
    /// All webhooks that there can be.
    pub fn all() -> impl Iterator<Item = Self> {
        let both = [false, true];
        [Phase::Mutate, Phase::Validate]
            .into_iter()
            .flat_map(move |phase| both.into_iter().flat_map(move |cel| both.into_iter().map(move |ignore| Self { phase, cel, ignore })))
    }

    pub fn path(self) -> String {
        let phase = if self.phase == Phase::Mutate { "mutate" } else { "validate" };
        let kinds = match (self.cel, self.phase) {
            (false, _) => String::new(),
            (true, Phase::Mutate) => "/policies/mpol".to_owned(),
            (true, Phase::Validate) => "/policies/vpol".to_owned(),
        };
        format!("{kinds}/{phase}/{}", if self.ignore { "ignore" } else { "fail" })
    }

    pub fn of_path(path: &str) -> Option<Self> {
        Self::all().find(|asked| asked.path() == path)
    }

    pub fn webhook(self) -> String {
        let phase = if self.phase == Phase::Mutate { "mutate" } else { "validate" };
        let kinds = match (self.cel, self.phase) {
            (false, _) => "",
            (true, Phase::Mutate) => "mpol.",
            (true, Phase::Validate) => "vpol.",
        };
        format!("{kinds}{phase}.kyverno.svc-{}", if self.ignore { "ignore" } else { "fail" })
    }
}

/// Everything that webhooks are answered with, as of one version of the cluster.
#[derive(Debug)]
pub struct Known {
    by_webhook: Vec<(Asked, Vec<Arc<Value>>, Policies)>,
    pub exceptions: Vec<Value>,
    /// Some rule asks the cluster for objects.
    pub asks_cluster: bool,
}

impl Known {
    pub fn read(client: &Client) -> Self {
        let all = list(client);
        let by_webhook = Asked::all().map(|asked| {
            let taken: Vec<_> = all.iter().filter_map(|policy| part(policy, asked)).collect();
            let objects: Vec<Value> = taken.iter().map(|policy| Value::clone(policy)).collect();
            (asked, taken, Policies::read(&objects))
        });
        let asks_cluster = all.iter().any(|policy| asks_cluster(policy));
        Self { by_webhook: by_webhook.collect(), exceptions: exceptions(client), asks_cluster }
    }

    /// The policies that a webhook is answered with: as objects, and compiled.
    pub fn of(&self, asked: Asked) -> Option<(&[Arc<Value>], &Policies)> {
        let found = self.by_webhook.iter().find(|(held, ..)| *held == asked)?;
        Some((&found.1, &found.2))
    }
}

/// What is served of a kind, in the first version that has objects.
pub fn newest(client: &Client, versions: &[Gvr]) -> Vec<(Gvr, Arc<Value>)> {
    let of = |gvr: &Gvr| client.list(*gvr, None).into_iter().map(|object| (*gvr, object)).collect::<Vec<_>>();
    versions.iter().map(of).find(|found| !found.is_empty()).unwrap_or_default()
}

/// Every policy, with the resource that it is served as.
pub fn with_resources(client: &Client) -> Vec<(Gvr, Arc<Value>)> {
    KINDS.iter().flat_map(|versions| newest(client, versions)).collect()
}

/// Exceptions of both groups.
pub fn exceptions(client: &Client) -> Vec<Value> {
    EXCEPTIONS.iter().flat_map(|versions| newest(client, versions)).map(|(_, object)| Value::clone(&object)).collect()
}

/// Whether some rule of a policy may ask the cluster for objects.
pub fn asks_cluster(policy: &Value) -> bool {
    let text = policy["spec"].to_string();
    ["configMap", "apiCall", "globalReference", "resource.", "globalContext.", "\"targets\""].iter().any(|word| text.contains(word))
}

/// A policy as results name it.
pub fn key(policy: &Value) -> String {
    match object::namespace(policy) {
        "" => object::name(policy).to_owned(),
        namespace => format!("{namespace}/{}", object::name(policy)),
    }
}

pub fn list(client: &Client) -> Vec<Arc<Value>> {
    with_resources(client).into_iter().map(|(_, policy)| policy).collect()
}

fn ignores(policy: &Value) -> bool {
    let spec = &policy["spec"];
    let written = [&spec["webhookConfiguration"]["failurePolicy"], &spec["failurePolicy"]];
    written.into_iter().find(|value| value.is_string()).is_some_and(|value| value == "Ignore")
}

/// What a webhook sees of a policy: the rules that are its business.
pub fn part(policy: &Arc<Value>, asked: Asked) -> Option<Arc<Value>> {
    let cel = policy["apiVersion"].as_str().is_some_and(|version| version.starts_with("policies."));
    if cel != asked.cel || ignores(policy) != asked.ignore || object::is_terminating(policy) {
        return None;
    }
    if policy["spec"]["admission"] == false || policy["spec"]["evaluation"]["admission"]["enabled"] == false {
        return None;
    }
    if cel {
        let mutates = policy["kind"].as_str().is_some_and(|kind| kind.ends_with("MutatingPolicy"));
        if mutates != (asked.phase == Phase::Mutate) {
            return None;
        }
        // What exists is the background controller's.
        let mut part = Arc::clone(policy);
        if !policy["spec"]["evaluation"]["mutateExisting"].is_null() {
            Arc::make_mut(&mut part)["spec"]["evaluation"]["mutateExisting"] = Value::Null;
        }
        return Some(part);
    }
    let is_for = |rule: &Value| {
        let has = |name: &str| {
            rule[name].as_object().is_some_and(|part| !part.is_empty()) || rule[name].as_array().is_some_and(|part| !part.is_empty())
        };
        match asked.phase {
            // Rules about existing objects are the background controller's.
            Phase::Mutate => (has("mutate") && rule["mutate"]["targets"].is_null()) || has("verifyImages"),
            Phase::Validate => has("validate") || has("verifyImages"),
        }
    };
    let rules: Vec<Value> = policy["spec"]["rules"].as_array()?.iter().filter(|rule| is_for(rule)).cloned().collect();
    if rules.is_empty() {
        return None;
    }
    let mut part = Value::clone(policy);
    part["spec"]["rules"] = json!(rules);
    Some(Arc::new(part))
}

/// Namespaces by name, as evidence holds them.
pub fn namespaces(client: &Client) -> std::collections::BTreeMap<String, Value> {
    client
        .list(gvr::NAMESPACES, None)
        .into_iter()
        .map(|namespace| (object::name(&namespace).to_owned(), Value::clone(&namespace)))
        .collect()
}
