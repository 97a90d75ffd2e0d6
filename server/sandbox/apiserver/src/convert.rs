//! Between the version that is stored and the one that is served. Most resources are stored as served; where two versions share
//! storage, the fields that differ are moved here.

use crate::{call::storage_version, store::Stored};
use machinery::{ApiError, Resource, object, ordered};
use serde_json::{Map, Value, json};
use std::{borrow::Cow, sync::Arc};

/// An object as it is served.
#[derive(Debug, Clone)]
pub(crate) enum Served {
    /// As it is stored.
    Whole(Arc<Stored>),
    Made(Arc<Value>),
}

impl Served {
    /// Reads an object only where the two versions may differ.
    pub fn new(resource: &Resource, stored: &Arc<Stored>) -> Self {
        if resource.storage.is_none() && resource.custom.is_none() {
            return Self::Whole(stored.clone());
        }
        let tree = stored.tree();
        let made = served(resource, tree.clone());
        if Arc::ptr_eq(&tree, &made) { Self::Whole(stored.clone()) } else { Self::Made(made) }
    }

    pub fn tree(&self) -> Arc<Value> {
        match self {
            Self::Whole(stored) => stored.tree(),
            Self::Made(tree) => tree.clone(),
        }
    }

    /// Compact JSON, as of [`Stored::text`].
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Whole(stored) => Cow::Borrowed(stored.text()),
            Self::Made(tree) => Cow::Owned(Box::<str>::from(ordered::text(&ordered::object(tree))).into_string()),
        }
    }
}

/// As stored to as served. Shares the object where nothing differs.
pub(crate) fn served(resource: &Resource, stored: Arc<Value>) -> Arc<Value> {
    if resource.storage.is_none() && resource.custom.is_none() {
        return stored;
    }
    let wanted = resource.api_version();
    let from = object::api_version(&stored);
    if from == wanted {
        return stored;
    }
    let mut new = Value::clone(&stored);
    move_fields(from, &wanted, &mut new);
    new["apiVersion"] = wanted.into();
    Arc::new(new)
}

/// As decoded to as stored.
pub(crate) fn to_storage(resource: &Resource, mut new: Value) -> Result<Value, ApiError> {
    if !new.is_object() {
        return Err(ApiError::bad_request("the request must hold one object"));
    }
    let wanted = storage_version(resource);
    let from = resource.api_version();
    if from != wanted {
        move_fields(&from, &wanted, &mut new);
    }
    new["apiVersion"] = wanted.into();
    new["kind"] = resource.kind.as_ref().into();
    Ok(new)
}

fn move_fields(from: &str, to: &str, object: &mut Value) {
    let Some(object) = object.as_object_mut() else { return };
    match (from, to) {
        ("events.k8s.io/v1", "v1") => rename(object, EVENT, false),
        ("v1", "events.k8s.io/v1") => rename(object, EVENT, true),
        ("autoscaling/v1", "autoscaling/v2") => autoscaler_to_v2(object),
        ("autoscaling/v2", "autoscaling/v1") => autoscaler_to_v1(object),
        _ => {}
    }
}

/// Core name, then name in `events.k8s.io` (pkg/apis/events/v1/conversion.go).
const EVENT: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename(object: &mut Map<String, Value>, names: &[(&str, &str)], forwards: bool) {
    for (core, other) in names {
        let (from, to) = if forwards { (core, other) } else { (other, core) };
        if let Some(value) = object.remove(*from) {
            object.insert((*to).to_owned(), value);
        }
    }
}

fn autoscaler_to_v2(object: &mut Map<String, Value>) {
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
        && let Some(target) = spec.remove("targetCPUUtilizationPercentage")
    {
        let target = json!({"type": "Utilization", "averageUtilization": target});
        spec.insert("metrics".to_owned(), json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
        && let Some(current) = status.remove("currentCPUUtilizationPercentage")
    {
        let current = json!({"averageUtilization": current});
        status.insert("currentMetrics".to_owned(), json!([{"type": "Resource", "resource": {"name": "cpu", "current": current}}]));
    }
}

fn autoscaler_to_v1(object: &mut Map<String, Value>) {
    let cpu = |list: Option<Value>| {
        list.and_then(|list| list.as_array().cloned())
            .and_then(|list| list.into_iter().find(|metric| metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"))
    };
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let metric = cpu(spec.remove("metrics"));
        spec.remove("behavior");
        if let Some(target) = metric.map(|m| m["resource"]["target"]["averageUtilization"].clone()).filter(|v| !v.is_null()) {
            spec.insert("targetCPUUtilizationPercentage".to_owned(), target);
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        let metric = cpu(status.remove("currentMetrics"));
        status.remove("conditions");
        if let Some(current) = metric.map(|m| m["resource"]["current"]["averageUtilization"].clone()).filter(|v| !v.is_null()) {
            status.insert("currentCPUUtilizationPercentage".to_owned(), current);
        }
    }
}
