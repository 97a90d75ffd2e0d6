//! Sources of volumes: those of pods, and those that persistent volumes share with them.

use super::super::kit::{Errors, has, list, number, one_of, refuse, required, supported_or_refuse, text};
use super::super::{meta, names, quantities, volume_claim};
use super::environment;
use crate::field::FieldError;
use serde_json::Value;
use std::collections::BTreeSet;

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const ONE_ONLY: &str = "may not specify more than 1 volume type";

/// In the order in which Kubernetes looks for them.
const SOURCES: [&str; 31] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
    "local",
];

pub(super) fn check(errors: &mut Errors, path: &str, volume: &Value, pod: &str, is_pod: bool) {
    let mut found = false;
    for kind in &SOURCES[..30] {
        let source = &volume[*kind];
        if !has(source) {
            continue;
        }
        if found {
            let kind = match *kind {
                "cephfs" => "cephFS",
                "downwardAPI" => "downwarAPI",
                other => other,
            };
            errors.push(FieldError::forbidden(format!("{path}.{kind}"), ONE_ONLY));
            continue;
        }
        found = true;
        let name = text(&volume["name"]);
        let source_path = format!("{path}.{kind}");
        match *kind {
            "emptyDir" => {
                if quantities::parse(&source["sizeLimit"]).is_some_and(|q| q.nano < 0) {
                    let message = "SizeLimit field must be a valid resource quantity";
                    errors.push(FieldError::forbidden(format!("{source_path}.sizeLimit"), message));
                }
            }
            "secret" => key_volume(errors, &source_path, source, "secretName"),
            "configMap" => key_volume(errors, &source_path, source, "name"),
            "persistentVolumeClaim" => required(errors, &format!("{source_path}.claimName"), &source["claimName"]),
            "downwardAPI" => {
                mode(errors, &format!("{source_path}.defaultMode"), &source["defaultMode"]);
                for file in list(&source["items"]) {
                    downward_file(errors, &source_path, file);
                }
            }
            "projected" => projected(errors, &source_path, source),
            "ephemeral" => ephemeral(errors, path, source, pod, name),
            "image" => {
                if is_pod {
                    required(errors, &format!("{source_path}.reference"), &source["reference"]);
                }
                let policies = ["Always", "IfNotPresent", "Never"];
                one_of(errors, &format!("{source_path}.pullPolicy"), &source["pullPolicy"], &policies);
            }
            "csi" => csi(errors, &source_path, source),
            "gcePersistentDisk" => common_source(errors, &format!("{path}.persistentDisk"), kind, source),
            _ => common_source(errors, &source_path, kind, source),
        }
    }
    if !found {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

/// The source of a persistent volume, which must have exactly one; returns how many it has.
pub(in super::super) fn persistent_source(errors: &mut Errors, path: &str, spec: &Value) -> usize {
    let mut found = 0;
    for kind in SOURCES.iter().filter(|kind| has(&spec[**kind])) {
        found += 1;
        let path = format!("{path}.{kind}");
        if found > 1 {
            errors.push(FieldError::forbidden(path, ONE_ONLY));
            continue;
        }
        let source = &spec[*kind];
        match *kind {
            "csi" => {
                csi_driver(errors, &format!("{path}.driver"), text(&source["driver"]));
                required(errors, &format!("{path}.volumeHandle"), &source["volumeHandle"]);
            }
            "local" => {
                required(errors, &format!("{path}.path"), &source["path"]);
                no_backsteps(errors, &format!("{path}.path"), text(&source["path"]));
            }
            _ => common_source(errors, &path, kind, source),
        }
    }
    found
}

fn host_path(errors: &mut Errors, path: &str, source: &Value) {
    let directory = text(&source["path"]);
    if directory.is_empty() {
        errors.push(FieldError::required(format!("{path}.path"), ""));
        return;
    }
    no_backsteps(errors, &format!("{path}.path"), directory);
    if let Some(kind) = source["type"].as_str() {
        let supported = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
        supported_or_refuse(errors, &format!("{path}.type"), kind, &supported);
    }
}

fn common_source(errors: &mut Errors, path: &str, kind: &str, source: &Value) {
    let needs: &[&str] = match kind {
        "gitRepo" => &["repository"],
        "gcePersistentDisk" => &["pdName"],
        "awsElasticBlockStore" | "cinder" | "portworxVolume" => &["volumeID"],
        "nfs" => &["server", "path"],
        "iscsi" => &["targetPortal", "iqn"],
        "glusterfs" => &["endpoints", "path"],
        "quobyte" => &["registry"],
        "flexVolume" => &["driver"],
        "azureFile" => &["secretName"],
        "azureDisk" => &["diskName", "diskURI"],
        "vsphereVolume" => &["volumePath"],
        "photonPersistentDisk" => &["pdID"],
        "scaleIO" => &["gateway", "system", "volumeName"],
        _ => &[],
    };
    for field in needs {
        required(errors, &format!("{path}.{field}"), &source[*field]);
    }
    match kind {
        "hostPath" => host_path(errors, path, source),
        "nfs" if !text(&source["path"]).starts_with('/') => {
            errors.push(FieldError::invalid(format!("{path}.path"), text(&source["path"]), "must be an absolute path"));
        }
        "rbd" | "cephfs" => {
            if list(&source["monitors"]).is_empty() {
                errors.push(FieldError::required(format!("{path}.monitors"), ""));
            }
            if kind == "rbd" {
                required(errors, &format!("{path}.image"), &source["image"]);
            }
        }
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            let partition = number(&source["partition"]);
            if !(0..=255).contains(&partition) {
                errors.push(FieldError::invalid(format!("{path}.partition"), partition, "must be between 1 and 255, inclusive"));
            }
        }
        "iscsi" => {
            let lun = number(&source["lun"]);
            if !(0..=255).contains(&lun) {
                errors.push(FieldError::invalid(format!("{path}.lun"), lun, "must be between 0 and 255, inclusive"));
            }
            let iqn = text(&source["iqn"]);
            if !iqn.is_empty() && !["iqn", "eui", "naa"].iter().any(|prefix| iqn.starts_with(prefix)) {
                let message = "must be valid format starting with iqn, eui, or naa";
                errors.push(FieldError::invalid(format!("{path}.iqn"), iqn, message));
            }
        }
        "fc" => {
            let (names, ids) = (list(&source["targetWWNs"]), list(&source["wwids"]));
            let path_names = format!("{path}.targetWWNs");
            match (names.is_empty(), ids.is_empty()) {
                (true, true) => {
                    errors.push(FieldError::required(path_names, "must specify either targetWWNs or wwids, but not both"));
                }
                (false, false) => {
                    let message = "targetWWNs and wwids can not be specified simultaneously";
                    errors.push(FieldError::invalid(path_names, &source["targetWWNs"], message));
                }
                _ => {}
            }
            if !names.is_empty() && !has(&source["lun"]) {
                errors.push(FieldError::required(format!("{path}.lun"), "lun is required if targetWWNs is specified"));
            }
        }
        _ => {}
    }
}

fn key_volume(errors: &mut Errors, path: &str, source: &Value, name: &str) {
    required(errors, &format!("{path}.{name}"), &source[name]);
    mode(errors, &format!("{path}.defaultMode"), &source["defaultMode"]);
    for (index, item) in list(&source["items"]).iter().enumerate() {
        key_to_path(errors, &format!("{path}.items[{index}]"), item);
    }
}

fn key_to_path(errors: &mut Errors, path: &str, item: &Value) {
    required(errors, &format!("{path}.key"), &item["key"]);
    required(errors, &format!("{path}.path"), &item["path"]);
    not_reserved_path(errors, &format!("{path}.path"), text(&item["path"]));
    mode(errors, &format!("{path}.mode"), &item["mode"]);
}

fn mode(errors: &mut Errors, path: &str, mode: &Value) {
    if let Some(bits) = mode.as_i64().filter(|bits| !(0..=0o777).contains(bits)) {
        errors.push(FieldError::invalid(path, bits, MODE));
    }
}

fn downward_file(errors: &mut Errors, path: &str, file: &Value) {
    required(errors, &format!("{path}.path"), &file["path"]);
    not_reserved_path(errors, &format!("{path}.path"), text(&file["path"]));
    match (has(&file["fieldRef"]), has(&file["resourceFieldRef"])) {
        (true, both) => {
            environment::volume_field(errors, &format!("{path}.fieldRef"), &file["fieldRef"]);
            if both {
                let message = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(path, "resource", message));
            }
        }
        (false, true) => {
            environment::resource_reference(errors, &format!("{path}.resourceFieldRef"), &file["resourceFieldRef"], true);
        }
        (false, false) => errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required")),
    }
    mode(errors, &format!("{path}.mode"), &file["mode"]);
}

