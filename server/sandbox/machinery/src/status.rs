//! An error of the API: the `metav1.Status` that a client gets (k8s.io/apimachinery/pkg/api/errors).

use crate::field::FieldError;
use serde_json::{Value, json};

/// What went wrong, ready to be sent. `Display` is the message that kubectl prints.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub code: u16,
    /// `NotFound`, `AlreadyExists`, `Invalid`, …; empty where the API server leaves it out.
    pub reason: &'static str,
    pub message: String,
    /// `details` of the Status; null where there are none.
    pub details: Value,
}

impl ApiError {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    fn named(code: u16, reason: &'static str, group: &str, resource: &str, name: &str, message: String) -> Self {
        let mut details = json!({});
        for (field, value) in [("name", name), ("kind", resource)] {
            if !value.is_empty() {
                details[field] = value.into();
            }
        }
        if !group.is_empty() {
            details["group"] = group.into();
        }
        Self { code, reason, message, details }
    }

    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(group, resource));
        Self::named(404, "NotFound", group, resource, name, message)
    }

    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(group, resource));
        Self::named(409, "AlreadyExists", group, resource, name, message)
    }

    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", qualified(group, resource));
        Self::named(409, "Conflict", group, resource, name, message)
    }

    /// Admission or authorization said no: `pods "a" is forbidden: why`.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let qualified = qualified(group, resource);
        let message =
            if name.is_empty() { format!("{qualified} is forbidden: {why}") } else { format!("{qualified} {name:?} is forbidden: {why}") };
        Self::named(403, "Forbidden", group, resource, name, message)
    }

    /// Validation failed: `Pod "a" is invalid: [field: …, field: …]`. `kind` as in `Pod` or `Deployment.apps`.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        // The message says each thing once, the causes say all.
        let mut messages: Vec<String> = Vec::new();
        for message in errors.iter().map(ToString::to_string) {
            if !messages.contains(&message) {
                messages.push(message);
            }
        }
        let list = match messages.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = qualified(group, kind);
        let mut error = Self::named(422, "Invalid", group, kind, name, format!("{qualified} {name:?} is invalid: {list}"));
        error.details["causes"] =
            errors.iter().map(|e| json!({"reason": e.kind.reason(), "message": e.body(), "field": e.field})).collect();
        error
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    /// The body of the answer: a `v1` `Status`.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}

fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}
