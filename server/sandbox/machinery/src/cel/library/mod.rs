//! Functions of cel-go's standard and of Kubernetes' libraries.
//!
//! ```text
//! name, arguments ──► optionals, types ──► texts, lists, times: those with bounds, or cel-go's rules, of our own
//!                                      └─► standard: what the `kube-cel` crate has (url, ip, cidr, quantity, semver, format, …)
//! ```

mod lists;
mod texts;
mod times;

pub(super) use lists::sorted;

use super::{
    Answer, Run,
    eval::no_overload,
    value::{none, optional, some, string, text, weight},
};
use kube_cel::{
    KubeCelExt,
    cel::{
        Context, ExecutionError, IdedExpr, Value as Cel,
        common::ast::{CallExpr, Expr},
    },
};
use std::sync::{Arc, LazyLock};

/// What Kubernetes says that quantities look like.
const QUANTITY: &str = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$";

/// Names of types, which are values too.
const TYPES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

pub(super) fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// Whether a literal text is what these functions can read.
pub(super) fn takes(name: &str, text: &str) -> bool {
    match name {
        "timestamp" | "duration" => standard(name, false, vec![string(text)]).is_ok(),
        "matches" => go_regexp::Regexp::unanchored(text).is_ok(),
        _ => true,
    }
}

/// A type as a value: only comparing it makes sense.
pub(super) fn type_value(name: &str) -> Cel {
    Cel::Function(Arc::new(format!("type:{name}")), None)
}

impl Run<'_> {
    /// Calls a function; the target of a member function is its first argument.
    pub(super) fn library(&mut self, name: &str, member: bool, arguments: Vec<Cel>) -> Answer {
        if let Some(answer) = of_values(name, &arguments) {
            return answer;
        }
        let size = arguments.iter().map(|argument| weight(argument, self.left())).fold(0, usize::saturating_add);
        self.works(size)?;
        if let Some(answer) = self.texts(name, &arguments) {
            return answer;
        }
        if let Some(answer) = self.lists(name, &arguments) {
            return answer;
        }
        times::call(name, &arguments).unwrap_or_else(|| standard(name, member, arguments))
    }
}

/// Optionals, conversions and types: nothing that looks into its arguments.
fn of_values(name: &str, arguments: &[Cel]) -> Option<Answer> {
    Some(match (name, arguments) {
        ("orValue", [held, other]) => Ok(optional(held).map_or_else(|| held.clone(), |held| held.unwrap_or_else(|| other.clone()))),
        ("or", [held, other]) => match optional(held) {
            Some(inner) => Ok(if inner.is_some() { held.clone() } else { other.clone() }),
            None => return None,
        },
        ("hasValue", [held]) => optional(held).map_or_else(no_overload, |held| Ok(Cel::Bool(held.is_some()))),
        ("value", [held]) => optional(held)?.ok_or_else(|| "optional.none() dereference".to_owned()),
        ("optional.none", []) => Ok(none()),
        ("optional.of", [value]) => Ok(some(value.clone())),
        ("optional.ofNonZeroValue", [value]) => Ok(if is_zero(value) { none() } else { some(value.clone()) }),
        ("size", [value]) => size(value),
        ("dyn", [value]) => Ok(value.clone()),
        ("type", [value]) => Ok(type_value(type_name(value))),
        ("bool", [Cel::Bool(held)]) => Ok(Cel::Bool(*held)),
        ("string", [value]) => Ok(string(&text(value)?)),
        ("format.named", [Cel::String(_)]) => Ok(standard(name, false, arguments.to_vec()).map_or_else(|_| none(), some)),
        _ => return None,
    })
}

fn size(value: &Cel) -> Answer {
    let size = match value {
        Cel::String(held) => held.chars().count(),
        Cel::Bytes(held) => held.len(),
        Cel::List(items) => items.len(),
        Cel::Map(entries) => entries.map.len(),
        _ => return no_overload(),
    };
    Ok(Cel::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn is_zero(value: &Cel) -> bool {
    match value {
        Cel::Null => true,
        Cel::Bool(held) => !held,
        Cel::Int(held) => *held == 0,
        Cel::UInt(held) => *held == 0,
        Cel::Float(held) => *held == 0.0,
        Cel::String(held) => held.is_empty(),
        Cel::Bytes(held) => held.is_empty(),
        Cel::List(items) => items.is_empty(),
        Cel::Map(entries) => entries.map.is_empty(),
        _ => false,
    }
}

fn type_name(value: &Cel) -> &str {
    match value {
        Cel::Null => "null_type",
        Cel::Bool(_) => "bool",
        Cel::Int(_) => "int",
        Cel::UInt(_) => "uint",
        Cel::Float(_) => "double",
        Cel::String(_) => "string",
        Cel::Bytes(_) => "bytes",
        Cel::List(_) => "list",
        Cel::Map(_) => "map",
        Cel::Timestamp(_) => "google.protobuf.Timestamp",
        Cel::Duration(_) => "google.protobuf.Duration",
        Cel::Function(..) => "type",
        Cel::Opaque(held) if optional(value).is_none() => held.runtime_type_name(),
        Cel::Opaque(_) => "optional_type",
    }
}

/// A function as the `kube-cel` crate has it.
pub(super) fn standard(name: &str, member: bool, arguments: Vec<Cel>) -> Answer {
    /// The functions, registered once: every call is a scope below.
    static FUNCTIONS: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());
    let mut context = FUNCTIONS.new_inner_scope();
    let mut names = Vec::with_capacity(arguments.len());
    for (index, argument) in arguments.into_iter().enumerate() {
        let variable = format!("@{index}");
        context.add_variable_from_value(variable.as_str(), argument);
        names.push(IdedExpr { id: 0, expr: Expr::Ident(variable) });
    }
    let target = if member && !names.is_empty() { Some(Box::new(names.remove(0))) } else { None };
    let call = IdedExpr { id: 0, expr: Expr::Call(CallExpr { func_name: name.to_owned(), target, args: names }) };
    Cel::resolve(&call, &context).map_err(|error| message(&error, name))
}

/// What cel-go says.
fn message(error: &ExecutionError, function: &str) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::UndeclaredReference(_) => format!("undeclared reference to '{function}' (in container '')"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::FunctionError { message, .. } => match function {
            "quantity" => format!("quantities must match the regular expression '{QUANTITY}'"),
            "asInteger" => "cannot convert value to integer".to_owned(),
            _ => message.clone(),
        },
        _ => super::eval::NO_OVERLOAD.to_owned(),
    }
}
