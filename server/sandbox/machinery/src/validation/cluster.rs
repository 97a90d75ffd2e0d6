//! Disruption budgets, priorities, runtime classes, leases and certificate requests.

use super::kit::{
    Errors, at_most_100_percent, has, immutable, integer_or_percent, list, number, one_of, refuse, supported_or_refuse, text,
};
use super::{internal, meta, names, pod, quantities};
use crate::field::FieldError;
use serde_json::Value;

pub(super) fn rules(errors: &mut Errors, group: &str, kind: &str, new: &Value, old: Option<&Value>) {
    let spec = &new["spec"];
    match (group, kind) {
        ("policy", "PodDisruptionBudget") => disruption_budget(errors, spec),
        ("scheduling.k8s.io", "PriorityClass") => priority_class(errors, new, old),
        ("node.k8s.io", "RuntimeClass") => runtime_class(errors, new, old),
        ("coordination.k8s.io", "Lease") => lease(errors, spec),
        ("certificates.k8s.io", "CertificateSigningRequest") if old.is_none() => {
            if !is_pem_request(text(&spec["request"])) {
                let message = "PEM block type must be CERTIFICATE REQUEST";
                errors.push(FieldError::invalid("spec.request", &spec["request"], message));
            }
            if list(&spec["usages"]).is_empty() {
                errors.push(FieldError::required("spec.usages", ""));
            }
            for (index, usage) in list(&spec["usages"]).iter().enumerate() {
                supported_or_refuse(errors, &format!("spec.usages[{index}]"), text(usage), &KEY_USAGES);
            }
            signer_name(errors, "spec.signerName", text(&spec["signerName"]));
            if let Some(seconds) = spec["expirationSeconds"].as_i64().filter(|seconds| *seconds < 600) {
                let message = "may not specify a duration less than 600 seconds (10 minutes)";
                errors.push(FieldError::invalid("spec.expirationSeconds", seconds, message));
            }
        }
        _ => {}
    }
}

const KEY_USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

fn disruption_budget(errors: &mut Errors, spec: &Value) {
    let (least, most) = (&spec["minAvailable"], &spec["maxUnavailable"]);
    if has(least) && has(most) {
        let shown = internal::shown("PodDisruptionBudgetSpec", spec);
        errors.push(FieldError::invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set"));
    }
    for (field, value) in [("minAvailable", least), ("maxUnavailable", most)] {
        if has(value) {
            integer_or_percent(errors, &format!("spec.{field}"), value);
            at_most_100_percent(errors, &format!("spec.{field}"), value);
        }
    }
    meta::selector(errors, "spec.selector", &spec["selector"]);
    if let Some(policy) = spec["unhealthyPodEvictionPolicy"].as_str() {
        supported_or_refuse(errors, "spec.unhealthyPodEvictionPolicy", policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
}

fn priority_class(errors: &mut Errors, new: &Value, old: Option<&Value>) {
    if let Some(old) = old {
        if number(&new["value"]) != number(&old["value"]) {
            errors.push(FieldError::forbidden("value", "may not be changed in an update."));
        }
        immutable(errors, "preemptionPolicy", &new["preemptionPolicy"], &old["preemptionPolicy"]);
        return;
    }
    let (name, value) = (crate::object::name(new), number(&new["value"]));
    if name.starts_with("system-") {
        let known = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
        let reason = match known.into_iter().find(|(known, _)| *known == name) {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, wanted)) if wanted != value => Some(format!("value of {name} PriorityClass must be {wanted}")),
            Some(_) if new["globalDefault"] == true => Some(format!("globalDefault of {name} PriorityClass must be false")),
            Some(_) => None,
        };
        if let Some(reason) = reason {
            let message = format!("priority class names with 'system-' prefix are reserved for system use only. error: {reason}");
            errors.push(FieldError::forbidden("metadata.name", message));
        }
    } else if value > 1_000_000_000 {
        errors.push(FieldError::forbidden("value", "maximum allowed value of a user defined priority is 1000000000"));
    }
    if has(&new["preemptionPolicy"]) {
        one_of(errors, "preemptionPolicy", &new["preemptionPolicy"], &["PreemptLowerPriority", "Never"]);
    }
}

fn runtime_class(errors: &mut Errors, new: &Value, old: Option<&Value>) {
    if let Some(old) = old {
        immutable(errors, "handler", &new["handler"], &old["handler"]);
        return;
    }
    let handler = text(&new["handler"]);
    refuse(errors, "handler", handler, names::dns_label(handler));
    if has(&new["overhead"]) {
        quantities::overhead(errors, "overhead", &new["overhead"]["podFixed"]);
    }
    let scheduling = &new["scheduling"];
    meta::labels(errors, "scheduling.nodeSelector", &scheduling["nodeSelector"]);
    pod::tolerations(errors, "scheduling.tolerations.tolerations", &scheduling["tolerations"]);
    let all = list(&scheduling["tolerations"]);
    let same = |a: &Value, b: &Value| ["key", "operator", "value", "effect"].iter().all(|field| text(&a[*field]) == text(&b[*field]));
    for (index, one) in all.iter().enumerate().filter(|(index, one)| all[..*index].iter().any(|other| same(other, one))) {
        errors.push(FieldError::duplicate(format!("scheduling.tolerations[{index}]"), internal::shown("Toleration", one)));
    }
}

fn lease(errors: &mut Errors, spec: &Value) {
    if has(&spec["leaseDurationSeconds"]) && number(&spec["leaseDurationSeconds"]) <= 0 {
        errors.push(FieldError::invalid("spec.leaseDurationSeconds", &spec["leaseDurationSeconds"], "must be greater than 0"));
    }
    if number(&spec["leaseTransitions"]) < 0 {
        let message = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("spec.leaseTransitions", &spec["leaseTransitions"], message));
    }
    if !text(&spec["preferredHolder"]).is_empty() && text(&spec["strategy"]).is_empty() {
        errors.push(FieldError::forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined"));
    }
}

fn is_pem_request(request: &str) -> bool {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(request).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains("-----BEGIN CERTIFICATE REQUEST-----"))
}

/// `example.com/signer-name`
fn signer_name(errors: &mut Errors, path: &str, name: &str) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let parts: Vec<_> = name.split('/').collect();
    let [domain, rest] = parts.as_slice() else {
        let message = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path, name, message));
        return;
    };
    for (whole, rule) in [(domain, names::dns_label as meta::NameRule), (rest, names::dns_subdomain)] {
        if let Some((label, messages)) = whole.split('.').map(|label| (label, rule(label))).find(|(_, messages)| !messages.is_empty()) {
            for message in messages {
                let label = crate::field::go_quote(label);
                errors.push(FieldError::invalid(path, *whole, format!("validating label {label}: {message}")));
            }
        }
    }
    if !domain.contains('.') {
        let message = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(path, *domain, message));
    }
}
