//! Writes whose fate a real kube-apiserver 1.34.4 has decided (dry runs): what it refuses, in which words, what it warns of, and
//! what it makes of what it accepts. `recorded/create.jsonl` and `recorded/update.jsonl` hold one write a line.

use machinery::{Resource, Scheme, defaults, strategy, validation};
use serde_json::Value;

/// What a server gives each object anew.
const OWN: [&str; 4] = ["uid", "creationTimestamp", "resourceVersion", "managedFields"];

fn resource(case: &Value) -> &'static Resource {
    let (group, version) = match case["apiVersion"].as_str().unwrap().split_once('/') {
        Some(parts) => parts,
        None => ("", case["apiVersion"].as_str().unwrap()),
    };
    let plural = case["resource"].as_str().unwrap();
    Scheme::builtin().iter().find(|r| r.group == group && r.version == version && r.plural == plural).unwrap()
}

fn strings(list: &Value) -> Vec<String> {
    let mut strings: Vec<_> = list.as_array().into_iter().flatten().map(|s| s.as_str().unwrap().to_owned()).collect();
    strings.sort();
    strings
}

fn without_own(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !OWN.contains(&key.as_str()));
    }
    object
}

fn judge(case: &Value) -> Vec<String> {
    let resource = resource(case);
    let mut object = case["object"].clone();
    defaults::set(resource, &mut object);
    let (errors, warnings) = if case["old"].is_object() {
        let subresource = case["subresource"].as_str().unwrap_or_default();
        strategy::prepare_update(resource, subresource, &mut object, &case["old"]);
        let errors = validation::update(resource, subresource, &object, &case["old"]);
        (errors, validation::warnings(resource, &object, Some(&case["old"])))
    } else {
        strategy::prepare_create(resource, &mut object);
        (validation::create(resource, &object), validation::warnings(resource, &object, None))
    };
    let mut complaints = Vec::new();
    let mut errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    errors.sort();
    errors.dedup();
    let mut expected = strings(&case["errors"]);
    expected.dedup();
    complaints.extend(expected.iter().filter(|e| !errors.contains(e)).map(|e| format!("missing: {e}")));
    complaints.extend(errors.iter().filter(|e| !expected.contains(e)).map(|e| format!("too much: {e}")));
    if expected.is_empty() {
        let mut warnings = warnings;
        warnings.sort();
        if warnings != strings(&case["warnings"]) {
            complaints.push(format!("warnings: {warnings:?}, not {}", case["warnings"]));
        }
        let (object, result) = (without_own(object), &case["result"]);
        if result.is_object() && object != *result {
            complaints.push(format!("object: {}", first_difference("", result, &object)));
        }
    }
    complaints
}

fn first_difference(path: &str, wanted: &Value, found: &Value) -> String {
    if let (Value::Object(wanted), Value::Object(found)) = (wanted, found) {
        let keys = wanted.keys().chain(found.keys());
        for key in keys {
            let (a, b) = (wanted.get(key), found.get(key));
            if a != b {
                return first_difference(&format!("{path}.{key}"), a.unwrap_or(&Value::Null), b.unwrap_or(&Value::Null));
            }
        }
    }
    format!("{path} is {found}, not {wanted}")
}

fn run(cases: &str) {
    let mut failed = Vec::new();
    let mut count = 0;
    for (line, case) in cases.lines().enumerate() {
        count += 1;
        let case: Value = serde_json::from_str(case).unwrap();
        let complaints = judge(&case);
        if !complaints.is_empty() {
            failed.push(format!(
                "line {} ({} {}):\n  {}",
                line + 1,
                case["resource"],
                case["object"]["metadata"]["name"],
                complaints.join("\n  ")
            ));
        }
    }
    assert!(count > 30, "the recording is there");
    assert!(failed.is_empty(), "{} of {count} writes differ:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn creates() {
    run(include_str!("recorded/create.jsonl"));
}

#[test]
fn updates() {
    run(include_str!("recorded/update.jsonl"));
}
