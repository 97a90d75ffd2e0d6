//! Strategic merge patch: lists of objects merge by a key, with directives for what a merge cannot say
//! (k8s.io/apimachinery/pkg/util/strategicpatch).

use super::{ApiError, go_print};
use crate::types::{Field, Shape};
use serde_json::{Map, Value};
use std::collections::HashMap;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

type Entries = Map<String, Value>;

/// A mistake of the patch that kube-apiserver answers with a bare 500.
fn broken(message: impl Into<String>) -> ApiError {
    ApiError::new(500, "", message)
}

fn field<'a>(shape: &'a Shape, key: &str) -> Option<&'a Field> {
    let Shape::Ref(id) = shape else { return None };
    id.get().field(key)
}

/// What lies under a key: a field's shape, or a map's element.
fn under<'a>(shape: &'a Shape, key: &str) -> &'a Shape {
    match shape {
        Shape::Ref(_) => field(shape, key).map_or(&Shape::Any, |field| &field.shape),
        Shape::Map(element) => element,
        _ => &Shape::Any,
    }
}

fn bad_type(wanted: &str, value: &Value) -> ApiError {
    let found = match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    broken(format!("expected a {wanted}, but received a {found}"))
}

pub(super) fn merge_map(mut original: Entries, mut patch: Entries, shape: &Shape) -> Result<Entries, ApiError> {
    if let Some(directive) = patch.get(PATCH) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                Ok(patch)
            }
            Some("delete") => Ok(Entries::new()),
            // `merge` is what happens anyway
            Some("merge") => {
                patch.remove(PATCH);
                merge_map(original, patch, shape)
            }
            _ => {
                let directive = go_print(directive);
                Err(broken(format!("unknown patch type: {directive} in map: {}", go_print(&Value::Object(patch)))))
            }
        };
    }
    retain_keys(&mut original, &mut patch)?;
    order_lists(&mut original, &mut patch, shape)?;
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE_FROM_LIST) {
            if let Some(live) = original.get_mut(list) {
                let (Value::Array(live), Value::Array(gone)) = (live, &value) else { return Err(bad_type("[]interface {}", &value)) };
                live.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if value.is_null() {
            original.remove(&key);
            continue;
        }
        let merged = match (original.remove(&key), value) {
            (Some(Value::Object(live)), Value::Object(patch)) => Value::Object(merge_map(live, patch, under(shape, &key))?),
            (Some(Value::Array(live)), Value::Array(patch)) => match field(shape, &key) {
                Some(field) if field.patch_merge => Value::Array(merge_list(live, patch, field)?),
                _ => Value::Array(patch.into_iter().map(plain).collect()),
            },
            (_, value) => plain(value),
        };
        original.insert(key, merged);
    }
    Ok(original)
}

/// A value that is new to the object: directives and nulls have nothing to act on.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(entries) => Value::Object(
            entries
                .into_iter()
                .filter(|(key, value)| {
                    !value.is_null()
                        && key != PATCH
                        && key != RETAIN_KEYS
                        && !key.starts_with(DELETE_FROM_LIST)
                        && !key.starts_with(ELEMENT_ORDER)
                })
                .map(|(key, value)| (key, plain(value)))
                .collect(),
        ),
        Value::Array(items) => {
            Value::Array(items.into_iter().filter(|item| item.get(PATCH).is_none_or(|d| d != "delete")).map(plain).collect())
        }
        scalar => scalar,
    }
}

/// `$retainKeys`: of the live object only these keys stay, and the patch may set no others.
fn retain_keys(original: &mut Entries, patch: &mut Entries) -> Result<(), ApiError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let invalid = || ApiError::bad_request("invalid patch format of retainKeys");
    let Value::Array(keys) = keys else { return Err(invalid()) };
    let listed = |key: &String| keys.iter().any(|k| k.as_str() == Some(key));
    let outside = patch
        .iter()
        .any(|(key, value)| !value.is_null() && !key.starts_with(DELETE_FROM_LIST) && !key.starts_with(ELEMENT_ORDER) && !listed(key));
    if outside {
        return Err(invalid());
    }
    original.retain(|key, _| listed(key));
    Ok(())
}

/// `$setElementOrder/containers`: merges those lists here and puts them in order.
fn order_lists(original: &mut Entries, patch: &mut Entries, shape: &Shape) -> Result<(), ApiError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let Some(order) = patch.remove(&directive) else { continue };
        let Value::Array(order) = order else { return Err(bad_type("[]interface {}", &order)) };
        let key = directive.strip_prefix(ELEMENT_ORDER).unwrap_or_default();
        let Some(field) = field(shape, key) else {
            return Err(broken(format!("unable to find api field in struct {} for the json field {key:?}", shape.go_type())));
        };
        let live = match original.get(key) {
            None => None,
            Some(Value::Array(items)) => Some(items.clone()),
            Some(other) => return Err(bad_type("[]interface {}", other)),
        };
        let patched = match patch.remove(key) {
            None => None,
            Some(Value::Array(items)) => Some(items),
            Some(other) => return Err(bad_type("[]interface {}", &other)),
        };
        let merge_key = field.patch_key;
        check_order(patched.as_deref().unwrap_or_default(), &order, merge_key)?;
        let merged = match (&live, patched) {
            (None, None) => continue,
            (Some(live), None) => live.clone(),
            (None, Some(items)) => match plain(Value::Array(items)) {
                Value::Array(items) => items,
                _ => continue,
            },
            (Some(live), Some(items)) if field.patch_merge => merge_list(live.clone(), items, field)?,
            (Some(_), Some(items)) => items,
        };
        let (named, others): (Vec<Value>, Vec<Value>) = merged.into_iter().partition(|item| place(&order, item, merge_key).is_some());
        let live = live.unwrap_or_default();
        original.insert(key.to_owned(), Value::Array(interleave(named, others, &order, &live, merge_key)));
    }
    Ok(())
}

