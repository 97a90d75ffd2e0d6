//! The three patches: JSON (RFC 6902), merge (RFC 7386) and strategic merge.
//!
//! [`apply`] does what the API server does with a `PATCH` body: reads it, patches the live object, decodes the outcome by its type
//! and words every refusal as kube-apiserver does. The single patches are there for callers that hold values already.

mod json_patch;
mod strategic;

use crate::{
    field::FieldError,
    ordered,
    resource::Resource,
    status::ApiError,
    strict::{self, FieldValidation, Format},
    types::{self, Shape},
};
use serde_json::{Value, json};

/// By the content type: `application/json-patch+json`, `application/merge-patch+json`, `application/strategic-merge-patch+json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    Json,
    Merge,
    Strategic,
}

#[derive(Debug)]
pub struct Patched {
    pub object: Value,
    /// For `Warning:` headers.
    pub warnings: Vec<String>,
}

/// Patches `live` with a request's body. The outcome is decoded and pruned; defaults and validation come after.
pub fn apply(resource: &Resource, live: &Value, kind: PatchKind, body: &[u8], validation: FieldValidation) -> Result<Patched, ApiError> {
    let (patch, repeated) = read(kind, body)?;
    let patched = match kind {
        PatchKind::Json => json(live, &patch)?,
        PatchKind::Merge => merge(live, &patch),
        PatchKind::Strategic => strategic(resource, live, &patch)?,
    };
    settle(resource, kind, &patch, patched, repeated, validation)
}

/// The first step of [`apply`]: reads a body. What is said of repeated fields comes back beside the patch.
pub fn read(kind: PatchKind, body: &[u8]) -> Result<(Value, Vec<String>), ApiError> {
    let (patch, repeated) = strict::read_untyped(Format::Json, body).map_err(|error| match kind {
        PatchKind::Strategic => ApiError::bad_request(error),
        PatchKind::Json | PatchKind::Merge => ApiError::bad_request(format!("error decoding patch: {error}")),
    })?;
    match (kind, patch) {
        (PatchKind::Merge, Value::Null) => Err(ApiError::bad_request("Invalid JSON Patch")),
        (PatchKind::Strategic, Value::Null) => Ok((json!({}), repeated)),
        (PatchKind::Json, patch) | (_, patch @ Value::Object(_)) => Ok((patch, repeated)),
        (PatchKind::Merge, other) => Err(ApiError::bad_request(format!("error decoding patch: {}", not_a_map(&other)))),
        (PatchKind::Strategic, other) => Err(ApiError::bad_request(not_a_map(&other))),
    }
}

/// The last step of [`apply`]: judges what a patch left by the resource's type, and prunes it.
pub fn settle(
    resource: &Resource,
    kind: PatchKind,
    patch: &Value,
    patched: Value,
    repeated: Vec<String>,
    validation: FieldValidation,
) -> Result<Patched, ApiError> {
    let shown = || if kind == PatchKind::Strategic { go_print(patch) } else { ordered::patched(&patched, &touched(kind, patch)) };
    if kind == PatchKind::Strategic
        && let Some(of) = types::of_kind(&resource.group, &resource.version, &resource.kind)
        && let Some(error) = strict::restore_error(&patched, &Shape::Ref(of))
    {
        return Err(refused(&shown(), &error));
    }
    let (object, unknown) = strict::decode_value(resource, &patched).map_err(|error| {
        let decoding = kind == PatchKind::Strategic && error.starts_with("illegal base64");
        refused(&shown(), &if decoding { format!("error decoding from json: {error}") } else { error })
    })?;
    let complaints: Vec<String> = repeated.into_iter().chain(unknown).collect();
    match validation {
        FieldValidation::Strict if !complaints.is_empty() => {
            Err(refused(&shown(), &format!("strict decoding error: {}", complaints.join(", "))))
        }
        FieldValidation::Warn => Ok(Patched { object, warnings: complaints }),
        FieldValidation::Strict | FieldValidation::Ignore => Ok(Patched { object, warnings: Vec::new() }),
    }
}

/// What a patch goes through, as a tree of names.
fn touched(kind: PatchKind, patch: &Value) -> Value {
    if kind != PatchKind::Json {
        return patch.clone();
    }
    let mut tree = json!({});
    for path in patch.as_array().into_iter().flatten().filter_map(|operation| operation["path"].as_str()) {
        let mut at = &mut tree;
        for name in path.split('/').skip(1) {
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at[name.replace("~1", "/").replace("~0", "~")];
        }
        if at.is_null() {
            *at = true.into();
        }
    }
    tree
}

/// ` "" is invalid: patch: Invalid value: …`: the API server refuses a patch as if it were an object without a name.
fn refused(shown: &str, error: &str) -> ApiError {
    let mut refusal = ApiError::invalid("", "", "", &[FieldError::invalid("patch", &Value::String(shown.to_owned()), error)]);
    refusal.details = json!({"causes": refusal.details["causes"]});
    refusal
}

/// Custom resources have no strategic merge patch.
fn unsupported() -> ApiError {
    ApiError::new(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    )
}

fn not_a_map(value: &Value) -> String {
    let kind = match value {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null | Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
}

/// A JSON patch: a list of operations, all or none.
pub fn json(object: &Value, patch: &Value) -> Result<Value, ApiError> {
    json_patch::apply(object, patch)
}

/// A merge patch: null deletes, maps merge, everything else replaces.
pub fn merge(object: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut merged = object.as_object().cloned().unwrap_or_default();
    for (key, value) in patch {
        if value.is_null() {
            merged.remove(key);
        } else {
            let under = merge(merged.get(key).unwrap_or(&Value::Null), value);
            merged.insert(key.clone(), under);
        }
    }
    Value::Object(merged)
}

/// Merge keys and strategies come from the built-in types; custom resources have no strategic merge patch (415).
pub fn strategic(resource: &Resource, object: &Value, patch: &Value) -> Result<Value, ApiError> {
    if resource.custom.is_some() {
        return Err(unsupported());
    }
    match patch {
        Value::Object(patch) => {
            let shape = types::of_kind(&resource.group, &resource.version, &resource.kind).map_or(Shape::Any, Shape::Ref);
            let live = object.as_object().cloned().unwrap_or_default();
            strategic::merge_map(live, patch.clone(), &shape).map(Value::Object)
        }
        Value::Null => Ok(object.clone()),
        other => Err(ApiError::bad_request(not_a_map(other))),
    }
}

/// A value as Go prints it: `map[spec:map[replicas:1]]`.
pub(crate) fn go_print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_print).collect::<Vec<_>>().join(" ")),
        Value::Object(entries) => {
            let mut keys: Vec<&String> = entries.keys().collect();
            keys.sort_unstable();
            let entries: Vec<String> = keys.into_iter().filter_map(|key| Some(format!("{key}:{}", go_print(entries.get(key)?)))).collect();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
