//! Server-side apply: `metadata.managedFields`, conflicts, force
//! (sigs.k8s.io/structured-merge-diff).
//!
//! ```text
//! live ──merge── configuration ──► merged ──prune what this applier gave up──► new, owners
//!                                              │
//!                             conflict where another manager owns what changes
//! ```

mod managers;
mod set;
mod typing;
mod walk;

use crate::{resource::Resource, status::ApiError, strict};
use jiff::Timestamp;
use managers::{Operation, Owner};
use serde_json::{Map, Value, json};
use set::Set;
use typing::Typing;

/// Who writes, and when.
#[derive(Debug, Clone)]
pub struct Manager<'a> {
    pub name: &'a str,
    /// Empty for the object itself, else `status`, `scale`, …
    pub subresource: &'a str,
    pub now: Timestamp,
}

/// Owner of what was there before the first apply to an object without managed fields.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Metadata that nobody owns.
const UNOWNED: &[&str] =
    &["name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"];

/// Reads the body of an apply request, JSON or YAML; errors as the API server words them.
pub fn read(body: &[u8]) -> Result<Value, ApiError> {
    let (value, _) = strict::read_untyped(strict::Format::Yaml, body)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}")))?;
    let kind = match &value {
        Value::Object(_) => return Ok(value),
        Value::Null => return Ok(json!({})),
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
    };
    Err(ApiError::bad_request(format!(
        "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
    )))
}

/// Applies a configuration: the new object with its managedFields, or a 409 that lists the conflicts.
/// `live` is `None` where the object does not exist yet. Defaults and validation come after.
pub fn apply(
    resource: &Resource,
    live: Option<&Value>,
    configuration: &Value,
    manager: &Manager<'_>,
    force: bool,
) -> Result<Value, ApiError> {
    let shape = typing::shape_of(resource);
    let typing = typing::of_resource(resource, &shape);
    check_configuration(resource, typing, configuration)?;

    let mut owners = live.and_then(managers::read).unwrap_or_default();
    let mut base = live.cloned().unwrap_or_else(|| nothing(resource));
    managers::forget(&mut base);
    if let Some(live) = live
        && owners.is_empty()
    {
        let before = Manager { name: BEFORE_FIRST_APPLY, subresource: "", now: manager.now };
        let mut tracked = live.clone();
        managers::forget(&mut tracked);
        record_update(resource, typing, &nothing(resource), &tracked, &mut owners, &before);
    }

    let mut own = Owner::new(manager.name, Operation::Apply, resource.api_version(), manager.subresource, manager.now);
    let previous = owners.iter().position(|owner| owner.is_same(&own)).map(|at| owners.remove(at));
    walk::fields_of(typing, configuration, &mut own.fields);
    own.fields = ignore_reset_fields(resource, manager.subresource, std::mem::take(&mut own.fields));

    let merged = walk::merge(typing, &base, configuration);
    let mut new = match &previous {
        Some(previous) => prune(typing, &merged, &previous.fields, &owners, &own.fields),
        None => merged,
    };
    let comparison = walk::compare(typing, &base, &new);
    let added = ignore_reset_fields(resource, manager.subresource, comparison.added);
    let modified = ignore_reset_fields(resource, manager.subresource, comparison.modified);
    let removed = ignore_reset_fields(resource, manager.subresource, comparison.removed);
    let changed = modified.union(&added);
    let mut conflicts: Vec<(Owner, Set)> = owners
        .iter()
        .map(|owner| (owner.clone(), owner.fields.intersection(&changed)))
        .filter(|(_, conflict)| !conflict.is_empty())
        .collect();
    if !force && !conflicts.is_empty() {
        let allowed = if manager.name == "kubectl" { last_applied_fields(typing, live) } else { Set::default() };
        let strangers = conflicts.iter().any(|(_, conflict)| !conflict.difference(&allowed).is_empty());
        if strangers {
            for (_, conflict) in &mut conflicts {
                *conflict = conflict.difference(&allowed);
            }
            return Err(conflict_error(&conflicts));
        }
    }
    for owner in &mut owners {
        owner.fields = owner.fields.difference(&changed).difference(&removed);
    }
    own.fields = without_unowned(own.fields);
    let is_noop = walk::equal(&base, &new) && previous.as_ref().is_some_and(|p| p.fields == own.fields);
    if is_noop && let Some(previous) = previous {
        own.time = previous.time;
    }
    owners.push(own);

    if manager.name == "kubectl" && live.is_some_and(|live| crate::object::annotation(live, LAST_APPLIED).is_some()) {
        new["metadata"]["annotations"][LAST_APPLIED] = format!("{configuration}\n").into();
    }
    let (mut object, _) = strict::decode_value(resource, &new).map_err(|error| {
        ApiError::bad_request(format!(
            "failed to convert new object ({}; {}) to smd typed: {error}",
            name_of(configuration),
            kind_of(resource)
        ))
    })?;
    managers::write(&mut object, owners);
    Ok(object)
}

