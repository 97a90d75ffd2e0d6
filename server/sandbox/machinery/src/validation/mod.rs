//! Validation with the API server's own messages. One kind's rules, one file.

use crate::{field::FieldError, resource::Resource};
use serde_json::Value;

pub fn create(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let _ = (resource, object);
    Vec::new()
}

/// `subresource` is empty for the object itself, else `status`, `scale`, …
pub fn update(resource: &Resource, subresource: &str, new: &Value, old: &Value) -> Vec<FieldError> {
    let _ = (resource, subresource, new, old);
    Vec::new()
}

/// Warnings that the API server sends for what it accepts (deprecated fields, probable mistakes).
pub fn warnings(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<String> {
    let _ = (resource, new, old);
    Vec::new()
}
