//! Events: fields by name, decoded once into the slots that a set of conditions reads.
//!
//! ```text
//! {"evt.type":"open","fd.name":"/etc/shadow"} ──Schema::decode──► Event, one value per slot
//! ```
//!
//! A field that an event does not name has no value, and every comparison with it is false. What the conventions below give is
//! worked out where an event does not say it: `fd.ip`, `fd.net` and `fd.port` from the client's and the server's side, `proc.aname`
//! from `proc.aname[1]` and so on, and back, `syscall.type` from `evt.type`, the constants `evt.count`, `evt.dir` and `evt.source`.

use crate::{
    fields::{Field, FieldReference, Kind, Resolved, is_syscall},
    filter::literal,
};
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
}

/// A field that some condition reads.
#[derive(Debug, Clone)]
struct Slot {
    reference: FieldReference,
    field: &'static Field,
    kind: Kind,
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
        self.slots.push(Slot { reference: reference.clone(), field: resolved.field, kind: resolved.kind });
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
            if *value == Value::Absent {
                *value = derive(slot, fields);
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
    let value = match (json, slot.reference.name, slot.reference.argument.as_deref()) {
        // Falco prints the ancestors' names with blanks between them.
        (Json::String(names), "proc.aname", None) => Value::Many(names.split_whitespace().map(|name| Value::Text(name.into())).collect()),
        _ => scalar_or_many(slot.kind, json),
    };
    match value {
        Value::Many(_) | Value::Absent => value,
        one if slot.field.list => Value::Many(vec![one]),
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

/// What an event says without naming the field.
fn derive(slot: &Slot, fields: &Map<String, Json>) -> Value {
    let get = |key: &str| fields.get(key).map_or(Value::Absent, |json| scalar_or_many(slot.kind, json));
    let both = |keys: [&str; 2]| {
        let values: Vec<Value> = keys.into_iter().map(get).filter(|value| *value != Value::Absent).collect();
        if values.is_empty() { Value::Absent } else { Value::Many(values) }
    };
    let text = |key: &str| fields.get(key).and_then(Json::as_str);
    match (slot.reference.name, slot.reference.argument.as_deref()) {
        ("fd.ip" | "fd.net", _) => match both(["fd.cip", "fd.sip"]) {
            Value::Absent => both(["fd.lip", "fd.rip"]),
            found => found,
        },
        ("fd.port" | "fd.proto", _) => match both(["fd.cport", "fd.sport"]) {
            Value::Absent => both(["fd.lport", "fd.rport"]),
            found => found,
        },
        ("fd.cnet", _) => get("fd.cip"),
        ("fd.snet", _) => get("fd.sip"),
        ("fd.lnet", _) => get("fd.lip"),
        ("fd.rnet", _) => get("fd.rip"),
        ("syscall.type", _) => text("evt.type").filter(|name| is_syscall(name)).map_or(Value::Absent, |name| Value::Text(name.into())),
        ("evt.count", _) => Value::Number(1),
        ("evt.dir", _) => Value::Text("<".into()),
        ("evt.source", _) => {
            let audit = fields.keys().any(|key| key.starts_with("ka."));
            Value::Text(if audit { "k8s_audit" } else { "syscall" }.into())
        }
        ("evt.failed", _) => match fields.get("evt.rawres").and_then(Json::as_i64) {
            Some(result) => Value::Bool(result < 0),
            None => Value::Absent,
        },
        ("evt.type.is", Some(name)) => text("evt.type").map_or(Value::Absent, |event| Value::Number(i128::from(event == name))),
        ("evt.around", Some(centre)) => {
            let distance = || Some((i128::from(fields.get("evt.rawtime")?.as_u64()?) - centre.parse::<i128>().ok()?).abs());
            distance().map_or(Value::Absent, |nanoseconds| Value::Number((nanoseconds + 999_999) / 1_000_000))
        }
        ("proc.aname" | "proc.aexe" | "proc.aexepath" | "proc.acmdline" | "proc.aargs" | "proc.apid" | "proc.aenv", argument) => {
            ancestors(slot, argument, fields)
        }
        _ => Value::Absent,
    }
}

/// The fields of the process itself and of its parent, beside the field of any ancestor.
const LINEAGE: &[(&str, &str, &str)] = &[
    ("proc.aname", "proc.name", "proc.pname"),
    ("proc.aexe", "proc.exe", "proc.pexe"),
    ("proc.aexepath", "proc.exepath", "proc.pexepath"),
    ("proc.acmdline", "proc.cmdline", "proc.pcmdline"),
    ("proc.apid", "proc.pid", "proc.ppid"),
    ("proc.aargs", "proc.args", ""),
    ("proc.aenv", "proc.env", ""),
];

fn ancestors(slot: &Slot, argument: Option<&str>, fields: &Map<String, Json>) -> Value {
    let name = slot.reference.name;
    let own = LINEAGE.iter().find(|(field, ..)| *field == name);
    let get = |key: &str| fields.get(key).map_or(Value::Absent, |json| scalar(slot.kind, json));
    match argument.map(str::parse::<usize>) {
        None => {
            let values: Vec<Value> =
                (1..).map(|level| get(&format!("{name}[{level}]"))).take_while(|value| *value != Value::Absent).collect();
            match own {
                _ if !values.is_empty() => Value::Many(values),
                Some((_, _, parent)) => get(parent),
                None => Value::Absent,
            }
        }
        Some(Ok(0)) => own.map_or(Value::Absent, |(_, process, _)| get(process)),
        Some(Ok(level)) => match (fields.get(name), own) {
            (Some(Json::Array(items)), _) => items.get(level - 1).map_or(Value::Absent, |item| scalar(slot.kind, item)),
            (None, Some((_, _, parent))) if level == 1 => get(parent),
            _ => Value::Absent,
        },
        Some(Err(_)) => Value::Absent,
    }
}
