//! One `PolicyRule` against one request, and rules against rules (pkg/apis/rbac/v1/evaluation_helpers.go,
//! component-helpers/auth/rbac/validation/policy_comparator.go).

use crate::{Attributes, items};
use serde_json::Value;

fn texts<'a>(rule: &'a Value, field: &str) -> impl Iterator<Item = &'a str> + Clone {
    items(rule, field).filter_map(Value::as_str)
}

fn holds(rule: &Value, field: &str, wanted: &str) -> bool {
    texts(rule, field).any(|text| text == "*" || text == wanted)
}

pub(crate) fn covers_request(rule: &Value, attributes: &Attributes) -> bool {
    if !holds(rule, "verbs", &attributes.verb) {
        return false;
    }
    if !attributes.is_resource {
        return texts(rule, "nonResourceURLs").any(|url| covers_path(url, &attributes.path));
    }
    holds(rule, "apiGroups", &attributes.group)
        && covers_resource(rule, &attributes.resource, &attributes.subresource)
        && covers_name(rule, &attributes.name)
}

fn covers_path(url: &str, path: &str) -> bool {
    url == "*" || url == path || (url.ends_with('*') && path.starts_with(url.trim_end_matches('*')))
}

fn covers_resource(rule: &Value, resource: &str, subresource: &str) -> bool {
    texts(rule, "resources").any(|text| {
        if text == "*" {
            return true;
        }
        match text.split_once('/') {
            None => subresource.is_empty() && text == resource,
            Some((left, right)) => !subresource.is_empty() && right == subresource && (left == "*" || left == resource),
        }
    })
}

fn covers_name(rule: &Value, name: &str) -> bool {
    let mut names = texts(rule, "resourceNames").peekable();
    names.peek().is_none() || names.any(|text| text == name)
}

/// One verb on one resource (and name), or one verb on one URL: the grain in which rules are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Simple {
    pub verb: String,
    pub group: Option<String>,
    pub resource: Option<String>,
    pub name: Option<String>,
    pub url: Option<String>,
}

/// More than this many simple rules are not compared one by one.
const MOST: usize = 20_000;

/// Breaks a rule down; `None` where it is too large to be judged.
pub(crate) fn breakdown(rule: &Value) -> Option<Vec<Simple>> {
    let names: Vec<Option<&str>> = {
        let names: Vec<_> = texts(rule, "resourceNames").map(Some).collect();
        if names.is_empty() { vec![None] } else { names }
    };
    let product = texts(rule, "verbs").count()
        * (texts(rule, "apiGroups").count() * texts(rule, "resources").count() * names.len() + texts(rule, "nonResourceURLs").count());
    if product > MOST {
        return None;
    }
    let mut simple = Vec::new();
    for group in texts(rule, "apiGroups") {
        for resource in texts(rule, "resources") {
            for verb in texts(rule, "verbs") {
                for name in &names {
                    simple.push(Simple {
                        verb: verb.to_owned(),
                        group: Some(group.to_owned()),
                        resource: Some(resource.to_owned()),
                        name: name.map(str::to_owned),
                        url: None,
                    });
                }
            }
        }
    }
    for url in texts(rule, "nonResourceURLs") {
        for verb in texts(rule, "verbs") {
            simple.push(Simple { verb: verb.to_owned(), group: None, resource: None, name: None, url: Some(url.to_owned()) });
        }
    }
    Some(simple)
}

/// Whether `owner` grants all that `wanted` does.
pub(crate) fn covers_rule(owner: &Value, wanted: &Simple) -> bool {
    if !holds(owner, "verbs", &wanted.verb) {
        return false;
    }
    if let Some(url) = &wanted.url {
        return texts(owner, "nonResourceURLs").any(|held| covers_path(held, url));
    }
    let (Some(group), Some(resource)) = (&wanted.group, &wanted.resource) else { return false };
    let named = match &wanted.name {
        None => texts(owner, "resourceNames").next().is_none(),
        Some(name) => covers_name(owner, name),
    };
    let covered = texts(owner, "resources").any(|held| {
        held == "*" || held == resource || resource.split_once('/').is_some_and(|(_, sub)| held.strip_prefix("*/") == Some(sub))
    });
    holds(owner, "apiGroups", group) && covered && named
}
