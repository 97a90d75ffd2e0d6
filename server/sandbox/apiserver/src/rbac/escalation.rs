//! Nobody grants what they do not hold themselves: roles need the verb `escalate`, bindings the verb `bind`, or the permissions.

use super::{Attributes, GROUP, authorize, rules, rules_of, visit};
use crate::{call::Call, store::State};
use machinery::{ApiError, object};
use serde_json::Value;

/// Judges a write of a role or binding; everything else passes.
pub(crate) fn check(call: &Call, state: &State, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    if call.resource.group != GROUP || call.user.groups.iter().any(|group| group == "system:masters") {
        return Ok(());
    }
    let namespace = object::namespace(new);
    match &*call.resource.plural {
        "roles" | "clusterroles" => {
            if old.is_some_and(|old| old["rules"] == new["rules"] && old["aggregationRule"] == new["aggregationRule"])
                || may(call, state, &call.resource.plural, "escalate", namespace, object::name(new))
            {
                return Ok(());
            }
            if !new["aggregationRule"].is_null() && old.is_none_or(|old| old["aggregationRule"] != new["aggregationRule"]) {
                let all = serde_json::json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
                let urls = serde_json::json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
                let error = held(call, state, namespace, &[&all, &urls]);
                return error
                    .map_err(|_| call.forbidden(object::name(new), "must have cluster-admin privileges to use an aggregationRule"));
            }
            let wanted: Vec<_> = new["rules"].as_array().into_iter().flatten().collect();
            held(call, state, namespace, &wanted).map_err(|why| call.forbidden(object::name(new), &why))
        }
        "rolebindings" | "clusterrolebindings" => {
            if old.is_some_and(|old| old["subjects"] == new["subjects"] && old["roleRef"] == new["roleRef"]) {
                return Ok(());
            }
            let role = &new["roleRef"];
            let plural = if role["kind"] == "Role" { "roles" } else { "clusterroles" };
            if may(call, state, plural, "bind", namespace, role["name"].as_str().unwrap_or_default()) {
                return Ok(());
            }
            let Some(found) = rules_of(state, role, namespace) else {
                let name = role["name"].as_str().unwrap_or_default();
                return Err(ApiError::not_found(GROUP, &call.resource.plural, name));
            };
            let wanted: Vec<_> = found["rules"].as_array().into_iter().flatten().collect();
            held(call, state, namespace, &wanted).map_err(|why| call.forbidden(object::name(new), &why))
        }
        _ => Ok(()),
    }
}

fn may(call: &Call, state: &State, resource: &str, verb: &str, namespace: &str, name: &str) -> bool {
    let attributes = Attributes {
        verb: verb.to_owned(),
        is_resource: true,
        group: GROUP.to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    authorize(state, &call.user, &attributes).is_some()
}

/// The words that name what is missing.
fn held(call: &Call, state: &State, namespace: &str, wanted: &[&Value]) -> Result<(), String> {
    let mut own = Vec::new();
    visit(state, &call.user, Some(namespace), |rule, _| {
        own.push(rule.clone());
        true
    });
    let mut missing = Vec::new();
    for rule in wanted {
        let Some(parts) = rules::breakdown(rule) else { return Err("the rules are too many to be compared".to_owned()) };
        let uncovered: Vec<_> = parts.into_iter().filter(|part| !own.iter().any(|held| rules::covers_rule(held, part))).collect();
        missing.extend(uncovered);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = compact(&missing).into_iter().map(|rule| format!("\n{rule}")).collect();
    let groups = call.user.groups.iter().map(|group| format!("{group:?}")).collect::<Vec<_>>().join(" ");
    Err(format!(
        "user {:?} (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:{}",
        call.user.name,
        lines.concat()
    ))
}

/// Missing rules as the server prints them: verbs of the same resource together, sorted (`CompactRules`, `CompactString`).
fn compact(missing: &[rules::Simple]) -> Vec<String> {
    let mut groups: Vec<(rules::Simple, Vec<String>)> = Vec::new();
    for simple in missing {
        let mut key = simple.clone();
        key.verb.clear();
        match groups.iter_mut().find(|(held, _)| *held == key) {
            Some((_, verbs)) if !verbs.contains(&simple.verb) => verbs.push(simple.verb.clone()),
            Some(_) => {}
            None => groups.push((key, vec![simple.verb.clone()])),
        }
    }
    let list = |items: &[String]| format!("[{}]", items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(" "));
    let mut lines: Vec<String> = groups
        .into_iter()
        .map(|(key, verbs)| {
            let mut fields = Vec::new();
            if let Some(group) = &key.group {
                fields.push(format!("APIGroups:{}", list(std::slice::from_ref(group))));
            }
            if let Some(url) = &key.url {
                fields.push(format!("NonResourceURLs:{}", list(std::slice::from_ref(url))));
            }
            if let Some(name) = &key.name {
                fields.push(format!("ResourceNames:{}", list(std::slice::from_ref(name))));
            }
            if let Some(resource) = &key.resource {
                fields.push(format!("Resources:{}", list(std::slice::from_ref(resource))));
            }
            fields.push(format!("Verbs:{}", list(&verbs)));
            format!("{{{}}}", fields.join(", "))
        })
        .collect();
    lines.sort();
    lines
}
