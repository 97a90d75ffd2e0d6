//! Metadata of every object: names, labels, annotations, owners, finalizers; and label selectors
//! (k8s.io/apimachinery/pkg/api/validation).

use super::kit::{Errors, IMMUTABLE, entries, has, list, not_negative, refuse, text};
use super::names;
use crate::field::{FieldError, go_json_text};
use serde_json::Value;

/// How names of a kind are formed.
pub(super) type NameRule = fn(&str) -> Vec<String>;

const MAX_ANNOTATIONS: usize = 256 * 1024;

pub(super) fn create(errors: &mut Errors, meta: &Value, namespaced: bool, rule: NameRule) {
    let generate = text(&meta["generateName"]);
    if !generate.is_empty() {
        refuse(errors, "metadata.generateName", generate, rule(&names::mask_trailing_dash(generate)));
    }
    let name = text(&meta["name"]);
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        refuse(errors, "metadata.name", name, rule(name));
    }
    let namespace = text(&meta["namespace"]);
    if !namespaced {
        if !namespace.is_empty() {
            errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"));
        }
    } else if namespace.is_empty() {
        errors.push(FieldError::required("metadata.namespace", ""));
    } else {
        refuse(errors, "metadata.namespace", namespace, names::dns_label(namespace));
    }
    not_negative(errors, "metadata.generation", &meta["generation"]);
    common(errors, meta);
}

fn common(errors: &mut Errors, meta: &Value) {
    labels(errors, "metadata.labels", &meta["labels"]);
    annotations(errors, "metadata.annotations", &meta["annotations"]);
    owners(errors, &meta["ownerReferences"]);
    finalizers(errors, &meta["finalizers"]);
}

/// `core` kinds also ask that finalizers are standard or carry a domain.
pub(super) fn core_finalizers(errors: &mut Errors, meta: &Value) {
    for (index, finalizer) in list(&meta["finalizers"]).iter().enumerate() {
        finalizer_name(errors, &format!("metadata.finalizers[{index}]"), text(finalizer));
    }
}

pub(super) fn finalizer_name(errors: &mut Errors, path: &str, finalizer: &str) {
    if !finalizer.contains('/') && !matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion") {
        let message = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(path, finalizer, message));
    }
}

pub(super) fn update(errors: &mut Errors, new: &Value, old: &Value) {
    if has(&old["deletionTimestamp"]) {
        let before = list(&old["finalizers"]);
        let mut added: Vec<_> = list(&new["finalizers"]).iter().filter(|f| !before.contains(f)).map(text).collect();
        added.sort_unstable();
        added.dedup();
        if !added.is_empty() {
            let added: Vec<_> = added.into_iter().map(go_json_text).collect();
            let message = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.push(FieldError::forbidden("metadata.finalizers", message));
        }
    }
    if text(&new["resourceVersion"]).is_empty() {
        errors.push(FieldError::invalid("metadata.resourceVersion", "", "must be specified for an update"));
    }
    if new["generation"].as_i64().unwrap_or_default() < old["generation"].as_i64().unwrap_or_default() {
        let generation = new["generation"].as_i64().unwrap_or_default();
        errors.push(FieldError::invalid("metadata.generation", generation, "must not be decremented"));
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let same = new[field] == old[field]
            || (text(&new[field]).is_empty() && text(&old[field]).is_empty() && !new[field].is_number() && !old[field].is_number());
        if !same {
            errors.push(FieldError::invalid(format!("metadata.{field}"), &new[field], IMMUTABLE));
        }
    }
    common(errors, new);
}

pub(super) fn labels(errors: &mut Errors, path: &str, labels: &Value) {
    for (key, value) in entries(labels) {
        label_name(errors, path, key);
        refuse(errors, path, text(value), names::label_value(text(value)));
    }
}

pub(super) fn label_name(errors: &mut Errors, path: &str, key: &str) {
    refuse(errors, path, key, names::qualified_name(key));
}

pub(super) fn annotations(errors: &mut Errors, path: &str, annotations: &Value) {
    let mut size = 0;
    for (key, value) in entries(annotations) {
        refuse(errors, path, key, names::qualified_name(&key.to_lowercase()));
        size += key.len() + text(value).len();
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(path, MAX_ANNOTATIONS));
    }
}

