//! Defaulting: what the API server fills in before it validates and stores (k8s.io/kubernetes/pkg/apis/*/v1/defaults.go).
//! One family of kinds, one file.
//!
//! Besides the documented defaults this also writes what Go's types bring about when the API server decodes and encodes an
//! object: parts that are always there (`resources: {}`, `status: {}`), no nulls, and quantities in their canonical form.
//! Setting defaults twice gives the same object.

mod admission;
mod autoscaling;
mod cluster;
mod config;
mod encode;
mod network;
mod pod;
mod storage;
mod workload;

use crate::{quantity::Quantity, resource::Resource};
use serde_json::{Map, Value};

pub fn set(resource: &Resource, object: &mut Value) {
    if resource.custom.is_some() || !object.is_object() {
        return;
    }
    let (group, kind) = (resource.group.as_ref(), resource.kind.as_ref());
    if !object["metadata"].is_object() {
        object["metadata"] = empty();
    }
    match group {
        "" => match kind {
            "Pod" => pod::pod(object),
            "Service" | "Endpoints" => network::set(kind, object),
            "PersistentVolume" | "PersistentVolumeClaim" => storage::set(kind, object),
            "ReplicationController" | "PodTemplate" => workload::set(kind, object),
            _ => config::set(kind, object),
        },
        "apps" | "batch" => workload::set(kind, object),
        "networking.k8s.io" | "discovery.k8s.io" => network::set(kind, object),
        "storage.k8s.io" => storage::set(kind, object),
        "autoscaling" => autoscaling::set(&resource.version, kind, object),
        "admissionregistration.k8s.io" | "apiextensions.k8s.io" => admission::set(kind, object),
        _ => cluster::set(group, kind, object),
    }
    encode::as_go(group, &resource.version, kind, object);
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn empty() -> Value {
    Value::Object(Map::new())
}

/// For a pointer in Go: sets the field where it is missing.
fn missing(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), value.into());
    }
}

/// For a plain value in Go: sets the field where it is missing, empty or zero.
fn unset(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        let zero = match map.get(field) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Number(number)) => number.as_i64() == Some(0),
            Some(Value::Array(list)) => list.is_empty(),
            Some(_) => false,
        };
        if zero {
            map.insert(field.to_owned(), value.into());
        }
    }
}

/// For a struct in Go: always there.
fn part<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    missing(object, field, empty());
    object.get_mut(field).filter(|value| value.is_object())
}

/// The field, if it is an object.
fn object_at<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    object.get_mut(field).filter(|value| value.is_object())
}

/// The objects of a list; none where the list is missing.
fn each<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter(|value| value.is_object())
}

/// Removes the fields that are empty text, empty lists or empty maps: Go leaves them out (`omitempty`).
fn omit_empty(object: &mut Value, fields: &[&str]) {
    if let Some(map) = object.as_object_mut() {
        for field in fields {
            let is_empty = match map.get(*field) {
                Some(Value::String(text)) => text.is_empty(),
                Some(Value::Array(list)) => list.is_empty(),
                Some(Value::Object(inner)) => inner.is_empty(),
                Some(Value::Bool(value)) => !value,
                Some(Value::Number(number)) => number.as_i64() == Some(0),
                _ => false,
            };
            if is_empty {
                map.remove(*field);
            }
        }
    }
}

/// A resource list: quantities in canonical form, rounded up to thousandths.
fn resource_list(object: &mut Value, field: &str) {
    let Some(list) = object.get_mut(field).and_then(Value::as_object_mut) else { return };
    for quantity in list.values_mut() {
        canonical(quantity, true);
    }
}

/// A quantity in canonical form; what is none stays for validation to refuse.
fn canonical(value: &mut Value, to_milli: bool) {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    if let Ok(mut quantity) = Quantity::parse(&text) {
        if to_milli && quantity.nano % 1_000_000 != 0 {
            quantity.nano = quantity.milli().saturating_mul(1_000_000);
        }
        *value = quantity.to_string().into();
    }
}

#[cfg(test)]
mod tests;
