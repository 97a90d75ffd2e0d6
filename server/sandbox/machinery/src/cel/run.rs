//! Running an expression: what it sees, what it may cost, and how it says that it failed.

use super::{Expression, value};
use kube_cel::{
    KubeCelExt,
    cel::{
        Context, ExecutionError, Program, Value as Cel,
        common::ast::{EntryExpr, Expr, IdedExpr},
        context::VariableResolver,
    },
};
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
};

/// Steps that one expression may take; a real API server counts another way, and stops about as early.
const BUDGET: f64 = 1e7;
pub const OUT_OF_BUDGET: &str = "validation failed due to running out of cost budget, no further validation rules will be run";

/// The functions, registered once: every run is a scope below.
static FUNCTIONS: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());

/// What expressions see. Values of `variables` run when they are first asked for, once.
#[derive(Debug, Default)]
pub struct Inputs {
    values: BTreeMap<&'static str, Cel>,
    /// Size of the largest list, map or text among the values.
    largest: usize,
}

impl Inputs {
    pub fn set(&mut self, name: &'static str, value: Cel) {
        self.largest = self.largest.max(largest(&value));
        self.values.insert(name, value);
    }

    /// Runs `expression`; `composed` are what `variables.NAME` stands for.
    pub fn run(&self, expression: &Expression, composed: &[(String, Arc<Expression>)]) -> Result<Cel, String> {
        if too_expensive(&expression.tree, self.largest) {
            return Err(OUT_OF_BUDGET.to_owned());
        }
        let lazy = Lazy { inputs: self, composed, done: Mutex::default(), failure: Mutex::default() };
        lazy.run(&expression.tree).map_err(|error| match lazy.failure.lock().ok().and_then(|mut failure| failure.take()) {
            Some(failure) => failure,
            None => match (&error, self.field_of_nothing(&expression.tree)) {
                (ExecutionError::NoSuchOverload | ExecutionError::NoSuchKey(_), Some(field)) => format!("no such key: {field}"),
                _ => message(&error),
            },
        })
    }

    /// The first field that is asked of an input that is null, as `object` is where something is deleted.
    fn field_of_nothing(&self, tree: &IdedExpr) -> Option<String> {
        if let Expr::Select(select) = &tree.expr
            && let Expr::Ident(name) = &select.operand.expr
        {
            return matches!(self.values.get(name.as_str()), Some(Cel::Null)).then(|| select.field.clone());
        }
        children(tree).into_iter().find_map(|child| self.field_of_nothing(child))
    }
}

/// Answers `variables.NAME`, which [`super::compile`] has made one name.
struct Lazy<'a> {
    inputs: &'a Inputs,
    composed: &'a [(String, Arc<Expression>)],
    done: Mutex<BTreeMap<String, Cel>>,
    failure: Mutex<Option<String>>,
}

impl Lazy<'_> {
    fn run(&self, tree: &IdedExpr) -> Result<Cel, ExecutionError> {
        let mut context = FUNCTIONS.new_inner_scope();
        for (name, value) in &self.inputs.values {
            context.add_variable_from_value(*name, value.clone());
        }
        context.set_variable_resolver(self);
        Cel::resolve(tree, &context)
    }
}

impl VariableResolver for Lazy<'_> {
    fn resolve(&self, variable: &str) -> Option<Cel> {
        let name = variable.strip_prefix(super::COMPOSED)?;
        if let Some(known) = self.done.lock().ok()?.get(name) {
            return Some(known.clone());
        }
        let (_, expression) = self.composed.iter().find(|(composed, _)| composed == name)?;
        if too_expensive(&expression.tree, self.inputs.largest) {
            *self.failure.lock().ok()? = Some(OUT_OF_BUDGET.to_owned());
            return None;
        }
        match self.run(&expression.tree) {
            Ok(value) => {
                self.done.lock().ok()?.insert(name.to_owned(), value.clone());
                Some(value)
            }
            Err(error) => {
                let mut failure = self.failure.lock().ok()?;
                if failure.is_none() {
                    *failure = Some(format!("composited variable \"{name}\" fails to evaluate: {}", message(&error)));
                }
                None
            }
        }
    }
}

/// `timestamp("…")` or `duration("…")`; nothing where the text is none.
pub(super) fn call(function: &str, text: &str) -> Option<Cel> {
    static PROGRAMS: LazyLock<BTreeMap<&'static str, Program>> = LazyLock::new(|| {
        let compile = |name, source| Some((name, Program::compile(source).ok()?));
        [compile("timestamp", "timestamp(text)"), compile("duration", "duration(text)")].into_iter().flatten().collect()
    });
    let mut context = FUNCTIONS.new_inner_scope();
    context.add_variable_from_value("text", value::string(text));
    PROGRAMS.get(function)?.execute(&context).ok()
}

/// What cel-go says.
fn message(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::UndeclaredReference(name) => format!("no such attribute(s): {name}"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::IndexOutOfBounds(Cel::Int(index)) => format!("index out of bounds: {index}"),
        ExecutionError::FunctionError { message, .. } => message.clone(),
        _ => "no such overload".to_owned(),
    }
}

fn largest(value: &Cel) -> usize {
    match value {
        Cel::List(items) => items.iter().map(largest).max().unwrap_or(0).max(items.len()),
        Cel::Map(map) => map.map.values().map(largest).max().unwrap_or(0).max(map.map.len()),
        Cel::String(text) => text.len() / 10,
        _ => 0,
    }
}

/// Loops within loops over the largest input, and every step of them.
fn too_expensive(tree: &IdedExpr, largest: usize) -> bool {
    let (nodes, depth) = extent(tree);
    let largest = f64::from(u32::try_from(largest.max(2)).unwrap_or(u32::MAX));
    f64::from(u32::try_from(nodes).unwrap_or(u32::MAX)) * largest.powf(f64::from(u32::try_from(depth).unwrap_or(u32::MAX))) > BUDGET
}

/// How many nodes an expression has, and how deep its loops lie in one another.
fn extent(tree: &IdedExpr) -> (usize, usize) {
    let below = |trees: Vec<&IdedExpr>| {
        trees.into_iter().map(extent).fold((1, 0), |(nodes, depth), (more, deeper)| (nodes + more, depth.max(deeper)))
    };
    match &tree.expr {
        Expr::Comprehension(comprehension) => {
            let (range_nodes, range_depth) = extent(&comprehension.iter_range);
            let (nodes, depth) = below(vec![&comprehension.loop_cond, &comprehension.loop_step, &comprehension.result]);
            (range_nodes + nodes, range_depth.max(depth + 1))
        }
        _ => below(children(tree)),
    }
}

fn children(tree: &IdedExpr) -> Vec<&IdedExpr> {
    match &tree.expr {
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => {
            let parts = map.entries.iter().flat_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
                EntryExpr::StructField(field) => vec![&field.value],
            });
            parts.collect()
        }
        Expr::Comprehension(loops) => vec![&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result],
        _ => Vec::new(),
    }
}
