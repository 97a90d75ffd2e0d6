//! DefaultStorageClass and DefaultIngressClass: the class that an annotation marks as the default one.
//! PersistentVolumeClaimResize: which claims may grow.

use crate::{call::Call, store::Transaction};
use machinery::{ApiError, object, quantity::Quantity};
use serde_json::Value;

/// The newest default class of a kind, as the plug-ins choose among several.
fn default_of(transaction: &Transaction, group: &str, plural: &str, annotations: &[&str]) -> Option<String> {
    let classes = transaction.state.list(group, plural, None);
    classes
        .filter(|class| annotations.iter().any(|annotation| object::annotation(class, annotation) == Some("true")))
        .max_by_key(|class| {
            (
                class["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned(),
                std::cmp::Reverse(object::name(class).to_owned()),
            )
        })
        .map(|class| object::name(&class).to_owned())
}

pub(crate) fn claim(transaction: &Transaction, claim: &mut Value) {
    if !claim["spec"]["storageClassName"].is_null() || object::annotation(claim, "volume.beta.kubernetes.io/storage-class").is_some() {
        return;
    }
    let annotations = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    if let Some(class) = default_of(transaction, "storage.k8s.io", "storageclasses", &annotations) {
        claim["spec"]["storageClassName"] = class.into();
    }
}

pub(crate) fn ingress(transaction: &Transaction, ingress: &mut Value) {
    if !ingress["spec"]["ingressClassName"].is_null() || object::annotation(ingress, "kubernetes.io/ingress.class").is_some() {
        return;
    }
    if let Some(class) = default_of(transaction, "networking.k8s.io", "ingressclasses", &["ingressclass.kubernetes.io/is-default-class"]) {
        ingress["spec"]["ingressClassName"] = class.into();
    }
}

/// A claim grows only where its class allows it.
pub(crate) fn resize(call: &Call, transaction: &Transaction, new: &Value, old: &Value) -> Result<(), ApiError> {
    let size = |claim: &Value| claim["spec"]["resources"]["requests"]["storage"].as_str().and_then(|text| Quantity::parse(text).ok());
    if size(new).zip(size(old)).is_none_or(|(new, old)| new.nano <= old.nano) {
        return Ok(());
    }
    if old["status"]["phase"] != "Bound" {
        return Err(call.forbidden(object::name(new), "Only bound persistent volume claims can be expanded"));
    }
    let class = |claim: &Value| {
        let annotated = object::annotation(claim, "volume.beta.kubernetes.io/storage-class");
        annotated.or_else(|| claim["spec"]["storageClassName"].as_str()).unwrap_or_default().to_owned()
    };
    let name = class(new);
    let allowed = !name.is_empty()
        && name == class(old)
        && transaction.state.get("storage.k8s.io", "storageclasses", "", &name).is_some_and(|class| class["allowVolumeExpansion"] == true);
    if allowed {
        return Ok(());
    }
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    Err(call.forbidden(object::name(new), why))
}