/// After a create, update or patch: writes into `new` the managedFields that follow from the difference to `live`.
pub fn track_update(resource: &Resource, live: Option<&Value>, new: &mut Value, manager: &Manager<'_>) {
    if !new.is_object() {
        return;
    }
    let shape = typing::shape_of(resource);
    let typing = typing::of_resource(resource, &shape);
    // a client may change the entries, or leave them out
    let Some(given) = managers::read(new) else {
        managers::forget(new);
        return;
    };
    let mut owners = if given.is_empty() { live.and_then(managers::read).unwrap_or_default() } else { given };
    managers::forget(new);
    // an object that lost its entries is not tracked again before the next apply
    if live.is_some() && owners.is_empty() {
        return;
    }
    // A Scale is an object of its own, whose entries are those of the owners of the replicas: without any, nobody is tracked.
    if manager.subresource == "scale" && !owners.iter().any(|owner| owner.fields.has(&["f:spec", "f:replicas"])) {
        managers::write(new, owners);
        return;
    }
    let mut base = live.cloned().unwrap_or_else(|| nothing(resource));
    managers::forget(&mut base);
    record_update(resource, typing, &base, new, &mut owners, manager);
    managers::write(new, owners);
}

fn record_update(resource: &Resource, typing: Typing<'_>, base: &Value, new: &Value, owners: &mut Vec<Owner>, manager: &Manager<'_>) {
    let comparison = walk::compare(typing, base, new);
    let changed = ignore_reset_fields(resource, manager.subresource, comparison.modified.union(&comparison.added));
    let removed = ignore_reset_fields(resource, manager.subresource, comparison.removed);
    let mut own = Owner::new(manager.name, Operation::Update, resource.api_version(), manager.subresource, manager.now);
    let previous = owners.iter().find(|owner| owner.is_same(&own)).map(|owner| owner.fields.difference(&removed));
    for owner in owners.iter_mut() {
        owner.fields = owner.fields.difference(&changed).difference(&removed);
    }
    own.fields = without_unowned(changed);
    if !own.fields.is_empty() {
        if let Some(previous) = previous {
            own.fields.extend(&previous);
        }
        owners.retain(|owner| !owner.is_same(&own));
        owners.push(own);
    }
    owners.retain(|owner| !owner.fields.is_empty());
}

/// What an empty object of this kind looks like.
fn nothing(resource: &Resource) -> Value {
    let empty = json!({"apiVersion": resource.api_version(), "kind": resource.kind});
    if resource.custom.is_some() {
        return empty;
    }
    strict::decode_value(resource, &empty).map_or(empty, |(object, _)| object)
}

/// A write to the object cannot touch its status where that is a subresource, and the other way round.
fn ignore_reset_fields(resource: &Resource, subresource: &str, set: Set) -> Set {
    match subresource {
        "" if resource.has_subresource("status") => set.without_field("status"),
        "status" => set.without_field("spec"),
        _ => set,
    }
}

fn without_unowned(mut set: Set) -> Set {
    set.children.remove("f:apiVersion");
    set.children.remove("f:kind");
    if let Some(metadata) = set.children.get_mut("f:metadata") {
        metadata.member = false;
        for field in UNOWNED {
            metadata.children.remove(&format!("f:{field}"));
        }
    }
    set.children.retain(|_, child| !child.is_empty());
    set
}

