//! Roles and bindings in memory: what was read from files, or a lab's evidence.

use crate::{GROUP, Source, aggregation, name, namespace, text};
use serde_json::Value;
use std::collections::BTreeMap;

/// The RBAC objects among others.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    cluster_roles: BTreeMap<String, Value>,
    roles: BTreeMap<(String, String), Value>,
    cluster_role_bindings: BTreeMap<String, Value>,
    role_bindings: BTreeMap<(String, String), Value>,
}

impl Policy {
    /// Takes the RBAC objects of `objects`; of two with one name the last counts, as if they had been applied in order. An object
    /// without a namespace that needs one lies in `default`. `matches` is as in [`aggregation::stale`].
    pub fn new<'a>(objects: impl IntoIterator<Item = &'a Value>, matches: impl Fn(&Value, &Value) -> bool) -> Self {
        let mut policy = Self::default();
        for object in objects {
            let Some((GROUP, _)) = text(object, "apiVersion").split_once('/') else { continue };
            let home = match namespace(object) {
                "" => "default",
                given => given,
            };
            let (key, mut object) = (name(object).to_owned(), object.clone());
            match text(&object, "kind") {
                "ClusterRole" => drop(policy.cluster_roles.insert(key, object)),
                "ClusterRoleBinding" => drop(policy.cluster_role_bindings.insert(key, object)),
                kind @ ("Role" | "RoleBinding") => {
                    let at = (home.to_owned(), key);
                    let target = if kind == "Role" { &mut policy.roles } else { &mut policy.role_bindings };
                    if let Some(metadata) = object["metadata"].as_object_mut() {
                        metadata.insert("namespace".to_owned(), at.0.as_str().into());
                    }
                    target.insert(at, object);
                }
                _ => {}
            }
        }
        for role in aggregation::stale(policy.cluster_roles.values(), matches) {
            policy.cluster_roles.insert(name(&role).to_owned(), role);
        }
        policy
    }

    /// Every role, cluster-wide ones first.
    pub fn roles(&self) -> impl Iterator<Item = &Value> {
        self.cluster_roles.values().chain(self.roles.values())
    }

    /// Every binding, cluster-wide ones first.
    pub fn bindings(&self) -> impl Iterator<Item = &Value> {
        self.cluster_role_bindings.values().chain(self.role_bindings.values())
    }
}

impl Source for Policy {
    type Object<'a> = &'a Value;

    fn cluster_role_bindings(&self) -> impl Iterator<Item = &Value> {
        self.cluster_role_bindings.values()
    }

    fn role_bindings(&self, namespace: &str) -> impl Iterator<Item = &Value> {
        let all = self.role_bindings.range((namespace.to_owned(), String::new())..);
        let namespace = namespace.to_owned();
        all.take_while(move |((home, _), _)| *home == namespace).map(|(_, binding)| binding)
    }

    fn cluster_role(&self, name: &str) -> Option<&Value> {
        self.cluster_roles.get(name)
    }

    fn role(&self, namespace: &str, name: &str) -> Option<&Value> {
        self.roles.get(&(namespace.to_owned(), name.to_owned()))
    }
}
