//! CEL, as admission policies, the rules of CustomResourceDefinitions, Gatekeeper's templates and Kyverno's policies use it.
//!
//! ```text
//! text ──Program::parse──► Program ──┬─compile──► Expression (checked against the kinds of its variables)
//!                                    └─Run::run──► value or message       Host: functions beyond Kubernetes'
//! ```
//!
//! The parser and the values are the `cel` crate's, functions with nothing of our own to say the `kube-cel` crate's; the evaluation, the
//! check of types, the costs, the messages and the bounds are here. An API server refuses at creation what could never work, or could cost
//! too much, and counts what an expression costs when it runs. Nothing here may run without a bound.

#[cfg(test)]
mod answers;
mod check;
pub mod cost;
mod estimate;
mod eval;
mod functions;
pub mod kind;
mod library;
mod place;
mod program;
#[cfg(test)]
mod tests;
pub mod value;

pub use estimate::Bounds;
pub use eval::{Host, Kubernetes, Run, Variables};
pub use kube_cel::cel::{
    Value,
    objects::{Key, Opaque},
};
pub use program::Program;

use check::Check;
use kind::Kind;
use std::collections::BTreeMap;

/// What an expression gives, or why it failed.
pub type Answer = Result<Value, String>;

/// A checked expression.
#[derive(Debug)]
pub struct Expression {
    pub source: String,
    pub kind: Kind,
    pub program: Program,
}

/// What expressions see.
#[derive(Debug, Default, Clone)]
pub struct Inputs(BTreeMap<&'static str, Value>);

impl Inputs {
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.0.insert(name, value);
    }
}

/// Parses and checks; the message is cel-go's, one block of lines for each mistake.
pub fn compile(source: &str, variables: &BTreeMap<String, Kind>) -> Result<Expression, String> {
    checked(source, variables).map(|(expression, _)| expression)
}

/// The same, and the most that the expression may cost where `self` and `oldSelf` have these bounds.
pub fn compile_bounded(source: &str, variables: &BTreeMap<String, Kind>, bounds: &Bounds) -> Result<(Expression, u64), String> {
    let (expression, kinds) = checked(source, variables)?;
    let cost = estimate::most(&expression.program, &kinds, bounds);
    Ok((expression, cost))
}

fn checked(source: &str, variables: &BTreeMap<String, Kind>) -> Result<(Expression, estimate::Kinds), String> {
    let program = Program::parse(source)?;
    let mut check = Check::new(source, variables);
    let kind = check.kind(&program.tree);
    if !check.errors.is_empty() {
        return Err(check.errors.join("\n"));
    }
    Ok((Expression { source: source.to_owned(), kind, program }, check.kinds))
}

/// Compiles what must give one of `wanted`; the message says what it gives instead, as a policy's validation does.
pub fn compile_to(source: &str, variables: &BTreeMap<String, Kind>, wanted: &[Kind]) -> Result<Expression, String> {
    let expression = compile(source, variables).map_err(|errors| format!("compilation failed: {errors}"))?;
    if check::is_one_of(&expression.kind, wanted) {
        return Ok(expression);
    }
    Err(match wanted {
        [one] => format!("must evaluate to {one} but got {}", expression.kind),
        several => {
            let name = |kind: &Kind| if matches!(kind, Kind::Named("null_type")) { "null_type".to_owned() } else { kind.to_string() };
            let names: Vec<_> = several.iter().map(name).collect();
            format!("must evaluate to one of [{}] but got {}", names.join(" "), expression.kind)
        }
    })
}

/// Whether `name` may be a variable's.
pub fn is_identifier(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && value::escape(name) != format!("__{name}__")
}
