//! `mutate.targets`: objects that exist, changed because of another.

use super::{of_target, on_object};
use crate::{
    condition,
    context::Context,
    engine::{Response, load_context},
    matching::{kind_selector, selects, strings},
    subject::Subject,
    text::join_non_empty,
    variables,
};
use kyverno_jmespath::wildcard;
use serde_json::Value;

pub fn rule(context: &mut Context<'_>, subject: &mut Subject<'_>, rule: &Value) -> Vec<Response> {
    let mut responses = Vec::new();
    for target in rule.pointer("/mutate/targets").and_then(Value::as_array).into_iter().flatten() {
        let mut selector = target.clone();
        if let Some(fields) = selector.as_object_mut() {
            fields.retain(|name, _| !matches!(name.as_str(), "context" | "preconditions"));
        }
        let selector = match variables::substitute(context, &selector) {
            Ok(selector) => selector,
            Err(error) => {
                responses.push(Response::error(format!("failed to substitute variables in target: {error}")));
                continue;
            }
        };
        let namespace = subject.policy.namespace();
        let evidence = context.runtime.evidence;
        let known = if evidence.targets.is_empty() { &evidence.objects } else { &evidence.targets };
        for object in find(known, &selector, namespace) {
            if context.runtime.step().is_err() {
                return responses;
            }
            context.checkpoint();
            context.set_target(object);
            load_context(context, subject, rule, target.get("context"));
            let mut response = match condition::hold(context, target.get("preconditions")) {
                Err(error) => Response::error(format!("failed to evaluate preconditions: {error}")),
                Ok((false, message)) => Response::skip(join_non_empty(&["preconditions not met", &message], "; ")),
                Ok((true, _)) => of_target(on_object(context, subject, rule, object)),
            };
            context.restore();
            response.about = Some(object.clone());
            responses.push(response);
        }
    }
    responses
}

/// The objects of a kind that a selector with `apiVersion`, `kind`, `namespace`, `name` and `selector` finds; names may have wildcards.
pub fn find<'e>(known: &'e [Value], selector: &Value, namespace: Option<&str>) -> Vec<&'e Value> {
    let text = |name: &str| selector.get(name).and_then(Value::as_str).unwrap_or_default();
    let whole = format!("{}/{}", text("apiVersion"), text("kind"));
    let [group, version, kind, _] = kind_selector(whole.trim_start_matches('/'));
    let namespace = namespace.unwrap_or(text("namespace"));
    let of = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let fits = |object: &&Value| {
        let api_version = of(object, "/apiVersion");
        let (of_group, of_version) = api_version.split_once('/').unwrap_or(("", &api_version));
        wildcard::matches(group, of_group)
            && wildcard::matches(version, of_version)
            && wildcard::matches(kind, &of(object, "/kind"))
            && (namespace.is_empty() || wildcard::matches(namespace, &of(object, "/metadata/namespace")))
            && (text("name").is_empty() || wildcard::matches(text("name"), &of(object, "/metadata/name")))
            && selector
                .get("selector")
                .filter(|s| s.is_object())
                .is_none_or(|selector| selects(selector, &strings(object.pointer("/metadata/labels"))))
    };
    known.iter().filter(fits).collect()
}
