//! What Gatekeeper's webhooks judge by, as of one version of the cluster.

use apiserver::Client;
use gatekeeper::{Engine, mutation::System};
use jiff::Timestamp;
use machinery::{Gvr, object};
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;

const CONSTRAINTS: &str = "constraints.gatekeeper.sh";
/// Groups whose changes matter: what decides, and what is made of it.
pub const GROUPS: &[&str] = &[
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "config.gatekeeper.sh",
    CONSTRAINTS,
    "mutations.gatekeeper.sh",
    "templates.gatekeeper.sh",
];
/// The groups of it that the webhooks judge by.
pub const JUDGES: &[&str] =
    &["apiextensions.k8s.io", "config.gatekeeper.sh", CONSTRAINTS, "mutations.gatekeeper.sh", "templates.gatekeeper.sh"];

/// Versions of a kind, the newest first; the first that is served counts.
pub type Versions = &'static [Gvr];

pub const TEMPLATES: Versions = &[
    Gvr::new("templates.gatekeeper.sh", "v1", "constrainttemplates"),
    Gvr::new("templates.gatekeeper.sh", "v1beta1", "constrainttemplates"),
];
const CONFIG: Versions = &[Gvr::new("config.gatekeeper.sh", "v1alpha1", "configs")];
const MUTATORS: &[Versions] = &[
    &[Gvr::new("mutations.gatekeeper.sh", "v1", "assign"), Gvr::new("mutations.gatekeeper.sh", "v1beta1", "assign")],
    &[Gvr::new("mutations.gatekeeper.sh", "v1", "assignmetadata"), Gvr::new("mutations.gatekeeper.sh", "v1beta1", "assignmetadata")],
    &[Gvr::new("mutations.gatekeeper.sh", "v1", "modifyset"), Gvr::new("mutations.gatekeeper.sh", "v1beta1", "modifyset")],
    &[Gvr::new("mutations.gatekeeper.sh", "v1alpha1", "assignimage")],
];

pub fn list(client: &Client, versions: Versions) -> Vec<Arc<Value>> {
    versions.iter().map(|gvr| client.list(*gvr, None)).find(|found| !found.is_empty()).unwrap_or_default()
}

#[derive(Debug)]
pub struct Known {
    pub engine: Mutex<Engine>,
    pub mutators: System,
    /// Group, version and kind of what `data.inventory` is to hold.
    synced: Vec<[String; 3]>,
    /// Of the Config: process and namespace, where a star may stand.
    excluded: Vec<(String, String)>,
}

impl Known {
    pub fn read(client: &Client) -> Self {
        let mut engine = Engine::default();
        for template in list(client, TEMPLATES) {
            // What is wrong with one stands in its status.
            let _ = engine.add_template(&template);
        }
        for constraint in constraints(client) {
            if let Err(invalid) = engine.check_constraint(&constraint).and_then(|()| engine.add_constraint(&constraint)) {
                tracing::debug!(constraint = object::name(&constraint), findings = ?invalid.findings(), "a constraint is passed over");
            }
        }
        let mut mutators = System::default();
        for mutator in MUTATORS.iter().flat_map(|versions| list(client, versions)) {
            let _ = mutators.add(&mutator);
        }
        let configuration = list(client, CONFIG).into_iter().find(|config| object::name(config) == "config").unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entries = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let synced = entries(&configuration["spec"]["sync"]["syncOnly"]);
        let synced = synced.iter().map(|kind| ["group", "version", "kind"].map(|field| text(&kind[field]))).collect();
        let mut excluded = Vec::new();
        for entry in entries(&configuration["spec"]["match"]) {
            for process in entries(&entry["processes"]) {
                excluded.extend(entries(&entry["excludedNamespaces"]).iter().map(|namespace| (text(&process), text(namespace))));
            }
        }
        Self { engine: Mutex::new(engine), mutators, synced, excluded }
    }

    /// The time, and the objects that the Config has synced.
    pub fn fill(&self, engine: &mut Engine, client: &Client, now: Timestamp) {
        let now = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
        *engine = std::mem::take(engine).at_time(now);
        if self.synced.is_empty() {
            return;
        }
        let is_synced = |object: &Value| {
            let (group, version) = object::api_version(object).split_once('/').unwrap_or(("", object::api_version(object)));
            self.synced.iter().any(|kind| kind.each_ref().map(String::as_str) == [group, version, object::kind(object)])
        };
        engine.clear_data();
        for (_, _, held) in client.everything().iter().filter(|(_, _, held)| is_synced(held)) {
            if let Err(why) = engine.add_data(held) {
                tracing::debug!(why, "an object is left out of Gatekeeper's inventory");
            }
        }
    }

    /// Whether the Config keeps a process (`audit`, `webhook`, `mutation-webhook`) away from a namespace.
    pub fn excludes(&self, process: &str, namespace: &str) -> bool {
        let is_process = |held: &str| held == "*" || held == process;
        self.excluded.iter().any(|(held, pattern)| is_process(held) && glob(pattern, namespace))
    }
}

/// A star at the beginning or the end of a pattern.
pub fn glob(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => text.contains(pattern.trim_matches('*')),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => pattern == text,
    }
}

/// All constraints, of whatever kind.
pub fn constraints(client: &Client) -> Vec<Arc<Value>> {
    client.everything().into_iter().filter(|(group, ..)| &**group == CONSTRAINTS).map(|(_, _, object)| object).collect()
}
