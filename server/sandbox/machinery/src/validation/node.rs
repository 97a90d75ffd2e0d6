//! Nodes.

use super::kit::{Errors, cidr, entries, list, text};
use super::{internal, meta, names, pod, quantities};
use crate::field::FieldError;
use serde_json::Value;

pub(super) fn rules(errors: &mut Errors, node: &Value, old: Option<&Value>) {
    for (index, taint) in list(&node["spec"]["taints"]).iter().enumerate() {
        // Kubernetes looks for taints in the metadata, by its paths.
        let path = format!("metadata.taints[{index}]");
        let (key, value, effect) = (text(&taint["key"]), text(&taint["value"]), text(&taint["effect"]));
        meta::label_name(errors, &format!("{path}.key"), key);
        let messages = names::label_value(value);
        if !messages.is_empty() {
            errors.push(FieldError::invalid(format!("{path}.value"), value, messages.join(";")));
        }
        pod::taint_effect(errors, &format!("{path}.effect"), effect);
        if list(&node["spec"]["taints"])[..index].iter().any(|t| text(&t["key"]) == key && text(&t["effect"]) == effect) {
            let mut error = FieldError::duplicate(path, internal::shown("Taint", taint));
            error.detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(error);
        }
    }
    for list in ["capacity", "allocatable"] {
        for (name, quantity) in entries(&node["status"][list]) {
            quantities::value(errors, &format!("status.{list}.{name}"), name, quantity);
        }
    }
    let Some(old) = old else {
        for (index, range) in list(&node["spec"]["podCIDRs"]).iter().enumerate() {
            cidr(errors, &format!("spec.podCIDRs[{index}]"), text(range));
        }
        return;
    };
    let (ranges, before) = (list(&node["spec"]["podCIDRs"]), list(&old["spec"]["podCIDRs"]));
    if !before.is_empty() && ranges != before {
        errors.push(FieldError::forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid"));
    }
    let provider = text(&old["spec"]["providerID"]);
    if !provider.is_empty() && provider != text(&node["spec"]["providerID"]) {
        let message = "node updates may not change providerID except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.providerID", message));
    }
}
