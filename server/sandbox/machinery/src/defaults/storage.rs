//! Volumes, claims and storage classes.

use super::{canonical, missing, object_at, part, resource_list, unset};
use serde_json::{Value, json};

pub(super) fn set(kind: &str, object: &mut Value) {
    match kind {
        "PersistentVolume" => {
            if let Some(spec) = part(object, "spec") {
                unset(spec, "persistentVolumeReclaimPolicy", "Retain");
                missing(spec, "volumeMode", "Filesystem");
                resource_list(spec, "capacity");
                volume_source(spec);
            }
            if let Some(status) = part(object, "status") {
                unset(status, "phase", "Pending");
            }
        }
        "PersistentVolumeClaim" => {
            if let Some(spec) = part(object, "spec") {
                claim_spec(spec);
            }
            if let Some(status) = part(object, "status") {
                unset(status, "phase", "Pending");
                resource_list(status, "capacity");
                resource_list(status, "allocatedResources");
            }
        }
        "StorageClass" => {
            missing(object, "reclaimPolicy", "Delete");
            missing(object, "volumeBindingMode", "Immediate");
        }
        "CSIDriver" => {
            if let Some(spec) = part(object, "spec") {
                missing(spec, "attachRequired", true);
                missing(spec, "podInfoOnMount", false);
                missing(spec, "storageCapacity", false);
                missing(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
                unset(spec, "volumeLifecycleModes", json!(["Persistent"]));
                missing(spec, "requiresRepublish", false);
                missing(spec, "seLinuxMount", false);
            }
        }
        "CSINode" => {
            if let Some(spec) = part(object, "spec")
                && spec.get("drivers").is_none()
            {
                spec["drivers"] = Value::Null;
            }
        }
        "VolumeAttachment" => {
            part(object, "spec");
            if let Some(status) = part(object, "status") {
                missing(status, "attached", false);
            }
        }
        "CSIStorageCapacity" => {
            for field in ["capacity", "maximumVolumeSize"] {
                if let Some(quantity) = object.get_mut(field) {
                    canonical(quantity, false);
                }
            }
        }
        _ => {}
    }
}

pub(super) fn claim_spec(spec: &mut Value) {
    missing(spec, "volumeMode", "Filesystem");
    if let Some(resources) = part(spec, "resources") {
        resource_list(resources, "limits");
        resource_list(resources, "requests");
    }
    // `dataSource` is dropped unless it names a claim or a snapshot; it and `dataSourceRef` are written together.
    let core_or_snapshot = |source: &Value| {
        let group = source["apiGroup"].as_str().unwrap_or_default();
        matches!(
            (group, source["kind"].as_str()),
            ("", Some("PersistentVolumeClaim")) | ("snapshot.storage.k8s.io", Some("VolumeSnapshot"))
        )
    };
    if spec["dataSource"].is_object() && !core_or_snapshot(&spec["dataSource"]) {
        spec["dataSource"] = Value::Null;
    }
    if spec["dataSource"].is_object() && spec["dataSourceRef"].is_null() {
        spec["dataSourceRef"] = spec["dataSource"].clone();
    } else if spec["dataSourceRef"].is_object()
        && spec["dataSource"].is_null()
        && spec["dataSourceRef"]["namespace"].is_null()
        && core_or_snapshot(&spec["dataSourceRef"])
    {
        spec["dataSource"] = spec["dataSourceRef"].clone();
    }
    super::drop_nulls(spec);
}

/// Sources that pods and persistent volumes share.
pub(super) fn volume_source(volume: &mut Value) {
    if let Some(path) = object_at(volume, "hostPath") {
        missing(path, "type", "");
    }
    if let Some(target) = object_at(volume, "iscsi") {
        unset(target, "iscsiInterface", "default");
    }
    if let Some(device) = object_at(volume, "rbd") {
        unset(device, "pool", "rbd");
        unset(device, "user", "admin");
        unset(device, "keyring", "/etc/ceph/keyring");
    }
    if let Some(disk) = object_at(volume, "azureDisk") {
        missing(disk, "cachingMode", "ReadWrite");
        missing(disk, "fsType", "ext4");
        missing(disk, "readOnly", false);
        missing(disk, "kind", "Shared");
    }
    if let Some(device) = object_at(volume, "scaleIO") {
        unset(device, "storageMode", "ThinProvisioned");
        unset(device, "fsType", "xfs");
    }
}
