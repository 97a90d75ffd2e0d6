//! `match` and `exclude`: which objects and requests a rule is about.

use crate::{
    subject::Subject,
    trigger::{KindOf, UserInfo},
};
use kyverno_jmespath::wildcard;
use machinery::selector::LabelSelector;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Group, version, kind and subresource of what a policy names a kind by: `Pod`, `apps/v1/Deployment`, `*/*`, `Pod/exec`, `Pod.exec`.
pub fn kind_selector(text: &str) -> [&str; 4] {
    let mut parts: Vec<&str> = text.split('/').collect();
    if let Some(last) = parts.pop() {
        parts.extend(last.split('.'));
    }
    match parts.as_slice() {
        [kind] => ["*", "*", kind, ""],
        ["*", "*"] => ["*", "*", "*", "*"],
        ["*", sub] if sub.to_lowercase() == *sub => ["*", "*", "*", sub],
        [version, kind] if is_version(version) => ["*", version, kind, ""],
        [kind, sub] => ["*", "*", kind, sub],
        [version, kind, sub] if is_version(version) => ["*", version, kind, sub],
        [group, version, kind] => [group, version, kind, ""],
        [group, version, kind, sub] => [group, version, kind, sub],
        _ => ["", "", "", ""],
    }
}

/// `*`, `v1`, `v1beta1`.
pub fn is_version(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    text == "*"
        || bytes.first() == Some(&b'v')
            && digit(1)
            && (bytes.len() == 2
                || bytes.len() == 8 && text[2..].starts_with("alpha") && digit(7)
                || bytes.len() == 7 && text[2..].starts_with("beta") && digit(6))
}

/// Group-version and kind of what a policy names a kind by, as Kyverno takes it apart for the generated rules.
pub fn kind_name(text: &str) -> String {
    let parts: Vec<&str> = text.split('/').collect();
    let kind = match parts.as_slice() {
        [kind] => kind,
        ["*", "*"] => "*",
        [version, kind] if is_version(version) => kind,
        [kind, _] => kind,
        [version, kind, _] if is_version(version) => kind,
        [_, _, kind] => kind,
        [_, _, kind, _] => kind,
        _ => "",
    };
    kind.split('.').next().unwrap_or_default().to_owned()
}

pub fn is_kind(kinds: &Value, kind: &KindOf, ephemeral_containers: bool) -> bool {
    texts(Some(kinds)).into_iter().any(|text| {
        let [group, version, name, sub] = kind_selector(text);
        let of_kind =
            wildcard::matches(group, &kind.group) && wildcard::matches(version, &kind.version) && wildcard::matches(name, &kind.kind);
        let is_pod = kind.group.is_empty() && kind.version == "v1" && kind.kind == "Pod";
        of_kind
            && (wildcard::matches(sub, &kind.subresource) || ephemeral_containers && is_pod && kind.subresource == "ephemeralcontainers")
    })
}

/// The texts of a list.
pub fn texts(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn text_at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Who asks: small things differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Rule,
    Exception,
    Cleanup,
}

/// Filters: `any`, `all`, or the filter written where they would stand.
enum Filters<'a> {
    Any(&'a [Value]),
    All(&'a [Value]),
    One(&'a Value),
}

fn filters(block: &Value) -> Filters<'_> {
    let list = |name: &str| block.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
    match (list("any"), list("all")) {
        (Some(any), _) => Filters::Any(any),
        (None, Some(all)) => Filters::All(all),
        (None, None) => Filters::One(block),
    }
}

fn resources(filter: &Value) -> Option<&Map<String, Value>> {
    filter.get("resources").and_then(Value::as_object).filter(|map| map.values().any(|value| !is_nothing(value)))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        // A selector that is there and empty matches everything.
        _ => false,
    }
}

fn has_user(filter: &Value) -> bool {
    ["roles", "clusterRoles", "subjects"].iter().any(|name| filter.get(name).and_then(Value::as_array).is_some_and(|l| !l.is_empty()))
}

/// All kinds that a block names.
pub fn kinds_of(block: &Value) -> Vec<&str> {
    let mut kinds = texts(block.pointer("/resources/kinds"));
    for name in ["all", "any"] {
        for filter in block.get(name).and_then(Value::as_array).into_iter().flatten() {
            kinds.extend(texts(filter.pointer("/resources/kinds")));
        }
    }
    kinds
}

