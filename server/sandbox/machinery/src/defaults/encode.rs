//! The form that Go's encoder gives an object: what is empty and `omitempty` is left out, structures are always there, and so is
//! what has no `omitempty`. Objects that came as bytes have this form from the decoder; those made here get it too.

use crate::types::{self, Field, Shape, Special, Type};
use serde_json::{Map, Value};

/// Deeper than any type nests, but schemas do.
const MAX_DEPTH: usize = 64;

pub(super) fn as_go(group: &str, version: &str, kind: &str, object: &mut Value) {
    if let (Some(id), Some(map)) = (types::of_kind(group, version, kind), object.as_object_mut()) {
        structure(id.get(), map, 0);
    }
}

fn structure(of: &Type, map: &mut Map<String, Value>, depth: usize) {
    for field in &of.fields {
        match map.get_mut(field.name) {
            Some(value) if !value.is_null() => {
                inner(&field.shape, value, depth + 1);
                if !field.pointer && !field.keep && is_empty(&field.shape, value) {
                    map.remove(field.name);
                }
            }
            _ => match absent(field, depth) {
                Some(value) => {
                    map.insert(field.name.to_owned(), value);
                }
                None => {
                    map.remove(field.name);
                }
            },
        }
    }
}

/// What is written for a field that is not set.
fn absent(field: &Field, depth: usize) -> Option<Value> {
    if field.pointer {
        return field.keep.then_some(Value::Null);
    }
    let always = field.keep || matches!(field.shape, Shape::Ref(_));
    (always && !field.omit_zero && depth < MAX_DEPTH).then(|| zero(&field.shape, depth + 1))
}

fn zero(shape: &Shape, depth: usize) -> Value {
    match shape {
        Shape::String => "".into(),
        Shape::Bool => false.into(),
        Shape::Int32 | Shape::Int64 | Shape::Float => 0.into(),
        Shape::Bytes | Shape::Any | Shape::List(_) | Shape::Map(_) => Value::Null,
        Shape::Ref(id) => match id.get().special {
            Special::None => {
                let mut map = Map::new();
                structure(id.get(), &mut map, depth);
                Value::Object(map)
            }
            Special::Quantity => "0".into(),
            Special::IntOrString => 0.into(),
            _ => Value::Null,
        },
    }
}

fn inner(shape: &Shape, value: &mut Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match (shape, value) {
        (Shape::List(element), Value::Array(items)) => items.iter_mut().for_each(|item| inner(element, item, depth + 1)),
        (Shape::Map(element), Value::Object(entries)) => entries.values_mut().for_each(|item| inner(element, item, depth + 1)),
        (Shape::Ref(id), Value::Object(map)) if id.get().special == Special::None => structure(id.get(), map, depth),
        _ => {}
    }
}

fn is_empty(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::Ref(_), _) => false,
        (_, Value::String(text)) => text.is_empty(),
        (_, Value::Bool(yes)) => !yes,
        (_, Value::Number(number)) => number.as_f64() == Some(0.0),
        (_, Value::Array(items)) => items.is_empty(),
        (_, Value::Object(entries)) => entries.is_empty(),
        (_, Value::Null) => true,
    }
}
