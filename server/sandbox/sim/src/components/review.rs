//! What admission webhooks have in common: the review that they are asked, their answer, and the certificate that they show.

use crate::network::{Authorities, Handler, Listener, TlsServer};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A certificate authority of a program's own: the form of one, made of what tells it apart.
#[derive(Debug, Clone)]
pub struct Authority(String);

impl Authority {
    pub fn of(owner: &str) -> Self {
        let content = BASE64_STANDARD.encode(format!("simulated by Cordon (cordon.dev/simulated): {owner}"));
        Self(format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n"))
    }

    /// As a `caBundle` holds it.
    pub fn bundle(&self) -> String {
        BASE64_STANDARD.encode(&self.0)
    }

    /// What listens with a certificate for a Service.
    pub fn listener(&self, service: &str, namespace: &str, handler: impl Handler + 'static) -> Listener {
        let names = [service.to_owned(), format!("{service}.{namespace}"), format!("{service}.{namespace}.svc")];
        let authority = Authorities::parse(self.0.as_bytes());
        Listener::Https(Arc::new(TlsServer { handler: Arc::new(handler), authority, names: names.into() }))
    }
}

/// The `response` of a review.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The `status` of a refusal.
    pub denial: Option<Value>,
    pub warnings: Vec<String>,
    /// The object as it is to be.
    pub object: Option<Value>,
}

impl Answer {
    pub fn denied(status: Value) -> Self {
        Self { denial: Some(status), ..Self::default() }
    }

    /// The whole `AdmissionReview`.
    pub fn to_review(&self, request: &Value) -> Value {
        let mut response = json!({"uid": request["uid"], "allowed": self.denial.is_none()});
        if let Some(status) = &self.denial {
            response["status"] = status.clone();
        }
        if !self.warnings.is_empty() {
            response["warnings"] = self.warnings.clone().into();
        }
        if let Some(object) = &self.object {
            let mut patch = Vec::new();
            difference("", &request["object"], object, &mut patch);
            if !patch.is_empty() {
                response["patchType"] = "JSONPatch".into();
                response["patch"] = BASE64_STANDARD.encode(Value::Array(patch).to_string()).into();
            }
        }
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response})
    }
}

/// JSON patch operations that make `new` of `old`. Lists of different lengths are replaced whole.
fn difference(path: &str, old: &Value, new: &Value, patch: &mut Vec<Value>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(before), Value::Object(after)) => fields(path, before, after, patch),
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                difference(&format!("{path}/{index}"), before, after, patch);
            }
        }
        _ => patch.push(json!({"op": "replace", "path": path, "value": new})),
    }
}

fn fields(path: &str, before: &Map<String, Value>, after: &Map<String, Value>, patch: &mut Vec<Value>) {
    let at = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        patch.push(json!({"op": "remove", "path": at(name)}));
    }
    for (name, value) in after {
        match before.get(name) {
            Some(held) => difference(&at(name), held, value, patch),
            None => patch.push(json!({"op": "add", "path": at(name), "value": value})),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_makes_the_new_object_of_the_old_one() {
        let old =
            json!({"metadata": {"name": "p", "labels": {"a/b": "1", "c": "2"}}, "spec": {"list": [1, 2], "other": [{"x": 1}, {"y": 2}]}});
        for new in [
            old.clone(),
            json!({"metadata": {"name": "p", "labels": {"a/b": "3"}}, "spec": {"list": [1, 2, 3], "other": [{"x": 1}, {"y": 3}]}}),
            json!({"metadata": {"name": "p", "annotations": {"a~b": "1"}}, "spec": null}),
            json!({}),
        ] {
            let answer = Answer { object: Some(new.clone()), ..Answer::default() };
            let review = answer.to_review(&json!({"uid": "u", "object": old}));
            let patch = review["response"]["patch"]
                .as_str()
                .map_or(json!([]), |patch| serde_json::from_slice(&BASE64_STANDARD.decode(patch).unwrap()).unwrap());
            assert_eq!(machinery::patch::json(&old, &patch).unwrap(), new, "{patch}");
        }
    }
}
