//! What a kind's REST strategy does around a write (`PrepareForCreate`, `PrepareForUpdate`): a create loses its status, an
//! update of the spec keeps the old status and raises `metadata.generation`, an update of the status keeps the old spec
//! (k8s.io/kubernetes/pkg/registry/*/*/strategy.go). Kinds that do more have their own file.

pub(crate) mod app_armor;
mod custom;
mod disabled;
mod job;
mod pod;
mod quality;
mod service;

use crate::{defaults, object::set_meta, resource::Resource};
use serde_json::{Value, json};

/// Quality-of-service class of a pod, from what its containers request and are limited to.
pub use quality::quality_of_service;

/// After decoding, defaulting and mutating admission, before validation. Common metadata (creationTimestamp,
/// resourceVersion, generateName) is the API server's own affair; `metadata.uid` and `metadata.name` must already be set,
/// because a Job's generated selector and labels carry them.
pub fn prepare_create(resource: &Resource, object: &mut Value) {
    if resource.custom.is_some() {
        return custom::prepare_create(resource, object);
    }
    let (group, kind) = (resource.group.as_ref(), resource.kind.as_ref());
    if has_status(group, kind) {
        object["status"] = json!({});
        defaults::set(resource, object);
    }
    if let Some(spec) = pod_spec(group, kind, object) {
        disabled::drop_fields(spec);
    }
    if has_generation(group, kind) {
        set_meta(object, "generation", 1);
    }
    match (group, kind) {
        ("", "Pod") => pod::prepare_create(object),
        ("", "Namespace") => {
            object["status"] = json!({"phase": "Active"});
            add_kubernetes_finalizer(object);
        }
        // A limit range without a name gets a UUID for one.
        ("", "LimitRange") if object["metadata"]["name"].as_str().is_none_or(str::is_empty) => {
            object["metadata"]["name"] = object["metadata"]["uid"].clone();
        }
        ("batch", "Job") => job::prepare_create(object),
        ("apps", "DaemonSet") => count_template(object, None),
        _ => {}
    }
}

/// What a new object says in an old form, said in the form of today, before [`prepare_create`]; the warnings about it.
pub fn renew(resource: &Resource, object: &mut Value) -> Vec<String> {
    match (resource.group.as_ref(), resource.kind.as_ref()) {
        ("", "Pod") => app_armor::move_to_fields(object),
        _ => Vec::new(),
    }
}

/// `subresource` is empty for the object itself, else `status`, `scale`, `ephemeralcontainers`, `resize`, `finalize`, …
pub fn prepare_update(resource: &Resource, subresource: &str, new: &mut Value, old: &Value) {
    if resource.custom.is_some() {
        return custom::prepare_update(resource, subresource, new, old);
    }
    let (group, kind) = (resource.group.as_ref(), resource.kind.as_ref());
    keep_meta(new, old, "generation");
    match subresource {
        "" => {}
        "status" => return prepare_status(group, kind, new, old),
        "finalize" => {
            keep(new, old, "status");
            return;
        }
        "ephemeralcontainers" | "resize" => return pod::prepare_subresource(subresource, new, old),
        "approval" => {
            let conditions = new["status"]["conditions"].clone();
            keep(new, old, "spec");
            keep(new, old, "status");
            new["status"]["conditions"] = conditions;
            return;
        }
        _ => return,
    }
    if let Some(spec) = pod_spec(group, kind, new) {
        disabled::drop_fields(spec);
    }
    if has_status(group, kind) || kind == "Node" {
        keep(new, old, "status");
    }
    match (group, kind) {
        ("", "Namespace") => {
            new["spec"] = old["spec"].clone();
            keep(new, old, "status");
        }
        ("", "Service") => service::drop_stale(new, old),
        ("", "Secret") if new["type"].as_str().unwrap_or_default().is_empty() => new["type"] = old["type"].clone(),
        ("apps", "DaemonSet") => count_template(new, Some(old)),
        ("certificates.k8s.io", "CertificateSigningRequest") => keep(new, old, "spec"),
        _ => {}
    }
    if has_generation(group, kind) && differs(group, kind, new, old) {
        set_meta(new, "generation", old["metadata"]["generation"].as_i64().unwrap_or_default().saturating_add(1));
    }
}

fn prepare_status(group: &str, kind: &str, new: &mut Value, old: &Value) {
    if (group, kind) == ("", "Pod") {
        return pod::prepare_status(new, old);
    }
    // Everything but the status and the metadata stays; labels too, where the kind protects them.
    let fields: Vec<String> = new.as_object().into_iter().chain(old.as_object()).flat_map(|map| map.keys().cloned()).collect();
    for field in fields {
        if !matches!(field.as_str(), "status" | "metadata" | "apiVersion" | "kind") {
            keep(new, old, &field);
        }
    }
    if (group, kind) == ("apps", "Deployment") {
        keep_meta(new, old, "labels");
    }
    if kind == "CustomResourceDefinition" {
        let managed = new["metadata"]["managedFields"].clone();
        new["metadata"] = old["metadata"].clone();
        if !managed.is_null() {
            new["metadata"]["managedFields"] = managed;
        }
    }
}

