//! `update`, and the way that every change of an existing object takes: update, patch, apply, status and the other
//! subresources differ only in how they make the new object of the old one.

use crate::{
    admission,
    call::{Call, Operation},
    convert, crd, effects, rbac,
    store::Transaction,
    verbs::create,
};
use machinery::{ApiError, FieldError, apply, object, strategy, validation};
use serde_json::{Value, json};
use std::sync::Arc;

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

/// Kinds that a PUT creates where they do not exist (`AllowCreateOnUpdate` in their strategies).
const CREATED_BY_PUT: &[(&str, &str)] = &[
    ("", "endpoints"),
    ("", "events"),
    ("", "limitranges"),
    ("", "services"),
    ("coordination.k8s.io", "leases"),
    ("discovery.k8s.io", "endpointslices"),
    ("events.k8s.io", "events"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "roles"),
];

/// PUT: `new` replaces what is there. The answer says whether it was created.
pub(crate) fn update(call: &mut Call, new: Value) -> Result<(Arc<Value>, bool), ApiError> {
    check_name(call, &new)?;
    let version = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if !version.is_empty() && version.parse::<u64>().is_err() {
        return Err(ApiError::new(500, "", format!("strconv.ParseUint: parsing {version:?}: invalid syntax")));
    }
    let mut new = convert::to_storage(&call.resource, new)?;
    if call.subresource.is_empty() {
        crd::set_defaults(&call.resource, &mut new);
    }
    let (server, dry_run) = (call.server.clone(), call.dry_run);
    let by_put = CREATED_BY_PUT.contains(&(&*call.resource.group, &*call.resource.plural)) && call.subresource.is_empty();
    let (stored, created) = server.write(dry_run, |transaction| {
        if by_put && !transaction.state.has(call.storage_group(), &call.resource.plural, &call.namespace, &call.name) {
            let manager = call.manager.clone();
            apply::track_update(&call.resource, None, &mut new, &apply::Manager { name: &manager, subresource: "", now: call.now });
            return Ok((create::insert(call, transaction, new)?, true));
        }
        Ok((change(call, transaction, |_, _| Ok((new, Tracking::Update)))?, false))
    })?;
    Ok((convert::served(&call.resource, stored), created))
}

/// Whether managedFields still have to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracking {
    Update,
    /// Server-side apply has written them.
    Done,
}

/// Changes an existing object inside a transaction; `make` gets it as stored and gives the new one, as stored.
pub(crate) fn change(
    call: &mut Call,
    transaction: &mut Transaction,
    make: impl FnOnce(&mut Call, &Arc<Value>) -> Result<(Value, Tracking), ApiError>,
) -> Result<Arc<Value>, ApiError> {
    let (group, plural) = (call.storage_group().to_owned(), call.resource.plural.clone());
    let old = transaction.state.get(&group, &plural, &call.namespace, &call.name).ok_or_else(|| call.not_found())?;
    let by_patch = call.verb == "patch";
    let (mut new, tracking) = make(call, &old)?;
    if call.resource.namespaced && object::namespace(&new).is_empty() {
        object::set_meta(&mut new, "namespace", call.namespace.clone());
    }
    if tracking == Tracking::Update {
        apply::track_update(&call.resource, Some(&old), &mut new, &call.manager());
    }
    admission::mutate(call, transaction, Operation::Update, &mut new, Some(&old))?;
    let given = object::resource_version(&new);
    let name = call.name.clone();
    if given != 0 && given != object::resource_version(&old) {
        return Err(call.conflict(&name, MODIFIED));
    }
    let uid = object::uid(&new);
    if !uid.is_empty() && uid != object::uid(&old) {
        // A PUT names the object that it means; a patch tries to change it.
        if by_patch {
            return Err(call.invalid(&name, &[FieldError::invalid("metadata.uid", uid, "field is immutable")]));
        }
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            registry_key(call),
            object::uid(&old)
        );
        return Err(call.conflict(&name, &why));
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (given, before) = (&new["metadata"][field], &old["metadata"][field]);
        if !given.is_null() && given != before {
            return Err(call.invalid(&name, &[FieldError::invalid(format!("metadata.{field}"), given, "field is immutable")]));
        }
    }
    if given == 0 && call.resource.custom.is_some() && call.subresource.is_empty() && tracking == Tracking::Update {
        let error = FieldError::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
        return Err(ApiError::invalid(&call.resource.group, &call.resource.plural, &name, &[error]));
    }
    // An update without a version is one of whatever is there.
    object::set_meta(&mut new, "resourceVersion", object::resource_version(&old).to_string());
    keep_system_fields(&mut new, &old);
    object::set_meta(&mut new, "resourceVersion", object::resource_version(&old).to_string());
    effects::allot(call, transaction, &mut new, Some(&old))?;
    // A Scale is written through the object's own strategy: it raises the generation.
    let rules = if call.subresource == "scale" { String::new() } else { call.subresource.clone() };
    strategy::prepare_update(&call.resource, &rules, &mut new, &old);
    rbac::check_escalation(call, &transaction.state, &new, Some(&old))?;
    let errors = validation::update(&call.resource, &rules, &new, &old);
    if !errors.is_empty() {
        return Err(call.invalid(&name, &errors));
    }
    if call.subresource.is_empty() {
        call.warn(validation::warnings(&call.resource, &new, Some(&old)));
    }
    admission::validate(call, transaction, Operation::Update, Some(&new), Some(&old))?;
    effects::before_update(call, &mut new);
    if is_finished(call, &new) {
        effects::before_delete(call, transaction, &new);
        let last = transaction.remove(&group, &plural, &call.namespace, &name).unwrap_or_else(|| Arc::new(new));
        effects::after_write(call, transaction, &last);
        return Ok(last);
    }
    if new == *old {
        return Ok(old);
    }
    let stored = transaction.put(&group, &plural, new);
    effects::after_write(call, transaction, &stored);
    Ok(transaction.state.get(&group, &plural, &call.namespace, &name).unwrap_or(stored))
}

