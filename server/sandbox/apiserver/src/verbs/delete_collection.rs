//! `deletecollection`: every object that the selectors choose, one after the other.

use crate::{
    call::Call,
    client::DeleteOptions,
    convert::Served,
    verbs::{delete, list::Selection},
};
use machinery::{ApiError, object};

/// Answers what was deleted or marked. An object that somebody else removed meanwhile is no error.
pub(crate) fn delete_collection(call: &mut Call, selection: &Selection, options: &DeleteOptions) -> Result<Vec<Served>, ApiError> {
    let state = call.server.state();
    let mut deleted = Vec::new();
    for object in selection.choose(&state, call) {
        let object = object.tree();
        let mut one = call.clone();
        object::name(&object).clone_into(&mut one.name);
        object::namespace(&object).clone_into(&mut one.namespace);
        match delete::delete(&mut one, options) {
            Ok(outcome) => deleted.push(Served::Made(outcome.object)),
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
        call.warn(one.warnings);
    }
    Ok(deleted)
}
