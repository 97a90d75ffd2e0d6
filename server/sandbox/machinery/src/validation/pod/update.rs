//! What an update of a pod may change: very little, and what its subresources may.

use super::super::kit::{Errors, entries, has, list, refuse, text};
use super::super::{difference, internal, meta, names};
use super::{container, metadata_and_spec, scheduling};
use crate::field::FieldError;
use crate::strategy::{equal, quality_of_service};
use serde_json::{Value, json};

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const MIRROR: &str = "kubernetes.io/config.mirror";
const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                         `spec.tolerations` (only additions to existing tolerations),\
                         `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(in super::super) fn update(errors: &mut Errors, new: &Value, old: &Value) {
    meta::update(errors, &new["metadata"], &old["metadata"]);
    metadata_and_spec(errors, new);
    annotation_changes(errors, &new["metadata"]["annotations"], &old["metadata"]["annotations"]);
    let (spec, before) = (&new["spec"], &old["spec"]);
    for field in ["containers", "initContainers"] {
        let path = format!("spec.{field}");
        if list(&spec[field]).len() != list(&before[field]).len() {
            errors.push(FieldError::forbidden(path, "pod updates may not add or remove containers"));
            return;
        }
        for (index, one) in list(&spec[field]).iter().enumerate() {
            let path = format!("{path}[{index}]");
            if text(&one["image"]).is_empty() {
                errors.push(FieldError::required(format!("{path}.image"), ""));
            }
            container::no_padded_image(errors, &path, one);
        }
    }
    if !deadline(errors, spec, before) {
        return;
    }
    added_tolerations(errors, spec, before);
    let known = list(&before["schedulingGates"]);
    for (index, gate) in list(&spec["schedulingGates"]).iter().enumerate().filter(|(_, gate)| !known.contains(gate)) {
        let message = format!("only deletion is allowed, but found new scheduling gate '{}'", text(&gate["name"]));
        errors.push(FieldError::forbidden(format!("spec.schedulingGates[{index}].name"), message));
    }
    if !equal(spec, before) {
        other_changes(errors, spec, before);
    }
}

fn annotation_changes(errors: &mut Errors, new: &Value, old: &Value) {
    for (from, to, armor, mirror) in [
        (old, new, "may not remove or update AppArmor annotations", "may not remove or update mirror pod annotation"),
        (new, old, "may not add AppArmor annotations", "may not add mirror pod annotation"),
    ] {
        let adding = std::ptr::eq(from, new);
        for (key, value) in entries(from) {
            let changed = if adding { to.get(key).is_none() } else { to.get(key) != Some(value) };
            if !changed {
                continue;
            }
            let path = format!("metadata.annotations[{key}]");
            if key.starts_with(APP_ARMOR) {
                errors.push(FieldError::forbidden(path, armor));
            } else if key == MIRROR {
                errors.push(FieldError::forbidden(path, mirror));
            }
        }
    }
}

/// Whether the rest is worth looking at.
fn deadline(errors: &mut Errors, spec: &Value, before: &Value) -> bool {
    let path = "spec.activeDeadlineSeconds";
    match (spec["activeDeadlineSeconds"].as_i64(), before["activeDeadlineSeconds"].as_i64()) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            errors.push(FieldError::invalid(path, new, format!("must be between 0 and {}, inclusive", i32::MAX)));
            false
        }
        (Some(new), Some(old)) if old < new => {
            errors.push(FieldError::invalid(path, new, "must be less than or equal to previous value"));
            false
        }
        (None, Some(_)) => {
            errors.push(FieldError::invalid(path, &Value::Null, "must not update from a positive integer to nil value"));
            true
        }
        _ => true,
    }
}

fn added_tolerations(errors: &mut Errors, spec: &Value, before: &Value) {
    let path = "spec.tolerations";
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        toleration["tolerationSeconds"] = Value::Null;
        toleration
    };
    let new: Vec<_> = list(&spec["tolerations"]).iter().map(without_seconds).collect();
    let kept = list(&before["tolerations"]).iter().all(|old| new.contains(&without_seconds(old)));
    if kept {
        scheduling::tolerations(errors, path, &spec["tolerations"]);
    } else {
        errors.push(FieldError::forbidden(path, "existing toleration can not be modified except its tolerationSeconds"));
    }
}

fn other_changes(errors: &mut Errors, spec: &Value, before: &Value) {
    let mut munged = spec.clone();
    for field in ["containers", "initContainers"] {
        for (one, old) in munged[field].as_array_mut().into_iter().flatten().zip(list(&before[field])) {
            one["image"] = old["image"].clone();
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        munged[field] = before[field].clone();
    }
    if before["terminationGracePeriodSeconds"].as_i64().is_some_and(|s| s < 0) && munged["terminationGracePeriodSeconds"] == 1 {
        munged["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"].clone();
    }
    if !list(&before["schedulingGates"]).is_empty() {
        let kept = entries(&before["nodeSelector"]).into_iter().all(|(key, value)| munged["nodeSelector"].get(key) == Some(value));
        if !kept {
            let message = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid("spec.nodeSelector", &munged["nodeSelector"], message));
        }
        munged["nodeSelector"] = before["nodeSelector"].clone();
        let old = &before["affinity"]["nodeAffinity"];
        if !equal(&munged["affinity"]["nodeAffinity"], old) {
            gated_affinity(errors, &munged["affinity"]["nodeAffinity"], old);
            if old.is_null() && before["affinity"].is_null() {
                if munged["affinity"]["podAffinity"].is_null() && munged["affinity"]["podAntiAffinity"].is_null() {
                    munged["affinity"] = Value::Null;
                }
            } else {
                munged["affinity"]["nodeAffinity"] = old.clone();
            }
        }
    }
    if !equal(&munged, before) {
        let changes = difference::unified(&internal::pretty("PodSpec", before), &internal::pretty("PodSpec", &munged));
        errors.push(FieldError::forbidden("spec", format!("pod updates may not change fields other than {UPDATABLE}\n{changes}")));
    }
}

/// A gated pod may only narrow where it can run.
fn gated_affinity(errors: &mut Errors, new: &Value, old: &Value) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let path = format!("spec.affinity.nodeAffinity.{required}.nodeSelectorTerms");
    let (terms, before) = (&new[required]["nodeSelectorTerms"], list(&old[required]["nodeSelectorTerms"]));
    if before.is_empty() {
        return;
    }
    if list(terms).len() != before.len() {
        let message = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(FieldError::invalid(path, internal::shown_list("NodeSelectorTerm", terms), message));
        return;
    }
    for (index, (new, old)) in list(terms).iter().zip(before).enumerate() {
        let starts = |field: &str| {
            let (new, old) = (list(&new[field]), list(&old[field]));
            new.len() >= old.len() && new.iter().zip(old).all(|(a, b)| equal(a, b))
        };
        let was_empty = list(&old["matchExpressions"]).is_empty() && list(&old["matchFields"]).is_empty();
        let grew = was_empty && (!list(&new["matchExpressions"]).is_empty() || !list(&new["matchFields"]).is_empty());
        if grew || !starts("matchExpressions") || !starts("matchFields") {
            let message = "only additions are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid(format!("{path}[{index}]"), internal::shown("NodeSelectorTerm", new), message));
        }
    }
}

pub(in super::super) fn ephemeral_containers(errors: &mut Errors, new: &Value, old: &Value) {
    if has(&old["metadata"]["annotations"][MIRROR]) {
        errors.push(FieldError::forbidden("", "static pods do not support ephemeral containers"));
        return;
    }
    meta::update(errors, &new["metadata"], &old["metadata"]);
    metadata_and_spec(errors, new);
    annotation_changes(errors, &new["metadata"]["annotations"], &old["metadata"]["annotations"]);
    let path = "spec.ephemeralContainers";
    for before in list(&old["spec"]["ephemeralContainers"]) {
        let name = crate::field::go_quote(text(&before["name"]));
        match list(&new["spec"]["ephemeralContainers"]).iter().find(|c| c["name"] == before["name"]) {
            None => errors.push(FieldError::forbidden(path, format!("existing ephemeral containers {name} may not be removed\n"))),
            Some(now) if !equal(now, before) => {
                let shown = |container: &Value| internal::pretty("EphemeralContainer", container);
                let changes = difference::unified(&shown(before), &shown(now));
                errors.push(FieldError::forbidden(path, format!("existing ephemeral containers {name} may not be changed\n{changes}")));
            }
            Some(_) => {}
        }
    }
}

pub(in super::super) fn resize(errors: &mut Errors, new: &Value, old: &Value) {
    let (spec, before) = (&new["spec"], &old["spec"]);
    let whole = |spec: &Value| ["requests", "limits"].into_iter().any(|f| !entries(&spec["resources"][f]).is_empty());
    let refusal = if whole(spec) || whole(before) {
        Some("pods with pod-level resources cannot be resized")
    } else if has(&old["metadata"]["annotations"][MIRROR]) {
        Some("static pods cannot be resized")
    } else if before["os"]["name"] == "windows" {
        Some("windows pods cannot be resized")
    } else {
        None
    };
    if let Some(refusal) = refusal {
        errors.push(FieldError::forbidden("", refusal));
        return;
    }
    meta::update(errors, &new["metadata"], &old["metadata"]);
    metadata_and_spec(errors, new);
    if text(&old["status"]["qosClass"]) != quality_of_service(new) {
        let message = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid("spec", text(&new["status"]["qosClass"]), message));
    }
    let running = list(&old["status"]["containerStatuses"]).iter().find(|c| has(&c["state"]["running"]));
    if running.is_some_and(|c| !has(&c["resources"])) {
        errors.push(FieldError::forbidden("spec", "Pod running on node without support for resize"));
    }
    let before_count = errors.len();
    for field in ["containers", "initContainers"] {
        let (now, then) = (list(&spec[field]), list(&before[field]));
        if now.len() != then.len() {
            errors.push(FieldError::forbidden(format!("spec.{field}"), format!("{field} may not be added or removed on resize")));
            continue;
        }
        for (index, _) in now.iter().zip(then).enumerate().filter(|(_, (a, b))| a["name"] != b["name"]) {
            let message = format!("{field} may not be renamed or reordered on resize");
            errors.push(FieldError::forbidden(format!("spec.{field}[{index}].name"), message));
        }
    }
    if errors.len() > before_count {
        return;
    }
    for field in ["initContainers", "containers"] {
        for (index, (now, then)) in list(&spec[field]).iter().zip(list(&before[field])).enumerate() {
            resized(errors, field, index, now, then);
        }
    }
}

fn resized(errors: &mut Errors, field: &str, index: usize, now: &Value, then: &Value) {
    let init = field == "initContainers";
    let sidecar = then["restartPolicy"] == "Always";
    if !init || sidecar {
        for list in ["requests", "limits"] {
            let gone = entries(&then["resources"][list]).into_iter().any(|(name, _)| now["resources"][list].get(name).is_none());
            if gone {
                let message = format!("resource {list} cannot be removed");
                errors.push(FieldError::forbidden(format!("spec.{field}[{index}].resources.{list}"), message));
            }
        }
    }
    let rest = |container: &Value| {
        let mut rest = container.clone();
        if !init || sidecar {
            for list in ["requests", "limits"] {
                if let Some(amounts) = rest["resources"][list].as_object_mut() {
                    amounts.remove("cpu");
                    amounts.remove("memory");
                }
            }
        }
        rest
    };
    if !equal(&rest(now), &rest(then)) {
        let message = match (init, sidecar) {
            (true, true) => "only cpu and memory resources for sidecar containers are mutable",
            (true, false) => "resources for non-sidecar init containers are immutable",
            (false, _) => "only cpu and memory resources are mutable",
        };
        errors.push(FieldError::forbidden("spec", message));
    }
}

/// `pods/status`: written by kubelets.
pub(in super::super) fn status(errors: &mut Errors, new: &Value, old: &Value) {
    meta::update(errors, &new["metadata"], &old["metadata"]);
    let (status, before) = (&new["status"], &old["status"]);
    if new["spec"]["nodeName"] != old["spec"]["nodeName"] && has(&new["spec"]["nodeName"]) {
        errors.push(FieldError::forbidden("status.nodeName", "may not be changed directly"));
    }
    if let Some(name) = status["nominatedNodeName"].as_str().filter(|name| !name.is_empty()) {
        refuse(errors, "status.nominatedNodeName", name, names::dns_subdomain(name));
    }
    for (index, condition) in list(&status["conditions"]).iter().enumerate() {
        let kind = text(&condition["type"]);
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized" | "ContainersReady") {
            refuse(errors, &format!("status.conditions.[{index}].type"), kind, names::qualified_name(kind));
        }
    }
    if has(&before["qosClass"]) && status["qosClass"] != before["qosClass"] {
        errors.push(FieldError::invalid("status.qosClass", text(&status["qosClass"]), super::super::kit::IMMUTABLE));
    }
    for (index, address) in list(&status["podIPs"]).iter().enumerate() {
        super::super::kit::ip(errors, &format!("status.podIPs[{index}]"), text(&address["ip"]));
    }
    let restart = text(&new["spec"]["restartPolicy"]);
    if restart != "Always" {
        for (now, then) in list(&status["containerStatuses"]).iter().zip(list(&before["containerStatuses"])) {
            let ended = &then["state"]["terminated"];
            let may_restart = restart == "OnFailure" && ended["exitCode"] != json!(0);
            if has(ended) && !may_restart && !has(&now["state"]["terminated"]) && now["name"] == then["name"] {
                errors.push(FieldError::forbidden("status.containerStatuses[0].state", "may not be transitioned to non-terminated state"));
            }
        }
    }
}
