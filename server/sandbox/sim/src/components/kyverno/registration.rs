//! The webhook configurations that Kyverno makes of the policies: which requests it is asked about, and what an answer that does not
//! come means.

use super::{
    super::review::Authority,
    policies::{self, Asked, Phase},
};
use apiserver::Client;
use machinery::{Gvr, Scheme, gvr};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const GROUP: &str = "admissionregistration.k8s.io";
const MUTATING: Gvr = Gvr::new(GROUP, "v1", "mutatingwebhookconfigurations");
const VALIDATING: Gvr = Gvr::new(GROUP, "v1", "validatingwebhookconfigurations");
const RESOURCE_MUTATING: &str = "kyverno-resource-mutating-webhook-cfg";
const RESOURCE_VALIDATING: &str = "kyverno-resource-validating-webhook-cfg";
const POLICY_VALIDATING: &str = "kyverno-policy-validating-webhook-cfg";
/// All configurations that it owns.
pub const NAMES: [(Gvr, &str); 3] = [(MUTATING, RESOURCE_MUTATING), (VALIDATING, POLICY_VALIDATING), (VALIDATING, RESOURCE_VALIDATING)];

pub const VALIDATE_POLICY: &str = "/policyvalidate";
const TIMEOUT: i64 = 10;
/// Kinds that rules about pods are generated for as well.
const CONTROLLERS: &[&str] = &[
    "apps/v1/DaemonSet",
    "apps/v1/Deployment",
    "apps/v1/ReplicaSet",
    "apps/v1/StatefulSet",
    "batch/v1/CronJob",
    "batch/v1/Job",
    "v1/ReplicationController",
];

pub struct Registration {
    pub namespace: String,
    pub service: String,
    pub authority: Authority,
}

/// Resources by group and version.
type Resources = BTreeMap<(String, String), BTreeSet<String>>;

/// What one webhook is asked about.
#[derive(Debug, Default)]
struct Scope {
    resources: Resources,
    operations: BTreeSet<String>,
    timeout: i64,
}

impl Registration {
    pub fn configurations(&self, client: &Client) -> Vec<(Gvr, Value)> {
        let all = policies::list(client);
        let scheme = client.scheme();
        let selector = selector(client, &self.namespace);
        let mut mutating = Vec::new();
        let mut validating = Vec::new();
        for asked in Asked::all() {
            let mut scope = Scope::default();
            for policy in &all {
                if let Some(part) = policies::part(policy, asked) {
                    scope.cover(&part, asked, &scheme);
                }
            }
            if !scope.resources.is_empty() {
                let webhook = self.webhook(&asked.webhook(), &asked.path(), asked, &scope, &selector);
                if asked.phase == Phase::Mutate { mutating.push(webhook) } else { validating.push(webhook) }
            }
        }
        let mut own = Scope { timeout: TIMEOUT, ..Scope::default() };
        own.operations.extend(["CREATE", "UPDATE"].map(str::to_owned));
        own.resources.insert((policies::CLASSIC.to_owned(), "*".to_owned()), ["clusterpolicies", "policies"].map(str::to_owned).into());
        let asked = Asked { phase: Phase::Validate, cel: false, ignore: false };
        let own = self.webhook("validate-policy.kyverno.svc", VALIDATE_POLICY, asked, &own, &json!({}));
        let configuration = |gvr: Gvr, kind: &str, name: &str, webhooks: Vec<Value>| {
            let metadata = json!({"name": name, "labels": {"webhook.kyverno.io/managed-by": "kyverno"}});
            (gvr, json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata, "webhooks": webhooks}))
        };
        vec![
            configuration(MUTATING, "MutatingWebhookConfiguration", RESOURCE_MUTATING, mutating),
            configuration(VALIDATING, "ValidatingWebhookConfiguration", POLICY_VALIDATING, vec![own]),
            configuration(VALIDATING, "ValidatingWebhookConfiguration", RESOURCE_VALIDATING, validating),
        ]
    }

    /// With all defaults, so that it can be compared with what is stored.
    fn webhook(&self, name: &str, path: &str, asked: Asked, scope: &Scope, selector: &Value) -> Value {
        let rules: Vec<Value> = scope
            .resources
            .iter()
            .map(|((group, version), resources)| {
                json!({"apiGroups": [group], "apiVersions": [version], "operations": scope.operations, "resources": resources, "scope": "*"})
            })
            .collect();
        let mut webhook = json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "NoneOnDryRun",
            "failurePolicy": if asked.ignore { "Ignore" } else { "Fail" }, "matchPolicy": "Equivalent", "timeoutSeconds": scope.timeout,
            "namespaceSelector": selector, "objectSelector": {}, "rules": rules,
            "clientConfig": {
                "caBundle": self.authority.bundle(),
                "service": {"namespace": self.namespace, "name": self.service, "path": path, "port": 443},
            },
        });
        if asked.phase == Phase::Mutate {
            webhook["reinvocationPolicy"] = "IfNeeded".into();
        }
        webhook
    }
}

