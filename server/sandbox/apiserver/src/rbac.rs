//! RBAC of one cluster: the engine of `checkers/rbac`, asked about this cluster's roles and bindings.

use crate::{
    call::Call,
    store::{State, Transaction},
    user::UserInfo,
};
use ::rbac::{Source, User, escalation::Refusal};
use machinery::{ApiError, selector::LabelSelector};
use serde_json::Value;
use std::sync::Arc;

pub(crate) use ::rbac::{Attributes, GROUP};

impl Source for State {
    type Object<'a> = Arc<Value>;

    fn cluster_role_bindings(&self) -> impl Iterator<Item = Arc<Value>> {
        self.list(GROUP, "clusterrolebindings", None)
    }

    fn role_bindings(&self, namespace: &str) -> impl Iterator<Item = Arc<Value>> {
        self.list(GROUP, "rolebindings", Some(namespace))
    }

    fn cluster_role(&self, name: &str) -> Option<Arc<Value>> {
        self.get(GROUP, "clusterroles", "", name)
    }

    fn role(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.get(GROUP, "roles", namespace, name)
    }
}

fn asker(user: &UserInfo) -> User<'_> {
    User { name: &user.name, groups: &user.groups }
}

/// Whether `user` may; `Some(reason)` as `auth can-i` reports it.
pub(crate) fn authorize(state: &State, user: &UserInfo, attributes: &Attributes) -> Option<String> {
    ::rbac::authorize(state, asker(user), attributes)
}

/// Calls `each` with every rule that holds for `user` in `namespace`, cluster-wide ones included.
pub(crate) fn visit(state: &State, user: &UserInfo, namespace: &str, mut each: impl FnMut(&Value)) {
    ::rbac::visit(state, asker(user), namespace, |rule, _| {
        each(rule);
        true
    });
}

/// The words of a refusal, after `is forbidden: `.
pub(crate) fn refusal(user: &UserInfo, attributes: &Attributes) -> String {
    ::rbac::refusal(&user.name, attributes)
}

/// Nobody grants what they do not hold: judges a write of a role or binding; everything else passes.
pub(crate) fn check_escalation(call: &Call, state: &State, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    if call.resource.group != GROUP {
        return Ok(());
    }
    ::rbac::escalation::check(state, state, asker(&call.user), new, old).map_err(|refusal| match refusal {
        Refusal::Forbidden(why) => call.forbidden(machinery::object::name(new), &why),
        Refusal::NoRole { resource, name } => ApiError::not_found(GROUP, resource, &name),
    })
}

/// Writes the rules of every aggregated ClusterRole anew, in the transaction that changed one.
pub(crate) fn aggregate(transaction: &mut Transaction) {
    let matches =
        |selector: &Value, labels: &Value| LabelSelector::from_object(selector).is_ok_and(|selector| selector.matches(labels.as_object()));
    let roles: Vec<_> = transaction.state.list(GROUP, "clusterroles", None).collect();
    for role in ::rbac::aggregation::stale(roles.iter().map(|role| &**role), matches) {
        transaction.put(GROUP, "clusterroles", role);
    }
}
