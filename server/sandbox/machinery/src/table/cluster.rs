//! Kinds by which a cluster governs itself: leases, certificates, admission, runtime classes, API services, device claims.

use super::Printer;
use super::column::{age, integer as number, name, text};
use super::duration::{age as age_of, human_duration, since};
use super::text::{count, integer, items, or, str_of};
use crate::object;
use jiff::Timestamp;
use serde_json::Value;

pub(super) fn printer(group: &str, kind: &str) -> Option<Printer> {
    let printer = match (group, kind) {
        ("coordination.k8s.io", "Lease") => Printer { columns: const { &[name(), text("Holder"), age()] }, cells: lease },
        ("node.k8s.io", "RuntimeClass") => Printer { columns: const { &[name(), text("Handler"), age()] }, cells: runtime_class },
        ("certificates.k8s.io", "CertificateSigningRequest") => Printer {
            columns: const { &[name(), age(), text("SignerName"), text("Requestor"), text("RequestedDuration"), text("Condition")] },
            cells: signing_request,
        },
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
            Printer { columns: const { &[name(), number("Webhooks"), age()] }, cells: webhooks }
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => {
            Printer { columns: const { &[name(), number("Validations"), text("ParamKind"), age()] }, cells: validating_policy }
        }
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy") => {
            Printer { columns: const { &[name(), number("Mutations"), text("ParamKind"), age()] }, cells: mutating_policy }
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding") => {
            Printer { columns: const { &[name(), text("PolicyName"), text("ParamRef"), age()] }, cells: policy_binding }
        }
        ("apiregistration.k8s.io", "APIService") => {
            Printer { columns: const { &[name(), text("Service"), text("Available"), age()] }, cells: api_service }
        }
        ("resource.k8s.io", "DeviceClass" | "ResourceClaimTemplate") => Printer { columns: const { &[name(), age()] }, cells: only_age },
        ("resource.k8s.io", "ResourceClaim") => Printer { columns: const { &[name(), text("State"), age()] }, cells: resource_claim },
        ("resource.k8s.io", "ResourceSlice") => {
            Printer { columns: const { &[name(), text("Node"), text("Driver"), text("Pool"), age()] }, cells: resource_slice }
        }
        _ => return None,
    };
    Some(printer)
}

fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), str_of(&object["spec"]["holderIdentity"]).into(), age_of(object, now)]
}

fn runtime_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), str_of(&object["handler"]).into(), age_of(object, now)]
}

fn signing_request(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let has = |kind: &str| items(&object["status"]["conditions"]).iter().any(|c| c["type"] == kind);
    let mut state = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !str_of(&object["status"]["certificate"]).is_empty() {
        state.push_str(",Issued");
    }
    vec![
        object::name(object).into(),
        since(&object["metadata"]["creationTimestamp"], now).into(),
        or(&spec["signerName"], "<none>").into(),
        str_of(&spec["username"]).into(),
        spec["expirationSeconds"].as_i64().map_or("<none>".to_owned(), human_duration).into(),
        state.into(),
    ]
}

fn webhooks(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), count(&object["webhooks"]).into(), age_of(object, now)]
}

fn parameter_kind(object: &Value) -> Value {
    let kind = &object["spec"]["paramKind"];
    if kind.is_object() { format!("{}/{}", str_of(&kind["apiVersion"]), str_of(&kind["kind"])).into() } else { "<unset>".into() }
}

fn validating_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), count(&object["spec"]["validations"]).into(), parameter_kind(object), age_of(object, now)]
}

fn mutating_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), count(&object["spec"]["mutations"]).into(), parameter_kind(object), age_of(object, now)]
}

fn policy_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let reference = &object["spec"]["paramRef"];
    let text = match (str_of(&reference["name"]), str_of(&reference["namespace"])) {
        ("", _) if reference["selector"].is_object() => go_selector(&reference["selector"]),
        ("", _) => "<unset>".to_owned(),
        (name, "") => format!("*/{name}"),
        (name, namespace) => format!("{namespace}/{name}"),
    };
    vec![object::name(object).into(), str_of(&object["spec"]["policyName"]).into(), text.into(), age_of(object, now)]
}

/// A `LabelSelector` as Go's generated `String` prints it.
fn go_selector(selector: &Value) -> String {
    let mut labels: Vec<_> =
        selector["matchLabels"].as_object().into_iter().flatten().map(|(key, value)| format!("{key}: {},", str_of(value))).collect();
    labels.sort();
    let expressions: Vec<_> = items(&selector["matchExpressions"])
        .iter()
        .map(|e| {
            let values = items(&e["values"]).iter().map(str_of).collect::<Vec<_>>().join(" ");
            format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},", str_of(&e["key"]), str_of(&e["operator"]))
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{}}},}}",
        labels.concat(),
        expressions.concat()
    )
}

fn api_service(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = &object["spec"]["service"];
    let service =
        if service.is_object() { format!("{}/{}", str_of(&service["namespace"]), str_of(&service["name"])) } else { "Local".to_owned() };
    let available = match items(&object["status"]["conditions"]).iter().find(|c| c["type"] == "Available") {
        None => "Unknown".to_owned(),
        Some(condition) if condition["status"] == "True" => "True".to_owned(),
        Some(condition) => format!("{} ({})", str_of(&condition["status"]), str_of(&condition["reason"])),
    };
    vec![object::name(object).into(), service.into(), available.into(), age_of(object, now)]
}

fn only_age(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), age_of(object, now)]
}

fn resource_claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let allocated = status["allocation"].is_object();
    let state = match (object::is_terminating(object), allocated, integer(&count(&status["reservedFor"]).into()) > 0) {
        (true, false, _) => "deleted",
        (false, false, _) => "pending",
        (true, true, false) => "deleted,allocated",
        (true, true, true) => "deleted,allocated,reserved",
        (false, true, false) => "allocated",
        (false, true, true) => "allocated,reserved",
    };
    vec![object::name(object).into(), state.into(), age_of(object, now)]
}

fn resource_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        object::name(object).into(),
        str_of(&spec["nodeName"]).into(),
        str_of(&spec["driver"]).into(),
        str_of(&spec["pool"]["name"]).into(),
        age_of(object, now),
    ]
}
