//! How many rules a second one core holds against objects: `cargo bench -p kyverno --bench rules`.
//!
//! The policies have the shape of the published ones: patterns with anchors, deny conditions with variables, loops over containers, Pod
//! Security, patches. Nothing here passes or fails.

use kyverno::{Evidence, Policies, apply};
use serde_json::{Value, json};
use std::{hint::black_box, time::Instant};

const POLICIES: usize = 50;
const OBJECTS: usize = 200;
const ROUNDS: usize = 5;

#[expect(clippy::disallowed_methods, reason = "a benchmark is an edge: it measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn policy(n: usize) -> Value {
    let matches = json!({"any": [{"resources": {"kinds": ["Pod"]}}]});
    let does = match n % 5 {
        0 => {
            json!({"validate": {"message": "no", "pattern": {"spec": {"=(hostNetwork)": false, "containers": [{"image": "!*:latest", "=(tty)": false}]}}}})
        }
        1 => json!({"validate": {"message": "no", "deny": {"conditions": {"any": [
            {"key": "{{ request.object.spec.containers[].image }}", "operator": "AnyIn", "value": [format!("registry-{n}.io/*")]},
        ]}}}}),
        2 => json!({"validate": {"message": "no", "foreach": [{"list": "request.object.spec.containers", "deny": {"conditions": {"all": [
            {"key": "{{ element.resources.limits.memory || '0' }}", "operator": "GreaterThan", "value": format!("{n}Gi")},
        ]}}}]}}),
        3 => json!({"validate": {"podSecurity": {"level": "baseline", "version": "latest"}}}),
        _ => json!({"mutate": {"patchStrategicMerge": {"metadata": {"labels": {format!("+(team-{n})"): "ml"}}}}}),
    };
    let mut rule = json!({"name": "rule", "match": matches});
    rule.as_object_mut().expect("a map").extend(does.as_object().expect("a map").clone());
    json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": format!("policy-{n}")}, "spec": {"rules": [rule]}})
}

fn object(n: usize) -> Value {
    let container = |c: usize| json!({"name": format!("c{c}"), "image": format!("registry-{n}.io/app-{c}:1.{c}"), "resources": {"limits": {"memory": "8Gi", "nvidia.com/gpu": 1}}});
    let containers: Vec<Value> = (0..3).map(container).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("pod-{n}"), "namespace": "ml", "labels": {"app": "train"}}, "spec": {"containers": containers}})
}

fn main() {
    let policies: Vec<Value> = (0..POLICIES).map(policy).collect();
    let read = Policies::read(&policies);
    let objects: Vec<Value> = (0..OBJECTS).map(object).collect();
    let evidence = Evidence::default();
    let mut times = Vec::new();
    let mut results = 0;
    for _ in 0..ROUNDS {
        let started = now();
        results = black_box(apply(&read, &objects, &evidence)).len();
        times.push(started.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let pairs = POLICIES * OBJECTS;
    println!("kyverno: {POLICIES} policies on {OBJECTS} objects, {results} results: median {:.1} ms", median * 1_000.0);
    println!("kyverno: {:.0} rules on objects a second on one core", pairs as f64 / median);
}