/// Kinds whose status only the `status` subresource may write. (Nodes bring theirs when they are created.)
fn has_status(group: &str, kind: &str) -> bool {
    match group {
        "" => matches!(kind, "Pod" | "Service" | "PersistentVolume" | "PersistentVolumeClaim" | "ReplicationController" | "ResourceQuota"),
        "apps" => kind != "ControllerRevision",
        "batch" => true,
        "autoscaling" => kind == "HorizontalPodAutoscaler",
        "policy" => kind == "PodDisruptionBudget",
        "networking.k8s.io" => matches!(kind, "Ingress" | "ServiceCIDR"),
        "certificates.k8s.io" => matches!(kind, "CertificateSigningRequest" | "PodCertificateRequest"),
        "flowcontrol.apiserver.k8s.io" => true,
        "admissionregistration.k8s.io" => kind == "ValidatingAdmissionPolicy",
        "apiextensions.k8s.io" | "apiregistration.k8s.io" => true,
        "storage.k8s.io" => kind == "VolumeAttachment",
        "resource.k8s.io" => kind == "ResourceClaim",
        _ => false,
    }
}

fn has_generation(group: &str, kind: &str) -> bool {
    match group {
        "" => matches!(kind, "Pod" | "PodTemplate" | "ReplicationController"),
        "apps" => kind != "ControllerRevision",
        "batch" | "flowcontrol.apiserver.k8s.io" | "admissionregistration.k8s.io" | "apiextensions.k8s.io" | "scheduling.k8s.io" => true,
        "policy" => kind == "PodDisruptionBudget",
        "networking.k8s.io" => matches!(kind, "Ingress" | "IngressClass" | "NetworkPolicy"),
        "discovery.k8s.io" => kind == "EndpointSlice",
        "resource.k8s.io" => matches!(kind, "DeviceClass" | "ResourceSlice" | "DeviceTaintRule"),
        _ => false,
    }
}

/// The pod spec of a pod, or the one in a workload's template.
fn pod_spec<'a>(group: &str, kind: &str, object: &'a mut Value) -> Option<&'a mut Value> {
    let path: &[&str] = match (group, kind) {
        ("", "Pod") => &["spec"],
        ("", "PodTemplate") => &["template", "spec"],
        ("batch", "CronJob") => &["spec", "jobTemplate", "spec", "template", "spec"],
        ("" | "apps" | "batch", _) => &["spec", "template", "spec"],
        _ => return None,
    };
    path.iter().try_fold(object, |part, field| part.get_mut(field))
}

/// Whether an update asks for something else than before, so that controllers must look again.
fn differs(group: &str, kind: &str, new: &Value, old: &Value) -> bool {
    let changed = |field: &str| !equal(&new[field], &old[field]);
    match (group, kind) {
        ("scheduling.k8s.io", _) => false,
        ("apps", "Deployment") => changed("spec") || !equal(&new["metadata"]["annotations"], &old["metadata"]["annotations"]),
        ("", "PodTemplate") => changed("template"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration") => changed("webhooks"),
        ("discovery.k8s.io", "EndpointSlice") => {
            changed("endpoints") || changed("ports") || !equal(&new["metadata"]["labels"], &old["metadata"]["labels"])
        }
        _ => changed("spec"),
    }
}

/// Equal as Go's `Semantic.DeepEqual` sees it: missing, null, empty lists and empty maps are the same.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.iter().all(|(key, value)| equal(value, b.get(key).unwrap_or(&Value::Null)))
                && b.iter().all(|(key, value)| a.contains_key(key) || is_nothing(value))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (a, b) if is_nothing(a) && is_nothing(b) => true,
        (a, b) => a == b,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Puts the old value of a field back, or removes the field where there was none.
fn keep(new: &mut Value, old: &Value, field: &str) {
    match (old.get(field), new.as_object_mut()) {
        (Some(value), _) => new[field] = value.clone(),
        (None, Some(map)) => {
            map.remove(field);
        }
        (None, None) => {}
    }
}

fn keep_meta(new: &mut Value, old: &Value, field: &str) {
    if let Some(metadata) = new.get_mut("metadata") {
        keep(metadata, &old["metadata"], field);
    }
}

fn add_kubernetes_finalizer(namespace: &mut Value) {
    if !namespace["spec"].is_object() {
        namespace["spec"] = json!({});
    }
    match namespace["spec"]["finalizers"].as_array_mut() {
        Some(list) if list.iter().any(|f| f == "kubernetes") => {}
        Some(list) => list.push("kubernetes".into()),
        None => namespace["spec"]["finalizers"] = json!(["kubernetes"]),
    }
}

/// A daemon set counts its templates in an annotation (the field itself is no longer served).
fn count_template(new: &mut Value, old: Option<&Value>) {
    const KEY: &str = "deprecated.daemonset.template.generation";
    let count = |set: &Value| crate::object::annotation(set, KEY).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let generation = match old {
        None => count(new).max(1),
        Some(old) if equal(&new["spec"]["template"], &old["spec"]["template"]) => count(old),
        Some(old) => count(old).saturating_add(1),
    };
    if !new["metadata"]["annotations"].is_object() {
        set_meta(new, "annotations", json!({}));
    }
    new["metadata"]["annotations"][KEY] = generation.to_string().into();
}

#[cfg(test)]
mod tests;
