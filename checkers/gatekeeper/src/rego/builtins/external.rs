//! `external_data`: what providers would answer, given beforehand.
//!
//! <https://open-policy-agent.github.io/gatekeeper/website/docs/externaldata/>

use regorus::Value as Rego;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Answers of providers by provider and key: a value, or what went wrong.
#[derive(Debug, Clone, Default)]
pub struct Providers {
    answers: BTreeMap<String, BTreeMap<String, Result<Value, String>>>,
}

impl Providers {
    pub fn set(&mut self, provider: &str, key: &str, answer: Result<Value, String>) {
        self.answers.entry(provider.to_owned()).or_default().insert(key.to_owned(), answer);
    }

    /// The answer to `{"provider": …, "keys": […]}`.
    pub(super) fn answer(&self, request: &Rego) -> Rego {
        let request = serde_json::to_value(request).unwrap_or(Value::Null);
        let (Some(provider), Some(keys)) = (request["provider"].as_str(), request["keys"].as_array()) else { return Rego::Undefined };
        let Some(known) = self.answers.get(provider) else {
            let error = format!("no answers of the provider {provider:?} are given");
            return Rego::from(json!({"responses": null, "errors": null, "status_code": 400, "system_error": error}));
        };
        let (mut responses, mut errors) = (Vec::new(), Vec::new());
        for key in keys.iter().filter_map(Value::as_str) {
            match known.get(key) {
                Some(Ok(value)) => responses.push(json!([key, value])),
                Some(Err(error)) => errors.push(json!([key, error])),
                None => errors.push(json!([key, format!("no answer to {key:?} is given")])),
            }
        }
        Rego::from(json!({"responses": responses, "errors": errors, "status_code": 200, "system_error": ""}))
    }
}
