//! Running an expression, with cel-go's rules: `&&` and `||` outlast an error on one side, a field of null is an error, an optional
//! field that is not there is an empty optional, `orValue` of what is no optional is the value itself.
//!
//! The parser's tree is walked here; functions of the standard are the `kube-cel` crate's, Kyverno's are in `library`.

mod forms;
mod functions;

pub(super) use functions::standard;

use super::{
    library::Library,
    value::{as_key, compare, equal, key, list, map, none, of_key, optional, some, sorted},
};
use functions::{extent, type_value};
use kube_cel::cel::{
    IdedExpr, Value as Cel,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, SelectExpr, StructExpr, operators},
    parser::Parser,
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Longest text of one expression.
const LONGEST: usize = 64 * 1024;
/// How deep expressions, and calls from variable to variable, may lie in one another.
const DEEPEST: usize = 150;
const LONGEST_ROW: usize = 2000;
/// Steps that all expressions of one policy may take on one object.
const BUDGET: u64 = 5_000_000;
const OUT_OF_BUDGET: &str = "operation cancelled: actual cost limit exceeded";

pub(super) type Answer = Result<Cel, String>;

/// A parsed expression.
#[derive(Debug, Clone)]
pub(super) struct Program {
    tree: Arc<IdedExpr>,
}

