//! Kyverno's unit tests of policies (`kyverno-test.yaml`): what is expected of policies and objects, held against what came of them.

use crate::result::{RuleResult, RuleType};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// One expectation on one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub policy: String,
    pub rule: String,
    pub resource: String,
    pub ok: bool,
    /// `Ok`, `Excluded` where no rule is about the object, or what is different.
    pub reason: String,
}

/// Files that a test compares with, with the objects in them. A file that is not there is missing.
pub type Files = BTreeMap<String, Vec<Value>>;

/// What a test is about.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The objects that the policies were applied to, as results name them.
    pub known: Vec<String>,
    /// Results by the operation that an expectation asks for; an empty one where it asks for none.
    pub results: BTreeMap<String, Vec<RuleResult>>,
    pub files: Files,
}

/// Policies whose results are by rule; what a test says of the rules of others is not looked at.
const WITH_RULES: &[&str] = &["ClusterPolicy", "Policy"];

/// The files that a test names: where, and for what.
pub fn files_of(test: &Value) -> Vec<(&'static str, String)> {
    let mut files = Vec::new();
    for field in ["policies", "resources", "exceptions", "targetResources", "paramResources", "clusterResources", "jsonPayloads"] {
        for file in list(test, field).filter_map(Value::as_str) {
            files.push((field, file.to_owned()));
        }
    }
    for field in ["variables", "userinfo", "context", "clusterResources", "jsonPayload"] {
        if let Some(file) = test.get(field).and_then(Value::as_str) {
            files.push((field, file.to_owned()));
        }
    }
    for result in list(test, "results") {
        for field in ["patchedResources", "patchedResource", "generatedResource", "cloneSourceResource"] {
            if let Some(file) = result.get(field).and_then(Value::as_str).filter(|file| !file.is_empty()) {
                files.push((field, file.to_owned()));
            }
        }
        files.extend(list(result, "generatedResources").filter_map(Value::as_str).map(|file| ("generatedResource", file.to_owned())));
    }
    files
}

/// The operations that expectations ask for.
pub fn operations_of(test: &Value) -> BTreeSet<String> {
    list(test, "results").map(|result| result.get("operation").and_then(Value::as_str).unwrap_or_default().to_owned()).collect()
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// `namespace` and `name` of `namespace/Kind/name`.
fn id_parts(resource: &str) -> (&str, &str) {
    let name = resource.rsplit('/').next().unwrap_or_default();
    let namespace = if resource.matches('/').count() == 2 { resource.split('/').next().unwrap_or_default() } else { "" };
    (namespace, name)
}

/// How results name an object.
pub fn id_of(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match text("/metadata/namespace") {
        "" => format!("{}/{}", text("/kind"), text("/metadata/name")),
        namespace => format!("{namespace}/{}/{}", text("/kind"), text("/metadata/name")),
    }
}

/// Holds the expectations of a test against the results.
pub fn judge(test: &Value, run: &Run) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for expected in list(test, "results") {
        let text = |field: &str| expected.get(field).and_then(Value::as_str).unwrap_or_default();
        let results = run.results.get(text("operation")).map(Vec::as_slice).unwrap_or_default();
        let targets: Vec<String> = results.iter().flat_map(|result| &result.targets).map(id_of).collect();
        let named: Vec<&str> =
            list(expected, "resources").filter_map(Value::as_str).chain(expected.get("resource").and_then(Value::as_str)).collect();
        let is_named = |id: &str| {
            let (namespace, name) = id_parts(id);
            named.is_empty() || named.iter().any(|wanted| *wanted == name || *wanted == format!("{namespace}/{name}"))
        };
        let of_kind = |id: &str| text("kind").is_empty() || id.split('/').rev().nth(1) == Some(text("kind"));
        let mut about: Vec<&String> = run.known.iter().chain(&targets).filter(|id| is_named(id) && of_kind(id)).collect();
        about.dedup();
        for name in &named {
            if !about.iter().any(|id| {
                let (namespace, n) = id_parts(id);
                *name == n || *name == format!("{namespace}/{n}")
            }) {
                outcomes.push(outcome(expected, name, false, "Not found"));
            }
        }
        for id in about {
            outcomes.extend(on_object(expected, id, results, &run.files));
        }
    }
    outcomes
}

fn outcome(expected: &Value, resource: &str, ok: bool, reason: impl Into<String>) -> Outcome {
    let text = |field: &str| expected.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    Outcome { policy: text("policy"), rule: text("rule"), resource: resource.to_owned(), ok, reason: reason.into() }
}

