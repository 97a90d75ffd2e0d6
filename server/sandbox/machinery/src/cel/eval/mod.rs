//! Running an expression, with cel-go's rules: `&&` and `||` outlast an error on one side, a field of null is an error, an optional
//! field that is not there is an empty optional, `orValue` of what is no optional is the value itself.
//!
//! ```text
//! Program ──Run::run──► operators, forms, library, the host's functions ──► value or message
//!                 └──► cost, as an API server counts it, and work, which bounds what the count does not see
//! ```

mod forms;
mod operators;

use super::{
    Answer, Inputs, Program,
    cost::{self, OVER_LIMIT, PER_CALL},
    library,
    value::{as_key, key, list, map, none, of_key, optional, some, sorted, string, weight},
};
use kube_cel::cel::{
    IdedExpr, Value as Cel,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, SelectExpr, StructExpr},
    objects::KeyRef,
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    sync::Arc,
};

/// How deep expressions, and calls from variable to variable, may lie in one another.
const DEEPEST: usize = 220;
/// Steps that all expressions of one run may take: parts of expressions, and elements and letters that are looked at.
const MOST_WORK: usize = 20_000_000;
const TOO_DEEP: &str = "expression recursion limit exceeded";
pub(super) const NO_OVERLOAD: &str = "no such overload";

pub(super) fn no_overload<T>() -> Result<T, String> {
    Err(NO_OVERLOAD.to_owned())
}

/// What `variables.NAME` stands for.
pub type Variables = BTreeMap<String, Program>;

/// What lies around expressions: functions beyond those of Kubernetes, and words for failures.
pub trait Host: Debug {
    /// Whether a name stands for something that functions are called on, as `resource` in `resource.get(…)`.
    fn has_functions(&self, _name: &str) -> bool {
        false
    }

    /// Answers a call; nothing where the host has no such function.
    fn call(&self, _name: &str, _arguments: &[Cel]) -> Option<Answer> {
        None
    }

    /// What is said where `variables.NAME` fails.
    fn variable_failed(&self, name: &str, error: String) -> String {
        format!("composited variable \"{name}\" fails to evaluate: {error}")
    }
}

/// Kubernetes alone.
#[derive(Debug)]
pub struct Kubernetes;

impl Host for Kubernetes {}

/// What some expressions see, and what they have cost so far.
#[derive(Debug)]
pub struct Run<'a> {
    host: &'a dyn Host,
    inputs: BTreeMap<&'static str, Cel>,
    variables: Arc<Variables>,
    /// Variables run when they are first asked for, once.
    done: BTreeMap<String, Answer>,
    /// Variables of loops, innermost last.
    scopes: Vec<(String, Answer)>,
    depth: usize,
    work: usize,
    /// Cost of the expression that runs.
    cost: u64,
    /// Cost of all that have run.
    spent: u64,
    budget: u64,
}

impl<'a> Run<'a> {
    /// `budget` is what all expressions together may cost.
    pub fn new(host: &'a dyn Host, variables: Arc<Variables>, budget: u64) -> Self {
        let (inputs, done, scopes) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { host, inputs, variables, done, scopes, depth: 0, work: 0, cost: 0, spent: 0, budget }
    }

    /// Takes all inputs from here.
    pub fn with_inputs(mut self, inputs: &Inputs) -> Self {
        self.inputs.clone_from(&inputs.0);
        self
    }

    /// Sets an input; variables that have run keep what they gave.
    pub fn set(&mut self, name: &'static str, value: Cel) {
        self.inputs.insert(name, value);
    }

    pub fn unset(&mut self, name: &'static str) {
        self.inputs.remove(name);
    }

    /// Begins a new budget, and forgets what variables gave.
    pub fn renew(&mut self, budget: u64) {
        (self.spent, self.budget) = (0, budget);
        self.done.clear();
    }

    pub fn run(&mut self, program: &Program) -> Answer {
        let answer = self.apart(program);
        if self.spent > self.budget { Err(cost::OUT_OF_BUDGET.to_owned()) } else { answer }
    }

    /// An expression by itself: it sees no variable of a loop around it, and has a limit of its own.
    fn apart(&mut self, program: &Program) -> Answer {
        let scopes = std::mem::take(&mut self.scopes);
        let cost = std::mem::take(&mut self.cost);
        let answer = self.eval(&program.tree);
        // What leaves a run may be walked: values share their parts, so that a small one may be printed without end.
        let answer = answer.and_then(|value| self.works(weight(&value, self.left())).map(|()| value));
        self.scopes = scopes;
        self.spent = self.spent.saturating_add(std::mem::replace(&mut self.cost, cost));
        answer
    }

