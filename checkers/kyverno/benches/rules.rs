//! How many rules a second one core holds against objects: `cargo bench -p kyverno --bench rules`.
//!
//! The policies have the shape of the published ones: patterns with anchors, deny conditions with variables, loops over containers, Pod
//! Security, patches. Where a `kyverno` command is on the PATH, it judges the same files: the counts of both
//! are printed beside each other, and the ratio; its start is measured with a single object and taken off. Nothing here passes or fails.

use kyverno::{Evidence, Policies, RuleType, Status, apply};
use serde_json::{Value, json};
use std::{fs, hint::black_box, process::Command, time::Instant};

const POLICIES: usize = 50;
const OBJECTS: usize = 200;
const ROUNDS: usize = 5;
/// How often the real command is started.
const STARTS: usize = 3;

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
    let mut results = Vec::new();
    for _ in 0..ROUNDS {
        let started = now();
        results = black_box(apply(&read, &objects, &evidence));
        times.push(started.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let pairs = (POLICIES * OBJECTS) as f64;
    println!("kyverno: {POLICIES} policies on {OBJECTS} objects, {} results: median {:.1} ms", results.len(), median * 1_000.0);
    println!("kyverno: {:.0} rules on objects a second on one core", pairs / median);
    // The real command counts what is mutated elsewhere.
    let judged =
        |status: Status| results.iter().filter(|result| result.rule_type == RuleType::Validation && result.status == status).count();
    let ours = [Status::Pass, Status::Fail, Status::Warn, Status::Error, Status::Skip].map(judged);
    for (what, mutates) in [("validation", false), ("validation and mutation", true)] {
        let some: Vec<&Value> = policies.iter().filter(|policy| mutates || policy["spec"]["rules"][0]["mutate"].is_null()).collect();
        match real(&some, &objects) {
            Ok((seconds, counts)) => {
                let pairs = (some.len() * OBJECTS) as f64;
                let read = Policies::read(&some.iter().copied().cloned().collect::<Vec<_>>());
                let started = now();
                black_box(apply(&read, &objects, &evidence));
                let own = started.elapsed().as_secs_f64();
                println!(
                    "kyverno: {what}: {:.0} rules on objects a second by the kyverno command; ratio {:.1}",
                    pairs / seconds,
                    seconds / own
                );
                if !mutates {
                    println!("kyverno: pass, fail, warn, error, skip: ours {ours:?}, the command's {counts}");
                }
            }
            Err(why) => println!("kyverno: {what}: NOT RUN beside the kyverno command: {why}"),
        }
    }
}

/// How long the real command takes for the objects, without its start, and what it counts.
fn real(policies: &[&Value], objects: &[Value]) -> Result<(f64, String), String> {
    let program = "kyverno";
    let folder = std::env::temp_dir().join(format!("cordon-bench-kyverno-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let write = |name: &str, documents: Vec<String>| {
        let path = folder.join(name);
        fs::write(&path, documents.join("\n---\n")).map(|()| path).map_err(|error| error.to_string())
    };
    let time = |count: usize| {
        let policies = write("policies.yaml", policies.iter().map(|policy| policy.to_string()).collect())?;
        let resources = write("resources.yaml", objects[..count].iter().map(Value::to_string).collect())?;
        let began = now();
        let output = Command::new(program).arg("apply").arg(policies).arg("--resource").arg(resources).output();
        let output = output.map_err(|error| format!("{program}: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let counts = text.lines().rev().find(|line| line.starts_with("pass: ")).map(|line| line.trim().to_owned());
        let said = || format!("{program} says: {}", String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default());
        Ok::<_, String>((began.elapsed().as_secs_f64(), counts.ok_or_else(said)?))
    };
    // The fastest of some, as a busy machine is only ever slower.
    let fastest = |count: usize| {
        let times = (0..STARTS).map(|_| time(count)).collect::<Result<Vec<_>, _>>()?;
        times.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).ok_or_else(|| "it was never started".to_owned())
    };
    let took = fastest(1).and_then(|(start, _)| match fastest(objects.len())? {
        (took, counts) if took > start => Ok((took - start, counts)),
        _ => Err("its start took longer than its work".to_owned()),
    });
    let _ = fs::remove_dir_all(&folder);
    took
}
