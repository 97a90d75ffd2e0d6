//! `create`.

use crate::{
    admission,
    call::{self, Call, Operation},
    convert, crd, effects, rbac,
    store::Transaction,
};
use machinery::{ApiError, apply, clock::rfc3339, object, strategy, validation};
use serde_json::Value;
use std::sync::Arc;

/// Longest `generateName` that still leaves room for the five characters behind it.
const LONGEST_BASE: usize = 58;

/// Stores a new object; answers it as served.
pub(crate) fn create(call: &mut Call, mut new: Value) -> Result<Arc<Value>, ApiError> {
    call::check_namespace(call, &mut new)?;
    if object::resource_version(&new) != 0 {
        return Err(ApiError::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    let mut new = convert::to_storage(&call.resource, new)?;
    crd::set_defaults(&call.resource, &mut new);
    let manager = call.manager.clone();
    apply::track_update(&call.resource, None, &mut new, &apply::Manager { name: &manager, subresource: "", now: call.now });
    let (server, dry_run) = (call.server.clone(), call.dry_run);
    let stored = server.write(dry_run, |transaction| insert(call, transaction, new))?;
    Ok(convert::served(&call.resource, stored))
}

/// The part inside the transaction; an apply or a PUT that creates comes here too, with managedFields already written.
pub(crate) fn insert(call: &mut Call, transaction: &mut Transaction, mut new: Value) -> Result<Arc<Value>, ApiError> {
    check_limits(call, transaction, &new)?;
    admission::mutate(call, transaction, Operation::Create, &mut new, None)?;
    rbac::check_escalation(call, &transaction.state, &new, None)?;
    effects::allot(call, transaction, &mut new, None)?;
    generate_name(call, transaction, &mut new);
    fill_system_fields(call, &mut new);
    call.warn(strategy::renew(&call.resource, &mut new));
    strategy::prepare_create(&call.resource, &mut new);
    let errors = validation::create(&call.resource, &new);
    if !errors.is_empty() {
        return Err(call.invalid(object::name(&new), &errors));
    }
    call.warn(validation::warnings(&call.resource, &new, None));
    admission::validate(call, transaction, Operation::Create, Some(&new), None)?;
    let (group, plural) = (call.storage_group().to_owned(), call.resource.plural.clone());
    let (namespace, name) = (object::namespace(&new).to_owned(), object::name(&new).to_owned());
    if let Some(existing) = transaction.state.get(&group, &plural, &namespace, &name) {
        let mut error = ApiError::already_exists(&call.resource.group, &plural, &name);
        if object::is_terminating(&existing) {
            error.message = format!("object is being deleted: {}", error.message);
        }
        return Err(error);
    }
    effects::before_create(call, &mut new);
    let stored = transaction.put(&group, &plural, new);
    effects::after_write(call, transaction, &stored);
    Ok(transaction.state.get(&group, &plural, &namespace, &name).unwrap_or(stored))
}

/// What one cluster may hold, refused as by a quota of that name.
fn check_limits(call: &Call, transaction: &Transaction, new: &Value) -> Result<(), ApiError> {
    let (limits, state) = (call.server.limits(), &transaction.state);
    let is_event = call.resource.kind == "Event" && call.resource.plural == "events";
    let events = if is_event { state.count(call.storage_group(), "events") } else { 0 };
    for (what, used, most) in [("count/events", events, limits.events), ("objects", state.all_count(), limits.objects)] {
        if used >= most {
            let why = format!("exceeded quota: cluster, requested: {what}=1, used: {what}={used}, limited: {what}={most}");
            return Err(call.forbidden(object::name(new), &why));
        }
    }
    Ok(())
}

fn generate_name(call: &Call, transaction: &Transaction, new: &mut Value) {
    let base = new["metadata"]["generateName"].as_str().unwrap_or_default();
    if !object::name(new).is_empty() || base.is_empty() {
        return;
    }
    let cut = base.char_indices().nth(LONGEST_BASE).map_or(base.len(), |(at, _)| at);
    let base = base[..cut].to_owned();
    let mut name = String::new();
    for _ in 0..8 {
        name = format!("{base}{}", call.server.new_suffix());
        if !transaction.state.has(call.storage_group(), &call.resource.plural, object::namespace(new), &name) {
            break;
        }
    }
    object::set_meta(new, "name", name);
}

fn fill_system_fields(call: &Call, new: &mut Value) {
    object::set_meta(new, "uid", call.server.new_uid());
    object::set_meta(new, "creationTimestamp", rfc3339(call.now));
    if call.is("certificates.k8s.io", "certificatesigningrequests") {
        // Who asks for a certificate is what the server knows, not what they say.
        new["spec"]["username"] = call.user.name.as_str().into();
        if !call.user.uid.is_empty() {
            new["spec"]["uid"] = call.user.uid.as_str().into();
        }
        new["spec"]["groups"] = call.user.groups.clone().into();
        if !call.user.extra.is_empty() {
            new["spec"]["extra"] = serde_json::to_value(&call.user.extra).unwrap_or_default();
        }
    }
    if let Some(metadata) = new["metadata"].as_object_mut() {
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
            metadata.remove(field);
        }
    }
}