fn projected(errors: &mut Errors, path: &str, source: &Value) {
    mode(errors, &format!("{path}.defaultMode"), &source["defaultMode"]);
    let mut paths = BTreeSet::new();
    for (index, source) in list(&source["sources"]).iter().enumerate() {
        let source_path = format!("{path}.sources[{index}]");
        let mut found = 0;
        for kind in ["secret", "configMap"] {
            if !has(&source[kind]) {
                continue;
            }
            found += 1;
            let name = text(&source[kind]["name"]);
            required(errors, &format!("{source_path}.{kind}.name"), &source[kind]["name"]);
            for (index, item) in list(&source[kind]["items"]).iter().enumerate() {
                key_to_path(errors, &format!("{source_path}.{kind}.items[{index}]"), item);
                unique(errors, path, &mut paths, text(&item["path"]), name);
            }
        }
        if has(&source["downwardAPI"]) {
            found += 1;
            for file in list(&source["downwardAPI"]["items"]) {
                downward_file(errors, &format!("{source_path}.downwardAPI"), file);
                unique(errors, path, &mut paths, text(&file["path"]), text(&file["path"]));
            }
        }
        if has(&source["serviceAccountToken"]) {
            found += 1;
            let token = &source["serviceAccountToken"];
            let seconds = number(&token["expirationSeconds"]);
            let field = format!("{source_path}.serviceAccountToken.expirationSeconds");
            if seconds < 600 {
                errors.push(FieldError::invalid(&field, seconds, "may not specify a duration less than 10 minutes"));
            }
            if seconds > 1 << 32 {
                errors.push(FieldError::invalid(&field, seconds, "may not specify a duration larger than 2^32 seconds"));
            }
            required(errors, &format!("{path}.path"), &token["path"]);
            not_reserved_path(errors, &format!("{path}.path"), text(&token["path"]));
        }
        if has(&source["clusterTrustBundle"]) {
            found += 1;
            let bundle = &source["clusterTrustBundle"];
            let bundle_path = format!("{source_path}.clusterTrustBundle");
            if !has(&bundle["name"]) && !has(&bundle["signerName"]) {
                errors.push(FieldError::required(&bundle_path, "either name or signerName must be specified"));
            }
            meta::selector(errors, &format!("{bundle_path}.labelSelector"), &bundle["labelSelector"]);
            required(errors, &format!("{bundle_path}.path"), &bundle["path"]);
            not_reserved_path(errors, &format!("{bundle_path}.path"), text(&bundle["path"]));
            unique(errors, path, &mut paths, text(&bundle["path"]), text(&bundle["path"]));
        }
        if found > 1 {
            errors.push(FieldError::forbidden(source_path, "may not specify more than 1 volume type per source"));
        }
    }
}