/// The patch's items must stand in the same order in `$setElementOrder`.
fn check_order(patch: &[Value], order: &[Value], merge_key: Option<&str>) -> Result<(), ApiError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let kept: Vec<&Value> = patch.iter().filter(|item| item.get(PATCH).is_none()).collect();
    let mut ordered = order.iter();
    let all_found = kept.iter().all(|item| ordered.any(|other| identity(item, merge_key) == identity(other, merge_key)));
    if all_found {
        return Ok(());
    }
    let print = |items: &[Value]| go_print(&Value::Array(items.to_vec()));
    Err(broken(format!("The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n", print(patch), print(order))))
}

/// What makes an item itself: the value of the merge key, or a scalar's own.
fn identity<'a>(item: &'a Value, merge_key: Option<&str>) -> Option<&'a Value> {
    match (item, merge_key) {
        (Value::Object(entries), Some(key)) => entries.get(key),
        (scalar, _) => Some(scalar),
    }
}

fn place(list: &[Value], item: &Value, merge_key: Option<&str>) -> Option<usize> {
    let wanted = identity(item, merge_key)?;
    list.iter().position(|other| identity(other, merge_key) == Some(wanted))
}

/// Items that the patch names in its order, the others in the live order, woven together by the live order where it says.
fn interleave(mut named: Vec<Value>, mut others: Vec<Value>, order: &[Value], live: &[Value], merge_key: Option<&str>) -> Vec<Value> {
    let last = |at: Option<usize>| at.unwrap_or(usize::MAX);
    named.sort_by_key(|item| last(place(order, item, merge_key)));
    others.sort_by_key(|item| last(place(live, item, merge_key)));
    let mut woven = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let first_is_other = match (others.peek(), named.peek()) {
            (None, None) => return woven,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(item)) => {
                matches!((place(live, other, merge_key), place(live, item, merge_key)), (Some(a), Some(b)) if a < b)
            }
        };
        woven.extend(if first_is_other { others.next() } else { named.next() });
    }
}

fn merge_list(live: Vec<Value>, patch: Vec<Value>, field: &Field) -> Result<Vec<Value>, ApiError> {
    if live.is_empty() && patch.is_empty() {
        return Ok(live);
    }
    let is_map = |item: &Value| item.is_object();
    let mixed = live.iter().chain(&patch).any(is_map) && !live.iter().chain(&patch).all(is_map);
    if mixed {
        let print = |items: &[Value]| go_print(&Value::Array(items.to_vec()));
        return Err(broken(format!("list element types are not identical: [{} {}]", print(&live), print(&patch))));
    }
    if !live.iter().chain(&patch).any(is_map) {
        let mut merged: Vec<Value> = Vec::new();
        for item in live.iter().chain(&patch) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        let (named, others) = merged.into_iter().partition(|item| patch.contains(item));
        return Ok(interleave(named, others, &patch, &live, None));
    }
    let Some(merge_key) = field.patch_key else {
        return Err(broken(format!("cannot merge lists without merge key for {}", field.name)));
    };
    let element = match &field.shape {
        Shape::List(element) => element.as_ref(),
        _ => &Shape::Any,
    };
    merge_objects(live, patch, merge_key, element)
}

fn merge_objects(live: Vec<Value>, patch: Vec<Value>, merge_key: &str, element: &Shape) -> Result<Vec<Value>, ApiError> {
    let missing = |item: &Value| broken(format!("map: {} does not contain declared merge key: {merge_key}", go_print(item)));
    let mut remaining = live.clone();
    let mut items = Vec::new();
    let mut replaces = false;
    for item in patch {
        match item.get(PATCH) {
            None => items.push(item),
            Some(directive) => match directive.as_str() {
                Some("replace") => replaces = true,
                Some("delete") => {
                    let gone = item.get(merge_key).ok_or_else(|| missing(&item))?;
                    remaining.retain(|other| other.get(merge_key) != Some(gone));
                }
                Some("merge") => return Err(broken("merging lists cannot yet be specified in the patch")),
                _ => return Err(broken(format!("unknown patch type: {} in map: {}", go_print(directive), go_print(&item)))),
            },
        }
    }
    if replaces {
        return Ok(items.into_iter().map(plain).collect());
    }
    let patch_order = items.clone();
    let server_order = remaining.clone();
    let mut merged = remaining;
    let mut places: HashMap<String, usize> = HashMap::new();
    for (at, item) in merged.iter().enumerate() {
        if let Some(key) = item.get(merge_key) {
            places.entry(key.to_string()).or_insert(at);
        }
    }
    for item in items {
        let key = item.get(merge_key).ok_or_else(|| missing(&item))?.to_string();
        let Value::Object(patch) = item else { continue };
        match places.get(&key).and_then(|at| merged.get_mut(*at)) {
            Some(found) => {
                let live = found.as_object().cloned().unwrap_or_default();
                *found = Value::Object(merge_map(live, patch, element)?);
            }
            None => {
                places.insert(key, merged.len());
                merged.push(plain(Value::Object(patch)));
            }
        }
    }
    let named_by_patch = |item: &Value| place(&patch_order, item, Some(merge_key)).is_some();
    let (named, others) = merged.into_iter().partition(named_by_patch);
    Ok(interleave(named, others, &patch_order, &server_order, Some(merge_key)))
}
