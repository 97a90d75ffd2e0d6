//! RBAC: who may do what, and which binding says so.
//!
//! ```text
//! roles and bindings (JSON) ──► Source ──┬── authorize(user, attributes) ──► Some(reason)
//!                                        ├── subjects, allows(subject, attributes) ──► who may, by which binding
//!                                        ├── escalation::check(user, role or binding) ──► what its writer does not hold
//!                                        └── findings ──► bindings that lead nowhere, rules that say nothing
//! ```
//!
//! The authorizer of `rbac.authorization.k8s.io/v1` (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/>): resources and
//! subresources with their wildcards, `resourceNames`, non-resource URLs, users, groups and service accounts, aggregated ClusterRoles.
//! `system:masters` may do everything, as the API server's own authorizer before RBAC has it.
//!
//! Pure: no I/O, no clock. It must never know how objects are kept: whoever asks brings a [`Source`].

pub mod aggregation;
mod authorizer;
pub mod escalation;
mod findings;
mod policy;
mod rule;
#[cfg(test)]
mod tests;
mod who_can;

pub use authorizer::{Attributes, User, authorize, refusal, role_of, visit};
pub use findings::{Finding, findings};
pub use policy::Policy;
pub use who_can::{Subject, subjects};

use serde_json::Value;
use std::ops::Deref;

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// The group whose members no authorizer refuses.
pub const MASTERS: &str = "system:masters";

/// Where roles and bindings come from, as the objects of the API.
pub trait Source {
    /// A reference, or a share in the object.
    type Object<'a>: Deref<Target = Value>
    where
        Self: 'a;

    fn cluster_role_bindings(&self) -> impl Iterator<Item = Self::Object<'_>>;
    fn role_bindings(&self, namespace: &str) -> impl Iterator<Item = Self::Object<'_>>;
    fn cluster_role(&self, name: &str) -> Option<Self::Object<'_>>;
    fn role(&self, namespace: &str, name: &str) -> Option<Self::Object<'_>>;
}

/// The items of an object's list, none where it is something else.
fn items<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + Clone + use<'a> {
    object[field].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

fn name(object: &Value) -> &str {
    text(&object["metadata"], "name")
}

fn namespace(object: &Value) -> &str {
    text(&object["metadata"], "namespace")
}