/// Whether a rule is about the object; `object` is the new one, or the old one where it is deleted.
pub fn rule_matches(rule: &Value, object: &Value, subject: &Subject<'_>) -> bool {
    if let Some(namespace) = subject.policy.namespace()
        && namespace != text_at(object, "/metadata/namespace")
    {
        return false;
    }
    let empty = json!({});
    let matches = rule.get("match").unwrap_or(&empty);
    let included = match filters(matches) {
        Filters::Any(any) => any.iter().any(|filter| includes(filter, object, subject)),
        Filters::All(all) => all.iter().all(|filter| includes(filter, object, subject)),
        Filters::One(filter) => includes(filter, object, subject),
    };
    if !included {
        return false;
    }
    let Some(exclude) = rule.get("exclude").filter(|exclude| exclude.is_object()) else { return true };
    let excluded = match filters(exclude) {
        Filters::Any(any) => any.iter().any(|filter| excludes(filter, object, subject)),
        Filters::All(all) => all.iter().all(|filter| excludes(filter, object, subject)),
        Filters::One(filter) => excludes(filter, object, subject),
    };
    !excluded
}

fn includes(filter: &Value, object: &Value, subject: &Subject<'_>) -> bool {
    // Where nothing is known of the user, what a rule says of users does not count.
    let by_user = subject.user.is_some() && has_user(filter);
    (resources(filter).is_some() || by_user) && fits(filter, by_user, object, subject)
}

fn excludes(filter: &Value, object: &Value, subject: &Subject<'_>) -> bool {
    let by_user = has_user(filter);
    (resources(filter).is_some() || by_user) && fits(filter, by_user, object, subject)
}

fn fits(filter: &Value, by_user: bool, object: &Value, subject: &Subject<'_>) -> bool {
    let empty = Map::new();
    let description = resources(filter).unwrap_or(&empty);
    let operations = texts(description.get("operations"));
    if !operations.is_empty() && !operations.contains(&subject.operation.to_string().as_str()) {
        return false;
    }
    let nobody = UserInfo::default();
    let user = subject.user.as_ref().unwrap_or(&nobody);
    describes(description, object, subject, Use::Rule) && (!by_user || is_user(filter, user))
}

/// Whether a filter of an exception or a cleanup policy is about the object.
pub fn filter_matches(block: &Value, object: &Value, subject: &Subject<'_>, used: Use) -> bool {
    let one = |filter: &Value| {
        let by_user = has_user(filter);
        let nobody = UserInfo::default();
        let user = subject.user.as_ref().unwrap_or(&nobody);
        let empty = Map::new();
        (resources(filter).is_some() || by_user)
            && describes(resources(filter).unwrap_or(&empty), object, subject, used)
            && (!by_user || is_user(filter, user))
    };
    match filters(block) {
        Filters::Any(any) => any.iter().any(one),
        Filters::All(all) => all.iter().all(one),
        Filters::One(_) => false,
    }
}

fn describes(description: &Map<String, Value>, object: &Value, subject: &Subject<'_>, used: Use) -> bool {
    let given = |name: &str| description.get(name).filter(|value| !is_nothing(value));
    if given("kinds").is_some_and(|kinds| !is_kind(kinds, &subject.kind, used != Use::Cleanup)) {
        return false;
    }
    let name = match text_at(object, "/metadata/name") {
        "" => text_at(object, "/metadata/generateName"),
        name => name,
    };
    if given("name").and_then(Value::as_str).is_some_and(|pattern| !wildcard::matches(pattern, name)) {
        return false;
    }
    if given("names").is_some_and(|names| !texts(Some(names)).into_iter().any(|pattern| wildcard::matches(pattern, name))) {
        return false;
    }
    let kind = text_at(object, "/kind");
    let namespace = if kind == "Namespace" { text_at(object, "/metadata/name") } else { text_at(object, "/metadata/namespace") };
    if given("namespaces").is_some_and(|list| !texts(Some(list)).into_iter().any(|pattern| wildcard::matches(pattern, namespace))) {
        return false;
    }
    if let Some(annotations) = given("annotations").and_then(Value::as_object) {
        let actual = strings(object.pointer("/metadata/annotations"));
        let has = |(key, value): (&String, &Value)| {
            let value = value.as_str().unwrap_or_default();
            actual.iter().any(|(k, v)| wildcard::matches(key, k) && wildcard::matches(value, v))
        };
        if !annotations.iter().all(has) {
            return false;
        }
    }
    if given("selector").is_some_and(|selector| !selects(selector, &strings(object.pointer("/metadata/labels")))) {
        return false;
    }
    if let Some(selector) = given("namespaceSelector") {
        // A namespace is not chosen by its own labels; what has no kind is not asked for them.
        return match kind {
            "Namespace" => used != Use::Rule,
            "" => true,
            _ => selects(selector, &subject.namespace_labels),
        };
    }
    true
}

