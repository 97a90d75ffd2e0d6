//! `validate.assert`: assertion trees, as Kyverno's JSON policies have them.
//!
//! A key in parentheses is a JMESPath query whose result is compared with the value; `~` before a key goes over the elements of a list; a text in
//! parentheses is a query on the whole document; everything else is the value that has to be there.

use crate::{
    context::{Context, Runtime},
    engine::{Response, load_context},
    subject::Subject,
};
use serde_json::{Value, json};

const DEEPEST: usize = 100;

pub fn rule(context: &mut Context<'_>, subject: &Subject<'_>, rule: &Value) -> Response {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    let empty = Value::Null;
    let tree = rule.pointer("/validate/assert").unwrap_or(&empty);
    load_context(context, subject, rule, rule.get("context"));
    let document = json!({
        "object": subject.new, "oldObject": subject.old, "operation": subject.operation.to_string(), "namespaceLabels": subject.namespace_labels,
        "admissionInfo": subject.user.as_ref().map(|u| json!({ "roles": u.roles, "clusterRoles": u.cluster_roles, "userInfo": u.user_info })),
        "resourceKind": {
            "group": subject.kind.group, "version": subject.kind.version, "kind": subject.kind.kind, "subResource": subject.kind.subresource,
        },
    });
    match assert(context.runtime, tree, &document, "", 0) {
        Err(why) => Response::error(format!("failed to apply assertion: {why}")),
        Ok(failures) if failures.is_empty() => Response::pass(format!("Validation rule '{name}' passed.")),
        Ok(failures) => Response::fail(failures.join("; ")),
    }
}

fn query(text: &str) -> Option<&str> {
    text.trim().strip_prefix('(')?.strip_suffix(')')
}

/// What does not hold, with its place.
fn assert(runtime: &Runtime<'_>, tree: &Value, value: &Value, path: &str, depth: usize) -> Result<Vec<String>, String> {
    if depth > DEEPEST {
        return Err("the assertion is nested too deeply".to_owned());
    }
    runtime.step().map_err(|error| error.to_string())?;
    let mut failures = Vec::new();
    match tree {
        Value::Object(map) => {
            for (key, below) in map {
                let (over_elements, bare) = match key.strip_prefix('~') {
                    Some(rest) => (true, rest.split_once('.').map_or(rest, |(_, rest)| rest)),
                    None => (false, key.as_str()),
                };
                let found = match query(bare) {
                    Some(query) => runtime.search(query, value).map_err(|error| error.to_string())?,
                    None => match value.get(bare) {
                        Some(found) => found.clone(),
                        None if over_elements => Value::Null,
                        None => {
                            failures.push(
                                format!("{path}.{key}: Required value: field not found in the input object")
                                    .trim_start_matches('.')
                                    .to_owned(),
                            );
                            continue;
                        }
                    },
                };
                let place = format!("{path}.{key}");
                if over_elements {
                    let elements: Vec<Value> = match found {
                        Value::Array(items) => items,
                        Value::Object(map) => map.into_iter().map(|(_, value)| value).collect(),
                        _ => Vec::new(),
                    };
                    for (i, element) in elements.iter().enumerate() {
                        failures.extend(assert(runtime, below, element, &format!("{place}[{i}]"), depth + 1)?);
                    }
                } else {
                    failures.extend(assert(runtime, below, &found, &place, depth + 1)?);
                }
            }
        }
        Value::Array(items) => match value.as_array() {
            Some(values) if values.len() == items.len() => {
                for (i, (item, value)) in items.iter().zip(values).enumerate() {
                    failures.extend(assert(runtime, item, value, &format!("{path}[{i}]"), depth + 1)?);
                }
            }
            Some(_) => {
                failures.push(format!("{path}: Invalid value: {value}: lengths of slices don't match").trim_start_matches('.').to_owned())
            }
            None => failures.push(format!("{path}: Invalid value: {value}: value must be a slice").trim_start_matches('.').to_owned()),
        },
        scalar => {
            let wanted = match scalar.as_str().and_then(query) {
                Some(query) => runtime.search(query, value).map_err(|error| error.to_string())?,
                None => scalar.clone(),
            };
            let same = match (&wanted, value) {
                (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
                (a, b) => a == b,
            };
            if !same {
                failures.push(format!("{path}: Invalid value: {value}: Expected value: {wanted}").trim_start_matches('.').to_owned());
            }
        }
    }
    Ok(failures)
}
