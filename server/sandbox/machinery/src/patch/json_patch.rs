//! JSON patch with the leniency of the library that kube-apiserver uses: `replace` may add a field to an object.

use super::ApiError;
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

/// kube-apiserver's own bound.
const MAX_OPERATIONS: usize = 10_000;
/// What `copy` may add, in bytes; kube-apiserver allows as much as an object may have.
const MAX_COPIED: usize = 3 << 20;
/// What operations may cost together: items that lists move for insertions and removals, values looked at. Else it were operations
/// times the size of the object; the most that a patch of an object needs is far less.
const MAX_WORK: usize = 50_000_000;
/// Nesting that a patch may build, as much as a body may have. Values are read recursively.
const MAX_DEPTH: usize = 200;

pub(super) fn apply(object: &Value, patch: &Value) -> Result<Value, ApiError> {
    let Value::Array(list) = patch else {
        let kind = match patch {
            Value::Object(_) => "object",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            Value::Null | Value::Array(_) => return Ok(object.clone()),
        };
        return Err(ApiError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
        )));
    };
    if list.len() > MAX_OPERATIONS {
        let message = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}", list.len());
        return Err(ApiError::new(413, "RequestEntityTooLarge", message));
    }
    let mut patched = object.clone();
    let (mut copied, mut work) = (0, 0);
    for operation in list {
        let operation: PatchOperation = serde_json::from_value(operation.clone()).map_err(|_| refused())?;
        if let PatchOperation::Copy(copy) = &operation {
            copied += patched.pointer(copy.from.as_str()).map_or(0, |value| value.to_string().len());
            if copied > MAX_COPIED {
                return Err(refused());
            }
        }
        let (depth, size) = placed(&patched, &operation);
        work += shifts(&patched, &operation) + size;
        if work > MAX_WORK || depth > MAX_DEPTH {
            return Err(refused());
        }
        let operation = lenient(&patched, operation);
        json_patch::patch(&mut patched, &Patch(vec![operation])).map_err(|_| refused())?;
    }
    Ok(patched)
}

/// How many items of lists an operation moves, at most.
fn shifts(object: &Value, operation: &PatchOperation) -> usize {
    let siblings = |path: &str| {
        let list = path.rfind('/').and_then(|at| object.pointer(path.get(..at)?)?.as_array());
        list.map_or(0, Vec::len)
    };
    match operation {
        PatchOperation::Add(add) => siblings(add.path.as_str()),
        PatchOperation::Remove(remove) => siblings(remove.path.as_str()),
        PatchOperation::Move(moved) => siblings(moved.from.as_str()) + siblings(moved.path.as_str()),
        PatchOperation::Copy(copy) => siblings(copy.path.as_str()),
        PatchOperation::Replace(_) | PatchOperation::Test(_) => 0,
    }
}

/// How deep the value that an operation places will reach, and how many values it holds.
fn placed(object: &Value, operation: &PatchOperation) -> (usize, usize) {
    let (path, value) = match operation {
        PatchOperation::Add(add) => (&add.path, Some(&add.value)),
        PatchOperation::Replace(replace) => (&replace.path, Some(&replace.value)),
        PatchOperation::Move(moved) => (&moved.path, object.pointer(moved.from.as_str())),
        PatchOperation::Copy(copy) => (&copy.path, object.pointer(copy.from.as_str())),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return (0, 0),
    };
    let (depth, size) = value.map_or((0, 0), measure);
    (path.as_str().matches('/').count() + depth, size)
}

/// Depth and number of the values in `value`, itself included.
fn measure(value: &Value) -> (usize, usize) {
    let join = |(depth, size): (usize, usize), below: &Value| {
        let (deeper, more) = measure(below);
        (depth.max(deeper + 1), size + more)
    };
    match value {
        Value::Array(items) => items.iter().fold((1, 1), join),
        Value::Object(fields) => fields.values().fold((1, 1), join),
        _ => (1, 1),
    }
}

/// `replace` of a field that an object lacks adds it; `test` of one takes it for null.
fn lenient(object: &Value, operation: PatchOperation) -> PatchOperation {
    if let PatchOperation::Replace(replace) = &operation {
        let path = replace.path.as_str();
        let parent = path.rfind('/').and_then(|at| object.pointer(path.get(..at)?));
        if parent.is_some_and(Value::is_object) && object.pointer(path).is_none() {
            return PatchOperation::Add(json_patch::AddOperation { path: replace.path.clone(), value: replace.value.clone() });
        }
    }
    operation
}

fn refused() -> ApiError {
    ApiError::new(422, "Invalid", "the server rejected our request due to an error in our request")
}