fn unique<'a>(errors: &mut Errors, path: &str, seen: &mut BTreeSet<&'a str>, file: &'a str, shown: &str) {
    if !file.is_empty() && !seen.insert(file) {
        errors.push(FieldError::invalid(path, shown, "conflicting duplicate paths"));
    }
}

fn ephemeral(errors: &mut Errors, path: &str, source: &Value, pod: &str, name: &str) {
    let template = &source["volumeClaimTemplate"];
    let template_path = format!("{path}.ephemeral.volumeClaimTemplate");
    if has(template) {
        meta::annotations(errors, &format!("{template_path}.metadata.annotations"), &template["metadata"]["annotations"]);
        meta::labels(errors, &format!("{template_path}.metadata.labels"), &template["metadata"]["labels"]);
        volume_claim::claim_spec(errors, &format!("{template_path}.spec"), &template["spec"]);
    } else {
        errors.push(FieldError::required(template_path, ""));
    }
    if !pod.is_empty() && !name.is_empty() {
        let claim = format!("{pod}-{name}");
        for message in names::dns_subdomain(&claim) {
            let message = format!("PVC name {}: {message}", crate::field::go_quote(&claim));
            errors.push(FieldError::invalid(format!("{path}.name"), name, message));
        }
    }
}

pub(super) fn csi_driver(errors: &mut Errors, path: &str, driver: &str) {
    if driver.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    if driver.len() > 63 {
        errors.push(FieldError::too_long(path, 63));
    }
    refuse(errors, path, driver, names::dns_subdomain(&driver.to_lowercase()));
}

fn csi(errors: &mut Errors, path: &str, source: &Value) {
    csi_driver(errors, &format!("{path}.driver"), text(&source["driver"]));
    let secret = &source["nodePublishSecretRef"];
    if has(secret) {
        let name = text(&secret["name"]);
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.nodePublishSecretRef.name"), ""));
        } else {
            refuse(errors, &format!("{path}.name"), name, names::dns_subdomain(name));
        }
    }
}

/// A relative path that never goes up.
pub(super) fn descending_path(errors: &mut Errors, path: &str, target: &str) {
    if target.starts_with('/') {
        errors.push(FieldError::invalid(path, target, "must be a relative path"));
    }
    no_backsteps(errors, path, target);
}

pub(super) fn no_backsteps(errors: &mut Errors, path: &str, target: &str) {
    if target.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, target, "must not contain '..'"));
    }
}

fn not_reserved_path(errors: &mut Errors, path: &str, target: &str) {
    descending_path(errors, path, target);
    if target.starts_with("..") && !target.starts_with("../") {
        errors.push(FieldError::invalid(path, target, "must not start with '..'"));
    }
}
