//! Only volume types that carry no power over the node or over storage behind the cluster's back.

use super::{forbid, in_pod};
use crate::{control::Forbidden, pod::Pod, words};
use serde_json::Value;
use std::collections::BTreeSet;

const ALLOWED: [&str; 9] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];

/// In the order in which Kubernetes looks for the type that it names.
const RESTRICTED: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

/// `None` for an allowed volume. One without any source is an `emptyDir`, which is what defaulting makes of it.
fn restricted_type(volume: &Value) -> Option<&'static str> {
    let set = |kind: &&&str| !volume[**kind].is_null();
    if ALLOWED.iter().any(|kind| set(&kind)) {
        return None;
    }
    if let Some(kind) = RESTRICTED.iter().find(set) {
        return Some(kind);
    }
    let nothing = volume.as_object().is_none_or(|fields| fields.iter().all(|(key, value)| key == "name" || value.is_null()));
    if nothing { None } else { Some("unknown") }
}

pub(crate) fn check(pod: &Pod<'_>) -> Option<Forbidden> {
    let mut violations = Vec::new();
    let mut volumes = Vec::new();
    let mut kinds = BTreeSet::new();
    for (index, volume) in pod.volumes() {
        let Some(kind) = restricted_type(volume) else { continue };
        volumes.push(volume["name"].as_str().unwrap_or_default());
        kinds.insert(kind.to_owned());
        let field = if kind == "unknown" { format!("spec.volumes[{index}]") } else { format!("spec.volumes[{index}].{kind}") };
        violations.push(in_pod(
            field,
            kind,
            "one of configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected, secret",
        ));
    }
    let detail = || {
        format!(
            "{} {} {} {} {}",
            words::number(volumes.len(), "volume", "volumes"),
            words::quoted(&volumes),
            words::number(volumes.len(), "uses", "use"),
            words::number(kinds.len(), "restricted volume type", "restricted volume types"),
            words::quoted_set(&kinds)
        )
    };
    forbid("restrictedVolumes", "restricted volume types", detail, violations)
}
