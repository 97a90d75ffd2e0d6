//! Gatekeeper: documents in YAML. Templates, constraints, mutators and ExpansionTemplates are used, all other objects are judged.

use gatekeeper::{
    Engine, Origin, Review,
    expansion::{self, Expander},
    mutation::{self, Mutable, System},
    suite::{self, POINT, Suite},
};
use serde_json::Value;

pub fn run(input: &[u8]) {
    let Ok(documents) = serde_saphyr::from_multiple::<Value>(&String::from_utf8_lossy(input)) else { return };
    let (mut engine, mut mutators, mut expander) = (Engine::default(), System::default(), Expander::default());
    let mut objects = Vec::new();
    for document in &documents {
        let version = document["apiVersion"].as_str().unwrap_or_default();
        if version.starts_with("templates.gatekeeper.sh/") {
            let _ = engine.add_template(document);
        } else if version.starts_with("constraints.gatekeeper.sh/") {
            let _ = engine.add_constraint(document);
        } else if mutation::is_mutator(document) {
            let _ = mutators.add(document);
        } else if expansion::is_expansion_template(document) {
            let _ = expander.add(document);
        } else if suite::is_suite(document) {
            let files = |_: &str| Ok(documents.clone());
            for test in Suite::read(document).iter().flat_map(|suite| &suite.tests) {
                test.run(&files, &|_, _| true);
            }
        } else {
            let _ = engine.add_data(document);
            objects.push(document);
        }
    }
    for object in objects {
        if let Ok(review) = Review::of_document(object) {
            let _ = engine.review(&review, POINT);
        }
        let about = Mutable { namespace: None, origin: Origin::Original, operation: "CREATE" };
        let mut mutated = object.clone();
        if mutators.mutate(&mut mutated, &about).is_ok() {
            // What has come to rest stays at rest.
            let mut again = mutated.clone();
            assert!(mutators.mutate(&mut again, &about).is_ok_and(|applied| applied.is_empty()));
            assert_eq!(again, mutated);
        }
        let _ = suite::expanded(&engine, object, &expander, &mutators, POINT);
    }
}
