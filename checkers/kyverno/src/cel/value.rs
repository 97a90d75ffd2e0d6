//! Values of CEL: made of JSON and back, compared and printed as cel-go does it.

use base64::{Engine, engine::general_purpose::STANDARD};
use kube_cel::cel::{
    Value as Cel,
    objects::{Key, Map, OptionalValue},
};
use serde_json::{Map as Fields, Number, Value};
use std::{cmp::Ordering, collections::HashMap, sync::Arc};

pub(super) use machinery::cel::value::{of_json, string};

pub(super) fn list(items: Vec<Cel>) -> Cel {
    Cel::List(Arc::new(items))
}

pub(super) fn map(entries: HashMap<Key, Cel>) -> Cel {
    Cel::Map(Map { map: Arc::new(entries) })
}

pub(super) fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

pub(super) fn some(value: Cel) -> Cel {
    Cel::Opaque(Arc::new(OptionalValue::of(value)))
}

pub(super) fn none() -> Cel {
    Cel::Opaque(Arc::new(OptionalValue::none()))
}

/// What an optional holds; nothing where the value is no optional.
pub(super) fn optional(value: &Cel) -> Option<Option<Cel>> {
    let Cel::Opaque(opaque) = value else { return None };
    opaque.downcast_ref::<OptionalValue>().map(|optional| optional.value().cloned())
}

/// The keys in order, so that what is made of a map does not depend on chance.
pub(super) fn sorted(map: &Map) -> Vec<(Key, Cel)> {
    let mut entries: Vec<_> = map.map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    entries
}

pub(super) fn of_key(key: Key) -> Cel {
    match key {
        Key::Int(held) => Cel::Int(held),
        Key::Uint(held) => Cel::UInt(held),
        Key::Bool(held) => Cel::Bool(held),
        Key::String(held) => Cel::String(held),
    }
}

pub(super) fn as_key(value: &Cel) -> Option<Key> {
    Some(match value {
        Cel::Int(held) => Key::Int(*held),
        Cel::UInt(held) => Key::Uint(*held),
        Cel::Bool(held) => Key::Bool(*held),
        Cel::String(held) => Key::String(held.clone()),
        // A double that is whole finds the integer's entry.
        Cel::Float(held) if held.fract() == 0.0 && held.abs() < 9.0e15 => Key::Int(*held as i64),
        _ => return None,
    })
}

/// Equal as cel-go has it: numbers of all kinds by amount, other kinds only with themselves.
pub(super) fn equal(left: &Cel, right: &Cel) -> bool {
    match (left, right) {
        (Cel::Int(_) | Cel::UInt(_) | Cel::Float(_), Cel::Int(_) | Cel::UInt(_) | Cel::Float(_)) => {
            compare(left, right) == Some(Ordering::Equal)
        }
        (Cel::List(left), Cel::List(right)) => left.len() == right.len() && left.iter().zip(right.iter()).all(|(a, b)| equal(a, b)),
        (Cel::Map(left), Cel::Map(right)) => {
            left.map.len() == right.map.len() && left.map.iter().all(|(key, value)| right.get(key).is_some_and(|other| equal(value, other)))
        }
        (Cel::String(left), Cel::String(right)) => left == right,
        (Cel::Bytes(left), Cel::Bytes(right)) => left == right,
        (Cel::Bool(left), Cel::Bool(right)) => left == right,
        (Cel::Timestamp(left), Cel::Timestamp(right)) => left == right,
        (Cel::Duration(left), Cel::Duration(right)) => left == right,
        (Cel::Null, Cel::Null) => true,
        (Cel::Opaque(_), Cel::Opaque(_)) => match (optional(left), optional(right)) {
            (Some(left), Some(right)) => match (left, right) {
                (Some(left), Some(right)) => equal(&left, &right),
                (left, right) => left.is_none() && right.is_none(),
            },
            _ => left == right,
        },
        (Cel::Function(left, _), Cel::Function(right, _)) => left == right,
        _ => false,
    }
}

