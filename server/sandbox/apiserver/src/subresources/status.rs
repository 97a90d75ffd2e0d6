//! `status`, and the subresources that are written like it: `ephemeralcontainers`, `resize`, `finalize`, `approval`.

use crate::{
    call::Call,
    convert,
    verbs::update::{self, Tracking},
};
use machinery::{ApiError, strict};
use serde_json::Value;
use std::sync::Arc;

/// PUT of a subresource that takes the object's own kind; `machinery::strategy` keeps everything that it does not own.
pub(crate) fn update(call: &mut Call, new: Value) -> Result<Arc<Value>, ApiError> {
    update::check_name(call, &new)?;
    let mut new = convert::to_storage(&call.resource, new)?;
    let warnings = strict::check(&call.resource, &mut new, call.validation)?;
    call.warn(warnings);
    let (server, dry_run) = (call.server.clone(), call.dry_run);
    let stored = server.write(dry_run, |transaction| update::change(call, transaction, |_, _| Ok((new, Tracking::Update))))?;
    Ok(convert::served(&call.resource, stored))
}
