//! Events: fields by name, decoded once into the slots that a set of conditions reads.
//!
//! ```text
//! {"evt.type":"open","fd.name":"/etc/shadow"} ──Schema::decode──► Event, one value per slot
//! ```
//!
//! A field that an event does not name has no value, and every comparison with it is false. What the conventions below give is
//! worked out where an event does not say it: `fd.ip`, `fd.net` and `fd.port` from the client's and the server's side, `proc.aname`
//! from `proc.aname[1]` and so on, and back, `syscall.type` from `evt.type`, the constants `evt.count`, `evt.dir` and `evt.source`.

mod derived;

use crate::{
    fields::{FieldReference, Kind, Resolved},
    filter::literal,
};
use derived::Derived;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value as Json};
use std::net::IpAddr;

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Absent,
    Text(Box<str>),
    Number(i128),
    Double(f64),
    Bool(bool),
    Address(IpAddr),
    Bytes(Box<[u8]>),
    Many(Vec<Value>),
}

/// A decoded event. It belongs to the [`Schema`] that decoded it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub(crate) values: Box<[Value]>,
    /// The schema's number of `evt.type`; [`Event::OTHER_TYPE`] where no rule names it.
    pub(crate) event_type: u32,
}

impl Event {
    pub(crate) const OTHER_TYPE: u32 = u32::MAX;

    pub(crate) fn value(&self, slot: u32) -> &Value {
        self.values.get(slot as usize).unwrap_or(&Value::Absent)
    }
}

/// A field that some condition reads.
#[derive(Debug, Clone)]
struct Slot {
    kind: Kind,
    list: bool,
    /// Falco prints the ancestors' names with blanks between them.
    blanks: bool,
    derived: Derived,
}

/// Which fields a set of conditions reads, and where each of them lies in an event.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    slots: Vec<Slot>,
    by_key: FxHashMap<String, u32>,
    types: FxHashMap<String, u32>,
}

impl Schema {
    /// The slot of a field, made where there is none yet.
    pub(crate) fn slot(&mut self, reference: &FieldReference, resolved: Resolved) -> u32 {
        if let Some(slot) = self.by_key.get(&reference.key) {
            return *slot;
        }
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot {
            kind: resolved.kind,
            list: resolved.field.list,
            blanks: reference.name == "proc.aname" && reference.argument.is_none(),
            derived: Derived::of(reference),
        });
        self.by_key.insert(reference.key.clone(), slot);
        if let Some(argument) = &reference.argument {
            // Events may spell `container.label[app]` with a dot.
            for key in [format!("{}.{argument}", reference.name), format!("{}[{argument}]", reference.name)] {
                self.by_key.entry(key).or_insert(slot);
            }
        }
        slot
    }

    /// The number of an event type.
    pub(crate) fn event_type(&mut self, name: &str) -> u32 {
        let next = u32::try_from(self.types.len()).unwrap_or(Event::OTHER_TYPE - 1);
        *self.types.entry(name.to_owned()).or_insert(next)
    }

    /// The event types, by number.
    pub(crate) fn event_types(&self) -> Vec<&str> {
        let mut types: Vec<(&str, u32)> = self.types.iter().map(|(name, number)| (name.as_str(), *number)).collect();
        types.sort_unstable_by_key(|(_, number)| *number);
        types.into_iter().map(|(name, _)| name).collect()
    }

    /// Where an event has its type, if some condition reads it.
    pub(crate) fn type_slot(&self) -> Option<u32> {
        self.by_key.get("evt.type").copied()
    }

    /// Decodes the fields of one event. A value that its field's type cannot hold counts as absent.
    pub fn decode(&self, fields: &Map<String, Json>) -> Event {
        let mut values = vec![Value::Absent; self.slots.len()].into_boxed_slice();
        for (key, json) in fields {
            if let Some(slot) = self.by_key.get(key.as_str()) {
                values[*slot as usize] = decode(&self.slots[*slot as usize], json);
            }
        }
        for (slot, value) in self.slots.iter().zip(values.iter_mut()) {
            if matches!(value, Value::Absent) {
                *value = slot.derived.value(slot.kind, fields);
            }
        }
        let event_type = fields.get("evt.type").and_then(Json::as_str).and_then(|name| self.types.get(name)).copied();
        Event { values, event_type: event_type.unwrap_or(Event::OTHER_TYPE) }
    }
}

/// The fields of an event as it is recorded: the object itself, or what stands under `fields` in it.
pub fn fields_of(json: &Json) -> Option<&Map<String, Json>> {
    match json.get("fields") {
        Some(Json::Object(fields)) => Some(fields),
        _ => json.as_object(),
    }
}

fn decode(slot: &Slot, json: &Json) -> Value {
    let value = match json {
        Json::String(names) if slot.blanks => Value::Many(names.split_whitespace().map(|name| Value::Text(name.into())).collect()),
        _ => scalar_or_many(slot.kind, json),
    };
    match value {
        Value::Many(_) | Value::Absent => value,
        one if slot.list => Value::Many(vec![one]),
        one => one,
    }
}

fn scalar_or_many(kind: Kind, json: &Json) -> Value {
    match json {
        Json::Array(items) => Value::Many(items.iter().map(|item| scalar(kind, item)).filter(|item| *item != Value::Absent).collect()),
        _ => scalar(kind, json),
    }
}

fn scalar(kind: Kind, json: &Json) -> Value {
    if kind.integer().is_some() {
        return match json {
            Json::Number(number) => number
                .as_i64()
                .map(i128::from)
                .or_else(|| number.as_u64().map(i128::from))
                .or_else(|| number.as_f64().filter(|double| double.fract() == 0.0 && double.abs() < 1e18).map(|double| double as i128))
                .map_or(Value::Absent, Value::Number),
            Json::Bool(truth) => Value::Number(i128::from(*truth)),
            Json::String(text) => printed_number(kind, text),
            _ => Value::Absent,
        };
    }
    match (kind, json) {
        (Kind::Bool, Json::Bool(truth)) => Value::Bool(*truth),
        (Kind::Bool, Json::Number(number)) => Value::Bool(number.as_f64() != Some(0.0)),
        (Kind::Bool, Json::String(text)) => match text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::Absent,
        },
        (Kind::Double, Json::Number(number)) => number.as_f64().map_or(Value::Absent, Value::Double),
        (Kind::Double, Json::String(text)) => text.parse().map_or(Value::Absent, Value::Double),
        (Kind::Ipaddr | Kind::Ipnet, Json::String(text)) => text.parse().map_or(Value::Absent, Value::Address),
        (Kind::Bool | Kind::Double | Kind::Ipaddr | Kind::Ipnet, _) | (_, Json::Null) => Value::Absent,
        (Kind::Bytebuf, Json::String(text)) => Value::Bytes(text.as_bytes().into()),
        (Kind::Bytebuf, other) => Value::Bytes(other.to_string().into_bytes().into()),
        (_, Json::String(text)) => Value::Text(text.as_str().into()),
        (_, other) => Value::Text(other.to_string().into()),
    }
}

/// A number as Falco prints it: flags in hexadecimal, and a parameter without any bytes as `0`.
fn printed_number(kind: Kind, text: &str) -> Value {
    let number = match kind {
        Kind::Port => literal::port(text).ok(),
        _ if kind.is_flags() => i128::from_str_radix(text.trim_start_matches("0x"), 16).ok(),
        _ => text.parse().ok(),
    };
    number.filter(|number| *number != 0).map_or(Value::Absent, Value::Number)
}
