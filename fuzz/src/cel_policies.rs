//! Kyverno's policies in CEL and the objects that they judge: a list of objects in YAML, policies among them.

use kyverno::{Evidence, Policies};
use serde_json::Value;

pub fn run(input: &[u8]) {
    let Ok(objects) = serde_saphyr::from_str::<Vec<Value>>(&String::from_utf8_lossy(input)) else { return };
    let is_policy = |object: &Value| {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        version.starts_with("policies.kyverno.io/") || version.starts_with("admissionregistration.k8s.io/")
    };
    let (policies, resources): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_policy);
    let evidence = Evidence { objects: resources.clone(), targets: resources.clone(), ..Evidence::default() };
    let results = kyverno::apply(&Policies::read(&policies), &resources, &evidence);
    assert!(
        results.len() <= 8 * policies.len().max(1) * resources.len().max(1),
        "a policy says one thing of an object, for each of its kinds"
    );
}
