//! What Kubernetes' conversion from a map to a structure complains of: after a strategic merge patch the object takes this way
//! into its type, with other words than the decoder's (k8s.io/apimachinery/pkg/runtime DefaultUnstructuredConverter).

use super::{node::Node, typed::Decoder};
use crate::types::{Field, Shape, Special};
use serde_json::Value;

/// The first complaint about `value` as a `shape`; `None` where it fits.
pub(crate) fn restore_error(value: &Value, shape: &Shape) -> Option<String> {
    check(value, shape, None)
}

fn check(value: &Value, shape: &Shape, field: Option<&Field>) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let wanted = || field.map_or_else(|| shape.go_type(), Field::go_type);
    let element = || field.map_or_else(|| shape.go_type(), Field::go_element);
    match (shape, value) {
        (Shape::Any, _) | (Shape::String, Value::String(_)) | (Shape::Bool, Value::Bool(_)) | (Shape::Float, Value::Number(_)) => None,
        (Shape::Int32 | Shape::Int64, Value::Number(number)) => {
            let whole = number.is_i64() || number.as_f64().is_some_and(|n| n.fract() == 0.0);
            (!whole).then(|| format!("cannot convert float64 to {}", wanted()))
        }
        (Shape::Bytes, Value::String(_)) => None,
        (Shape::Bytes, _) => Some(format!("cannot restore slice from {}", go_kind(value))),
        (Shape::List(inner), Value::Array(items)) => items.iter().find_map(|item| check_element(item, inner, &element)),
        (Shape::List(_), _) => Some(format!("cannot restore slice from {}", go_kind(value))),
        (Shape::Map(inner), Value::Object(entries)) => entries.values().find_map(|item| check_element(item, inner, &element)),
        (Shape::Map(_), _) => Some(format!("cannot restore map from {}", go_kind(value))),
        (Shape::Ref(id), _) if id.get().special != Special::None => Decoder::default().special(id.get(), &Node::from(value)).err(),
        (Shape::Ref(id), Value::Object(entries)) => {
            entries.iter().find_map(|(key, value)| id.get().field(key).and_then(|field| check(value, &field.shape, Some(field))))
        }
        (Shape::Ref(_), _) => Some(format!("cannot restore struct from: {}", go_kind(value))),
        (_, Value::Number(_)) => Some(format!("cannot convert {} to {}", go_kind(value), wanted())),
        _ => Some(format!("unrecognized type: {}", wanted())),
    }
}

fn check_element(value: &Value, shape: &Shape, name: &dyn Fn() -> String) -> Option<String> {
    let error = check(value, shape, None)?;
    // a named element type prints its own name
    let plain = shape.go_type();
    Some(if error.ends_with(&plain) { format!("{}{}", error.trim_end_matches(&plain), name()) } else { error })
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}
