//! How many validations of an admission policy one core judges in a second: `cargo bench -p machinery --bench cel`.
//!
//! The expressions have the shape of the published ones: loops over containers, optional fields, quantities, patterns, variables,
//! messages. Nothing here passes or fails.

use machinery::{
    cel::{Inputs, value},
    policy::Policy,
};
use serde_json::{Value, json};
use std::{hint::black_box, time::Instant};

const OBJECTS: usize = 500;
const ROUNDS: usize = 7;

#[expect(clippy::disallowed_methods, reason = "a benchmark is an edge: it measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn policy() -> Value {
    json!({"spec": {
        "matchConditions": [{"name": "pods", "expression": "request.kind.kind == 'Pod' && !object.metadata.namespace.startsWith('kube-')"}],
        "variables": [
            {"name": "containers", "expression": "object.spec.containers"},
            {"name": "images", "expression": "variables.containers.map(c, c.image)"},
        ],
        "validations": [
            {"expression": "variables.containers.all(c, has(c.resources.limits) && 'memory' in c.resources.limits)"},
            {"expression": "variables.images.all(i, i.startsWith('registry.example.com/') && !i.endsWith(':latest'))"},
            {"expression": "object.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"},
            {"expression": "variables.containers.all(c, quantity(c.resources.limits.memory).isLessThan(quantity('64Gi')))"},
            {"expression": "variables.containers.filter(c, c.name == 'train').size() + 1 <= 3 && object.metadata.labels.team in ['a', 'b', 'ml']"},
            {"expression": "object.spec.containers.exists(c, c.name == 'none')", "messageExpression": "'no container of ' + object.metadata.name"},
        ],
    }})
}

fn object(n: usize) -> Value {
    let container = |c: usize| {
        json!({
            "name": if c == 0 { "train".to_owned() } else { format!("side-{c}") }, "image": format!("registry.example.com/app-{c}:1.{n}"),
            "resources": {"limits": {"memory": format!("{}Gi", c + 1), "nvidia.com/gpu": "1"}},
        })
    };
    let containers: Vec<_> = (0..4).map(container).collect();
    json!({"metadata": {"name": format!("pod-{n}"), "namespace": "ml", "labels": {"team": "ml"}}, "spec": {"containers": containers}})
}

fn main() {
    let policy = Policy::compile(&policy());
    let objects: Vec<_> = (0..OBJECTS).map(object).collect();
    let request = json!({"kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE"});
    let (mut times, mut denials) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let started = now();
        for object in &objects {
            let mut inputs = Inputs::default();
            inputs.set("object", value::of_json(object));
            inputs.set("oldObject", value::of_json(&Value::Null));
            inputs.set("request", value::of_json(&request));
            denials = black_box(policy.evaluate(&inputs)).denials.len();
        }
        times.push(started.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!("cel: 6 validations of one policy on {OBJECTS} objects, {denials} of them false: median {:.1} ms", median * 1_000.0);
    println!("cel: {:.0} validations a second on one core", 6.0 * OBJECTS as f64 / median);
}
