//! Values of CEL: made of JSON and back, compared and printed as cel-go does it.

use super::{Answer, kind::Kind, library::standard};
use base64::{Engine, engine::general_purpose::STANDARD};
use kube_cel::cel::{
    Value as Cel,
    objects::{Key, Map, OptionalValue},
};
use serde_json::{Map as Fields, Number, Value};
use std::{cmp::Ordering, collections::HashMap, sync::Arc};

/// Words of the language that cannot be names of fields.
const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The name of a field in expressions over typed objects.
pub fn escape(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    let mut escaped = String::with_capacity(name.len());
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '_' if characters.peek() == Some(&'_') => {
                characters.next();
                escaped.push_str("__underscores__");
            }
            '.' => escaped.push_str("__dot__"),
            '-' => escaped.push_str("__dash__"),
            '/' => escaped.push_str("__slash__"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// An object without a schema: every name as it is.
pub fn of_json(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(held) => Cel::Bool(*held),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Cel::Int(integer),
            (None, Some(integer)) => Cel::UInt(integer),
            (None, None) => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => string(text),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(of_json).collect())),
        Value::Object(held) => fields(held.iter().map(|(name, held)| (name.clone(), of_json(held)))),
    }
}

pub fn string(text: &str) -> Cel {
    Cel::String(Arc::new(text.to_owned()))
}

fn fields(entries: impl Iterator<Item = (String, Cel)>) -> Cel {
    map(entries.map(|(name, value)| (Key::String(Arc::new(name)), value)).collect())
}

/// A time as RFC 3339 writes it.
pub fn timestamp(text: &str) -> Answer {
    standard("timestamp", false, vec![string(text)])
}

/// A value that is known to be of `kind`: names of fields are escaped, times and bytes are read.
pub fn of_kind(value: &Value, kind: &Kind) -> Cel {
    match (kind, value) {
        (Kind::Object(object), Value::Object(held)) => fields(held.iter().filter_map(|(name, held)| {
            let escaped = escape(name);
            let kind = object.field(&escaped)?;
            Some((escaped, of_kind(held, &kind)))
        })),
        (Kind::Map(_, of), Value::Object(held)) => fields(held.iter().map(|(name, held)| (name.clone(), of_kind(held, of)))),
        (Kind::List(of), Value::Array(items)) => Cel::List(Arc::new(items.iter().map(|item| of_kind(item, of)).collect())),
        (Kind::Named("double"), Value::Number(number)) => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        (Kind::Named("bytes"), Value::String(text)) => Cel::Bytes(Arc::new(STANDARD.decode(text).unwrap_or_default())),
        (Kind::Named("timestamp"), Value::String(text)) => timestamp(text).unwrap_or_else(|_| string(text)),
        (Kind::Named("duration"), Value::String(text)) => standard("duration", false, vec![string(text)]).unwrap_or_else(|_| string(text)),
        _ => of_json(value),
    }
}

pub fn list(items: Vec<Cel>) -> Cel {
    Cel::List(Arc::new(items))
}

pub fn map(entries: HashMap<Key, Cel>) -> Cel {
    Cel::Map(Map { map: Arc::new(entries) })
}

pub fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

pub fn some(value: Cel) -> Cel {
    Cel::Opaque(Arc::new(OptionalValue::of(value)))
}

pub fn none() -> Cel {
    Cel::Opaque(Arc::new(OptionalValue::none()))
}

/// What an optional holds; nothing where the value is no optional.
pub fn optional(value: &Cel) -> Option<Option<Cel>> {
    let Cel::Opaque(opaque) = value else { return None };
    opaque.downcast_ref::<OptionalValue>().map(|optional| optional.value().cloned())
}

/// The keys in order, so that what is made of a map does not depend on chance.
pub fn sorted(map: &Map) -> Vec<(Key, Cel)> {
    let mut entries: Vec<_> = map.map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    entries
}

pub fn of_key(key: Key) -> Cel {
    match key {
        Key::Int(held) => Cel::Int(held),
        Key::Uint(held) => Cel::UInt(held),
        Key::Bool(held) => Cel::Bool(held),
        Key::String(held) => Cel::String(held),
    }
}

