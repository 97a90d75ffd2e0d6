//! What a write of one kind does to others, or what the server allots: Service addresses, PVC protection, CRD conditions.

use crate::{admission::resource_quota, call::Call, crd, rbac, service_address, store::Transaction};
use machinery::{ApiError, object};
use serde_json::Value;

/// Before validation, as `BeginCreate` and `BeginUpdate` of a real registry: what the server allots.
pub(crate) fn allot(call: &mut Call, transaction: &mut Transaction, new: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    if call.is("", "services") && call.subresource.is_empty() {
        service_address::allocate(call, transaction, new, old)?;
    }
    Ok(())
}

pub(crate) fn before_create(call: &mut Call, new: &mut Value) {
    if call.is("apiextensions.k8s.io", "customresourcedefinitions") {
        crd::establish(call, new);
    }
}

pub(crate) fn before_update(call: &mut Call, new: &mut Value) {
    if call.is("apiextensions.k8s.io", "customresourcedefinitions") {
        crd::establish(call, new);
    }
}

/// Called before the object is taken out.
pub(crate) fn before_delete(call: &Call, transaction: &mut Transaction, old: &Value) {
    if call.is("apiextensions.k8s.io", "customresourcedefinitions") {
        crd::remove_instances(transaction, old);
    }
}

/// Called when `object` has been written or taken out.
pub(crate) fn after_write(call: &Call, transaction: &mut Transaction, object: &Value) {
    if call.is("", "services") && call.subresource.is_empty() {
        service_address::record(call, transaction, object);
    }
    if call.is(rbac::GROUP, "clusterroles") {
        rbac::aggregate(transaction);
    }
    if call.resource.namespaced {
        resource_quota::refresh(transaction, object::namespace(object));
    }
}
