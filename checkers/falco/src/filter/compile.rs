//! From tree to filter: every field is looked up, every operator checked against its field's type, every value read.

use super::{
    Check, Extract, Filter, Node, Quantity,
    test::Test,
    transform::{Measured, Transformer},
};
use crate::{
    event::{Schema, Value},
    fields::{self, FieldReference, Kind, Source, is_event_type},
    syntax::{self, Expr, Operand, Operator, Position, Transformed},
};
use thiserror::Error;

/// Why a condition does not compile; the message is Falco's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct CompileError {
    pub message: String,
    pub position: Position,
}

/// What looks like a mistake in a condition that compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub message: String,
    pub position: Position,
}

/// Compiles a condition, without macros in it, for events of a source.
pub fn compile(expr: &Expr, source: Source, schema: &mut Schema) -> Result<(Filter, Vec<Warning>), CompileError> {
    let mut compiler = Compiler { source, schema, position: expr.position(), warnings: Vec::new() };
    match compiler.node(expr) {
        Ok(root) => Ok((Filter { root }, compiler.warnings)),
        Err(message) => Err(CompileError { message, position: compiler.position }),
    }
}

/// Compiles a field or a transformer as an output prints it.
pub(crate) fn compile_operand(operand: &Operand, source: Source, schema: &mut Schema) -> Result<(Extract, bool), String> {
    let mut compiler = Compiler { source, schema, position: operand.position(), warnings: Vec::new() };
    let compiled = compiler.operand(operand)?;
    Ok((compiled.extract, compiled.filter_only))
}

struct Compiler<'a> {
    source: Source,
    schema: &'a mut Schema,
    /// The last place that was looked at: where an error is.
    position: Position,
    warnings: Vec<Warning>,
}

/// One side of a comparison, and what is known about it.
struct Compiled {
    extract: Extract,
    name: String,
    kind: Kind,
    list: bool,
    constants_only: bool,
    untransformed: bool,
    filter_only: bool,
    /// The field underneath any transformers.
    field: Option<FieldReference>,
}

impl Compiled {
    fn made(name: &str, kind: Kind, list: bool, extract: Extract) -> Self {
        Self { extract, name: name.to_owned(), kind, list, constants_only: false, untransformed: false, filter_only: false, field: None }
    }
}

