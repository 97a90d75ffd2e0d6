//! Kyverno's policies: documents of YAML, policies first, then objects; one with `aux` is evidence.

use kyverno::{Evidence, Policies, apply};
use serde_json::Value;

pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let documents: Vec<Value> = text.split("\n---\n").filter_map(|part| serde_saphyr::from_str(part).ok()).collect();
    let is_policy = |value: &Value| value["apiVersion"].as_str().is_some_and(|version| version.contains("kyverno.io"));
    let (policies, others): (Vec<Value>, Vec<Value>) = documents.into_iter().partition(is_policy);
    let (evidence, objects): (Vec<Value>, Vec<Value>) = others.into_iter().partition(|value| value.get("aux").is_some());
    let mut known = Evidence::default();
    evidence.iter().for_each(|document| known.add(&document["aux"]));
    let read = Policies::read(&policies);
    for result in apply(&read, &objects, &known) {
        assert!(!result.policy.is_empty());
    }
}
