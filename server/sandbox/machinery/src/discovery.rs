//! `/api`, `/apis` and below, legacy and aggregated (`apidiscovery.k8s.io/v2`).

use crate::scheme::Scheme;
use serde_json::{Value, json};

/// Aggregated discovery: `APIGroupDiscoveryList` of the core group (`legacy`) or of all the others.
pub fn aggregated(scheme: &Scheme, legacy: bool) -> Value {
    let _ = (scheme, legacy);
    json!({})
}

/// `APIGroupList` for `/apis`.
pub fn group_list(scheme: &Scheme) -> Value {
    let _ = scheme;
    json!({})
}

/// `APIGroup` for `/apis/<group>`.
pub fn group(scheme: &Scheme, group: &str) -> Option<Value> {
    let _ = (scheme, group);
    None
}

/// `APIResourceList` for `/api/v1` and `/apis/<group>/<version>`.
pub fn resource_list(scheme: &Scheme, group: &str, version: &str) -> Option<Value> {
    let _ = (scheme, group, version);
    None
}

/// `APIVersions` for `/api`.
pub fn versions(server_address: &str) -> Value {
    let _ = server_address;
    json!({})
}