fn on_object(expected: &Value, id: &str, results: &[RuleResult], files: &Files) -> Vec<Outcome> {
    let text = |field: &str| expected.get(field).and_then(Value::as_str).unwrap_or_default();
    let policy = text("policy").rsplit('/').next().unwrap_or_default();
    let rule = text("rule");
    let about = |result: &&RuleResult| {
        result.policy.rsplit('/').next() == Some(policy)
            && (rule.is_empty()
                || !WITH_RULES.contains(&result.kind)
                || result.rule == rule
                || result.generated_rule.as_deref() == Some(rule)
                || result.rule.strip_prefix("autogen-") == Some(rule))
            && (result.resource == id || result.targets.iter().any(|target| id_of(target) == id))
    };
    let found: Vec<&RuleResult> = results.iter().filter(about).collect();
    if found.is_empty() {
        return vec![outcome(expected, id, true, "Excluded")];
    }
    found.into_iter().filter_map(|result| one(expected, id, result, files)).collect()
}

/// None where the object is not among those to compare with, and the test does not insist on it.
fn one(expected: &Value, id: &str, result: &RuleResult, files: &Files) -> Option<Outcome> {
    let text = |field: &str| expected.get(field).and_then(Value::as_str).unwrap_or_default();
    let wanted = match text("result") {
        "" => text("status"),
        wanted => wanted,
    };
    let actual: Vec<&Value> = match result.rule_type {
        RuleType::Generation => result.generated.iter().collect(),
        _ => result.targets.iter().find(|target| id_of(target) == id).or(result.patched.as_ref()).into_iter().collect(),
    };
    let insists = expected.get("failOnMissingResources").and_then(Value::as_bool).unwrap_or(false);
    for field in ["patchedResources", "patchedResource"] {
        for actual in actual.iter().filter(|_| !text(field).is_empty()) {
            match compare(actual, text(field), files) {
                Compared::Same => {}
                Compared::Missing if !insists && result.rule_type != RuleType::Generation => return None,
                other => return Some(outcome(expected, id, false, other.why(actual, text(field)))),
            }
        }
    }
    let several: Vec<&str> = list(expected, "generatedResources").filter_map(Value::as_str).collect();
    let generated =
        if several.is_empty() { Vec::from_iter(Some(text("generatedResource")).filter(|file| !file.is_empty())) } else { several };
    for actual in actual.iter().filter(|_| !generated.is_empty()) {
        let compared: Vec<Compared> = generated.iter().map(|file| compare(actual, file, files)).collect();
        if !compared.contains(&Compared::Same) {
            let (why, file) = compared.iter().zip(&generated).max_by_key(|(compared, _)| **compared == Compared::Different)?;
            return Some(outcome(expected, id, false, why.why(actual, file)));
        }
    }
    Some(match result.status.to_string() == wanted {
        true => outcome(expected, id, true, "Ok"),
        false => outcome(expected, id, false, format!("Want {wanted}, got {}: {}", result.status, result.message)),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    Same,
    Different,
    /// The file holds no such object.
    Missing,
    NoFile,
}

impl Compared {
    fn why(self, actual: &Value, file: &str) -> String {
        let id = id_of(actual);
        match self {
            Self::Same => "Ok".to_owned(),
            Self::Different => format!("{id} is different from {file}"),
            Self::Missing => format!("{file} holds no {id}"),
            Self::NoFile => format!("{file} is not there"),
        }
    }
}

fn compare(actual: &Value, file: &str, files: &Files) -> Compared {
    let Some(objects) = files.get(file) else { return Compared::NoFile };
    match objects.iter().find(|object| id_of(object) == id_of(actual)) {
        None => Compared::Missing,
        Some(object) if tidy(object) != tidy(actual) => Compared::Different,
        Some(_) => Compared::Same,
    }
}

/// The object without what is empty, and without the labels that say where it comes from.
pub fn tidy(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, _)| !is_label_of_generation(name)).map(|(name, value)| (name.clone(), tidy(value)));
            Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(tidy).collect()),
        Value::Number(number) => number.as_f64().map_or_else(|| value.clone(), |n| serde_json::json!(n)),
        other => other.clone(),
    }
}

fn is_label_of_generation(name: &str) -> bool {
    name == "app.kubernetes.io/managed-by" || name.starts_with("generate.kyverno.io/")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
