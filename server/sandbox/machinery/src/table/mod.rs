//! `meta.k8s.io/v1` Table: the columns that `kubectl get` prints, and the cells that follow from an object
//! (k8s.io/kubernetes/pkg/printers/internalversion). One family of kinds, one file.
//!
//! The API server always computes the wide columns too and marks them with priority 1; kubectl leaves them out.

mod cluster;
mod column;
mod config;
mod custom;
mod duration;
mod jsonpath;
mod network;
mod node;
mod pod;
mod policy;
mod storage;
mod text;
mod workload;

pub use duration::human_duration;

use crate::{object, resource::Resource};
use column::Column;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// `?includeObject=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

/// How one built-in kind is printed.
struct Printer {
    columns: &'static [Column],
    cells: fn(&Value, Timestamp) -> Vec<Value>,
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
    let mut table = json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": list_metadata(metadata)});
    let (columns, mut rows): (Vec<Value>, Vec<Value>) = match (&resource.custom, printer(&resource.group, &resource.kind)) {
        (Some(definition), _) => {
            let printer = custom::Columns::new(&definition.columns);
            (printer.definitions(), objects.iter().map(|o| row(resource, o, printer.cells(o, now), include)).collect())
        }
        (None, Some(printer)) => (
            printer.columns.iter().map(Column::definition).collect(),
            objects.iter().map(|o| row(resource, o, (printer.cells)(o, now), include)).collect(),
        ),
        (None, None) => (
            [column::name(), column::date("Created At")].iter().map(Column::definition).collect(),
            objects.iter().map(|o| row(resource, o, vec![object::name(o).into(), created_at(o)], include)).collect(),
        ),
    };
    if resource.kind == "FlowSchema" {
        policy::sort_flow_schemas(objects, &mut rows);
    }
    table["columnDefinitions"] = if headers { columns.into() } else { Value::Null };
    table["rows"] = rows.into();
    table
}

/// Of an object's metadata, a Table carries only what a list has.
fn list_metadata(metadata: Value) -> Value {
    let mut kept = Map::new();
    for key in ["resourceVersion", "continue", "remainingItemCount"] {
        if let Some(value) = metadata.get(key)
            && !value.is_null()
        {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    Value::Object(kept)
}

fn row(resource: &Resource, object: &Value, cells: Vec<Value>, include: IncludeObject) -> Value {
    let mut row = json!({"cells": cells});
    if resource.group.is_empty()
        && resource.kind == "Pod"
        && let Some(condition) = pod::completion(object)
    {
        row["conditions"] = json!([condition]);
    }
    row["object"] = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => {
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
        }
        IncludeObject::Object => object.clone(),
    };
    row
}

fn created_at(object: &Value) -> Value {
    object["metadata"]["creationTimestamp"].as_str().unwrap_or("0001-01-01T00:00:00Z").into()
}

fn printer(group: &str, kind: &str) -> Option<Printer> {
    let found = match (group, kind) {
        ("", "Pod") => Printer { columns: pod::COLUMNS, cells: pod::cells },
        ("", "Node") => Printer { columns: node::COLUMNS, cells: node::cells },
        ("" | "apps" | "batch" | "autoscaling" | "policy", _) => {
            return workload::printer(kind)
                .or_else(|| config::printer(group, kind))
                .or_else(|| network::printer(group, kind))
                .or_else(|| storage::printer(group, kind))
                .or_else(|| policy::printer(group, kind));
        }
        ("networking.k8s.io" | "discovery.k8s.io", _) => return network::printer(group, kind),
        ("storage.k8s.io", _) => return storage::printer(group, kind),
        ("rbac.authorization.k8s.io" | "flowcontrol.apiserver.k8s.io" | "scheduling.k8s.io", _) => return policy::printer(group, kind),
        ("events.k8s.io", _) => return config::printer(group, kind),
        _ => return cluster::printer(group, kind),
    };
    Some(found)
}

#[cfg(test)]
mod tests;
