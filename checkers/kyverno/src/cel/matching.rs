//! `matchConstraints`: which requests a policy is about, as the API server's webhooks and admission policies have it.

use super::request::{Request, text_at};
use machinery::selector::LabelSelector;
use serde_json::{Map, Value, json};

/// Whether the constraints take the request. Selectors and rules that are absent take everything.
pub(super) fn matches(constraints: &Value, request: &Request) -> Result<bool, String> {
    if !namespace_matches(&constraints["namespaceSelector"], request)? || !object_matches(&constraints["objectSelector"], request)? {
        return Ok(false);
    }
    if rules(&constraints["excludeResourceRules"]).iter().any(|rule| rule_matches(rule, request)) {
        return Ok(false);
    }
    let included = rules(&constraints["resourceRules"]);
    Ok(included.is_empty() || included.iter().any(|rule| rule_matches(rule, request)))
}

pub(super) fn rules(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn selector(value: &Value) -> Result<Option<LabelSelector>, String> {
    if !value.is_object() {
        return Ok(None);
    }
    let selector = LabelSelector::from_object(value).map_err(|error| error.message.clone())?;
    Ok(if selector.is_empty() { None } else { Some(selector) })
}

fn labels(object: &Value) -> Option<&Map<String, Value>> {
    object.pointer("/metadata/labels").and_then(Value::as_object)
}

/// Objects without a namespace are taken whatever the selector, save namespaces, whose own labels count.
fn namespace_matches(value: &Value, request: &Request) -> Result<bool, String> {
    let Some(selector) = selector(value)? else { return Ok(true) };
    if request.resource == "namespaces" && request.kind.group.is_empty() {
        return Ok(selector.matches(labels(request.subject())));
    }
    if request.namespace.is_empty() {
        return Ok(true);
    }
    let named = json!({ "kubernetes.io/metadata.name": request.namespace });
    let known = labels(&request.namespace_object);
    Ok(selector.matches(known.or_else(|| named.as_object())))
}

fn object_matches(value: &Value, request: &Request) -> Result<bool, String> {
    let Some(selector) = selector(value)? else { return Ok(true) };
    let either = [&request.object, &request.old_object];
    Ok(either.into_iter().any(|object| object.is_object() && selector.matches(labels(object))))
}

fn rule_matches(rule: &Value, request: &Request) -> bool {
    let lists = |field: &str, value: &str| rules(&rule[field]).iter().any(|item| item == "*" || item == value);
    let scope = match rule["scope"].as_str() {
        Some("Namespaced") => !request.namespace.is_empty(),
        Some("Cluster") => request.namespace.is_empty(),
        _ => true,
    };
    scope
        && lists("operations", &request.operation.to_string())
        && lists("apiGroups", &request.kind.group)
        && lists("apiVersions", &request.kind.version)
        && rules(&rule["resources"]).iter().filter_map(Value::as_str).any(|resource| resource_matches(resource, request))
        && name_matches(rule, request)
}

/// `pods`, `pods/exec`, `pods/*`, `*`, `*/*`
fn resource_matches(resource: &str, request: &Request) -> bool {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    (resource == "*" || resource == request.resource) && (subresource == "*" || subresource == request.kind.subresource)
}

fn name_matches(rule: &Value, request: &Request) -> bool {
    let names = rules(&rule["resourceNames"]);
    let prefix = text_at(&request.object, "/metadata/generateName");
    names.is_empty()
        || names.iter().filter_map(Value::as_str).any(|name| match request.name.as_str() {
            "" => prefix.starts_with(name),
            given => given == name,
        })
}