impl Program {
    pub fn parse(source: &str) -> Result<Self, String> {
        if source.len() > LONGEST {
            return Err("expression code point size exceeds limit".to_owned());
        }
        if is_too_deep(source) {
            return Err("expression recursion limit exceeded".to_owned());
        }
        match Parser::new().enable_optional_syntax(true).parse(source) {
            Ok(tree) => Ok(Self { tree: Arc::new(tree) }),
            Err(errors) => {
                let said = errors.errors.iter().map(|error| format!("ERROR: <input>:{}:{}: {}", error.pos.0, error.pos.1, error.msg));
                Err(said.collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

/// Whether the parser would go too deep: brackets within brackets, and operators in one row, each of which is a level of the tree.
fn is_too_deep(source: &str) -> bool {
    // Operators so far between the commas of each open bracket.
    let mut rows = vec![0_usize];
    let mut operators = 0;
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => rows.push(0),
            b')' | b']' | b'}' if rows.len() > 1 => operators -= rows.pop().unwrap_or(0),
            b',' => operators -= rows.last_mut().map(std::mem::take).unwrap_or(0),
            b'+' | b'-' | b'*' | b'/' | b'%' | b'.' | b'!' | b'?' | b'&' | b'|' | b'<' | b'>' | b'=' => {
                operators += 1;
                *rows.last_mut().unwrap_or(&mut 0) += 1;
            }
            _ => {}
        }
        if rows.len() > DEEPEST || operators > LONGEST_ROW {
            return true;
        }
    }
    false
}

/// What the expressions of one policy see of one object, and what they have cost.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub library: &'a Library<'a>,
    pub inputs: BTreeMap<&'static str, Cel>,
    /// What `variables.NAME` stands for.
    variables: BTreeMap<String, Program>,
    done: BTreeMap<String, Answer>,
    /// Variables of loops, innermost last.
    scopes: Vec<(String, Answer)>,
    work: u64,
    depth: usize,
}

impl<'a> Run<'a> {
    pub fn new(library: &'a Library<'a>, variables: BTreeMap<String, Program>) -> Self {
        Self { library, inputs: BTreeMap::new(), variables, done: BTreeMap::new(), scopes: Vec::new(), work: 0, depth: 0 }
    }

    /// Sets an input; variables that have run keep what they gave, unless `object` changes.
    pub fn set(&mut self, name: &'static str, value: Cel) {
        self.inputs.insert(name, value);
    }

    pub fn run(&mut self, program: &Program) -> Answer {
        let scopes = std::mem::take(&mut self.scopes);
        let answer = self.eval(&program.tree);
        self.scopes = scopes;
        answer
    }

    pub fn charge(&mut self, work: usize) -> Result<(), String> {
        self.work = self.work.saturating_add(u64::try_from(work).unwrap_or(u64::MAX));
        if self.work > BUDGET { Err(OUT_OF_BUDGET.to_owned()) } else { Ok(()) }
    }

    fn eval(&mut self, tree: &IdedExpr) -> Answer {
        self.charge(1)?;
        if self.depth >= DEEPEST {
            return Err("expression recursion limit exceeded".to_owned());
        }
        self.depth += 1;
        let answer = self.eval_here(tree);
        self.depth -= 1;
        answer
    }

    fn eval_here(&mut self, tree: &IdedExpr) -> Answer {
        match &tree.expr {
            Expr::Literal(literal) => Ok(of_literal(literal)),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(items) => self.list(items),
            Expr::Map(entries) => self.map(entries),
            Expr::Struct(fields) => self.structure(fields),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Unspecified => Err("unspecified expression".to_owned()),
        }
    }

    fn ident(&mut self, name: &str) -> Answer {
        if let Some((_, answer)) = self.scopes.iter().rev().find(|(variable, _)| variable == name) {
            return answer.clone();
        }
        if let Some(value) = self.inputs.get(name) {
            return Ok(value.clone());
        }
        match name {
            "variables" => {
                let names: Vec<String> = self.variables.keys().cloned().collect();
                let mut entries = HashMap::new();
                for name in names {
                    entries.insert(key(&name), self.variable(&name)?);
                }
                Ok(map(entries))
            }
            "bool" | "bytes" | "double" | "int" | "list" | "map" | "null_type" | "string" | "type" | "uint" => Ok(type_value(name)),
            // An object that functions are called on.
            name if Library::is_context(name) => Ok(Cel::Function(Arc::new(name.to_owned()), None)),
            _ => Err(format!("undeclared reference to '{name}' (in container '')")),
        }
    }

    fn variable(&mut self, name: &str) -> Answer {
        if let Some(answer) = self.done.get(name) {
            return answer.clone();
        }
        let Some(program) = self.variables.get(name).cloned() else { return Err(format!("undefined field '{name}'")) };
        let answer = self.run(&program);
        self.done.insert(name.to_owned(), answer.clone());
        answer
    }

    fn is_bound(&self, name: &str) -> bool {
        self.scopes.iter().any(|(variable, _)| variable == name) || self.inputs.contains_key(name)
    }

    fn select(&mut self, select: &SelectExpr) -> Answer {
        if let Expr::Ident(name) = &select.operand.expr
            && name == "variables"
            && !self.is_bound("variables")
        {
            return if select.test { Ok(Cel::Bool(self.variables.contains_key(&select.field))) } else { self.variable(&select.field) };
        }
        let operand = self.eval(&select.operand)?;
        if select.test {
            let held = optional(&operand).unwrap_or(Some(operand));
            return match held {
                None => Ok(Cel::Bool(false)),
                Some(Cel::Map(map)) => Ok(Cel::Bool(map.map.contains_key(&key(&select.field)))),
                Some(_) => Err("no such overload".to_owned()),
            };
        }
        match optional(&operand) {
            Some(held) => Ok(held.and_then(|held| field(&held, &select.field).ok()).map_or_else(none, some)),
            None => field(&operand, &select.field),
        }
    }

    fn list(&mut self, items: &ListExpr) -> Answer {
        let mut collected = Vec::with_capacity(items.elements.len());
        for (index, item) in items.elements.iter().enumerate() {
            let value = self.eval(item)?;
            if items.optional_indices.contains(&index) {
                collected.extend(optional(&value).ok_or("no such overload")?);
            } else {
                collected.push(value);
            }
        }
        Ok(list(collected))
    }

    fn map(&mut self, entries: &MapExpr) -> Answer {
        let mut collected = HashMap::with_capacity(entries.entries.len());
        for entry in &entries.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let name = self.eval(&entry.key)?;
            let name = as_key(&name).ok_or("unsupported key type")?;
            let value = self.eval(&entry.value)?;
            if !entry.optional {
                collected.insert(name, value);
            } else if let Some(value) = optional(&value).ok_or("no such overload")? {
                collected.insert(name, value);
            }
        }
        Ok(map(collected))
    }

    /// `Object.spec{…}` and `JSONPatch{…}` become maps; the type names below must spell the way to where they stand.
    fn structure(&mut self, structure: &StructExpr) -> Answer {
        let mut collected = HashMap::with_capacity(structure.entries.len());
        for entry in &structure.entries {
            let EntryExpr::StructField(entry) = &entry.expr else { continue };
            if structure.type_name.starts_with("Object") {
                let wanted = format!("{}.{}", structure.type_name, entry.field);
                let inner: Vec<&IdedExpr> = match &entry.value.expr {
                    Expr::List(items) => items.elements.iter().collect(),
                    _ => vec![&entry.value],
                };
                let wrong = inner.iter().find_map(|inner| match &inner.expr {
                    Expr::Struct(inner) if inner.type_name != wanted => Some(&inner.type_name),
                    _ => None,
                });
                if let Some(wrong) = wrong {
                    let place = "which matches field name path from root Object type";
                    return Err(format!("type mismatch: unexpected type name \"{wrong}\", expected \"{wanted}\", {place}"));
                }
            }
            let value = self.eval(&entry.value)?;
            if !entry.optional {
                collected.insert(key(&entry.field), value);
            } else if let Some(value) = optional(&value).ok_or("no such overload")? {
                collected.insert(key(&entry.field), value);
            }
        }
        Ok(map(collected))
    }

    /// What the parser has made of `all`, `exists`, `exists_one`, `map` and `filter`.
    fn comprehension(&mut self, comprehension: &ComprehensionExpr) -> Answer {
        let range = self.eval(&comprehension.iter_range)?;
        let items: Vec<Cel> = match range {
            Cel::List(items) => items.to_vec(),
            Cel::Map(entries) => sorted(&entries).into_iter().map(|(key, _)| of_key(key)).collect(),
            _ => return Err("no such overload".to_owned()),
        };
        self.charge(items.len())?;
        let begin = self.scopes.len();
        let collected = self.eval(&comprehension.accu_init);
        self.scopes.push((comprehension.accu_var.clone(), collected));
        self.scopes.push((comprehension.iter_var.clone(), Ok(Cel::Null)));
        let mut outcome = Ok(());
        for item in items {
            self.scopes[begin + 1].1 = Ok(item);
            match self.eval(&comprehension.loop_cond) {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => break,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
            let step = self.eval(&comprehension.loop_step);
            self.scopes[begin].1 = step;
        }
        let answer = match outcome {
            Ok(()) => self.eval(&comprehension.result),
            Err(error) => Err(error),
        };
        self.scopes.truncate(begin);
        answer
    }

    fn call(&mut self, call: &CallExpr) -> Answer {
        if let Some(answer) = self.operator(call) {
            return answer;
        }
        if let Some(answer) = self.special(call) {
            return answer;
        }
        let mut name = call.func_name.clone();
        let mut arguments = Vec::with_capacity(call.args.len() + 1);
        let mut member = false;
        match &call.target {
            None => {}
            Some(target) => match &target.expr {
                // `math.greatest(…)`: the function of a library, not of a value.
                Expr::Ident(prefix) if !self.is_bound(prefix) && prefix != "variables" => name = format!("{prefix}.{name}"),
                _ => match self.eval(target)? {
                    Cel::Function(context, _) => name = format!("{context}.{name}"),
                    value => {
                        member = true;
                        arguments.push(value);
                    }
                },
            },
        }
        for argument in &call.args {
            arguments.push(self.eval(argument)?);
        }
        self.function(&name, member, arguments)
    }

    /// Operators; nothing where the call is of a function.
    fn operator(&mut self, call: &CallExpr) -> Option<Answer> {
        let answer = match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, then, other]) => match self.eval(condition) {
                Ok(Cel::Bool(true)) => self.eval(then),
                Ok(Cel::Bool(false)) => self.eval(other),
                Ok(_) => Err("no such overload".to_owned()),
                Err(error) => Err(error),
            },
            (operators::LOGICAL_OR, [left, right]) => self.logical(left, right, true),
            (operators::LOGICAL_AND, [left, right]) => self.logical(left, right, false),
            (operators::LOGICAL_NOT, [operand]) => match self.eval(operand) {
                Ok(Cel::Bool(truth)) => Ok(Cel::Bool(!truth)),
                Ok(_) => Err("no such overload".to_owned()),
                Err(error) => Err(error),
            },
            (operators::NOT_STRICTLY_FALSE, [operand]) => Ok(Cel::Bool(!matches!(self.eval(operand), Ok(Cel::Bool(false))))),
            (operators::INDEX, [operand, index]) => self.index(operand, index, false),
            (operators::OPT_INDEX, [operand, index]) => self.index(operand, index, true),
            (operators::OPT_SELECT, [operand, name]) => self.optional_field(operand, name),
            (operators::ADD, [left, right]) if matches!(&left.expr, Expr::Ident(name) if name == "@result") => self.collect(right),
            (
                name @ (operators::EQUALS
                | operators::NOT_EQUALS
                | operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS
                | operators::IN
                | operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO),
                [left, right],
            ) => {
                let left = match self.eval(left) {
                    Ok(left) => left,
                    Err(error) => return Some(Err(error)),
                };
                match self.eval(right) {
                    Ok(right) => self.binary(name, &left, &right),
                    Err(error) => Err(error),
                }
            }
            (operators::NEGATE, [operand]) => match self.eval(operand) {
                Ok(Cel::Int(held)) => held.checked_neg().map(Cel::Int).ok_or_else(|| "integer overflow".to_owned()),
                Ok(Cel::Float(held)) => Ok(Cel::Float(-held)),
                Ok(_) => Err("no such overload".to_owned()),
                Err(error) => Err(error),
            },
            _ => return None,
        };
        Some(answer)
    }

    /// `||` where `decisive` is true, `&&` where it is false.
    fn logical(&mut self, left: &IdedExpr, right: &IdedExpr, decisive: bool) -> Answer {
        let left = self.eval(left);
        if let Ok(Cel::Bool(truth)) = left
            && truth == decisive
        {
            return left;
        }
        if let Err(error) = &left
            && error == OUT_OF_BUDGET
        {
            return left;
        }
        match (left, self.eval(right)) {
            (_, Ok(Cel::Bool(truth))) if truth == decisive => Ok(Cel::Bool(truth)),
            (Err(error), _) | (Ok(Cel::Bool(_)), Err(error)) => Err(error),
            (Ok(Cel::Bool(_)), Ok(Cel::Bool(truth))) => Ok(Cel::Bool(truth)),
            _ => Err("no such overload".to_owned()),
        }
    }

    /// `@result + [item]` of a loop: the list grows in place.
    fn collect(&mut self, right: &IdedExpr) -> Answer {
        let right = self.eval(right)?;
        let Some((_, held)) = self.scopes.iter_mut().rev().find(|(name, _)| name == "@result") else {
            return Err("no such overload".to_owned());
        };
        match (std::mem::replace(held, Ok(Cel::Null)), right) {
            (Ok(Cel::List(mut items)), Cel::List(more)) => {
                self.charge(more.len())?;
                Arc::make_mut(&mut items).extend(more.iter().cloned());
                Ok(Cel::List(items))
            }
            (Ok(left), right) => self.binary(operators::ADD, &left, &right),
            (Err(error), _) => Err(error),
        }
    }

    fn index(&mut self, operand: &IdedExpr, index: &IdedExpr, as_optional: bool) -> Answer {
        let operand = self.eval(operand)?;
        let index = self.eval(index)?;
        match (optional(&operand), as_optional) {
            (Some(None), _) => Ok(none()),
            (Some(Some(held)), _) => Ok(element(&held, &index).map_or_else(|_| none(), some)),
            (None, true) => Ok(element(&operand, &index).map_or_else(|_| none(), some)),
            (None, false) => element(&operand, &index),
        }
    }

    fn optional_field(&mut self, operand: &IdedExpr, name: &IdedExpr) -> Answer {
        let Expr::Literal(LiteralValue::String(name)) = &name.expr else { return Err("no such overload".to_owned()) };
        let name = name.inner();
        if let Expr::Ident(operand) = &operand.expr
            && operand == "variables"
        {
            return if self.variables.contains_key(name) { self.variable(name).map(some) } else { Ok(none()) };
        }
        let operand = self.eval(operand)?;
        let held = match optional(&operand) {
            Some(None) => return Ok(none()),
            Some(Some(held)) => held,
            None => operand,
        };
        match held {
            Cel::Map(entries) => Ok(entries.map.get(&key(name)).cloned().map_or_else(none, some)),
            Cel::Null => Ok(none()),
            _ => Err("no such overload".to_owned()),
        }
    }

    fn binary(&mut self, name: &str, left: &Cel, right: &Cel) -> Answer {
        let ordered = |wanted: &[Ordering]| compare(left, right).map(|order| Cel::Bool(wanted.contains(&order)));
        let no_overload = || "no such overload".to_owned();
        match name {
            operators::EQUALS | operators::NOT_EQUALS => {
                self.charge(extent(left).min(extent(right)))?;
                Ok(Cel::Bool(equal(left, right) == (name == operators::EQUALS)))
            }
            operators::LESS => ordered(&[Ordering::Less]).ok_or_else(no_overload),
            operators::LESS_EQUALS => ordered(&[Ordering::Less, Ordering::Equal]).ok_or_else(no_overload),
            operators::GREATER => ordered(&[Ordering::Greater]).ok_or_else(no_overload),
            operators::GREATER_EQUALS => ordered(&[Ordering::Greater, Ordering::Equal]).ok_or_else(no_overload),
            operators::IN => match right {
                Cel::List(items) => {
                    self.charge(items.len())?;
                    Ok(Cel::Bool(items.iter().any(|item| equal(item, left))))
                }
                Cel::Map(entries) => Ok(Cel::Bool(as_key(left).is_some_and(|key| entries.get(&key).is_some()))),
                _ => Err(no_overload()),
            },
            _ => match (name, left, right) {
                (operators::ADD, Cel::String(left), Cel::String(right)) => {
                    self.charge((left.len() + right.len()) / 8)?;
                    Ok(super::value::string(&format!("{left}{right}")))
                }
                (operators::ADD, Cel::List(left), Cel::List(right)) => {
                    self.charge(left.len() + right.len())?;
                    Ok(list(left.iter().chain(right.iter()).cloned().collect()))
                }
                (operators::DIVIDE, Cel::Int(_), Cel::Int(0)) | (operators::DIVIDE, Cel::UInt(_), Cel::UInt(0)) => {
                    Err("division by zero".to_owned())
                }
                (operators::MODULO, Cel::Int(_), Cel::Int(0)) | (operators::MODULO, Cel::UInt(_), Cel::UInt(0)) => {
                    Err("modulus by zero".to_owned())
                }
                _ => standard(name, false, vec![left.clone(), right.clone()]),
            },
        }
    }
}