/// The texts of a map.
pub fn strings(map: Option<&Value>) -> BTreeMap<String, String> {
    let map = map.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A label selector whose keys and values may have wildcards.
pub fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let mut selector = selector.clone();
    if let Some(wanted) = selector.get("matchLabels").and_then(Value::as_object) {
        let expanded: Map<String, Value> = wanted
            .iter()
            .map(|(key, value)| {
                let value = value.as_str().unwrap_or_default();
                if !wildcard::contains(key) && !wildcard::contains(value) {
                    return (key.clone(), json!(value));
                }
                let found = labels.iter().find(|(k, v)| wildcard::matches(key, k) && wildcard::matches(value, v));
                found.map_or_else(|| (key.replace(['*', '?'], "0"), json!(value.replace(['*', '?'], "0"))), |(k, v)| (k.clone(), json!(v)))
            })
            .collect();
        selector["matchLabels"] = Value::Object(expanded);
    }
    let labels: Map<String, Value> = labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    LabelSelector::from_object(&selector).is_ok_and(|selector| selector.matches(Some(&labels)))
}

fn is_user(filter: &Value, user: &UserInfo) -> bool {
    let any_of = |name: &str, actual: &[String]| {
        let wanted = texts(filter.get(name));
        wanted.is_empty() || actual.iter().any(|role| wanted.contains(&role.as_str()))
    };
    let subjects = filter.get("subjects").and_then(Value::as_array).filter(|list| !list.is_empty());
    any_of("roles", &user.roles)
        && any_of("clusterRoles", &user.cluster_roles)
        && subjects.is_none_or(|subjects| subjects.iter().any(|subject| is_subject(subject, user)))
}

fn is_subject(subject: &Value, user: &UserInfo) -> bool {
    let name = text_at(subject, "/name");
    match text_at(subject, "/kind") {
        "ServiceAccount" => wildcard::matches(&format!("system:serviceaccount:{}:{name}", text_at(subject, "/namespace")), user.username()),
        "Group" => user.groups().into_iter().any(|group| wildcard::matches(name, group)),
        "User" => wildcard::matches(name, user.username()),
        _ => false,
    }
}

/// Somebody who is nobody's subject, for requests whose sender is not known.
pub fn nobody() -> UserInfo {
    let role = vec!["kyverno:invalidrole".to_owned()];
    let user_info = json!({
        "username": "kyverno:kyverno-invalid-controller", "uid": "kyverno:invaliduid", "groups": ["kyverno:invalidgroup"],
    });
    UserInfo { roles: role.clone(), cluster_roles: role, user_info }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (text, want) in [
            ("Pod", ["*", "*", "Pod", ""]),
            ("v1/Pod", ["*", "v1", "Pod", ""]),
            ("apps/v1/Deployment", ["apps", "v1", "Deployment", ""]),
            ("apps/v1beta1/Deployment/scale", ["apps", "v1beta1", "Deployment", "scale"]),
            ("*/*", ["*", "*", "*", "*"]),
            ("*/scale", ["*", "*", "*", "scale"]),
            ("*/Pod", ["*", "*", "Pod", ""]),
            ("Pod/exec", ["*", "*", "Pod", "exec"]),
            ("Pod.status", ["*", "*", "Pod", "status"]),
            ("v1/Pod.status", ["*", "v1", "Pod", "status"]),
            ("batch/*/CronJob", ["batch", "*", "CronJob", ""]),
            ("*", ["*", "*", "*", ""]),
        ] {
            assert_eq!(kind_selector(text), want, "{text}");
        }
        for (text, want) in [("v1/Pod", "Pod"), ("Pod/exec", "Pod"), ("apps/v1/Deployment", "Deployment"), ("Pod.status", "Pod")] {
            assert_eq!(kind_name(text), want, "{text}");
        }
    }

    #[test]
    fn selectors_with_wildcards() {
        let labels = strings(Some(&json!({"app.io/name": "web", "tier": "front"})));
        for (selector, want) in [
            (json!({}), true),
            (json!({"matchLabels": {"app.io/*": "w?b"}}), true),
            (json!({"matchLabels": {"app.io/*": "x*"}}), false),
            (json!({"matchLabels": {"*": "*"}}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["back", "front"]}]}), true),
            (json!({"matchExpressions": [{"key": "none", "operator": "Exists"}]}), false),
            (json!({"matchLabels": {"a/b/c": "x"}}), false),
        ] {
            assert_eq!(selects(&selector, &labels), want, "{selector}");
        }
    }
}
