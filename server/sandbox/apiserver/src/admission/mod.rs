//! Admission in the server's order: the mutating round before validation, the validating one after it.
//! One plug-in, one file.

pub mod namespace_lifecycle;

use crate::{
    call::{Call, Operation},
    store::Transaction,
};
use machinery::ApiError;
use serde_json::Value;

/// Before validation: plug-ins may change `new`. Each also refuses here what it cannot complete.
pub(crate) fn mutate(
    call: &mut Call,
    transaction: &mut Transaction,
    operation: Operation,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let _ = old;
    namespace_lifecycle::admit(call, transaction, operation, new)?;
    Ok(())
}

/// After validation.
pub(crate) fn validate(
    call: &mut Call,
    transaction: &mut Transaction,
    operation: Operation,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let _ = (new, old);
    if operation == Operation::Delete {
        namespace_lifecycle::protect(call, transaction)?;
    }
    Ok(())
}
