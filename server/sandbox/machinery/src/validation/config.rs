//! Namespaces, secrets, config maps, service accounts and events.

use super::kit::{Errors, entries, has, immutable, list, refuse, text};
use super::{meta, names};
use crate::field::FieldError;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

const MAX_SIZE: usize = 1024 * 1024;
const FROZEN: &str = "field is immutable when `immutable` is set";

pub(super) fn rules(errors: &mut Errors, kind: &str, new: &Value, old: Option<&Value>) {
    match kind {
        "Secret" => secret(errors, new, old),
        "ConfigMap" => config_map(errors, new, old),
        "Event" => event(errors, new),
        "Namespace" => {
            for finalizer in list(&new["spec"]["finalizers"]).iter().map(text) {
                refuse(errors, "spec.finalizers", finalizer, names::qualified_name(finalizer));
                meta::finalizer_name(errors, "spec.finalizers", finalizer);
            }
        }
        "Binding" => {
            let target = &new["target"];
            if !matches!(text(&target["kind"]), "" | "Node") {
                errors.push(FieldError::not_supported("target.kind", text(&target["kind"]), &["Node", "<empty>"]));
            }
            if text(&target["name"]).is_empty() {
                errors.push(FieldError::required("target.name", ""));
            }
        }
        _ => {}
    }
}

pub(super) fn namespace_status(errors: &mut Errors, namespace: &Value) {
    let phase = text(&namespace["status"]["phase"]);
    let deleted = has(&namespace["metadata"]["deletionTimestamp"]);
    if !deleted && phase != "Active" {
        let message = "may only be 'Active' if `deletionTimestamp` is empty";
        errors.push(FieldError::invalid("status.Phase", phase, message));
    } else if deleted && phase != "Terminating" {
        let message = "may only be 'Terminating' if `deletionTimestamp` is not empty";
        errors.push(FieldError::invalid("status.Phase", phase, message));
    }
    for (index, finalizer) in list(&namespace["spec"]["finalizers"]).iter().enumerate() {
        let path = format!("spec.finalizers[{index}]");
        refuse(errors, &path, text(finalizer), names::qualified_name(text(finalizer)));
        meta::finalizer_name(errors, &path, text(finalizer));
    }
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(text(value)).unwrap_or_default()
}

fn secret(errors: &mut Errors, new: &Value, old: Option<&Value>) {
    if let Some(old) = old {
        immutable(errors, "type", &new["type"], &old["type"]);
        frozen(errors, new, old, &["data"]);
    }
    let data = &new["data"];
    let mut size = 0;
    for (key, value) in entries(data) {
        refuse(errors, &format!("data[{key}]"), key, names::config_key(key));
        size += decoded(value).len();
    }
    if size > MAX_SIZE {
        errors.push(FieldError::too_long("data", MAX_SIZE));
    }
    let need = |errors: &mut Errors, key: &str| {
        if !has(&data[key]) {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
    };
    match text(&new["type"]) {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if crate::object::annotation(new, key).unwrap_or_default().is_empty() {
                errors.push(FieldError::required(format!("metadata.annotations[{key}]"), ""));
            }
        }
        "kubernetes.io/dockercfg" => docker(errors, data, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => docker(errors, data, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !has(&data["username"]) && !has(&data["password"]) => {
            need(errors, "username");
            need(errors, "password");
        }
        "kubernetes.io/ssh-auth" if text(&data["ssh-privatekey"]).is_empty() => {
            errors.push(FieldError::required("data[ssh-privatekey]", ""));
        }
        "kubernetes.io/tls" => {
            need(errors, "tls.crt");
            need(errors, "tls.key");
        }
        _ => {}
    }
}

fn docker(errors: &mut Errors, data: &Value, key: &str) {
    let path = format!("data[{key}]");
    if !has(&data[key]) {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let bytes = decoded(&data[key]);
    let message = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(other) => format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", json_kind(&other)),
        Err(_) => json_error(&bytes),
    };
    errors.push(FieldError::invalid(path, "<secret contents redacted>", message));
}

fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    }
}

/// What Go's decoder says of bytes that are no JSON.
fn json_error(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start();
    for literal in ["null", "true", "false"] {
        if text.chars().next() != literal.chars().next() {
            continue;
        }
        return match literal.chars().zip(text.chars()).find(|(wanted, found)| wanted != found) {
            Some((wanted, found)) => format!("invalid character '{found}' in literal {literal} (expecting '{wanted}')"),
            None => "unexpected end of JSON input".to_owned(),
        };
    }
    match text.chars().next() {
        None => "unexpected end of JSON input".to_owned(),
        Some('{' | '[' | '"') => "unexpected end of JSON input".to_owned(),
        Some(other) => format!("invalid character '{other}' looking for beginning of value"),
    }
}

/// Once `immutable` is set, it and the data stay.
fn frozen(errors: &mut Errors, new: &Value, old: &Value, fields: &[&str]) {
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        errors.push(FieldError::forbidden("immutable", FROZEN));
    }
    for field in fields {
        if !crate::strategy::equal(&new[*field], &old[*field]) {
            errors.push(FieldError::forbidden(*field, FROZEN));
        }
    }
}

fn config_map(errors: &mut Errors, new: &Value, old: Option<&Value>) {
    if let Some(old) = old {
        frozen(errors, new, old, &["data", "binaryData"]);
    }
    let mut size = 0;
    for (key, value) in entries(&new["data"]) {
        let path = format!("data[{key}]");
        refuse(errors, &path, key, names::config_key(key));
        if has(&new["binaryData"][key]) {
            errors.push(FieldError::invalid(path, key, "duplicate of key present in binaryData"));
        }
        size += text(value).len();
    }
    for (key, value) in entries(&new["binaryData"]) {
        refuse(errors, &format!("binaryData[{key}]"), key, names::config_key(key));
        size += decoded(value).len();
    }
    if size > MAX_SIZE {
        errors.push(FieldError::too_long("[]", MAX_SIZE));
    }
}

fn event(errors: &mut Errors, event: &Value) {
    let about = if has(&event["involvedObject"]) { &event["involvedObject"] } else { &event["regarding"] };
    let (own, theirs) = (crate::object::namespace(event), text(&about["namespace"]));
    let legacy = !has(&event["eventTime"]);
    let matches = if theirs.is_empty() { legacy || matches!(own, "" | "default" | "kube-system") } else { own == theirs };
    if !matches {
        errors.push(FieldError::invalid("involvedObject.namespace", theirs, "does not match event.namespace"));
    }
    if legacy {
        return;
    }
    for (field, most) in [("reportingController", 63), ("reportingInstance", 128), ("action", 128), ("reason", 128)] {
        let value = text(&event[field]);
        let value = if value.is_empty() && field == "reportingController" { text(&event["reportingComponent"]) } else { value };
        if value.is_empty() {
            errors.push(FieldError::required(field, ""));
        } else if value.len() > most {
            errors.push(FieldError::invalid(field, "", format!("can have at most {most} characters")));
        }
    }
}
