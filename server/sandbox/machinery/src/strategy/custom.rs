//! Custom resources: the status is apart where the definition has a `status` subresource, and the generation follows
//! everything else but the metadata (k8s.io/apiextensions-apiserver customresource strategy).

use super::{equal, keep, keep_meta};
use crate::{object::set_meta, resource::Resource};
use serde_json::{Value, json};

pub(super) fn prepare_create(resource: &Resource, object: &mut Value) {
    if resource.has_subresource("status")
        && let Some(map) = object.as_object_mut()
    {
        map.remove("status");
    }
    set_meta(object, "generation", 1);
}

pub(super) fn prepare_update(resource: &Resource, subresource: &str, new: &mut Value, old: &Value) {
    if subresource == "status" {
        let mut result = old.clone();
        keep(&mut result, new, "status");
        if let Some(fields) = new["metadata"].get("managedFields") {
            result["metadata"]["managedFields"] = fields.clone();
        }
        if let Some(version) = new["metadata"].get("resourceVersion") {
            result["metadata"]["resourceVersion"] = version.clone();
        }
        *new = result;
        return;
    }
    keep_meta(new, old, "generation");
    if resource.has_subresource("status") {
        keep(new, old, "status");
    }
    let content = |object: &Value| {
        let mut content = object.clone();
        content["metadata"] = json!({});
        if resource.has_subresource("status") {
            content["status"] = Value::Null;
        }
        content
    };
    if !equal(&content(new), &content(old)) {
        set_meta(new, "generation", old["metadata"]["generation"].as_i64().unwrap_or_default().saturating_add(1));
    }
}
