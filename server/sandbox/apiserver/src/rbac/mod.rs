//! RBAC: who may do what (k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac).

pub mod aggregation;
pub mod escalation;
pub mod rules;

use crate::{store::State, user::UserInfo};
use machinery::object;
use serde_json::Value;
use std::sync::Arc;

pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub verb: String,
    /// False: `path` decides.
    pub is_resource: bool,
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub path: String,
}

/// Whether `user` may; `Some(reason)` as `auth can-i` reports it.
pub(crate) fn authorize(state: &State, user: &UserInfo, attributes: &Attributes) -> Option<String> {
    if user.groups.iter().any(|group| group == "system:masters") {
        return Some(String::new());
    }
    let mut reason = None;
    visit(state, user, Some(&attributes.namespace), |rule, why| {
        if rules::covers_request(rule, attributes) {
            reason = Some(why());
        }
        reason.is_none()
    });
    reason
}

/// Calls `each` with every rule that holds for `user` in `namespace` (cluster-wide ones included) until it answers false.
pub(crate) fn visit(state: &State, user: &UserInfo, namespace: Option<&str>, mut each: impl FnMut(&Value, &dyn Fn() -> String) -> bool) {
    for (_, binding) in state.list(GROUP, "clusterrolebindings", None, None) {
        if let Some(subject) = subject_of(binding, user) {
            let why = || {
                let name = object::name(binding);
                format!("RBAC: allowed by ClusterRoleBinding {name:?} of {} to {}", role_name(binding), subject_name(subject))
            };
            for rule in rules_of(state, &binding["roleRef"], "").iter().flat_map(|role| rules(role)) {
                if !each(rule, &why) {
                    return;
                }
            }
        }
    }
    let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) else { return };
    for (_, binding) in state.list(GROUP, "rolebindings", Some(namespace), None) {
        if let Some(subject) = subject_of(binding, user) {
            let why = || {
                let name = format!("{}/{namespace}", object::name(binding));
                format!("RBAC: allowed by RoleBinding {name:?} of {} to {}", role_name(binding), subject_name(subject))
            };
            for rule in rules_of(state, &binding["roleRef"], namespace).iter().flat_map(|role| rules(role)) {
                if !each(rule, &why) {
                    return;
                }
            }
        }
    }
}

fn rules(role: &Value) -> impl Iterator<Item = &Value> {
    role["rules"].as_array().into_iter().flatten()
}

/// The role that a `roleRef` names.
pub(crate) fn rules_of(state: &State, role: &Value, namespace: &str) -> Option<Arc<Value>> {
    let name = role["name"].as_str()?;
    match role["kind"].as_str()? {
        "ClusterRole" => state.get(GROUP, "clusterroles", "", name).cloned(),
        "Role" if !namespace.is_empty() => state.get(GROUP, "roles", namespace, name).cloned(),
        _ => None,
    }
}

fn subject_of<'a>(binding: &'a Value, user: &UserInfo) -> Option<&'a Value> {
    binding["subjects"].as_array()?.iter().find(|subject| {
        let name = subject["name"].as_str().unwrap_or_default();
        match subject["kind"].as_str() {
            Some("User") => user.name == name,
            Some("Group") => user.groups.iter().any(|group| group == name),
            Some("ServiceAccount") => {
                let namespace = subject["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or_else(|| object::namespace(binding));
                !namespace.is_empty()
                    && user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) == Some((namespace, name))
            }
            _ => false,
        }
    })
}

fn role_name(binding: &Value) -> String {
    let role = &binding["roleRef"];
    format!("{} {:?}", role["kind"].as_str().unwrap_or_default(), role["name"].as_str().unwrap_or_default())
}

fn subject_name(subject: &Value) -> String {
    let (kind, name) = (subject["kind"].as_str().unwrap_or_default(), subject["name"].as_str().unwrap_or_default());
    match subject["namespace"].as_str() {
        Some(namespace) if kind == "ServiceAccount" => format!("{kind} {:?}", format!("{name}/{namespace}")),
        _ => format!("{kind} {name:?}"),
    }
}

/// The words of a refusal, after `is forbidden: `.
pub(crate) fn refusal(user: &UserInfo, attributes: &Attributes) -> String {
    let user = &user.name;
    if !attributes.is_resource {
        return format!("User {user:?} cannot {} path {:?}", attributes.verb, attributes.path);
    }
    let resource = if attributes.subresource.is_empty() {
        attributes.resource.clone()
    } else {
        format!("{}/{}", attributes.resource, attributes.subresource)
    };
    let start = format!("User {user:?} cannot {} resource {resource:?} in API group {:?}", attributes.verb, attributes.group);
    if attributes.namespace.is_empty() {
        format!("{start} at the cluster scope")
    } else {
        format!("{start} in the namespace {:?}", attributes.namespace)
    }
}
