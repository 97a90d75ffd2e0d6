//! How many reviews a second one core makes: `cargo bench -p gatekeeper --bench reviews`.
//!
//! Templates have the shape of the Gatekeeper library's: one in Rego with a lib, one in CEL. Where `gator` is on the PATH, it judges the same
//! files, and the ratio is printed; its start is measured with a single object and taken off. Nothing here passes or fails.

use gatekeeper::{Engine, Origin, Review, suite::POINT};
use serde_json::{Value, json};
use std::{
    fs,
    hint::black_box,
    process::{Command, Stdio},
    time::Instant,
};

const CONSTRAINTS: usize = 20;
const OBJECTS: usize = 500;
const ROUNDS: usize = 20;

const REGO: &str = r#"package allowedimages
import data.lib.exempt.is_exempt
violation[{"msg": msg}] {
  container := containers[_]
  not is_exempt(container)
  allowed := [good | repo := input.parameters.repos[_]; good := startswith(container.image, repo)]
  not any(allowed)
  msg := sprintf("container <%v> has an image <%v> of none of %v", [container.name, container.image, input.parameters.repos])
}
containers[c] { c := input.review.object.spec.containers[_] }
containers[c] { c := input.review.object.spec.initContainers[_] }
"#;
const LIB: &str = r#"package lib.exempt
is_exempt(container) {
  exempt := object.get(object.get(input, "parameters", {}), "exemptImages", [])
  img := container.image
  exemption := exempt[_]
  matches(img, exemption)
}
matches(img, exemption) { not endswith(exemption, "*"); exemption == img }
matches(img, exemption) { endswith(exemption, "*"); startswith(img, trim_suffix(exemption, "*")) }
"#;

#[expect(clippy::disallowed_methods, reason = "a benchmark is an edge: it measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn template(kind: &str, target: Value) -> Value {
    json!({
        "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": {"name": kind.to_lowercase()},
        "spec": {
            "crd": {"spec": {"names": {"kind": kind}, "validation": {"openAPIV3Schema": {"type": "object", "properties": {
                "repos": {"type": "array", "items": {"type": "string"}}, "exemptImages": {"type": "array", "items": {"type": "string"}}}}}}},
            "targets": [target],
        },
    })
}

fn templates() -> [Value; 2] {
    let target = "admission.k8s.gatekeeper.sh";
    let cel = json!({
        "variables": [{"name": "bad", "expression":
            "variables.anyObject.spec.containers.filter(c, !variables.params.repos.exists(repo, c.image.startsWith(repo)))"}],
        "validations": [{"expression": "size(variables.bad) == 0", "messageExpression": "'bad images: ' + variables.bad.map(c, c.image).join(', ')"}],
    });
    [
        template("AllowedImages", json!({"target": target, "rego": REGO, "libs": [LIB]})),
        template("NativeImages", json!({"target": target, "code": [{"engine": "K8sNativeValidation", "source": cel}]})),
    ]
}

fn constraint(kind: &str, n: usize) -> Value {
    json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind, "metadata": {"name": format!("c{n}")},
        "spec": {
            "match": {"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}], "excludedNamespaces": ["kube-*"]},
            "parameters": {"repos": [format!("registry-{n}.example.com/"), "mirror.example.com/"], "exemptImages": ["mirror.example.com/base*"]},
        },
    })
}

fn object(n: usize) -> Value {
    let image = if n.is_multiple_of(5) { format!("docker.io/library/app:{n}") } else { format!("mirror.example.com/app:{n}") };
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("pod-{n}"), "namespace": "ml", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": image, "resources": {"limits": {"cpu": "1", "nvidia.com/gpu": "1"}}},
            {"name": "side", "image": "mirror.example.com/base/sidecar:1"}]},
    })
}

fn main() {
    for (kind, template) in ["AllowedImages", "NativeImages"].into_iter().zip(templates()) {
        let constraints: Vec<_> = (0..CONSTRAINTS).map(|n| constraint(kind, n)).collect();
        let objects: Vec<_> = (0..OBJECTS).map(object).collect();
        let mut engine = Engine::default();
        engine.add_template(&template).unwrap_or_else(|findings| panic!("{findings:?}"));
        for constraint in &constraints {
            engine.add_constraint(constraint).expect("a constraint");
        }
        let reviews: Vec<_> = objects.iter().map(|object| Review::of_object(object, Origin::Original)).collect();
        let (mut rounds, mut violations) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let began = now();
            violations = reviews.iter().map(|review| engine.review(black_box(review), POINT).expect("judged").len()).sum();
            rounds.push((OBJECTS * CONSTRAINTS) as f64 / began.elapsed().as_secs_f64());
        }
        rounds.sort_by(f64::total_cmp);
        let at = |share: f64| rounds[((rounds.len() - 1) as f64 * share) as usize];
        let what =
            format!("median of {ROUNDS} rounds of {OBJECTS} objects; p10 {:.0}, p90 {:.0}; {violations} violations", at(0.1), at(0.9));
        println!("{kind:<14} {:>10.0} constraints judged/s ({what})", at(0.5));
        match gator(&template, &constraints, &objects) {
            Some(seconds) => {
                let theirs = (OBJECTS * CONSTRAINTS) as f64 / seconds;
                println!("{:<14} {theirs:>10.0} constraints judged/s by gator; ratio {:.2}", "", at(0.5) / theirs);
            }
            None => println!("{:<14} gator is not on the PATH", ""),
        }
    }
}

/// How long gator takes for the objects, without its start.
fn gator(template: &Value, constraints: &[Value], objects: &[Value]) -> Option<f64> {
    let folder = std::env::temp_dir().join(format!("cordon-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).ok()?;
    let file = folder.join("all.yaml");
    let time = |count: usize| {
        let documents: Vec<_> = [template].into_iter().chain(constraints).chain(&objects[..count]).map(Value::to_string).collect();
        fs::write(&file, documents.join("\n---\n")).ok()?;
        let began = now();
        let command = Command::new("gator").arg("test").arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        // 1: there are violations.
        matches!(command.code(), Some(0 | 1)).then(|| began.elapsed().as_secs_f64())
    };
    let took = time(1).and_then(|start| Some(time(objects.len())? - start));
    let _ = fs::remove_dir_all(&folder);
    took
}
