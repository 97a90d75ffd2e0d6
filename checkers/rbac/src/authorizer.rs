//! One request against all bindings (k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac).

use crate::{MASTERS, Source, items, name, namespace, rule, text};
use serde_json::Value;

/// Who asks: a user's name and groups. `system:authenticated` is among the groups of whoever has been authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User<'a> {
    pub name: &'a str,
    pub groups: &'a [String],
}

impl User<'_> {
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

/// What is asked for (`authorization.k8s.io/v1` ResourceAttributes or NonResourceAttributes).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    pub verb: String,
    /// False: `path` decides.
    pub is_resource: bool,
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    /// Empty: at the cluster scope, or in all namespaces.
    pub namespace: String,
    pub name: String,
    pub path: String,
}

/// Whether `user` may; `Some(reason)` as `kubectl auth can-i -v` and access reviews report it, empty for `system:masters`.
pub fn authorize(source: &impl Source, user: User<'_>, attributes: &Attributes) -> Option<String> {
    if user.is_master() {
        return Some(String::new());
    }
    let mut reason = None;
    visit(source, user, &attributes.namespace, |rule, why| {
        if rule::covers_request(rule, attributes) {
            reason = Some(why());
        }
        reason.is_none()
    });
    reason
}

/// Calls `each` with every rule that holds for `user` in `namespace` (cluster-wide ones included; empty: those alone) and the words
/// that say why it holds, until it answers false.
pub fn visit(source: &impl Source, user: User<'_>, namespace: &str, mut each: impl FnMut(&Value, &dyn Fn() -> String) -> bool) {
    for binding in source.cluster_role_bindings() {
        let Some(subject) = subject_of(&binding, user) else { continue };
        let why =
            || format!("RBAC: allowed by ClusterRoleBinding {:?} of {} to {}", name(&binding), role_name(&binding), subject_name(subject));
        let Some(role) = role_of(source, &binding["roleRef"], "") else { continue };
        for rule in items(&role, "rules") {
            if !each(rule, &why) {
                return;
            }
        }
    }
    if namespace.is_empty() {
        return;
    }
    for binding in source.role_bindings(namespace) {
        let Some(subject) = subject_of(&binding, user) else { continue };
        let why = || {
            let name = format!("{}/{namespace}", name(&binding));
            format!("RBAC: allowed by RoleBinding {name:?} of {} to {}", role_name(&binding), subject_name(subject))
        };
        let Some(role) = role_of(source, &binding["roleRef"], namespace) else { continue };
        for rule in items(&role, "rules") {
            if !each(rule, &why) {
                return;
            }
        }
    }
}

/// The role that a `roleRef` names; a Role is looked for in `namespace`, and none is bound at the cluster scope.
pub fn role_of<'a, S: Source>(source: &'a S, role: &Value, namespace: &str) -> Option<S::Object<'a>> {
    match text(role, "kind") {
        "ClusterRole" => source.cluster_role(text(role, "name")),
        "Role" if !namespace.is_empty() => source.role(namespace, text(role, "name")),
        _ => None,
    }
}

/// The subject of `binding` that is `user`.
pub(crate) fn subject_of<'a>(binding: &'a Value, user: User<'_>) -> Option<&'a Value> {
    items(binding, "subjects").find(|subject| {
        let name = text(subject, "name");
        match text(subject, "kind") {
            "User" => user.name == name,
            "Group" => user.groups.iter().any(|group| group == name),
            "ServiceAccount" => {
                let home = match text(subject, "namespace") {
                    "" => namespace(binding),
                    given => given,
                };
                !home.is_empty()
                    && user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) == Some((home, name))
            }
            _ => false,
        }
    })
}

fn role_name(binding: &Value) -> String {
    let role = &binding["roleRef"];
    format!("{} {:?}", text(role, "kind"), text(role, "name"))
}

fn subject_name(subject: &Value) -> String {
    let (kind, name) = (text(subject, "kind"), text(subject, "name"));
    match subject["namespace"].as_str() {
        Some(namespace) if kind == "ServiceAccount" => format!("{kind} {:?}", format!("{name}/{namespace}")),
        _ => format!("{kind} {name:?}"),
    }
}

/// The words of a refusal, after `is forbidden: `.
pub fn refusal(user: &str, attributes: &Attributes) -> String {
    if !attributes.is_resource {
        return format!("User {user:?} cannot {} path {:?}", attributes.verb, attributes.path);
    }
    let resource = match &*attributes.subresource {
        "" => attributes.resource.clone(),
        subresource => format!("{}/{subresource}", attributes.resource),
    };
    let start = format!("User {user:?} cannot {} resource {resource:?} in API group {:?}", attributes.verb, attributes.group);
    match &*attributes.namespace {
        "" => format!("{start} at the cluster scope"),
        namespace => format!("{start} in the namespace {namespace:?}"),
    }
}
