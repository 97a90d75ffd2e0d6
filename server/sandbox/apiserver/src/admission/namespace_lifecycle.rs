//! NamespaceLifecycle: nothing is made in a namespace that does not exist or is going away; system namespaces stay.

use crate::{
    call::{Call, Operation},
    store::Transaction,
};
use machinery::{ApiError, object};
use serde_json::{Value, json};

const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

pub(crate) fn admit(call: &Call, transaction: &Transaction, operation: Operation, new: &Value) -> Result<(), ApiError> {
    if !call.resource.namespaced || operation != Operation::Create {
        return Ok(());
    }
    let name = object::namespace(new);
    let Some(namespace) = transaction.state.get("", "namespaces", "", name) else {
        return Err(ApiError::not_found("", "namespaces", name));
    };
    if !object::is_terminating(&namespace) && namespace["status"]["phase"] != "Terminating" {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut error = call.forbidden(super::called(new), &why);
    if !error.details.is_object() {
        error.details = json!({});
    }
    error.details["causes"] = json!([
        {"reason": "NamespaceTerminating", "message": format!("namespace {name} is being terminated"), "field": "metadata.namespace"}
    ]);
    Err(error)
}

/// System namespaces are not deleted.
pub(crate) fn protect(call: &Call, _transaction: &Transaction) -> Result<(), ApiError> {
    if call.is("", "namespaces") && IMMORTAL.contains(&call.name.as_str()) {
        return Err(call.forbidden(&call.name, "this namespace may not be deleted"));
    }
    Ok(())
}
