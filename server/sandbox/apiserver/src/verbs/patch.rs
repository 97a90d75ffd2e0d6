//! `patch`: JSON patch, merge patch, strategic merge patch, and server-side apply.

use crate::{
    call::Call,
    convert, crd,
    verbs::{
        create,
        update::{self, Tracking},
    },
};
use machinery::{ApiError, apply, object, patch, strict};
use serde_json::Value;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply { force: bool },
}

/// A patch as it was read.
#[derive(Debug)]
pub(crate) struct Patch {
    pub kind: PatchKind,
    pub body: Value,
    /// What is said of fields that the body repeats.
    pub repeated: Vec<String>,
}

impl Patch {
    pub fn merge(body: Value) -> Self {
        Self { kind: PatchKind::Merge, body, repeated: Vec::new() }
    }
}

impl PatchKind {
    /// The kind as `machinery` knows it; an apply is none of them.
    pub fn plain(self) -> Option<patch::PatchKind> {
        match self {
            Self::Json => Some(patch::PatchKind::Json),
            Self::Merge => Some(patch::PatchKind::Merge),
            Self::Strategic => Some(patch::PatchKind::Strategic),
            Self::Apply { .. } => None,
        }
    }
}

/// Patches the object, or one of its subresources; the answer says whether an apply created it.
pub(crate) fn patch(call: &mut Call, patch: Patch) -> Result<(Arc<Value>, bool), ApiError> {
    let Patch { kind, body, repeated } = patch;
    call.verb = "patch";
    if kind == PatchKind::Strategic && call.resource.custom.is_some() {
        return Err(unsupported());
    }
    let (server, dry_run) = (call.server.clone(), call.dry_run);
    let (stored, created) = server.write(dry_run, |transaction| {
        if let PatchKind::Apply { force } = kind {
            check_configuration(call, &body)?;
            let exists = transaction.state.has(call.storage_group(), &call.resource.plural, &call.namespace, &call.name);
            if !exists && call.subresource.is_empty() {
                let mut new = apply::apply(&call.resource, None, &body, &call.manager(), force)?;
                let warnings = strict::check(&call.resource, &mut new, call.validation)?;
                call.warn(warnings);
                object::set_meta(&mut new, "name", call.name.clone());
                crate::call::check_namespace(call, &mut new)?;
                let mut new = convert::to_storage(&call.resource, new)?;
                crd::set_defaults(&call.resource, &mut new);
                if !object::uid(&new).is_empty() {
                    let why = format!("Precondition failed: UID in precondition: {}, UID in object meta: ", object::uid(&new));
                    return Err(call.conflict(&call.name, &why));
                }
                return Ok((create::insert(call, transaction, new)?, true));
            }
        }
        let stored = update::change(call, transaction, |call, old| {
            let live = convert::served(&call.resource, old.clone());
            let (new, tracking) = match kind {
                PatchKind::Json => (patch::json(&live, &body)?, Tracking::Update),
                PatchKind::Merge => (patch::merge(&live, &body), Tracking::Update),
                PatchKind::Strategic => (patch::strategic(&call.resource, &live, &body)?, Tracking::Update),
                PatchKind::Apply { force } => (apply::apply(&call.resource, Some(&live), &body, &call.manager(), force)?, Tracking::Done),
            };
            let new = if let Some(kind) = kind.plain() {
                let patched = patch::settle(&call.resource, kind, &body, new, repeated, call.validation)?;
                call.warn(patched.warnings);
                patched.object
            } else {
                let mut new = new;
                let warnings = strict::check(&call.resource, &mut new, call.validation)?;
                call.warn(warnings);
                new
            };
            check_identity(call, &new)?;
            let mut new = convert::to_storage(&call.resource, new)?;
            crd::set_defaults(&call.resource, &mut new);
            if tracking == Tracking::Done {
                // Only the configuration may set a precondition.
                let live = object::resource_version(old).to_string();
                let given = body["metadata"]["resourceVersion"].as_str().map_or(live, str::to_owned);
                object::set_meta(&mut new, "resourceVersion", given);
            }
            Ok((new, tracking))
        })?;
        Ok((stored, false))
    })?;
    Ok((convert::served(&call.resource, stored), created))
}

/// What a custom resource answers to a strategic merge patch.
pub(crate) fn unsupported() -> ApiError {
    ApiError::new(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, \
         application/merge-patch+json, application/apply-patch+yaml",
    )
}

fn check_configuration(call: &Call, body: &Value) -> Result<(), ApiError> {
    if !body["metadata"]["managedFields"].is_null() {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let (api_version, kind) = (object::api_version(body), object::kind(body));
    if kind.is_empty() {
        return Err(ApiError::bad_request(format!("Object 'Kind' is missing in '{body}'")));
    }
    if call.subresource.is_empty() && (api_version != call.resource.api_version() || kind != call.resource.kind) {
        let shown = if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") };
        return Err(ApiError::bad_request(format!("invalid object type: {shown}, Kind={kind}")));
    }
    let name = object::name(body);
    if !name.is_empty() && name != call.name {
        return Err(ApiError::bad_request(format!("the name of the object ({name}) does not match the name on the URL ({})", call.name)));
    }
    Ok(())
}

fn check_identity(call: &Call, new: &Value) -> Result<(), ApiError> {
    if !new.is_object() {
        return Err(ApiError::bad_request("the patch does not leave an object"));
    }
    update::check_name(call, new)
}
