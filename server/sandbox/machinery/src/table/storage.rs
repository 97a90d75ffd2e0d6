//! Volumes, claims, storage classes and the drivers behind them.

use super::Printer;
use super::column::{age, boolean, integer as number, name, named, text, wide};
use super::duration::age as age_of;
use super::text::{count, items, none_if_empty, or, scalar, str_of};
use crate::object;
use jiff::Timestamp;
use serde_json::Value;

pub(super) fn printer(group: &str, kind: &str) -> Option<Printer> {
    let printer = match (group, kind) {
        ("", "PersistentVolume") => Printer {
            columns: const {
                &[
                    name(),
                    text("Capacity"),
                    text("Access Modes"),
                    text("Reclaim Policy"),
                    text("Status"),
                    text("Claim"),
                    text("StorageClass"),
                    text("VolumeAttributesClass"),
                    text("Reason"),
                    age(),
                    wide("VolumeMode"),
                ]
            },
            cells: volume,
        },
        ("", "PersistentVolumeClaim") => Printer {
            columns: const {
                &[
                    name(),
                    text("Status"),
                    text("Volume"),
                    text("Capacity"),
                    text("Access Modes"),
                    text("StorageClass"),
                    text("VolumeAttributesClass"),
                    age(),
                    wide("VolumeMode"),
                ]
            },
            cells: claim,
        },
        ("storage.k8s.io", "StorageClass") => Printer {
            columns: const {
                &[name(), text("Provisioner"), text("ReclaimPolicy"), text("VolumeBindingMode"), text("AllowVolumeExpansion"), age()]
            },
            cells: class,
        },
        ("storage.k8s.io", "VolumeAttributesClass") => {
            Printer { columns: const { &[name(), text("DriverName"), age()] }, cells: attributes_class }
        }
        ("storage.k8s.io", "VolumeAttachment") => Printer {
            columns: const { &[name(), named("Attacher"), text("PV"), text("Node"), boolean("Attached"), age()] },
            cells: attachment,
        },
        ("storage.k8s.io", "CSINode") => Printer { columns: const { &[name(), number("Drivers"), age()] }, cells: csi_node },
        ("storage.k8s.io", "CSIDriver") => Printer {
            columns: const {
                &[
                    name(),
                    boolean("AttachRequired"),
                    boolean("PodInfoOnMount"),
                    boolean("StorageCapacity"),
                    text("TokenRequests"),
                    boolean("RequiresRepublish"),
                    text("Modes"),
                    age(),
                ]
            },
            cells: csi_driver,
        },
        _ => return None,
    };
    Some(printer)
}

fn access_modes(modes: &Value) -> String {
    let has = |mode: &str| items(modes).iter().any(|m| m == mode);
    [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")]
        .into_iter()
        .filter(|(mode, _)| has(mode))
        .map(|(_, short)| short)
        .collect::<Vec<_>>()
        .join(",")
}

/// The class by the old annotation, else by the spec.
fn class_of(object: &Value) -> &str {
    object::annotation(object, "volume.beta.kubernetes.io/storage-class").unwrap_or_else(|| str_of(&object["spec"]["storageClassName"]))
}

fn phase(object: &Value) -> Value {
    if object::is_terminating(object) { "Terminating".into() } else { str_of(&object["status"]["phase"]).into() }
}

fn set(value: &Value) -> Value {
    value.as_str().unwrap_or("<unset>").into()
}

fn storage(list: &Value) -> String {
    or(&Value::String(scalar(&list["storage"])), "0").to_owned()
}

fn volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let claim = &spec["claimRef"];
    let claim = if claim.is_object() { format!("{}/{}", str_of(&claim["namespace"]), str_of(&claim["name"])) } else { String::new() };
    vec![
        object::name(object).into(),
        storage(&spec["capacity"]).into(),
        access_modes(&spec["accessModes"]).into(),
        str_of(&spec["persistentVolumeReclaimPolicy"]).into(),
        phase(object),
        claim.into(),
        class_of(object).into(),
        set(&spec["volumeAttributesClassName"]),
        str_of(&object["status"]["reason"]).into(),
        age_of(object, now),
        set(&spec["volumeMode"]),
    ]
}

fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let volume = str_of(&spec["volumeName"]);
    let (capacity, modes) =
        if volume.is_empty() { Default::default() } else { (storage(&status["capacity"]), access_modes(&status["accessModes"])) };
    vec![
        object::name(object).into(),
        phase(object),
        volume.into(),
        capacity.into(),
        modes.into(),
        class_of(object).into(),
        set(&spec["volumeAttributesClassName"]),
        age_of(object, now),
        set(&spec["volumeMode"]),
    ]
}

fn class(object: &Value, now: Timestamp) -> Vec<Value> {
    let default = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
        .into_iter()
        .any(|key| object::annotation(object, key) == Some("true"));
    let name = format!("{}{}", object::name(object), if default { " (default)" } else { "" });
    vec![
        name.into(),
        str_of(&object["provisioner"]).into(),
        object["reclaimPolicy"].as_str().unwrap_or("Delete").into(),
        object["volumeBindingMode"].as_str().unwrap_or("Immediate").into(),
        (object["allowVolumeExpansion"] == true).into(),
        age_of(object, now),
    ]
}

fn attributes_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), str_of(&object["driverName"]).into(), age_of(object, now)]
}

fn attachment(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        object::name(object).into(),
        str_of(&spec["attacher"]).into(),
        str_of(&spec["source"]["persistentVolumeName"]).into(),
        str_of(&spec["nodeName"]).into(),
        (object["status"]["attached"] == true).into(),
        age_of(object, now),
    ]
}

fn csi_node(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), count(&object["spec"]["drivers"]).into(), age_of(object, now)]
}

fn csi_driver(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let joined = |list: Vec<&str>| list.join(",");
    let audiences = match &spec["tokenRequests"] {
        Value::Array(requests) => joined(requests.iter().map(|r| str_of(&r["audience"])).collect()),
        _ => "<unset>".to_owned(),
    };
    vec![
        object::name(object).into(),
        (spec["attachRequired"] != false).into(),
        (spec["podInfoOnMount"] == true).into(),
        (spec["storageCapacity"] == true).into(),
        audiences.into(),
        (spec["requiresRepublish"] == true).into(),
        none_if_empty(joined(items(&spec["volumeLifecycleModes"]).iter().map(str_of).collect())).into(),
        age_of(object, now),
    ]
}
