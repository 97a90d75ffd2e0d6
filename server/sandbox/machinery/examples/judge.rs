use machinery::{Resource, defaults, strategy, validation};
use serde_json::{Value, json};
use std::io::BufRead;
fn main() {
    for line in std::io::stdin().lock().lines() {
        let v: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let s = |k: &str| v[k].as_str().unwrap_or("").to_owned();
        let r = Resource {
            group: s("group").into(),
            version: s("version").into(),
            plural: s("plural").into(),
            singular: "x".into(),
            kind: s("kind").into(),
            namespaced: v["namespaced"] == true,
            short_names: vec![],
            categories: vec![],
            verbs: &[],
            subresources: vec![],
            storage: None,
            custom: None,
        };
        let mut o = v["object"].clone();
        defaults::set(&r, &mut o);
        let old = v["old"].clone();
        let (errors, warnings) = if old.is_null() {
            strategy::prepare_create(&r, &mut o);
            (validation::create(&r, &o), validation::warnings(&r, &o, None))
        } else {
            let mut old = old;
            defaults::set(&r, &mut old);
            strategy::prepare_update(&r, &s("subresource"), &mut o, &old);
            (validation::update(&r, &s("subresource"), &o, &old), validation::warnings(&r, &o, Some(&old)))
        };
        println!(
            "{}",
            json!({"object": o, "errors": errors.iter().map(|e| json!({"field": e.field, "message": e.body(), "reason": e.kind.reason()})).collect::<Vec<_>>(), "warnings": warnings})
        );
    }
}