fn owners(errors: &mut Errors, references: &Value) {
    let path = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    for owner in list(references) {
        let version = text(&owner["apiVersion"]);
        if version.rsplit('/').next().unwrap_or_default().is_empty() || version.matches('/').count() > 1 {
            errors.push(FieldError::invalid(format!("{path}.apiVersion"), version, "version must not be empty"));
        }
        for field in ["kind", "name", "uid"] {
            if text(&owner[field]).is_empty() {
                errors.push(FieldError::invalid(format!("{path}.{field}"), "", "must not be empty"));
            }
        }
        if version == "v1" && owner["kind"] == "Event" {
            errors.push(FieldError::invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner"));
        }
        if owner["controller"] == true {
            let name = format!("{}/{}", text(&owner["kind"]), text(&owner["name"]));
            match &controller {
                Some(first) => {
                    let message =
                        format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}");
                    errors.push(FieldError::invalid(path, references, message));
                }
                None => controller = Some(name),
            }
        }
    }
}

fn finalizers(errors: &mut Errors, all: &Value) {
    let path = "metadata.finalizers";
    for finalizer in list(all) {
        refuse(errors, path, text(finalizer), names::qualified_name(text(finalizer)));
    }
    let has = |name: &str| list(all).iter().any(|f| f == name);
    if has("orphan") && has("foregroundDeletion") {
        errors.push(FieldError::invalid(path, all, "finalizer orphan and foregroundDeletion cannot be both set"));
    }
}

/// A `metav1.LabelSelector`.
pub(super) fn selector(errors: &mut Errors, path: &str, selector: &Value) {
    labels(errors, &format!("{path}.matchLabels"), &selector["matchLabels"]);
    for (index, expression) in list(&selector["matchExpressions"]).iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = list(&expression["values"]);
        match text(&expression["operator"]) {
            "In" | "NotIn" if values.is_empty() => {
                errors.push(FieldError::required(format!("{path}.values"), "must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
                format!("{path}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.push(FieldError::invalid(format!("{path}.operator"), other, "not a valid selector operator")),
        }
        label_name(errors, &format!("{path}.key"), text(&expression["key"]));
        for (index, value) in values.iter().enumerate() {
            refuse(errors, &format!("{path}.values[{index}]"), text(value), names::label_value(text(value)));
        }
    }
}

/// Whether labels satisfy a `metav1.LabelSelector`; `None` where the selector itself makes no sense.
pub(super) fn matches(selector: &Value, labels: &Value) -> Option<bool> {
    let sound = |key: &str, values: &[Value]| {
        names::qualified_name(key).is_empty() && values.iter().all(|value| names::label_value(text(value)).is_empty())
    };
    let all_sound = entries(&selector["matchLabels"]).into_iter().all(|(key, value)| sound(key, std::slice::from_ref(value)))
        && list(&selector["matchExpressions"]).iter().all(|expression| {
            let values = list(&expression["values"]);
            let counted = match text(&expression["operator"]) {
                "In" | "NotIn" => !values.is_empty(),
                _ => values.is_empty(),
            };
            counted && sound(text(&expression["key"]), values)
        });
    if !all_sound {
        return None;
    }
    let mut all = entries(&selector["matchLabels"]).into_iter().all(|(key, value)| labels.get(key) == Some(value));
    for expression in list(&selector["matchExpressions"]) {
        let value = labels.get(text(&expression["key"]));
        let values = list(&expression["values"]);
        all &= match text(&expression["operator"]) {
            "In" => value.is_some_and(|value| values.contains(value)),
            "NotIn" => !value.is_some_and(|value| values.contains(value)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => return None,
        };
    }
    Some(all)
}

pub(super) fn is_empty_selector(selector: &Value) -> bool {
    entries(&selector["matchLabels"]).is_empty() && list(&selector["matchExpressions"]).is_empty()
}

/// A `metav1.LabelSelector` as Go prints it: its fields in the order of the type.
pub(super) fn shown_selector(selector: &Value) -> crate::field::Shown {
    let mut parts = Vec::new();
    if !entries(&selector["matchLabels"]).is_empty() {
        parts.push(format!("\"matchLabels\":{}", crate::field::go_value(&selector["matchLabels"])));
    }
    let expressions: Vec<_> = list(&selector["matchExpressions"])
        .iter()
        .map(|e| {
            let values =
                if list(&e["values"]).is_empty() { String::new() } else { format!(",\"values\":{}", crate::field::go_value(&e["values"])) };
            format!("{{\"key\":{},\"operator\":{}{values}}}", go_json_text(text(&e["key"])), go_json_text(text(&e["operator"])))
        })
        .collect();
    if !expressions.is_empty() {
        parts.push(format!("\"matchExpressions\":[{}]", expressions.join(",")));
    }
    crate::field::Shown::raw(if selector.is_null() { "null".to_owned() } else { format!("{{{}}}", parts.join(",")) })
}