/// `webhooks` of Kyverno's ConfigMap: which namespaces are asked about.
fn selector(client: &Client, namespace: &str) -> Value {
    let configuration = client.get(gvr::CONFIG_MAPS, namespace, "kyverno");
    let written = configuration.as_ref().and_then(|held| held["data"]["webhooks"].as_str()).unwrap_or_default();
    let parsed: Value = serde_json::from_str(written).unwrap_or_default();
    let first = if parsed.is_array() { &parsed[0] } else { &parsed };
    if first["namespaceSelector"].is_object() { first["namespaceSelector"].clone() } else { json!({}) }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

impl Scope {
    fn cover(&mut self, policy: &Arc<Value>, asked: Asked, scheme: &Scheme) {
        let spec = &policy["spec"];
        let timeout = spec["webhookConfiguration"]["timeoutSeconds"].as_i64().or(spec["webhookTimeoutSeconds"].as_i64()).unwrap_or(TIMEOUT);
        self.timeout = self.timeout.max(timeout);
        if asked.cel {
            for rule in spec["matchConstraints"]["resourceRules"].as_array().into_iter().flatten() {
                self.operations.extend(texts(&rule["operations"]).map(str::to_owned));
                for (group, version) in texts(&rule["apiGroups"]).flat_map(|g| texts(&rule["apiVersions"]).map(move |v| (g, v))) {
                    let resources = self.resources.entry((group.to_owned(), version.to_owned())).or_default();
                    resources.extend(texts(&rule["resources"]).map(str::to_owned));
                }
                if texts(&rule["resources"]).any(|resource| resource == "pods") {
                    CONTROLLERS.iter().for_each(|kind| self.add(kind, scheme));
                }
            }
            return;
        }
        let generates = policy["metadata"]["annotations"]["pod-policies.kyverno.io/autogen-controllers"] != "none";
        for rule in spec["rules"].as_array().into_iter().flatten() {
            let parts = ["any", "all"].into_iter().flat_map(|list| rule["match"][list].as_array().into_iter().flatten());
            for part in parts.chain(std::iter::once(&rule["match"])) {
                let resources = &part["resources"];
                let usual: &[&str] = match asked.phase {
                    Phase::Mutate => &["CREATE", "UPDATE"],
                    Phase::Validate => &["CREATE", "DELETE", "UPDATE"],
                };
                match texts(&resources["operations"]).next() {
                    Some(_) => self.operations.extend(texts(&resources["operations"]).filter(|o| *o != "CONNECT").map(str::to_owned)),
                    None if resources.is_object() => self.operations.extend(usual.iter().map(|operation| (*operation).to_owned())),
                    None => {}
                }
                for kind in texts(&resources["kinds"]) {
                    self.add(kind, scheme);
                    if generates && kind.rsplit('/').next() == Some("Pod") {
                        CONTROLLERS.iter().for_each(|kind| self.add(kind, scheme));
                    }
                }
            }
        }
    }

    /// Adds what a kind names: `Pod`, `apps/v1/Deployment`, `*/*`, `Pod/exec`.
    fn add(&mut self, kind: &str, scheme: &Scheme) {
        let [group, version, kind, subresource] = kyverno::kind_selector(kind);
        if kind == "*" && group == "*" {
            let resource = if subresource.is_empty() { "*".to_owned() } else { format!("*/{subresource}") };
            self.resources.entry(("*".to_owned(), version.to_owned())).or_default().insert(resource);
            return;
        }
        for resource in scheme
            .resources()
            .filter(|r| kyverno::wildcard(group, &r.group) && kyverno::wildcard(version, &r.version) && kyverno::wildcard(kind, &r.kind))
        {
            let plurals = self.resources.entry((resource.group.to_string(), resource.version.to_string())).or_default();
            if subresource.is_empty() {
                plurals.insert(resource.plural.to_string());
                if &*resource.plural == "pods" {
                    plurals.insert("pods/ephemeralcontainers".to_owned());
                }
            } else {
                plurals.insert(format!("{}/{subresource}", resource.plural));
            }
        }
    }
}
