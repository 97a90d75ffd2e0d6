//! What an event says without naming the field.

use super::{Value, scalar, scalar_or_many};
use crate::fields::{FieldReference, Kind, is_syscall};
use serde_json::{Map, Value as Json};

/// How a field is worked out that an event does not name.
#[derive(Debug, Clone)]
pub enum Derived {
    Nothing,
    /// Client and server, or else local and remote.
    Sides([[&'static str; 2]; 2]),
    Field(&'static str),
    Constant(Value),
    SyscallType,
    Source,
    Failed,
    /// Whether the event's type is this one.
    TypeIs(Box<str>),
    /// How far from this time the event is.
    Around(i128),
    Ancestors(Ancestors),
}

impl Derived {
    pub fn of(reference: &FieldReference) -> Self {
        match (reference.name, reference.argument.as_deref()) {
            ("fd.ip" | "fd.net", _) => Self::Sides([["fd.cip", "fd.sip"], ["fd.lip", "fd.rip"]]),
            ("fd.port" | "fd.proto", _) => Self::Sides([["fd.cport", "fd.sport"], ["fd.lport", "fd.rport"]]),
            ("fd.cnet", _) => Self::Field("fd.cip"),
            ("fd.snet", _) => Self::Field("fd.sip"),
            ("fd.lnet", _) => Self::Field("fd.lip"),
            ("fd.rnet", _) => Self::Field("fd.rip"),
            ("syscall.type", _) => Self::SyscallType,
            ("evt.count", _) => Self::Constant(Value::Number(1)),
            ("evt.dir", _) => Self::Constant(Value::Text("<".into())),
            ("evt.source", _) => Self::Source,
            ("evt.failed", _) => Self::Failed,
            ("evt.type.is", Some(name)) => Self::TypeIs(name.into()),
            ("evt.around", Some(centre)) => centre.parse().map_or(Self::Nothing, Self::Around),
            (name, argument) => Ancestors::of(name, argument).map_or(Self::Nothing, Self::Ancestors),
        }
    }

    pub fn value(&self, kind: Kind, fields: &Map<String, Json>) -> Value {
        let get = |key: &str| fields.get(key).map_or(Value::Absent, |json| scalar_or_many(kind, json));
        let event_type = || fields.get("evt.type").and_then(Json::as_str);
        match self {
            Self::Nothing => Value::Absent,
            Self::Sides(pairs) => {
                let sides = |pair: &[&str; 2]| pair.iter().map(|key| get(key)).filter(|value| *value != Value::Absent).collect::<Vec<_>>();
                let found = pairs.iter().map(sides).find(|values| !values.is_empty());
                found.map_or(Value::Absent, Value::Many)
            }
            Self::Field(key) => get(key),
            Self::Constant(value) => value.clone(),
            Self::SyscallType => event_type().filter(|name| is_syscall(name)).map_or(Value::Absent, |name| Value::Text(name.into())),
            Self::Source => {
                let audit = fields.keys().any(|key| key.starts_with("ka."));
                Value::Text(if audit { "k8s_audit" } else { "syscall" }.into())
            }
            Self::Failed => match fields.get("evt.rawres").and_then(Json::as_i64) {
                Some(result) => Value::Bool(result < 0),
                None => Value::Absent,
            },
            Self::TypeIs(name) => event_type().map_or(Value::Absent, |event| Value::Number(i128::from(*event == **name))),
            Self::Around(centre) => match fields.get("evt.rawtime").and_then(Json::as_u64) {
                Some(time) => Value::Number(((i128::from(time) - centre).abs() + 999_999) / 1_000_000),
                None => Value::Absent,
            },
            Self::Ancestors(ancestors) => ancestors.value(kind, fields),
        }
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

/// A field of the processes above a process.
#[derive(Debug, Clone)]
pub struct Ancestors {
    /// The field, and those of the process itself and of its parent.
    names: (&'static str, &'static str, &'static str),
    /// Which of them: all, or the one so many above the process.
    level: Option<usize>,
}

impl Ancestors {
    fn of(name: &str, argument: Option<&str>) -> Option<Self> {
        let names = *LINEAGE.iter().find(|(field, ..)| *field == name)?;
        Some(Self { names, level: argument.map(str::parse).transpose().ok()? })
    }

    fn value(&self, kind: Kind, fields: &Map<String, Json>) -> Value {
        let get = |key: &str| fields.get(key).map_or(Value::Absent, |json| scalar(kind, json));
        let (name, process, parent) = self.names;
        match self.level {
            None => {
                let above = (1..).map(|level| get(&format!("{name}[{level}]"))).take_while(|value| *value != Value::Absent);
                let values: Vec<Value> = above.collect();
                if values.is_empty() { get(parent) } else { Value::Many(values) }
            }
            Some(0) => get(process),
            Some(level) => match fields.get(name) {
                Some(Json::Array(items)) => items.get(level - 1).map_or(Value::Absent, |item| scalar(kind, item)),
                None if level == 1 => get(parent),
                _ => Value::Absent,
            },
        }
    }
}
