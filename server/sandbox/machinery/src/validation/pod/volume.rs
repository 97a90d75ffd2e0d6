//! Volumes of a pod, and where its containers mount them.

use super::super::kit::{Errors, has, list, refuse, supported_or_refuse, text};
use super::super::names;
use super::Context;
use super::volume_source::{self, descending_path, no_backsteps};
use crate::field::FieldError;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Checks all volumes and returns those that are valid, by name. `pod` is the pod's name, if it has one yet.
pub(super) fn all<'a>(errors: &mut Errors, context: &Context<'a>, pod: &str) -> BTreeMap<&'a str, &'a Value> {
    let mut valid = BTreeMap::new();
    let volumes = list(&context.spec["volumes"]);
    let created: BTreeSet<_> =
        volumes.iter().filter(|v| !pod.is_empty() && has(&v["ephemeral"])).map(|v| format!("{pod}-{}", text(&v["name"]))).collect();
    for (index, volume) in volumes.iter().enumerate() {
        let path = format!("{}.volumes[{index}]", context.path);
        let name = text(&volume["name"]);
        let mut own = Errors::new();
        volume_source::check(&mut own, &path, volume, pod, context.is_pod);
        let name_path = format!("{path}.name");
        if name.is_empty() {
            own.push(FieldError::required(&name_path, ""));
        } else {
            refuse(&mut own, &name_path, name, names::dns_label(name));
        }
        if valid.contains_key(name) {
            own.push(FieldError::duplicate(name_path, name));
        }
        if own.is_empty() {
            valid.insert(name, volume);
        }
        errors.append(&mut own);
        let claim = text(&volume["persistentVolumeClaim"]["claimName"]);
        if created.contains(claim) {
            let message = "must not reference a PVC that gets created for an ephemeral volume";
            errors.push(FieldError::invalid(format!("{path}.persistentVolumeClaim.claimName"), claim, message));
        }
    }
    valid
}

pub(super) fn mounts(errors: &mut Errors, context: &Context<'_>, path: &str, container: &Value) {
    let path = format!("{path}.volumeMounts");
    let devices = list(&container["volumeDevices"]);
    let mut seen = BTreeSet::new();
    for (index, mount) in list(&container["volumeMounts"]).iter().enumerate() {
        let indexed = format!("{path}[{index}]");
        let (name, mount_path) = (text(&mount["name"]), text(&mount["mountPath"]));
        let (name_field, path_field) = (format!("{indexed}.name"), format!("{indexed}.mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(&name_field, ""));
        }
        if !context.volumes.contains_key(name) {
            errors.push(FieldError::not_found(&name_field, name));
        }
        if mount_path.is_empty() {
            errors.push(FieldError::required(&path_field, ""));
        }
        if !seen.insert(mount_path) {
            errors.push(FieldError::invalid(&path_field, mount_path, "must be unique"));
        }
        if devices.iter().any(|d| text(&d["name"]) == name) {
            errors.push(FieldError::invalid(&name_field, name, "must not already exist in volumeDevices"));
        }
        if devices.iter().any(|d| text(&d["devicePath"]) == mount_path) {
            errors.push(FieldError::invalid(&path_field, mount_path, "must not already exist as a path in volumeDevices"));
        }
        // Kubernetes names these fields without the index of the mount.
        let (sub, expression) = (text(&mount["subPath"]), text(&mount["subPathExpr"]));
        if !sub.is_empty() {
            descending_path(errors, &format!("{path}.subPath"), sub);
        }
        if !expression.is_empty() {
            if !sub.is_empty() {
                let message = "subPathExpr and subPath are mutually exclusive";
                errors.push(FieldError::invalid(format!("{indexed}.subPathExpr"), expression, message));
            }
            descending_path(errors, &format!("{path}.subPathExpr"), expression);
        }
        if let Some(propagation) = mount["mountPropagation"].as_str() {
            let path = format!("{path}.mountPropagation");
            supported_or_refuse(errors, &path, propagation, &["Bidirectional", "HostToContainer", "None"]);
            if propagation == "Bidirectional" && container["securityContext"]["privileged"] != true {
                let message = "Bidirectional mount propagation is available only to privileged containers";
                errors.push(FieldError::forbidden(path, message));
            }
        }
        recursive_read_only(errors, &format!("{path}.recursiveReadOnly"), mount);
    }
}

fn recursive_read_only(errors: &mut Errors, path: &str, mount: &Value) {
    match mount["recursiveReadOnly"].as_str() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if mount["readOnly"] != true {
                errors.push(FieldError::forbidden(path, "may only be specified when readOnly is true"));
            }
            if mount["mountPropagation"].as_str().is_some_and(|p| p != "None") {
                errors.push(FieldError::forbidden(path, "may only be specified when mountPropagation is None or not specified"));
            }
        }
        Some(other) => errors.push(FieldError::not_supported(path, other, &["Disabled", "Enabled", "IfPossible"])),
    }
}

pub(super) fn devices(errors: &mut Errors, context: &Context<'_>, path: &str, container: &Value) {
    let mounts = list(&container["volumeMounts"]);
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in list(&container["volumeDevices"]).iter().enumerate() {
        let path = format!("{path}.volumeDevices[{index}]");
        let (name, device_path) = (text(&device["name"]), text(&device["devicePath"]));
        let (name_field, path_field) = (format!("{path}.name"), format!("{path}.devicePath"));
        if name.is_empty() {
            errors.push(FieldError::required(&name_field, ""));
        }
        if names.contains(name) {
            errors.push(FieldError::invalid(&name_field, name, "must be unique"));
        }
        match context.volumes.get(name) {
            None => errors.push(FieldError::not_found(&name_field, name)),
            Some(volume) if !has(&volume["persistentVolumeClaim"]) && !has(&volume["ephemeral"]) => {
                let message = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(FieldError::invalid(&name_field, name, message));
            }
            Some(_) => {}
        }
        if device_path.is_empty() {
            errors.push(FieldError::required(&path_field, ""));
        }
        if paths.contains(device_path) {
            errors.push(FieldError::invalid(&path_field, device_path, "must be unique"));
        }
        let mut backsteps = Errors::new();
        no_backsteps(&mut backsteps, &path_field, device_path);
        if backsteps.is_empty() {
            paths.insert(device_path);
        } else {
            errors.push(FieldError::invalid(&path_field, device_path, "can not contain backsteps ('..')"));
        }
        if mounts.iter().any(|m| text(&m["name"]) == name) {
            errors.push(FieldError::invalid(&name_field, name, "must not already exist in volumeMounts"));
        }
        // Of several mounts of one volume, Kubernetes remembers the last.
        let last = |index: usize, mount: &Value| !mounts[index + 1..].iter().any(|later| later["name"] == mount["name"]);
        if mounts.iter().enumerate().any(|(index, mount)| text(&mount["mountPath"]) == device_path && last(index, mount)) {
            errors.push(FieldError::invalid(&path_field, device_path, "must not already exist as a path in volumeMounts"));
        }
        if !name.is_empty() {
            names.insert(name);
        }
    }
}
