//! PodSecurity: the Pod Security Standards by the labels of the namespace, judged by the same engine as the checkers.

use crate::{
    call::{Call, Operation},
    store::Transaction,
};
use machinery::{ApiError, FieldError, object};
use pod_security::{Evaluation, Level, Policy, Version, evaluate, pod_template};
use serde_json::{Value, json};

/// Pods of a namespace that are looked at when its labels change.
const MOST: usize = 3000;
/// Minor version of Kubernetes that this server is.
const MINOR: u32 = 34;

pub(crate) fn validate(
    call: &mut Call,
    transaction: &Transaction,
    operation: Operation,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let Some(new) = new.filter(|_| operation != Operation::Delete) else { return Ok(()) };
    if call.is("", "namespaces") {
        return if call.subresource.is_empty() { namespace(call, transaction, new, old) } else { Ok(()) };
    }
    let controller = !call.is("", "pods");
    if !matches!(call.subresource.as_str(), "" | "ephemeralcontainers") {
        return Ok(());
    }
    let Some(template) = pod_template(new) else { return Ok(()) };
    let Some(space) = transaction.state.get("", "namespaces", "", object::namespace(new)) else { return Ok(()) };
    let (policy, _) = Policy::from_labels(object::labels(&space));
    if policy.fully_privileged() {
        return Ok(());
    }
    if let Some(old) = old.filter(|_| !controller)
        && !matters(template.spec, &old["spec"])
    {
        return Ok(());
    }
    let judge = |level: Level, version| evaluate_here(level, version, template.metadata, template.spec);
    if !controller {
        let enforced = judge(policy.enforce.level, policy.enforce.version);
        if !enforced.allowed() {
            let mut error = call.forbidden(object::name(new), &enforced.message());
            if error.details.is_null() {
                error.details = json!({});
            }
            return Err(error);
        }
    }
    let warned: Evaluation = judge(policy.warn.level, policy.warn.version);
    if !warned.allowed() {
        call.warn([format!("would {}", warned.message().replacen("violates", "violate", 1))]);
    }
    Ok(())
}

/// A version is called what the label calls it, and judged by what a server of this minor version knows of it.
fn evaluate_here(level: Level, version: Version, metadata: &Value, spec: &Value) -> Evaluation {
    Evaluation { version, ..evaluate(level, version.on_server(MINOR), metadata, spec) }
}

/// Whether a change of a pod is one that Pod Security looks at: containers come or go, or run another image.
fn matters(new: &Value, old: &Value) -> bool {
    let containers = |spec: &Value, field: &str| spec[field].as_array().cloned().unwrap_or_default();
    let changed = |field: &str| {
        let (new, old) = (containers(new, field), containers(old, field));
        new.len() != old.len() || new.iter().zip(&old).any(|(new, old)| new["image"] != old["image"])
    };
    let before = containers(old, "ephemeralContainers");
    let is_new = |new: &Value| before.iter().find(|old| old["name"] == new["name"]).is_none_or(|old| old["image"] != new["image"]);
    changed("containers") || changed("initContainers") || containers(new, "ephemeralContainers").iter().any(is_new)
}

fn namespace(call: &mut Call, transaction: &Transaction, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let (policy, errors) = Policy::from_labels(object::labels(new));
    let (before, errors_before) = old.map_or_else(Default::default, |old| Policy::from_labels(object::labels(old)));
    if !errors.is_empty() && (old.is_none() || errors_before.is_empty()) {
        let errors: Vec<_> = errors
            .iter()
            .map(|error| FieldError::invalid(format!("metadata.labels[{}]", error.label), &json!(error.value), error.error.to_string()))
            .collect();
        return Err(call.invalid(object::name(new), &errors));
    }
    if old.is_none() || policy.enforce == before.enforce || policy.enforce.level == Level::Privileged {
        return Ok(());
    }
    // Relaxed within the same version: what was allowed before is allowed now.
    if policy.enforce.version == before.enforce.version && policy.enforce.level < before.enforce.level {
        return Ok(());
    }
    let warnings = existing(transaction, object::name(new), &policy);
    call.warn(warnings);
    Ok(())
}

/// What the pods of a namespace would be refused for, pods of the same reasons together.
fn existing(transaction: &Transaction, namespace: &str, policy: &Policy) -> Vec<String> {
    let mut found: Vec<(String, String, usize)> = Vec::new();
    let pods: Vec<_> = transaction.state.list("", "pods", Some(namespace)).collect();
    for pod in pods.iter().take(MOST) {
        let evaluation = evaluate_here(policy.enforce.level, policy.enforce.version, &pod["metadata"], &pod["spec"]);
        if evaluation.allowed() {
            continue;
        }
        let reasons = evaluation.reasons();
        match found.iter_mut().find(|(held, _, _)| *held == reasons) {
            Some((_, _, count)) => *count += 1,
            None => found.push((reasons, object::name(pod).to_owned(), 1)),
        }
    }
    let mut lines: Vec<_> = found
        .into_iter()
        .map(|(reasons, name, count)| match count {
            1 => format!("{name}: {reasons}"),
            2 => format!("{name} (and 1 other pod): {reasons}"),
            more => format!("{name} (and {} other pods): {reasons}", more - 1),
        })
        .collect();
    lines.sort();
    let mut warnings = Vec::new();
    if pods.len() > MOST {
        warnings.push(format!("new PodSecurity enforce level only checked against the first {MOST} of {} existing pods", pods.len()));
    }
    if !lines.is_empty() {
        warnings.push(format!("existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{}\"", policy.enforce));
        warnings.extend(lines);
    }
    warnings
}