fn of_literal(literal: &LiteralValue) -> Cel {
    match literal {
        LiteralValue::Boolean(held) => Cel::Bool(*held.inner()),
        LiteralValue::Bytes(held) => Cel::Bytes(Arc::new(held.inner().to_vec())),
        LiteralValue::Double(held) => Cel::Float(*held.inner()),
        LiteralValue::Int(held) => Cel::Int(*held.inner()),
        LiteralValue::Null => Cel::Null,
        LiteralValue::String(held) => super::value::string(held.inner()),
        LiteralValue::UInt(held) => Cel::UInt(*held.inner()),
    }
}

fn field(operand: &Cel, name: &str) -> Answer {
    match operand {
        Cel::Map(entries) => entries.map.get(&key(name)).cloned().ok_or_else(|| format!("no such key: {name}")),
        Cel::Null => Err(format!("no such key: {name}")),
        _ => Err("no such overload".to_owned()),
    }
}

fn element(operand: &Cel, index: &Cel) -> Answer {
    match (operand, index) {
        (Cel::List(items), Cel::Int(at)) => {
            usize::try_from(*at).ok().and_then(|at| items.get(at)).cloned().ok_or_else(|| format!("index out of bounds: {at}"))
        }
        (Cel::List(items), Cel::UInt(at)) => {
            usize::try_from(*at).ok().and_then(|at| items.get(at)).cloned().ok_or_else(|| format!("index out of bounds: {at}"))
        }
        (Cel::Map(entries), index) => {
            let found = as_key(index).and_then(|key| entries.get(&key).cloned());
            found.ok_or_else(|| format!("no such key: {}", super::value::printed(index)))
        }
        _ => Err("no such overload".to_owned()),
    }
}
