//! PolicyExceptions of `kyverno.io`: which rules leave an object alone.

use crate::{
    condition,
    context::Context,
    matching::{Use, filter_matches},
    subject::Subject,
};
use kyverno_jmespath::wildcard;
use serde_json::Value;

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `namespace/name`.
pub fn key(exception: &Value) -> String {
    match text(exception, "/metadata/namespace") {
        "" => text(exception, "/metadata/name").to_owned(),
        namespace => format!("{namespace}/{}", text(exception, "/metadata/name")),
    }
}

/// The exceptions that name the rule and match the object. Nothing is excepted where a condition cannot be judged.
pub fn matching<'e>(context: &mut Context<'e>, subject: &Subject<'_>, rule: &str) -> Vec<&'e Value> {
    let exceptions = &context.runtime.evidence.exceptions;
    let mut found = Vec::new();
    for exception in exceptions.iter().filter(|exception| names(exception, &subject.policy.key(), rule)) {
        let empty = Value::Null;
        let block = exception.pointer("/spec/match").unwrap_or(&empty);
        let Some(object) = subject.object() else { continue };
        if !filter_matches(block, object, subject, Use::Exception) {
            continue;
        }
        if let Some(conditions) = exception.pointer("/spec/conditions").filter(|c| !c.is_null()) {
            match condition::hold(context, Some(conditions)) {
                Ok((true, _)) => {}
                Ok((false, _)) => continue,
                Err(_) => return Vec::new(),
            }
        }
        found.push(exception);
    }
    found
}

/// Names of policies and rules may have wildcards.
fn names(exception: &Value, policy: &str, rule: &str) -> bool {
    let of_kyverno = text(exception, "/apiVersion").starts_with("kyverno.io/");
    let entries = exception.pointer("/spec/exceptions").and_then(Value::as_array);
    of_kyverno
        && entries.into_iter().flatten().any(|entry| {
            let rules = entry.get("ruleNames").and_then(Value::as_array);
            text(entry, "/policyName") == policy
                && rules.into_iter().flatten().filter_map(Value::as_str).any(|pattern| wildcard::matches(pattern, rule))
        })
}
