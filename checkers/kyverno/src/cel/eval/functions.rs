//! Functions: Kyverno's of the library, those whose rules are cel-go's own, and the standard's, which `kube-cel` has.

use super::{
    super::value::{none, optional, some, string, text},
    Answer, Run,
};
use kube_cel::{
    KubeCelExt,
    cel::{
        Context, ExecutionError, IdedExpr, Value as Cel,
        common::ast::{CallExpr, Expr},
    },
};
use std::sync::{Arc, LazyLock};

/// The functions of the standard, registered once.
static STANDARD: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());

impl Run<'_> {
    pub(super) fn function(&mut self, name: &str, member: bool, arguments: Vec<Cel>) -> Answer {
        if let Some(answer) = self.library.call(name, &arguments) {
            return answer;
        }
        match (name, arguments.as_slice()) {
            ("orValue", [held, other]) => {
                return Ok(optional(held).map_or_else(|| held.clone(), |held| held.unwrap_or_else(|| other.clone())));
            }
            ("or", [held, other]) if optional(held).is_some() => {
                return Ok(if optional(held).flatten().is_some() { held.clone() } else { other.clone() });
            }
            ("hasValue", [held]) => {
                return optional(held).map(|held| Cel::Bool(held.is_some())).ok_or_else(|| "no such overload".to_owned());
            }
            ("value", [held]) if optional(held).is_some() => {
                return optional(held).flatten().ok_or_else(|| "optional.none() dereference".to_owned());
            }
            ("optional.none", []) => return Ok(none()),
            ("optional.of", [value]) => return Ok(some(value.clone())),
            ("optional.ofNonZeroValue", [value]) => return Ok(if is_zero(value) { none() } else { some(value.clone()) }),
            ("size", [value]) => return size(value),
            ("dyn", [value]) => return Ok(value.clone()),
            ("type", [value]) => return Ok(type_value(type_name(value))),
            ("string", [value]) => {
                if let Some(text) = text(value) {
                    self.charge(text.len() / 8)?;
                    return Ok(string(&text));
                }
            }
            _ => {}
        }
        let size: usize = arguments.iter().map(extent).sum();
        self.charge(size)?;
        standard(name, member, arguments)
    }
}

fn size(value: &Cel) -> Answer {
    let size = match value {
        Cel::String(held) => held.chars().count(),
        Cel::Bytes(held) => held.len(),
        Cel::List(items) => items.len(),
        Cel::Map(entries) => entries.map.len(),
        _ => return Err("no such overload".to_owned()),
    };
    Ok(Cel::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// How much a function has to look at.
pub(super) fn extent(value: &Cel) -> usize {
    match value {
        Cel::String(held) => held.len() / 8,
        Cel::Bytes(held) => held.len() / 8,
        Cel::List(items) => items.len(),
        Cel::Map(entries) => entries.map.len(),
        _ => 0,
    }
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

/// A type as a value: only comparing it makes sense.
pub(super) fn type_value(name: &str) -> Cel {
    Cel::Function(Arc::new(format!("type:{name}")), None)
}

fn type_name(value: &Cel) -> &'static str {
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
        Cel::Opaque(_) => "optional_type",
    }
}

/// A function of the standard or of Kubernetes.
pub(in super::super) fn standard(name: &str, member: bool, arguments: Vec<Cel>) -> Answer {
    let mut context = STANDARD.new_inner_scope();
    let mut names = Vec::with_capacity(arguments.len());
    for (index, argument) in arguments.into_iter().enumerate() {
        let variable = format!("@{index}");
        context.add_variable_from_value(variable.as_str(), argument);
        names.push(IdedExpr { id: 0, expr: Expr::Ident(variable) });
    }
    let target = if member { Some(Box::new(names.remove(0))) } else { None };
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
        ExecutionError::FunctionError { message, .. } => message.clone(),
        _ => "no such overload".to_owned(),
    }
}
