//! Persistent volumes, claims and storage classes.

use super::kit::{Errors, entries, has, immutable, list, refuse, required, supported_or_refuse, text};
use super::{difference, internal, meta, names, pod, quantities};
use crate::field::FieldError;
use crate::strategy::equal;
use serde_json::{Value, json};

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

pub(super) fn rules(errors: &mut Errors, kind: &str, new: &Value, old: Option<&Value>) {
    match kind {
        "PersistentVolumeClaim" => {
            claim_spec(errors, "spec", &new["spec"]);
            if let Some(old) = old {
                claim_update(errors, new, old);
            }
        }
        "PersistentVolume" => volume(errors, new, old),
        "StorageClass" => storage_class(errors, new, old),
        _ => {}
    }
}

fn access_modes(errors: &mut Errors, path: &str, modes: &Value, message: &str) {
    let modes = list(modes);
    if modes.is_empty() {
        errors.push(FieldError::required(path, message));
    }
    for mode in modes {
        supported_or_refuse(errors, path, text(mode), &ACCESS_MODES);
    }
    let alone = modes.iter().any(|m| m == "ReadWriteOncePod");
    if alone && modes.iter().any(|m| m != "ReadWriteOncePod" && ACCESS_MODES.contains(&text(m))) {
        errors.push(FieldError::forbidden(path, "may not use ReadWriteOncePod with other access modes"));
    }
}

pub(super) fn claim_spec(errors: &mut Errors, path: &str, spec: &Value) {
    access_modes(errors, &format!("{path}.accessModes"), &spec["accessModes"], "at least 1 access mode is required");
    meta::selector(errors, &format!("{path}.selector"), &spec["selector"]);
    let storage = &spec["resources"]["requests"]["storage"];
    let storage_path = format!("{path}.resources[storage]");
    match quantities::parse(storage) {
        None => errors.push(FieldError::required(storage_path, "")),
        Some(quantity) if quantity.nano <= 0 => {
            errors.push(FieldError::invalid(storage_path, quantity.to_string(), "must be greater than zero"));
        }
        Some(_) => {}
    }
    for field in ["storageClassName", "volumeAttributesClassName"] {
        let name = text(&spec[field]);
        if !name.is_empty() {
            refuse(errors, &format!("{path}.{field}"), name, names::dns_subdomain(name));
        }
    }
    if let Some(mode) = spec["volumeMode"].as_str() {
        supported_or_refuse(errors, &format!("{path}.volumeMode"), mode, &VOLUME_MODES);
    }
    for field in ["dataSource", "dataSourceRef"] {
        let source = &spec[field];
        if !has(source) {
            continue;
        }
        let path = format!("{path}.{field}");
        required(errors, &format!("{path}.name"), &source["name"]);
        required(errors, &format!("{path}.kind"), &source["kind"]);
        let (group, kind) = (text(&source["apiGroup"]), text(&source["kind"]));
        if !group.is_empty() {
            refuse(errors, &format!("{path}.apiGroup"), group, names::dns_subdomain(group));
        } else if kind != "PersistentVolumeClaim" {
            let message = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(FieldError::invalid(path, kind, message));
        }
    }
    if has(&spec["dataSource"]) && has(&spec["dataSourceRef"]) && !equal(&spec["dataSource"], &spec["dataSourceRef"]) {
        errors.push(FieldError::invalid(path, &json!({}), "must match dataSourceRef"));
    }
}