pub fn as_key(value: &Cel) -> Option<Key> {
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
pub fn equal(left: &Cel, right: &Cel) -> bool {
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
pub fn compare(left: &Cel, right: &Cel) -> Option<Ordering> {
    match (left, right) {
        (Cel::Int(a), Cel::Int(b)) => Some(a.cmp(b)),
        (Cel::UInt(a), Cel::UInt(b)) => Some(a.cmp(b)),
        (Cel::Float(a), Cel::Float(b)) => a.partial_cmp(b),
        (Cel::Int(a), Cel::UInt(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Cel::UInt(a), Cel::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Cel::Int(a), Cel::Float(b)) => whole_to_double(i128::from(*a), *b),
        (Cel::Float(a), Cel::Int(b)) => whole_to_double(i128::from(*b), *a).map(Ordering::reverse),
        (Cel::UInt(a), Cel::Float(b)) => whole_to_double(i128::from(*a), *b),
        (Cel::Float(a), Cel::UInt(b)) => whole_to_double(i128::from(*b), *a).map(Ordering::reverse),
        (Cel::String(a), Cel::String(b)) => Some(a.cmp(b)),
        (Cel::Bytes(a), Cel::Bytes(b)) => Some(a.cmp(b)),
        (Cel::Bool(a), Cel::Bool(b)) => Some(a.cmp(b)),
        (Cel::Timestamp(a), Cel::Timestamp(b)) => Some(a.cmp(b)),
        (Cel::Duration(a), Cel::Duration(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Exact, so that the order of numbers of several kinds is one order. A double beyond all integers becomes the largest or smallest `i128`.
fn whole_to_double(whole: i128, double: f64) -> Option<Ordering> {
    let below = double.trunc();
    match whole.cmp(&(below as i128)) {
        Ordering::Equal => 0.0.partial_cmp(&(double - below)),
        other if !double.is_nan() => Some(other),
        _ => None,
    }
}

/// A value as JSON; whole doubles become integers, as they do on their way through JSON in Go.
pub fn to_json(value: &Cel) -> Value {
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
pub fn text(value: &Cel) -> Option<String> {
    Some(match value {
        Cel::Bool(_) | Cel::Int(_) | Cel::UInt(_) | Cel::Float(_) | Cel::String(_) | Cel::Timestamp(_) | Cel::Duration(_) => printed(value),
        Cel::Bytes(held) => String::from_utf8(held.to_vec()).ok()?,
        _ => return None,
    })
}

/// A value in a message.
pub fn printed(value: &Cel) -> String {
    match value {
        Cel::Null | Cel::Function(..) => "null".to_owned(),
        Cel::Bool(held) => held.to_string(),
        Cel::Int(held) => held.to_string(),
        Cel::UInt(held) => held.to_string(),
        Cel::Float(held) => double(*held),
        Cel::String(held) => held.to_string(),
        Cel::Timestamp(held) => match held.to_rfc3339().strip_suffix("+00:00") {
            Some(utc) => format!("{utc}Z"),
            None => held.to_rfc3339(),
        },
        Cel::Duration(held) => seconds(held.num_seconds(), held.subsec_nanos()),
        other => to_json(other).to_string(),
    }
}

/// A double as Go's `%g` prints it: with an exponent where the point is far from the digits.
fn double(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text.replace("inf", "Inf") };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => value.to_string(),
    }
}

/// A duration in seconds, as cel-go prints it: `90s`, `-1.5s`.
fn seconds(seconds: i64, nanoseconds: i32) -> String {
    let sign = if seconds < 0 || nanoseconds < 0 { "-" } else { "" };
    let (seconds, rest) = (seconds.unsigned_abs(), nanoseconds.unsigned_abs());
    if rest == 0 { format!("{sign}{seconds}s") } else { format!("{sign}{seconds}.{}s", format!("{rest:09}").trim_end_matches('0')) }
}

/// How many parts and letters a value has when it is walked to the end, but no more than a little above `most`.
pub fn weight(value: &Cel, most: usize) -> usize {
    let mut total = 0_usize;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        total += match value {
            Cel::String(held) => 1 + held.len() / 8,
            Cel::Bytes(held) => 1 + held.len() / 8,
            _ => 1,
        };
        if total > most || open.len() > most {
            return most.saturating_add(1);
        }
        match value {
            Cel::List(items) => open.extend(items.iter()),
            Cel::Map(entries) => open.extend(entries.map.values()),
            Cel::Opaque(held) => open.extend(held.downcast_ref::<OptionalValue>().and_then(OptionalValue::value)),
            _ => {}
        }
    }
    total
}
