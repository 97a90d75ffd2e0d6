//! Admission in the server's order: the mutating round before validation, the validating one after it.
//! One plug-in, one file.

mod default_classes;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod pod_defaults;
mod pod_security;
mod priority_class;
mod protection;
mod request;
pub mod resource_quota;
mod service_account;
mod validating_policy;
mod webhook;

use crate::{
    call::{Call, Operation},
    store::Transaction,
};
pub(crate) use validating_policy::Compiled as CompiledPolicies;

use machinery::{ApiError, object};
use serde_json::Value;

/// What a refusal calls an object that may not have been given its name yet.
fn called(object: &Value) -> &str {
    match object::name(object) {
        "" => object["metadata"]["generateName"].as_str().filter(|base| !base.is_empty()).unwrap_or("Unknown"),
        name => name,
    }
}

/// Before validation: plug-ins may change `new`. Each also refuses here what it cannot complete.
pub(crate) fn mutate(
    call: &mut Call,
    transaction: &mut Transaction,
    operation: Operation,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    namespace_lifecycle::admit(call, transaction, operation, new)?;
    node_restriction::validate(call, operation, Some(new), old)?;
    if operation != Operation::Create {
        if operation == Operation::Update && call.is("", "pods") && call.subresource.is_empty() {
            pod_defaults::tolerations(new);
        }
        return webhook::mutate(call, transaction, operation, new, old);
    }
    if call.is("", "pods") {
        limit_ranger::mutate(call, transaction, operation, new);
        service_account::admit(call, transaction, operation, new)?;
        pod_defaults::priority(call, transaction, new)?;
        pod_defaults::tolerations(new);
        pod_defaults::runtime_class(call, transaction, new)?;
    } else if call.is("", "persistentvolumeclaims") {
        default_classes::claim(transaction, new);
        protection::storage(call, new);
    } else if call.is("", "persistentvolumes") {
        protection::storage(call, new);
    } else if call.is("", "nodes") {
        protection::node(call, new);
    } else if call.is("networking.k8s.io", "ingresses") {
        default_classes::ingress(transaction, new);
    }
    webhook::mutate(call, transaction, operation, new, old)
}

/// After validation.
pub(crate) fn validate(
    call: &mut Call,
    transaction: &mut Transaction,
    operation: Operation,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    if operation == Operation::Delete {
        namespace_lifecycle::protect(call, transaction)?;
        node_restriction::validate(call, operation, new, old)?;
    }
    if let (Operation::Update, true, Some(new), Some(old)) = (operation, call.is("", "persistentvolumeclaims"), new, old)
        && call.subresource.is_empty()
    {
        default_classes::resize(call, transaction, new, old)?;
    }
    limit_ranger::validate(call, transaction, operation, new)?;
    pod_security::validate(call, transaction, operation, new, old)?;
    priority_class::validate(call, transaction, new)?;
    validating_policy::validate(call, transaction, operation, new, old)?;
    webhook::validate(call, transaction, operation, new, old)?;
    resource_quota::validate(call, transaction, operation, new, old)
}