/// The order of two values that have one.
pub(super) fn compare(left: &Cel, right: &Cel) -> Option<Ordering> {
    match (left, right) {
        (Cel::Int(a), Cel::Int(b)) => Some(a.cmp(b)),
        (Cel::UInt(a), Cel::UInt(b)) => Some(a.cmp(b)),
        (Cel::Float(a), Cel::Float(b)) => a.partial_cmp(b),
        (Cel::Int(a), Cel::UInt(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Cel::UInt(a), Cel::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Cel::Int(a), Cel::Float(b)) => (*a as f64).partial_cmp(b),
        (Cel::Float(a), Cel::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Cel::UInt(a), Cel::Float(b)) => (*a as f64).partial_cmp(b),
        (Cel::Float(a), Cel::UInt(b)) => a.partial_cmp(&(*b as f64)),
        (Cel::String(a), Cel::String(b)) => Some(a.cmp(b)),
        (Cel::Bytes(a), Cel::Bytes(b)) => Some(a.cmp(b)),
        (Cel::Bool(a), Cel::Bool(b)) => Some(a.cmp(b)),
        (Cel::Timestamp(a), Cel::Timestamp(b)) => Some(a.cmp(b)),
        (Cel::Duration(a), Cel::Duration(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// A value as JSON; whole doubles become integers, as they do on their way through JSON in Go.
pub(super) fn to_json(value: &Cel) -> Value {
    match value {
        Cel::Null | Cel::Function(..) => Value::Null,
        Cel::Bool(held) => Value::Bool(*held),
        Cel::Int(held) => Value::from(*held),
        Cel::UInt(held) => Value::from(*held),
        Cel::Float(held) if held.fract() == 0.0 && held.abs() < 9.0e15 => Value::from(*held as i64),
        Cel::Float(held) => Number::from_f64(*held).map_or(Value::Null, Value::Number),
        Cel::String(held) => Value::String(held.to_string()),
        Cel::Bytes(held) => Value::String(STANDARD.encode(&**held)),
        Cel::List(items) => items.iter().map(to_json).collect(),
        Cel::Map(entries) => {
            let fields: Fields<_, _> = sorted(entries).into_iter().map(|(key, value)| (name_of(&key), to_json(&value))).collect();
            Value::Object(fields)
        }
        Cel::Timestamp(_) | Cel::Duration(_) => Value::String(printed(value)),
        Cel::Opaque(_) => match optional(value) {
            Some(held) => held.as_ref().map_or(Value::Null, to_json),
            None => Value::Null,
        },
    }
}

fn name_of(key: &Key) -> String {
    match key {
        Key::Int(held) => held.to_string(),
        Key::Uint(held) => held.to_string(),
        Key::Bool(held) => held.to_string(),
        Key::String(held) => held.to_string(),
    }
}

/// What `string(…)` makes of a value; nothing of what it does not take.
pub(super) fn text(value: &Cel) -> Option<String> {
    Some(match value {
        Cel::Bool(_) | Cel::Int(_) | Cel::UInt(_) | Cel::Float(_) | Cel::String(_) | Cel::Timestamp(_) | Cel::Duration(_) => printed(value),
        Cel::Bytes(held) => String::from_utf8(held.to_vec()).ok()?,
        _ => return None,
    })
}

/// A value in a message.
pub(super) fn printed(value: &Cel) -> String {
    match value {
        Cel::Null | Cel::Function(..) => "null".to_owned(),
        Cel::Bool(held) => held.to_string(),
        Cel::Int(held) => held.to_string(),
        Cel::UInt(held) => held.to_string(),
        Cel::Float(held) => held.to_string(),
        Cel::String(held) => held.to_string(),
        Cel::Timestamp(held) => match held.to_rfc3339().strip_suffix("+00:00") {
            Some(utc) => format!("{utc}Z"),
            None => held.to_rfc3339(),
        },
        Cel::Duration(held) => {
            let text = to_seconds(held.num_milliseconds());
            format!("{text}s")
        }
        other => to_json(other).to_string(),
    }
}

fn to_seconds(milliseconds: i64) -> String {
    let sign = if milliseconds < 0 { "-" } else { "" };
    let (seconds, rest) = (milliseconds.unsigned_abs() / 1000, milliseconds.unsigned_abs() % 1000);
    if rest == 0 { format!("{sign}{seconds}") } else { format!("{sign}{seconds}.{}", format!("{rest:03}").trim_end_matches('0')) }
}
