//! Documents in YAML, and what an engine says of them.

use gatekeeper::{Engine, Review, suite::POINT};
use serde_json::Value;

pub fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple_with_options(text, serde_saphyr::options! { strict_booleans: true })
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub fn document(text: &str) -> Value {
    documents(text).remove(0)
}

/// A template of kind `Probe` for a program; other lines of the program's target can be given.
pub fn template(rego: &str) -> Value {
    let mut template = document(
        "{apiVersion: templates.gatekeeper.sh/v1, kind: ConstraintTemplate, metadata: {name: probe}, spec: {crd: {spec: {names: {kind: Probe}, \
         validation: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}, \
         targets: [{target: admission.k8s.gatekeeper.sh}]}}",
    );
    template["spec"]["targets"][0]["rego"] = rego.into();
    template
}

/// A constraint of it.
pub fn constraint(spec: &str) -> Value {
    document(&format!("{{apiVersion: constraints.gatekeeper.sh/v1beta1, kind: Probe, metadata: {{name: probe}}, spec: {spec}}}"))
}

/// The messages of what is violated; the words of an error.
pub fn messages(engine: &Engine, object: &Value) -> Vec<String> {
    let review = match Review::of_document(object) {
        Ok(review) => review,
        Err(error) => return vec![format!("error: {error}")],
    };
    match engine.review(&review, POINT) {
        Ok(violations) => violations.into_iter().map(|violation| violation.message).collect(),
        Err(error) => vec![format!("error: {error}")],
    }
}