    /// Work that is left.
    pub(super) fn left(&self) -> usize {
        MOST_WORK.saturating_sub(self.work)
    }

    pub(super) fn works(&mut self, work: usize) -> Result<(), String> {
        self.work = self.work.saturating_add(work);
        if self.work > MOST_WORK { Err(OVER_LIMIT.to_owned()) } else { Ok(()) }
    }

    fn costs(&mut self, cost: u64) -> Result<(), String> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > PER_CALL { Err(OVER_LIMIT.to_owned()) } else { Ok(()) }
    }

    /// Whether a bound was met, after which nothing more is tried.
    fn is_over(&self) -> bool {
        self.cost > PER_CALL || self.work > MOST_WORK
    }

    fn eval(&mut self, tree: &IdedExpr) -> Answer {
        self.works(1)?;
        if self.depth >= DEEPEST {
            return Err(TOO_DEEP.to_owned());
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
        self.costs(cost::SELECT)?;
        if let Some((_, answer)) = self.scopes.iter().rev().find(|(variable, _)| variable == name) {
            return answer.clone();
        }
        if let Some(value) = self.inputs.get(name) {
            return Ok(value.clone());
        }
        match name {
            "variables" => {
                let variables = self.variables.clone();
                let entries: Result<_, String> = variables.keys().map(|name| Ok((key(name), self.variable(name)?))).collect();
                entries.map(map)
            }
            name if library::is_type(name) => Ok(library::type_value(name)),
            name if self.host.has_functions(name) => Ok(Cel::Function(Arc::new(name.to_owned()), None)),
            _ => Err(format!("undeclared reference to '{name}' (in container '')")),
        }
    }

    fn variable(&mut self, name: &str) -> Answer {
        if let Some(answer) = self.done.get(name) {
            return answer.clone();
        }
        let Some(program) = self.variables.get(name).cloned() else { return Err(format!("undefined field '{name}'")) };
        let answer = self.apart(&program).map_err(|error| self.host.variable_failed(name, error));
        self.done.insert(name.to_owned(), answer.clone());
        answer
    }

    /// Whether a name is a variable, and not the first part of the name of a function.
    fn is_bound(&self, name: &str) -> bool {
        self.scopes.iter().any(|(variable, _)| variable == name) || self.inputs.contains_key(name)
    }

    fn is_variables(&self, tree: &IdedExpr) -> bool {
        matches!(&tree.expr, Expr::Ident(name) if name == "variables") && !self.is_bound("variables")
    }

    fn select(&mut self, select: &SelectExpr) -> Answer {
        if self.is_variables(&select.operand) {
            self.costs(cost::SELECT)?;
            return match select.test {
                true => Ok(Cel::Bool(self.variables.contains_key(&select.field))),
                false => self.costs(cost::SELECT).and_then(|()| self.variable(&select.field)),
            };
        }
        let operand = self.eval(&select.operand)?;
        if select.test {
            let held = optional(&operand).unwrap_or(Some(operand));
            let has = matches!(held, Some(Cel::Map(map)) if map.get(&KeyRef::String(&select.field)).is_some());
            return Ok(Cel::Bool(has));
        }
        self.costs(cost::SELECT)?;
        match optional(&operand) {
            Some(held) => Ok(held.and_then(|held| field(&held, &select.field).ok()).map_or_else(none, some)),
            None => field(&operand, &select.field),
        }
    }

    fn list(&mut self, items: &ListExpr) -> Answer {
        // A list of literals is made once, before anything runs.
        if !is_constant(&items.elements) {
            self.costs(cost::LIST)?;
        }
        let mut collected = Vec::with_capacity(items.elements.len());
        for (index, item) in items.elements.iter().enumerate() {
            let value = self.eval(item)?;
            if items.optional_indices.contains(&index) {
                collected.extend(optional(&value).ok_or(NO_OVERLOAD)?);
            } else {
                collected.push(value);
            }
        }
        Ok(list(collected))
    }

    fn map(&mut self, entries: &MapExpr) -> Answer {
        self.costs(cost::MAP)?;
        let mut collected = HashMap::with_capacity(entries.entries.len());
        for entry in &entries.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let name = self.eval(&entry.key)?;
            let name = as_key(&name).ok_or("unsupported key type")?;
            let value = self.eval(&entry.value)?;
            if !entry.optional {
                collected.insert(name, value);
            } else if let Some(value) = optional(&value).ok_or(NO_OVERLOAD)? {
                collected.insert(name, value);
            }
        }
        Ok(map(collected))
    }

    /// `Object.spec{…}` and `JSONPatch{…}` become maps; the type names below must spell the way to where they stand.
    fn structure(&mut self, structure: &StructExpr) -> Answer {
        self.costs(cost::STRUCTURE)?;
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
            } else if let Some(value) = optional(&value).ok_or(NO_OVERLOAD)? {
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
            other => return no_range(&other),
        };
        self.works(items.len())?;
        let begin = self.scopes.len();
        let collected = self.eval(&comprehension.accu_init);
        self.scopes.push((comprehension.accu_var.clone(), collected));
        self.scopes.push((comprehension.iter_var.clone(), Ok(Cel::Null)));
        let mut failure = None;
        for item in items {
            self.scopes[begin + 1].1 = Ok(item);
            match self.eval(&comprehension.loop_cond) {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            let step = self.eval(&comprehension.loop_step);
            self.scopes[begin].1 = step;
            if self.is_over() {
                failure = Some(OVER_LIMIT.to_owned());
                break;
            }
        }
        let answer = match failure {
            None => self.eval(&comprehension.result),
            Some(error) => Err(error),
        };
        self.scopes.truncate(begin);
        answer
    }

    fn call(&mut self, call: &CallExpr) -> Answer {
        if let Some(answer) = self.operator(call) {
            return answer;
        }
        if let Some(answer) = self.form(call) {
            return answer;
        }
        let mut name = None;
        let mut arguments = Vec::with_capacity(call.args.len() + 1);
        let mut member = false;
        match call.target.as_deref() {
            None => {}
            Some(target) => match &target.expr {
                // `math.greatest(…)`: the function of a library, not of a value.
                Expr::Ident(prefix) if !self.is_bound(prefix) && prefix != "variables" => {
                    name = Some(format!("{prefix}.{}", call.func_name))
                }
                _ => match self.eval(target)? {
                    Cel::Function(context, _) => name = Some(format!("{context}.{}", call.func_name)),
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
        self.function(name.as_deref().unwrap_or(&call.func_name), member, arguments)
    }

    fn function(&mut self, name: &str, member: bool, arguments: Vec<Cel>) -> Answer {
        self.costs(cost::of_call(name, &arguments))?;
        if let Some(answer) = self.host.call(name, &arguments) {
            return answer;
        }
        self.library(name, member, arguments)
    }
}

/// The words for a loop over what has no elements.
fn no_range<T>(value: &Cel) -> Result<T, String> {
    let name = match value {
        Cel::Bool(_) => "Bool",
        Cel::Int(_) => "Int",
        Cel::UInt(_) => "Uint",
        Cel::Float(_) => "Double",
        Cel::String(_) => "String",
        Cel::Bytes(_) => "Bytes",
        Cel::Null => "Null",
        Cel::Timestamp(_) => "Timestamp",
        Cel::Duration(_) => "Duration",
        _ => return no_overload(),
    };
    Err(format!("got 'types.{name}', expected iterable type"))
}

fn is_constant(elements: &[IdedExpr]) -> bool {
    !elements.is_empty() && elements.iter().all(|element| matches!(element.expr, Expr::Literal(_)))
}

fn of_literal(literal: &LiteralValue) -> Cel {
    match literal {
        LiteralValue::Boolean(held) => Cel::Bool(*held.inner()),
        LiteralValue::Bytes(held) => Cel::Bytes(Arc::new(held.inner().to_vec())),
        LiteralValue::Double(held) => Cel::Float(*held.inner()),
        LiteralValue::Int(held) => Cel::Int(*held.inner()),
        LiteralValue::Null => Cel::Null,
        LiteralValue::String(held) => string(held.inner()),
        LiteralValue::UInt(held) => Cel::UInt(*held.inner()),
    }
}

fn field(operand: &Cel, name: &str) -> Answer {
    match operand {
        Cel::Map(entries) => entries.get(&KeyRef::String(name)).cloned().ok_or_else(|| format!("no such key: {name}")),
        Cel::List(_) => no_overload(),
        _ => Err(format!("no such key: {name}")),
    }
}

fn element(operand: &Cel, index: &Cel) -> Answer {
    let at = match (operand, index) {
        (Cel::List(_), Cel::Int(at)) => i128::from(*at),
        (Cel::List(_), Cel::UInt(at)) => i128::from(*at),
        (Cel::List(_), Cel::Float(at)) if at.fract() == 0.0 => *at as i128,
        (Cel::Map(entries), index) => {
            let found = as_key(index).and_then(|key| entries.get(&key).cloned());
            return found.ok_or_else(|| format!("no such key: {}", super::value::printed(index)));
        }
        (Cel::Null, index) => return Err(format!("no such key: {}", super::value::printed(index))),
        _ => return no_overload(),
    };
    let Cel::List(items) = operand else { return no_overload() };
    usize::try_from(at).ok().and_then(|at| items.get(at)).cloned().ok_or_else(|| format!("index out of bounds: {at}"))
}