impl Compiler<'_> {
    fn node(&mut self, expr: &Expr) -> Result<Node, String> {
        self.position = expr.position();
        Ok(match expr {
            Expr::And(children, _) => Node::And(self.nodes(children)?),
            Expr::Or(children, _) => Node::Or(self.nodes(children)?),
            Expr::Not(child, _) => Node::Not(Box::new(self.node(child)?)),
            Expr::Macro(name, _) => return Err(format!("filter error: unexpected identifier '{name}'")),
            Expr::Check(check) => Node::Check(self.check(check)?),
        })
    }

    fn nodes(&mut self, children: &[Expr]) -> Result<Box<[Node]>, String> {
        children.iter().map(|child| self.node(child)).collect()
    }

    fn check(&mut self, check: &syntax::Check) -> Result<Check, String> {
        let left = self.operand(&check.left)?;
        left.kind.allows(check.operator, left.list).map_err(|message| format!("filter error: {message}"))?;
        let test = match &check.right {
            None => Test::Exists,
            Some(Operand::Value(value, position)) => {
                self.position = *position;
                self.constants(&left, check, &[value.as_str()])?
            }
            Some(Operand::List(values, position)) => {
                self.position = *position;
                self.constants(&left, check, &values.iter().map(String::as_str).collect::<Vec<_>>())?
            }
            Some(right) => self.other_field(&left, check, right)?,
        };
        let both_sides = matches!(left.name.as_str(), "fd.ip" | "fd.net" | "fd.port" | "fd.proto");
        let all = (left.list && check.operator == Operator::In) || (both_sides && check.operator == Operator::NotEqual);
        Ok(Check { left: left.extract, values: if all { Quantity::All } else { Quantity::Any }, test })
    }

    fn constants(&mut self, left: &Compiled, check: &syntax::Check, values: &[&str]) -> Result<Test, String> {
        for value in values {
            self.warn_about(check.operator, value);
        }
        match left.field.as_ref().map(|field| field.name) {
            Some("evt.type") => {
                if let Some(unknown) = values.iter().find(|value| !is_event_type(value)) {
                    return Err(format!("unknown event type {unknown}"));
                }
            }
            Some("evt.around") => {
                if check.operator != Operator::Equal || check.modifier.is_some() {
                    return Err("evt.around supports only '=' comparison operator".to_owned());
                }
                return Test::new(Kind::Uint64, Operator::LessOrEqual, None, values);
            }
            // The event says which width and sign its parameter has; a constant keeps what is written.
            Some("evt.rawarg") if left.kind.integer().is_some() => {
                return Test::new(Kind::Int64, check.operator, check.modifier, values);
            }
            _ => {}
        }
        Test::new(left.kind, check.operator, check.modifier, values)
    }

    fn other_field(&mut self, left: &Compiled, check: &syntax::Check, right: &Operand) -> Result<Test, String> {
        let right = self.operand(right)?;
        if matches!(check.operator, Operator::PMatch | Operator::Regex) {
            return Err(format!("operator '{}' doesn't support right-hand side fields", check.operator.shout()));
        }
        if left.kind == Kind::Ipnet {
            return Err("field type 'IPNET' doesn't support right-hand side fields".to_owned());
        }
        if left.constants_only {
            return Err(format!("field '{}' doesn't support right-hand side fields", left.name));
        }
        if right.constants_only {
            return Err(format!("field '{}' can't be used as a right-hand side field", right.name));
        }
        if (left.kind, left.list) != (right.kind, right.list) {
            let shown = |side: &Compiled| format!("{}{}", side.kind.as_str(), if side.list { " (list)" } else { "" });
            return Err(format!(
                "field '{}' has type '{}' while the right-hand side field '{}' has incompatible type '{}'",
                left.name,
                shown(left),
                right.name,
                shown(&right)
            ));
        }
        Ok(Test::Field(check.operator, check.modifier, right.extract))
    }

    fn operand(&mut self, operand: &Operand) -> Result<Compiled, String> {
        self.position = operand.position();
        match operand {
            Operand::Field(field) => {
                let (reference, resolved) = fields::resolve(self.source, &field.name, &field.argument)?;
                let slot = self.schema.slot(&reference, resolved);
                Ok(Compiled {
                    extract: Extract::Slot(slot),
                    name: resolved.field.name.to_owned(),
                    kind: resolved.kind,
                    list: resolved.field.list,
                    constants_only: resolved.field.constants_only,
                    untransformed: resolved.field.untransformed,
                    filter_only: resolved.field.filter_only,
                    field: Some(reference),
                })
            }
            Operand::Transformed(transformed) => self.transformed(transformed),
            Operand::Value(value, _) => {
                Ok(Compiled::made("value", Kind::Charbuf, false, Extract::Constant(Value::Text(value.as_str().into()))))
            }
            Operand::List(values, _) => {
                let values = values.iter().map(|value| Value::Text(value.as_str().into())).collect();
                Ok(Compiled::made("list", Kind::Charbuf, true, Extract::Constant(Value::Many(values))))
            }
            Operand::Operands(operands, _) => {
                let items = operands.iter().map(|operand| self.operand(operand).map(|compiled| compiled.extract));
                Ok(Compiled::made("list", Kind::Charbuf, true, Extract::List(items.collect::<Result<_, _>>()?)))
            }
        }
    }

    fn transformed(&mut self, transformed: &Transformed) -> Result<Compiled, String> {
        let name = transformed.transformer.as_str();
        let mut arguments = Vec::with_capacity(transformed.arguments.len());
        for argument in &transformed.arguments {
            arguments.push(self.operand(argument)?);
        }
        self.position = transformed.position;
        match name {
            "join" => join(arguments).and_then(|made| without_selector(made, transformed, "")),
            "concat" => concat(arguments).and_then(|made| without_selector(made, transformed, "")),
            "getopt" => getopt(arguments, transformed.selector.as_deref()),
            _ => {
                let inner = arguments.pop().filter(|_| arguments.is_empty());
                let inner = inner.ok_or_else(|| format!("filter error: '{name}' transformer takes one argument"))?;
                let made = if name == "val" { inner } else { single(name, inner)? };
                without_selector(made, transformed, "filter error: ")
            }
        }
    }

    /// Falco's hints at values that may have been meant as something else.
    fn warn_about(&mut self, operator: Operator, value: &str) {
        let stripped: String = value.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let mut messages = Vec::new();
        if operator == Operator::Regex && is_simple_regex(value) {
            messages.push(format!(
                "regex check with '{value}' may be optimized with simpler operators such as '=', 'contains', 'startswith', 'endswith'"
            ));
        }
        if self.is_field(&stripped) {
            messages.push(format!("'{value}' may be a valid field misused as a const string value"));
        }
        let names = ["val", "tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt"];
        let called = |name: &str| stripped.strip_prefix(name).is_some_and(|rest| rest.starts_with('(') && rest.ends_with(')'));
        if names.iter().any(|name| called(name)) {
            messages.push(format!("'{value}' may be a valid field transformer misused as a const string value"));
        }
        let position = self.position;
        self.warnings.extend(messages.into_iter().map(|message| Warning { message, position }));
    }

    fn is_field(&self, text: &str) -> bool {
        match syntax::parse_field(text) {
            Ok((Operand::Field(field), length)) => {
                length == text.len() && fields::resolve(self.source, &field.name, &field.argument).is_ok()
            }
            _ => false,
        }
    }
}