/// A claim may grow once it is bound; nothing else changes.
fn claim_update(errors: &mut Errors, new: &Value, old: &Value) {
    let key = "volume.beta.kubernetes.io/storage-class";
    let class = |claim: &Value| crate::object::annotation(claim, key).unwrap_or_default().to_owned();
    if class(new) != class(old) {
        errors.push(FieldError::invalid(format!("metadata.annotations.{key}"), class(new), super::kit::IMMUTABLE));
    }
    let (mut spec, mut before) = (new["spec"].clone(), old["spec"].clone());
    if text(&before["volumeName"]).is_empty() {
        before["volumeName"] = spec["volumeName"].clone();
    }
    if !has(&before["storageClassName"]) {
        before["storageClassName"] = spec["storageClassName"].clone();
    }
    let bound = new["status"]["phase"] == "Bound";
    if bound && spec["resources"]["requests"].is_object() {
        spec["resources"]["requests"]["storage"] = before["resources"]["requests"]["storage"].clone();
    }
    if bound {
        spec["volumeAttributesClassName"] = before["volumeAttributesClassName"].clone();
    }
    if !equal(&spec, &before) {
        let shown = |spec: &Value| internal::pretty("PersistentVolumeClaimSpec", spec);
        let changes = difference::unified(&shown(&before), &shown(&spec));
        let message = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.push(FieldError::forbidden("spec", format!("{message}\n{changes}")));
    }
    let size = |claim: &Value| quantities::parse(&claim["spec"]["resources"]["requests"]["storage"]).map_or(0, |q| q.nano);
    let provided = quantities::parse(&old["status"]["capacity"]["storage"]).map_or(0, |q| q.nano);
    if size(new) < size(old) && size(new) <= provided {
        errors.push(FieldError::forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"));
    }
    immutable(errors, "volumeMode", &new["spec"]["volumeMode"], &old["spec"]["volumeMode"]);
}

fn volume(errors: &mut Errors, new: &Value, old: Option<&Value>) {
    let spec = &new["spec"];
    access_modes(errors, "spec.accessModes", &spec["accessModes"], "");
    let capacity = entries(&spec["capacity"]);
    if capacity.is_empty() {
        errors.push(FieldError::required("spec.capacity", ""));
    }
    if capacity.len() != 1 || capacity[0].0 != "storage" {
        errors.push(FieldError::not_supported("spec.capacity", &spec["capacity"], &["storage"]));
    }
    for (name, quantity) in capacity {
        let path = format!("spec.capacity[{name}]");
        if let Some(quantity) = quantities::parse(quantity).filter(|q| q.nano <= 0) {
            if quantity.nano < 0 {
                let units = i64::try_from(quantity.nano / 1_000_000_000).unwrap_or(i64::MIN);
                errors.push(FieldError::invalid(&path, units, "must be a valid resource quantity"));
            }
            errors.push(FieldError::invalid(path, quantity.to_string(), "must be greater than zero"));
        }
    }
    if let Some(policy) = spec["persistentVolumeReclaimPolicy"].as_str() {
        supported_or_refuse(errors, "spec.persistentVolumeReclaimPolicy", policy, &["Delete", "Recycle", "Retain"]);
    }
    if has(&spec["nodeAffinity"]["required"]) {
        pod::node_selector(errors, "spec.nodeAffinity.required", &spec["nodeAffinity"]["required"]);
    } else if has(&spec["nodeAffinity"]) {
        errors.push(FieldError::required("spec.nodeAffinity.required", "must specify required node constraints"));
    } else if has(&spec["local"]) {
        errors.push(FieldError::required("spec.nodeAffinity", "Local volume requires node affinity"));
    }
    if pod::persistent_source(errors, "spec", spec) == 0 {
        errors.push(FieldError::required("spec", "must specify a volume type"));
    }
    if text(&spec["hostPath"]["path"]) == "/" && spec["persistentVolumeReclaimPolicy"] == "Recycle" {
        let message = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden("spec.persistentVolumeReclaimPolicy", message));
    }
    let class = text(&spec["storageClassName"]);
    if !class.is_empty() {
        refuse(errors, "spec.storageClassName", class, names::dns_subdomain(class));
    }
    if let Some(mode) = spec["volumeMode"].as_str() {
        supported_or_refuse(errors, "spec.volumeMode", mode, &VOLUME_MODES);
    }
    if let Some(old) = old {
        let source = |spec: &Value| {
            let mut source = spec.clone();
            if let Some(map) = source.as_object_mut() {
                for field in [
                    "accessModes",
                    "capacity",
                    "claimRef",
                    "mountOptions",
                    "nodeAffinity",
                    "persistentVolumeReclaimPolicy",
                    "storageClassName",
                    "volumeAttributesClassName",
                    "volumeMode",
                ] {
                    map.remove(field);
                }
            }
            source
        };
        let (now, before) = (source(spec), source(&old["spec"]));
        if !equal(&now, &before) {
            let shown = |source: &Value| internal::pretty("PersistentVolumeSource", source);
            let changes = difference::unified(&shown(&before), &shown(&now));
            let message = format!("spec.persistentvolumesource is immutable after creation\n{changes}");
            errors.push(FieldError::forbidden("spec.persistentvolumesource", message));
        }
        immutable(errors, "volumeMode", &spec["volumeMode"], &old["spec"]["volumeMode"]);
        if has(&old["spec"]["nodeAffinity"]) && !equal(&spec["nodeAffinity"], &old["spec"]["nodeAffinity"]) {
            let shown = internal::shown("VolumeNodeAffinity", &spec["nodeAffinity"]);
            errors.push(FieldError::invalid("nodeAffinity", shown, "field is immutable, except for updating from beta label to GA"));
        }
    }
}

fn storage_class(errors: &mut Errors, new: &Value, old: Option<&Value>) {
    if let Some(old) = old {
        for field in ["parameters", "provisioner", "reclaimPolicy"] {
            if !equal(&new[field], &old[field]) {
                errors.push(FieldError::forbidden(field, format!("updates to {field} are forbidden.")));
            }
        }
        immutable(errors, "volumeBindingMode", &new["volumeBindingMode"], &old["volumeBindingMode"]);
        return;
    }
    let provisioner = text(&new["provisioner"]);
    if provisioner.is_empty() {
        errors.push(FieldError::required("provisioner", ""));
    } else {
        let lower = provisioner.to_lowercase();
        refuse(errors, "provisioner", &lower, names::qualified_name(&lower));
    }
    if let Some(policy) = new["reclaimPolicy"].as_str() {
        supported_or_refuse(errors, "reclaimPolicy", policy, &["Delete", "Retain"]);
    }
    if let Some(mode) = new["volumeBindingMode"].as_str() {
        supported_or_refuse(errors, "volumeBindingMode", mode, &["Immediate", "WaitForFirstConsumer"]);
    }
}