/// Where a real API server keeps the object in etcd, which some messages name.
fn registry_key(call: &Call) -> String {
    let plural = match (&*call.resource.group, &*call.resource.plural) {
        ("", "services") => "services/specs".to_owned(),
        ("", "endpoints") => "services/endpoints".to_owned(),
        ("", "nodes") => "minions".to_owned(),
        ("", "replicationcontrollers") => "controllers".to_owned(),
        ("networking.k8s.io", "ingresses") => "ingress".to_owned(),
        (group, plural) if call.resource.custom.is_some() => format!("{group}/{plural}"),
        (_, plural) => plural.to_owned(),
    };
    let namespace = if call.namespace.is_empty() { String::new() } else { format!("{}/", call.namespace) };
    format!("/registry/{plural}/{namespace}{}", call.name)
}

/// A terminating object whose last finalizer this write takes away ceases to exist.
fn is_finished(call: &Call, new: &Value) -> bool {
    let metadata = &new["metadata"];
    let spec_finalizers = call.is("", "namespaces") && new["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    object::is_terminating(new)
        && !spec_finalizers
        && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
        && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

/// What no client changes: identity and deletion.
fn keep_system_fields(new: &mut Value, old: &Value) {
    if !new["metadata"].is_object() {
        new["metadata"] = json!({});
    }
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "generateName"] {
        let before = &old["metadata"][field];
        if let Some(metadata) = new["metadata"].as_object_mut() {
            if before.is_null() {
                if field != "generateName" {
                    metadata.remove(field);
                }
            } else if field != "generateName" || !metadata.contains_key(field) {
                metadata.insert(field.to_owned(), before.clone());
            }
        }
    }
    if let Some(metadata) = new["metadata"].as_object_mut() {
        metadata.remove("selfLink");
        metadata.entry("name").or_insert_with(|| old["metadata"]["name"].clone());
    }
}

/// The object of a PUT must be the one of the URL.
pub(crate) fn check_name(call: &Call, new: &Value) -> Result<(), ApiError> {
    let (name, namespace) = (object::name(new), object::namespace(new));
    if name.is_empty() {
        let message = format!("the name of the object ({} based on URL) was undeterminable: name must be provided", call.name);
        return Err(ApiError::bad_request(message));
    }
    if name != call.name {
        return Err(ApiError::bad_request(format!("the name of the object ({name}) does not match the name on the URL ({})", call.name)));
    }
    if !namespace.is_empty() && call.resource.namespaced && namespace != call.namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}
