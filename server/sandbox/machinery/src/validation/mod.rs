//! Validation with the API server's own messages (k8s.io/kubernetes/pkg/apis/*/validation). One family of kinds, one file.
//!
//! The rules read an object as it is after decoding, defaulting and the kind's strategy, and never modify it. What a field's
//! type already forbids is the decoder's to refuse.

mod admission;
mod autoscaling;
mod cluster;
mod config;
mod custom;
mod difference;
mod endpoints;
mod ingress;
mod internal;
mod job;
mod kit;
mod meta;
mod names;
mod network_policy;
mod node;
mod pod;
mod quantities;
mod quota;
mod rbac;
pub mod rules;
mod schedule;
mod service;
mod volume_claim;
mod warning;
mod workload;

use crate::{field::FieldError, resource::Resource};
use kit::Errors;
use meta::NameRule;
use serde_json::Value;

pub fn create(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let (group, kind) = (resource.group.as_ref(), resource.kind.as_ref());
    if (group, kind) == ("", "Pod") {
        pod::create(&mut errors, object);
        return errors;
    }
    if (group, kind) == ("policy", "PodDisruptionBudget") {
        // Its own rules leave the metadata to the check that follows when all is well.
        rules(&mut errors, resource, object, None);
        if !errors.is_empty() {
            return errors;
        }
    }
    meta::create(&mut errors, &object["metadata"], resource.namespaced, name_rule(resource));
    if group.is_empty() {
        meta::core_finalizers(&mut errors, &object["metadata"]);
    }
    rules(&mut errors, resource, object, None);
    errors
}

/// What is wrong with the addresses and families that a Service asks for; judged before one is looked for, and alone.
pub fn service_addresses(service: &Value) -> Vec<FieldError> {
    let mut errors = Errors::new();
    service::cluster_addresses(&mut errors, &service["spec"]);
    errors
}

/// `subresource` is empty for the object itself, else `status`, `scale`, …
pub fn update(resource: &Resource, subresource: &str, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let (group, kind) = (resource.group.as_ref(), resource.kind.as_ref());
    match (group, kind, subresource) {
        ("", "Pod", "") => pod::update(&mut errors, new, old),
        ("", "Pod", "status") => pod::status(&mut errors, new, old),
        ("", "Pod", "ephemeralcontainers") => pod::ephemeral_containers(&mut errors, new, old),
        ("", "Pod", "resize") => pod::resize(&mut errors, new, old),
        (_, _, "") => {
            meta::update(&mut errors, &new["metadata"], &old["metadata"]);
            if group.is_empty() {
                meta::core_finalizers(&mut errors, &new["metadata"]);
            }
            rules(&mut errors, resource, new, Some(old));
        }
        (_, _, "status") => {
            meta::update(&mut errors, &new["metadata"], &old["metadata"]);
            status(&mut errors, resource, new, old);
        }
        _ => meta::update(&mut errors, &new["metadata"], &old["metadata"]),
    }
    if errors.is_empty() {
        return errors;
    }
    // The API server looks at the metadata of every update before the kind's own strategy does, and names what is wrong each time.
    let mut all = Errors::new();
    meta::create(&mut all, &new["metadata"], resource.namespaced, names::path_segment);
    meta::update(&mut all, &new["metadata"], &old["metadata"]);
    all.append(&mut errors);
    all
}

/// Warnings that the API server sends for what it accepts (deprecated fields, probable mistakes).
pub fn warnings(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<String> {
    if resource.custom.is_some() {
        return Vec::new();
    }
    warning::all(&resource.group, &resource.kind, new, old)
}

/// The kind's own rules; `old` is there for an update.
fn rules(errors: &mut Errors, resource: &Resource, new: &Value, old: Option<&Value>) {
    if let Some(definition) = &resource.custom {
        return custom::resource(errors, definition, new, old);
    }
    match (resource.group.as_ref(), resource.kind.as_ref()) {
        ("", kind) => match kind {
            "Service" => service::rules(errors, new, old),
            "Endpoints" => endpoints::endpoints(errors, new),
            "Node" => node::rules(errors, new, old),
            "ReplicationController" | "PodTemplate" => workload::rules(errors, kind, new, old),
            "PersistentVolume" | "PersistentVolumeClaim" => volume_claim::rules(errors, kind, new, old),
            "ResourceQuota" | "LimitRange" => quota::rules(errors, kind, new, old),
            _ => config::rules(errors, kind, new, old),
        },
        ("apps", kind) => workload::rules(errors, kind, new, old),
        ("batch", kind) => job::rules(errors, kind, new, old),
        ("networking.k8s.io", "NetworkPolicy") => network_policy::rules(errors, new),
        ("networking.k8s.io", kind) => ingress::rules(errors, kind, new, old),
        ("discovery.k8s.io", "EndpointSlice") => endpoints::slice(errors, new, old),
        ("rbac.authorization.k8s.io", kind) => rbac::rules(errors, kind, new, old),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaling::rules(errors, new),
        ("storage.k8s.io", kind) => volume_claim::rules(errors, kind, new, old),
        ("admissionregistration.k8s.io", kind) => admission::rules(errors, kind, new),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => custom::definition(errors, new, old),
        (group, kind) => cluster::rules(errors, group, kind, new, old),
    }
}

fn status(errors: &mut Errors, resource: &Resource, new: &Value, old: &Value) {
    if let Some(definition) = &resource.custom {
        return custom::resource(errors, definition, new, Some(old));
    }
    match (resource.group.as_ref(), resource.kind.as_ref()) {
        ("apps", kind) | ("", kind @ "ReplicationController") => workload::status(errors, kind, new, old),
        ("batch", "Job") => job::status(errors, new),
        ("", "Namespace") => config::namespace_status(errors, new),
        ("", "ResourceQuota") => quota::status(errors, new),
        ("", "Service") => service::status(errors, new),
        _ => {}
    }
}

/// How names of a kind are formed.
fn name_rule(resource: &Resource) -> NameRule {
    match (resource.group.as_ref(), resource.kind.as_ref()) {
        ("", "Service") => names::dns_1035_label,
        ("", "Namespace") | ("apps", "StatefulSet") => names::dns_label,
        ("rbac.authorization.k8s.io" | "apiregistration.k8s.io", _) | ("policy", "PodDisruptionBudget") => names::path_segment,
        ("networking.k8s.io", "IPAddress") => names::ip_address,
        _ => names::dns_subdomain,
    }
}
