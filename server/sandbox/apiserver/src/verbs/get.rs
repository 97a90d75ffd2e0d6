//! `get`: one object as it is served.

use crate::{call::Call, convert};
use machinery::ApiError;
use serde_json::Value;
use std::sync::Arc;

pub(crate) fn get(call: &Call) -> Result<Arc<Value>, ApiError> {
    let stored = call.server.stored(call.storage_group(), &call.resource.plural, &call.namespace, &call.name);
    stored.map(|object| convert::served(&call.resource, object)).ok_or_else(|| call.not_found())
}
