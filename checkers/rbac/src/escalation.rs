//! Nobody grants what they do not hold themselves: roles need the verb `escalate`, bindings the verb `bind`, or the permissions
//! (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping>).

use crate::{Attributes, GROUP, Source, User, authorize, items, name, namespace, role_of, rule, text, visit};
use serde_json::{Value, json};
use std::fmt;

/// Why a role or binding may not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The words after `is forbidden: `.
    Forbidden(String),
    /// The role that a binding names is not there, so nobody can tell what it grants. The API server answers with the binding's resource
    /// and the role's name.
    NoRole { resource: &'static str, name: String },
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(why) => out.write_str(why),
            Self::NoRole { resource, name } => write!(out, "{resource}.{GROUP} {name:?} not found"),
        }
    }
}

/// Judges the write of a role or binding `new` in place of `old`; every other object passes. `held` is what `user` works with, `roles`
/// is where the role that a binding names is looked for: in a cluster they are the same.
pub fn check(held: &impl Source, roles: &impl Source, user: User<'_>, new: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    let (kind, home) = (text(new, "kind"), namespace(new));
    if user.is_master() {
        return Ok(());
    }
    let same = |fields: [&str; 2]| old.is_some_and(|old| fields.iter().all(|field| old[*field] == new[*field]));
    match kind {
        "Role" | "ClusterRole" => {
            let resource = if kind == "Role" { "roles" } else { "clusterroles" };
            if same(["rules", "aggregationRule"]) || may(held, user, resource, "escalate", home, name(new)) {
                return Ok(());
            }
            if !new["aggregationRule"].is_null() && old.is_none_or(|old| old["aggregationRule"] != new["aggregationRule"]) {
                let all = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
                let urls = json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
                return missing(held, user, home, &[&all, &urls])
                    .map_err(|_| Refusal::Forbidden("must have cluster-admin privileges to use an aggregationRule".to_owned()));
            }
            missing(held, user, home, &items(new, "rules").collect::<Vec<_>>()).map_err(Refusal::Forbidden)
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            let role = &new["roleRef"];
            let resource = if text(role, "kind") == "Role" { "roles" } else { "clusterroles" };
            if same(["subjects", "roleRef"]) || may(held, user, resource, "bind", home, text(role, "name")) {
                return Ok(());
            }
            let Some(found) = role_of(roles, role, home) else {
                let resource = if kind == "RoleBinding" { "rolebindings" } else { "clusterrolebindings" };
                return Err(Refusal::NoRole { resource, name: text(role, "name").to_owned() });
            };
            missing(held, user, home, &items(&found, "rules").collect::<Vec<_>>()).map_err(Refusal::Forbidden)
        }
        _ => Ok(()),
    }
}

fn may(source: &impl Source, user: User<'_>, resource: &str, verb: &str, namespace: &str, name: &str) -> bool {
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
    authorize(source, user, &attributes).is_some()
}

/// `Err` with the words that name what of `wanted` the user does not hold in `namespace` (empty: cluster-wide).
pub fn missing(source: &impl Source, user: User<'_>, namespace: &str, wanted: &[&Value]) -> Result<(), String> {
    if user.is_master() {
        return Ok(());
    }
    let mut own = Vec::new();
    visit(source, user, namespace, |rule, _| {
        own.push(rule.clone());
        true
    });
    let mut missing = Vec::new();
    for rule in wanted {
        let Some(parts) = rule::breakdown(rule) else { return Err("the rules are too many to be compared".to_owned()) };
        missing.extend(parts.into_iter().filter(|part| !own.iter().any(|held| rule::covers_rule(held, part))));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = compact(&missing).into_iter().map(|rule| format!("\n{rule}")).collect();
    let groups = user.groups.iter().map(|group| format!("{group:?}")).collect::<Vec<_>>().join(" ");
    Err(format!("user {:?} (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:{}", user.name, lines.concat()))
}

/// Missing rules in the server's words: verbs of the same resource together, sorted (`CompactRules`, `CompactString`).
fn compact(missing: &[rule::Simple]) -> Vec<String> {
    let mut groups: Vec<(rule::Simple, Vec<String>)> = Vec::new();
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