fn without_selector(made: Compiled, transformed: &Transformed, prefix: &str) -> Result<Compiled, String> {
    match transformed.selector {
        None => Ok(made),
        Some(_) => Err(format!("{prefix}transformer '{}' does not support field arguments", transformed.transformer)),
    }
}

/// A transformer of one value.
fn single(name: &str, inner: Compiled) -> Result<Compiled, String> {
    if inner.untransformed {
        return Err(format!("field '{}' does not support transformers", inner.name));
    }
    let text = inner.kind.is_text();
    let allowed = match name {
        "len" => inner.list || text || inner.kind == Kind::Bytebuf,
        "b64" => matches!(inner.kind, Kind::Charbuf | Kind::Bytebuf),
        _ => text,
    };
    if !allowed {
        return Err(format!(
            "can't add field transformer: type '{}' is not supported by '{name}' transformer applied on {}field '{}'",
            inner.kind.as_str(),
            if inner.list { "list " } else { "" },
            inner.name
        ));
    }
    let (transformer, kind, list) = match name {
        "tolower" => (Transformer::Lower(inner.extract), inner.kind, inner.list),
        "toupper" => (Transformer::Upper(inner.extract), inner.kind, inner.list),
        "basename" => (Transformer::Basename(inner.extract), inner.kind, inner.list),
        "b64" => (Transformer::Base64(inner.extract), inner.kind, inner.list),
        _ => {
            let measured = if inner.list { Measured::List } else { Measured::Bytes };
            (Transformer::Length(inner.extract, measured), Kind::Uint64, false)
        }
    };
    Ok(Compiled { extract: Extract::Transformed(Box::new(transformer)), kind, list, ..inner })
}

fn join(arguments: Vec<Compiled>) -> Result<Compiled, String> {
    let Ok([separator, list]) = <[Compiled; 2]>::try_from(arguments) else {
        return Err("join() requires exactly 2 arguments: separator and list".to_owned());
    };
    if separator.list {
        return Err("join() first argument (separator) must be a single value, not a list".to_owned());
    }
    if !list.list {
        return Err("join() second argument must be a list".to_owned());
    }
    let transformer = Transformer::Join { separator: separator.extract, list: list.extract };
    Ok(Compiled::made("join", Kind::Charbuf, false, Extract::Transformed(Box::new(transformer))))
}

fn concat(arguments: Vec<Compiled>) -> Result<Compiled, String> {
    if arguments.len() < 2 {
        return Err("concat() requires at least 2 arguments".to_owned());
    }
    if arguments.iter().any(|argument| argument.list || argument.kind != Kind::Charbuf) {
        return Err("concat() arguments must be strings".to_owned());
    }
    let transformer = Transformer::Concat(arguments.into_iter().map(|argument| argument.extract).collect());
    Ok(Compiled::made("concat", Kind::Charbuf, false, Extract::Transformed(Box::new(transformer))))
}

fn getopt(arguments: Vec<Compiled>, selector: Option<&str>) -> Result<Compiled, String> {
    let Ok([list, options]) = <[Compiled; 2]>::try_from(arguments) else {
        return Err("getopt() requires exactly 2 arguments: args list and optstring".to_owned());
    };
    if !list.list {
        return Err("getopt() first argument must be a list".to_owned());
    }
    if options.list {
        return Err("getopt() second argument (optstring) must be a single value".to_owned());
    }
    if list.kind != Kind::Charbuf || options.kind != Kind::Charbuf {
        return Err("getopt() arguments must be strings".to_owned());
    }
    let selector = match selector.map(str::as_bytes) {
        None => None,
        Some([option]) => Some(*option),
        Some(_) => return Err("getopt() field argument must be a single option character".to_owned()),
    };
    let list_of_options = selector.is_none();
    let transformer = Transformer::Getopt { arguments: list.extract, options: options.extract, selector };
    Ok(Compiled::made("getopt", Kind::Charbuf, list_of_options, Extract::Transformed(Box::new(transformer))))
}

/// Whether an expression says no more than `=`, `contains`, `startswith` or `endswith` could.
fn is_simple_regex(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    let length = bytes.len();
    let mut at = 0;
    while at < length {
        let c = bytes[at];
        let anchor = (at == 0 && c == b'^') || (at == length - 1 && c == b'$');
        let at_an_end = (at == 0 && length > 1) || at + 2 == length;
        if anchor {
            at += 1;
        } else if at_an_end && c == b'.' && matches!(bytes.get(at + 1), Some(b'+' | b'*' | b'?')) {
            at += 2;
        } else if b".+*?^$()[]{}|\\".contains(&c) {
            return false;
        } else {
            at += 1;
        }
    }
    true
}
