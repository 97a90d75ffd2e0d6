//! Priority, its part about PriorityClasses: at most one is the default.

use crate::{call::Call, store::Transaction};
use machinery::{ApiError, object};
use serde_json::Value;

pub(crate) fn validate(call: &Call, transaction: &Transaction, new: Option<&Value>) -> Result<(), ApiError> {
    let Some(new) = new.filter(|new| call.is("scheduling.k8s.io", "priorityclasses") && new["globalDefault"] == true) else {
        return Ok(());
    };
    let other = transaction
        .state
        .list("scheduling.k8s.io", "priorityclasses", None)
        .find(|class| class["globalDefault"] == true && object::name(class) != object::name(new));
    match other {
        Some(class) => {
            let why = format!("PriorityClass {} is already marked as default. Only one default can exist", object::name(&class));
            Err(call.forbidden(object::name(new), &why))
        }
        None => Ok(()),
    }
}
