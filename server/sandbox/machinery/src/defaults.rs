//! Defaulting: what the API server fills in before it validates and stores. One kind's rules, one file.

use crate::resource::Resource;
use serde_json::Value;

pub fn set(resource: &Resource, object: &mut Value) {
    let _ = (resource, object);
}
