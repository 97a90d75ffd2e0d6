//! The catalogue: every field that a condition or an output may name, its type, and what may be done with it.
//!
//! Falco's page of fields (<https://falco.org/docs/reference/rules/supported-fields/>) and the READMEs of the plugins `container`,
//! `k8smeta`, `k8saudit` and `json` are the sources. Names and types only: what a field means is theirs to say.

mod arguments;
mod audit;
mod container;
mod descriptor;
mod event;
mod event_types;
mod kind;
mod process;

pub(crate) use event_types::event_codes;
pub use event_types::{is_event_type, is_syscall};
pub use kind::Kind;

use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Whether brackets may follow a field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    None,
    /// A number, as in `proc.aname[2]`.
    Index,
    /// A key, as in `proc.env[PATH]`.
    Key,
    /// A number that must be there.
    RequiredIndex,
    /// A key that must be there; it may also follow a dot.
    RequiredKey,
    /// An event's parameter, `evt.arg.flags`: only those that some event has.
    Parameter,
}

/// A field of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub argument: Argument,
    /// It has any number of values.
    pub list: bool,
    /// It cannot be printed.
    pub filter_only: bool,
    /// It cannot be compared with another field.
    pub constants_only: bool,
    /// No transformer applies to it.
    pub untransformed: bool,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, argument: Argument::None, list: false, filter_only: false, constants_only: false, untransformed: false }
}

impl Field {
    const fn argument(self, argument: Argument) -> Self {
        Self { argument, ..self }
    }

    const fn list(self) -> Self {
        Self { list: true, ..self }
    }

    const fn filter_only(self) -> Self {
        Self { filter_only: true, constants_only: true, untransformed: true, ..self }
    }

    /// Falco compares it in a way of its own.
    const fn special(self) -> Self {
        Self { constants_only: true, untransformed: true, ..self }
    }
}

/// A field with its argument, as a condition names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldReference {
    /// How events spell it: `proc.aname[2]`, `evt.arg.flags`.
    pub key: String,
    /// The name in the catalogue.
    pub name: &'static str,
    pub argument: Option<String>,
}

/// What the catalogue says about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    pub field: &'static Field,
    pub kind: Kind,
}

/// Where events come from; a plugin's fields exist for its own source only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    Syscall,
    K8sAudit,
}

impl Source {
    pub const ALL: [Self; 2] = [Self::Syscall, Self::K8sAudit];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syscall => "syscall",
            Self::K8sAudit => "k8s_audit",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }
}

static SYSCALL_FIELDS: LazyLock<FxHashMap<&'static str, &'static Field>> = LazyLock::new(|| {
    let tables = [event::GENERAL, event::FIELDS, process::FIELDS, descriptor::FIELDS, container::FIELDS];
    tables.into_iter().flatten().map(|field| (field.name, field)).collect()
});

static AUDIT_FIELDS: LazyLock<FxHashMap<&'static str, &'static Field>> =
    LazyLock::new(|| [event::GENERAL, audit::FIELDS].into_iter().flatten().map(|field| (field.name, field)).collect());

fn table(source: Source) -> &'static FxHashMap<&'static str, &'static Field> {
    match source {
        Source::Syscall => &SYSCALL_FIELDS,
        Source::K8sAudit => &AUDIT_FIELDS,
    }
}

/// Every field of a source, by name.
pub fn all(source: Source) -> Vec<&'static Field> {
    let mut fields: Vec<_> = table(source).values().copied().collect();
    fields.sort_by_key(|field| field.name);
    fields
}

/// Looks a name up. The message is Falco's.
pub fn resolve(source: Source, name: &str, argument: &str) -> Result<(FieldReference, Resolved), String> {
    let spelled = if argument.is_empty() { name.to_owned() } else { format!("{name}[{argument}]") };
    let unknown = || format!("filter_check called with nonexistent field {spelled}");
    let table = table(source);
    if let Some(field) = table.get(name).copied() {
        return with_argument(field, argument, &spelled).map(|argument| {
            let reference = FieldReference { key: spelled.clone(), name: field.name, argument };
            (reference, Resolved { field, kind: field.kind })
        });
    }
    // `evt.arg.flags`, `container.label.app`: the argument follows a dot.
    let mut end = name.len();
    while let Some(dot) = name[..end].rfind('.') {
        let (base, rest) = (&name[..dot], &name[dot + 1..]);
        match table.get(base).copied() {
            Some(field) if argument.is_empty() && field.argument == Argument::Parameter => {
                let kind = arguments::kind_of(rest).ok_or_else(|| match arguments::longest_prefix(rest) {
                    Some(_) => unknown(),
                    None => format!("unknown event argument {rest}"),
                })?;
                let kind = if field.kind == Kind::Dynamic { kind } else { field.kind };
                let reference = FieldReference { key: spelled, name: field.name, argument: Some(rest.to_owned()) };
                return Ok((reference, Resolved { field, kind }));
            }
            Some(field) if argument.is_empty() && field.argument == Argument::RequiredKey => {
                let reference = FieldReference { key: format!("{base}[{rest}]"), name: field.name, argument: Some(rest.to_owned()) };
                return Ok((reference, Resolved { field, kind: field.kind }));
            }
            _ => end = dot,
        }
    }
    Err(unknown())
}

fn with_argument(field: &'static Field, argument: &str, spelled: &str) -> Result<Option<String>, String> {
    let unknown = || format!("filter_check called with nonexistent field {spelled}");
    let number = || argument.parse::<i32>().map_err(|_| format!("{argument} is not a valid number"));
    match (field.argument, argument.is_empty()) {
        (Argument::None | Argument::Index | Argument::Key, true) => Ok(None),
        (Argument::None, false) => Err(unknown()),
        (Argument::Index, false) => number().map(|_| Some(argument.to_owned())),
        (Argument::Key, false) | (Argument::RequiredKey, false) => Ok(Some(argument.to_owned())),
        (Argument::RequiredIndex, false) => {
            argument.parse::<u64>().map(|_| Some(argument.to_owned())).map_err(|_| format!("{argument} is not a valid number"))
        }
        // `evt.arg[0]` is the first parameter; a raw parameter has to be named.
        (Argument::Parameter, false) if field.kind == Kind::Dynamic => Err("evt.arg fields must be expressed explicitly".to_owned()),
        (Argument::Parameter, false) => number().map(|_| Some(argument.to_owned())),
        (Argument::RequiredIndex | Argument::RequiredKey | Argument::Parameter, true) => Err(format!("filter syntax error: {spelled}")),
    }
}