/// Takes from the merged object what the applier owned before and names no longer, unless another manager owns it.
fn prune(typing: Typing<'_>, merged: &Value, last: &Set, others: &[Owner], own: &Set) -> Value {
    let fields = |value: &Value| {
        let mut set = Set::default();
        walk::fields_of(typing, value, &mut set);
        walk::with_named_fields(typing, &set)
    };
    let last = walk::with_named_fields(typing, last);
    let pruned = walk::remove(typing, merged, &last);
    let mut managed = own.clone();
    for owner in others {
        managed.extend(&owner.fields);
    }
    let managed = walk::with_named_fields(typing, &managed);
    let all = fields(merged);
    // back comes what somebody owns
    let pruned = walk::remove(typing, merged, &all.difference(&fields(&pruned).union(&managed)));
    // and what nobody owned, as far as it is not below something that goes
    walk::remove(typing, merged, &all.difference(&fields(&pruned)).intersection(&last))
}

/// What `kubectl apply` without server-side apply wrote and nobody changed since: `kubectl` may take it over.
fn last_applied_fields(typing: Typing<'_>, live: Option<&Value>) -> Set {
    let mut set = Set::default();
    let Some(live) = live else { return set };
    let applied: Option<Value> = crate::object::annotation(live, LAST_APPLIED).and_then(|text| serde_json::from_str(text).ok());
    let Some(applied) = applied.filter(|applied| applied["apiVersion"] == live["apiVersion"]) else { return set };
    walk::fields_of(typing, &applied, &mut set);
    let comparison = walk::compare(typing, &applied, live);
    set.difference(&comparison.modified).difference(&comparison.added).difference(&comparison.removed)
}

fn name_of(object: &Value) -> String {
    format!("{}/{}", crate::object::namespace(object), crate::object::name(object))
}

fn kind_of(resource: &Resource) -> String {
    let group = if resource.group.is_empty() { "/v1".to_owned() } else { resource.api_version() };
    format!("{group}, Kind={}", resource.kind)
}

fn check_configuration(resource: &Resource, typing: Typing<'_>, configuration: &Value) -> Result<(), ApiError> {
    if !configuration.is_object() {
        return Err(ApiError::bad_request("error decoding YAML: the configuration is not an object"));
    }
    let api_version = crate::object::api_version(configuration);
    let kind = crate::object::kind(configuration);
    if api_version != resource.api_version() || kind != resource.kind {
        let group_version = match api_version {
            "" => "/".to_owned(),
            text if text.contains('/') => text.to_owned(),
            text => format!("/{text}"),
        };
        return Err(ApiError::bad_request(format!("invalid object type: {group_version}, Kind={kind}")));
    }
    let entries = &configuration["metadata"]["managedFields"];
    if entries.as_array().is_some_and(|entries| !entries.is_empty()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let mut errors = Vec::new();
    walk::validate(typing, configuration, "", &mut errors);
    let said = match errors.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n{}", many.iter().map(|error| format!("  {error}")).collect::<Vec<_>>().join("\n")),
    };
    let message = format!("failed to create typed patch object ({}; {}): {said}", name_of(configuration), kind_of(resource));
    Err(ApiError::new(500, "", message))
}

fn conflict_error(conflicts: &[(Owner, Set)]) -> ApiError {
    let mut conflicts: Vec<(String, Vec<String>)> =
        conflicts.iter().map(|(owner, set)| (owner.describe(), set.paths())).filter(|(_, paths)| !paths.is_empty()).collect();
    conflicts.sort();
    let causes: Vec<Value> = conflicts
        .iter()
        .flat_map(|(owner, paths)| {
            paths
                .iter()
                .map(move |path| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {owner}"), "field": path}))
        })
        .collect();
    let message = match (causes.len(), conflicts.first()) {
        (1, Some((owner, paths))) => format!("Apply failed with 1 conflict: conflict with {owner}: {}", paths.concat()),
        (count, _) => {
            let lines: Vec<String> = conflicts
                .iter()
                .flat_map(|(owner, paths)| {
                    std::iter::once(format!("conflicts with {owner}:")).chain(paths.iter().map(|path| format!("- {path}")))
                })
                .collect();
            format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
        }
    };
    let mut error = ApiError::new(409, "Conflict", message);
    let mut details = Map::new();
    details.insert("causes".to_owned(), causes.into());
    error.details = Value::Object(details);
    error
}

#[cfg(test)]
mod tests;
