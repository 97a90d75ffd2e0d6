//! DefaultStorageClass and DefaultIngressClass: the class that an annotation marks as the default one.

use crate::store::Transaction;
use machinery::object;
use serde_json::Value;

/// The newest default class of a kind, as the plug-ins choose among several.
fn default_of(transaction: &Transaction, group: &str, plural: &str, annotations: &[&str]) -> Option<String> {
    let classes = transaction.state.list(group, plural, None, None).map(|(_, class)| class);
    classes
        .filter(|class| annotations.iter().any(|annotation| object::annotation(class, annotation) == Some("true")))
        .max_by_key(|class| {
            (
                class["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned(),
                std::cmp::Reverse(object::name(class).to_owned()),
            )
        })
        .map(|class| object::name(class).to_owned())
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
