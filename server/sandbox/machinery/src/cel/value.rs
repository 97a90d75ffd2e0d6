//! Objects as values of CEL.

use super::kind::Kind;
use base64::{Engine, engine::general_purpose::STANDARD};
use kube_cel::cel::{
    Value as Cel,
    objects::{Key, Map},
};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};

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
        Value::Object(fields) => map(fields.iter().map(|(name, held)| (name.clone(), of_json(held)))),
    }
}

pub fn string(text: &str) -> Cel {
    Cel::String(Arc::new(text.to_owned()))
}

pub fn map(entries: impl Iterator<Item = (String, Cel)>) -> Cel {
    let entries: HashMap<Key, Cel> = entries.map(|(name, value)| (Key::String(Arc::new(name)), value)).collect();
    Cel::Map(Map { map: Arc::new(entries) })
}

/// A value that is known to be of `kind`: names of fields are escaped, times and bytes are read.
pub fn of_kind(value: &Value, kind: &Kind) -> Cel {
    match (kind, value) {
        (Kind::Object(object), Value::Object(fields)) => map(fields.iter().filter_map(|(name, held)| {
            let escaped = escape(name);
            let kind = object.field(&escaped)?;
            Some((escaped, of_kind(held, &kind)))
        })),
        (Kind::Map(_, of), Value::Object(fields)) => map(fields.iter().map(|(name, held)| (name.clone(), of_kind(held, of)))),
        (Kind::List(of), Value::Array(items)) => Cel::List(Arc::new(items.iter().map(|item| of_kind(item, of)).collect())),
        (Kind::Named("double"), Value::Number(number)) => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        (Kind::Named("bytes"), Value::String(text)) => Cel::Bytes(Arc::new(STANDARD.decode(text).unwrap_or_default())),
        (Kind::Named(name @ ("timestamp" | "duration")), Value::String(text)) => {
            super::run::call(name, text).unwrap_or_else(|| string(text))
        }
        _ => of_json(value),
    }
}
