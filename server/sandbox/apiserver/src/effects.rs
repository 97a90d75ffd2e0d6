//! What a write of one kind does to others, or what the server allots: Service addresses, PVC protection, CRD conditions.

use crate::{admission::resource_quota, call::Call, crd, rbac, service_address, store::Transaction};
use machinery::{ApiError, object};
use serde_json::Value;

pub(crate) fn before_create(call: &mut Call, transaction: &mut Transaction, new: &mut Value) -> Result<(), ApiError> {
    if call.is("", "services") {
        service_address::allocate(call, transaction, new, None)?;
    }
    if call.is("apiextensions.k8s.io", "customresourcedefinitions") {
        crd::establish(call, new);
    }
    Ok(())
}

pub(crate) fn before_update(call: &mut Call, transaction: &mut Transaction, new: &mut Value, old: &Value) -> Result<(), ApiError> {
    if call.is("", "services") && call.subresource.is_empty() {
        service_address::allocate(call, transaction, new, Some(old))?;
    }
    if call.is("apiextensions.k8s.io", "customresourcedefinitions") {
        crd::establish(call, new);
    }
    Ok(())
}

/// Called before the object is taken out.
pub(crate) fn before_delete(call: &Call, transaction: &mut Transaction, old: &Value) {
    if call.is("apiextensions.k8s.io", "customresourcedefinitions") {
        crd::remove_instances(transaction, old);
    }
}

/// Called when `object` has been written or taken out.
pub(crate) fn after_write(call: &Call, transaction: &mut Transaction, object: &Value) {
    if call.is(rbac::GROUP, "clusterroles") {
        rbac::aggregation::refresh(transaction);
    }
    if call.resource.namespaced {
        resource_quota::refresh(transaction, object::namespace(object));
    }
}
