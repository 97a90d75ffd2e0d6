//! Namespaces, nodes, configuration, events, limits and quotas of the core group.

use super::{canonical, each, missing, object_at, omit_empty, part, resource_list, unset};
use serde_json::{Map, Value};

pub(super) fn set(kind: &str, object: &mut Value) {
    match kind {
        "Namespace" => namespace(object),
        "Node" => node(object),
        "Secret" => {
            merge_string_data(object);
            unset(object, "type", "Opaque");
            omit_empty(object, &["data"]);
        }
        "ConfigMap" => omit_empty(object, &["data", "binaryData"]),
        "LimitRange" => {
            if let Some(spec) = part(object, "spec") {
                for item in each(spec, "limits") {
                    limit_range_item(item);
                }
                if spec.get("limits").is_none() {
                    spec["limits"] = Value::Null;
                }
            }
        }
        "ResourceQuota" => {
            for field in ["spec", "status"] {
                if let Some(lists) = part(object, field) {
                    resource_list(lists, "hard");
                    resource_list(lists, "used");
                }
            }
        }
        "Event" => {
            part(object, "involvedObject");
            part(object, "source");
            for field in ["firstTimestamp", "lastTimestamp", "eventTime"] {
                if object.get(field).is_none() {
                    object[field] = Value::Null;
                }
            }
            missing(object, "reportingComponent", "");
            missing(object, "reportingInstance", "");
        }
        "Binding" => {
            part(object, "target");
        }
        _ => {}
    }
}

/// `stringData` is only ever written: it lands in `data`, encoded.
fn merge_string_data(object: &mut Value) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let Some(Value::Object(plain)) = object.as_object_mut().and_then(|map| map.remove("stringData")) else { return };
    if let Some(data) = part(object, "data") {
        for (key, value) in plain {
            data[key] = STANDARD.encode(value.as_str().unwrap_or_default()).into();
        }
    }
}

fn namespace(object: &mut Value) {
    let name = crate::object::name(object).to_owned();
    if !name.is_empty()
        && let Some(labels) = object_at(object, "metadata").and_then(|metadata| part(metadata, "labels"))
    {
        labels["kubernetes.io/metadata.name"] = name.into();
    }
    part(object, "spec");
    if let Some(status) = part(object, "status") {
        unset(status, "phase", "Active");
    }
}

fn node(object: &mut Value) {
    if let Some(spec) = part(object, "spec") {
        // One range is the first of many, whichever of the two is given.
        let (one, first) = (spec["podCIDR"].clone(), spec["podCIDRs"][0].clone());
        if one.as_str().is_some_and(|one| !one.is_empty() && first != one) {
            spec["podCIDRs"] = serde_json::json!([one]);
        } else if one.is_null() && first.is_string() {
            spec["podCIDR"] = first;
        }
    }
    let Some(status) = part(object, "status") else { return };
    if status["allocatable"].is_null() && status["capacity"].is_object() {
        status["allocatable"] = status["capacity"].clone();
    }
    super::drop_nulls(status);
    resource_list(status, "capacity");
    resource_list(status, "allocatable");
    if let Some(endpoint) = part(status, "daemonEndpoints").and_then(|endpoints| part(endpoints, "kubeletEndpoint")) {
        missing(endpoint, "Port", 0);
    }
    if let Some(info) = part(status, "nodeInfo") {
        for field in [
            "machineID",
            "systemUUID",
            "bootID",
            "kernelVersion",
            "osImage",
            "containerRuntimeVersion",
            "kubeletVersion",
            "kubeProxyVersion",
            "operatingSystem",
            "architecture",
        ] {
            missing(info, field, "");
        }
    }
}

/// For containers the limits follow from `max`, the requests from the limits, then from `min`.
fn limit_range_item(item: &mut Value) {
    let lists = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];
    if item["type"] == "Container" {
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            let source = item[from].as_object().cloned().unwrap_or_default();
            if let Some(target) = part(item, to) {
                for (name, quantity) in source {
                    missing(target, &name, quantity);
                }
            }
        }
        if item["max"].is_null() || item["min"].is_null() {
            super::drop_nulls(item);
        }
        omit_empty(item, &["default", "defaultRequest"]);
    }
    for list in lists {
        if let Some(list) = item.get_mut(list).and_then(Value::as_object_mut) {
            round(list);
        }
    }
}

fn round(list: &mut Map<String, Value>) {
    for quantity in list.values_mut() {
        canonical(quantity, true);
    }
}
