//! CEL, as admission policies and the rules of CustomResourceDefinitions use it.
//!
//! ```text
//! text ──compile──► Expression (parsed, checked against the kinds of its variables) ──run, with Inputs──► value or message
//! ```
//!
//! The interpreter and Kubernetes' functions are `kube-cel`'s; the check of types, the messages and the bounds are here, because
//! an API server refuses at creation what could never work.

mod check;
mod functions;
pub mod kind;
mod place;
mod run;
#[cfg(test)]
mod tests;
pub mod value;

pub use kube_cel::cel::Value;
pub use run::{Inputs, OUT_OF_BUDGET};

use check::Check;
use kind::Kind;
use kube_cel::cel::{
    common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue},
    parser::Parser,
};
use std::collections::BTreeMap;

/// Longest text of one expression.
const LONGEST: usize = 64 * 1024;
/// What `variables.NAME` is called inside an expression.
const COMPOSED: &str = "variables.";

/// A checked expression.
#[derive(Debug)]
pub struct Expression {
    pub source: String,
    pub kind: Kind,
    tree: IdedExpr,
}

impl Expression {
    /// Whether the expression uses a variable.
    pub fn mentions(&self, variable: &str) -> bool {
        self.tree.references().has_variable(variable)
    }
}

/// Parses and checks; the message is cel-go's, one block of lines for each mistake.
pub fn compile(source: &str, variables: &BTreeMap<String, Kind>) -> Result<Expression, String> {
    if source.len() > LONGEST {
        return Err("ERROR: <input>:-1:0: expression code point size exceeds limit".to_owned());
    }
    let mut tree = match Parser::new().enable_optional_syntax(true).parse(source) {
        Ok(tree) => tree,
        Err(errors) => {
            let places = place::Places::new(source);
            let said: Vec<_> = errors.errors.iter().map(|error| places.message_at(error.pos, &error.msg)).collect();
            return Err(said.join("\n"));
        }
    };
    let mut check = Check::new(source, variables);
    let kind = check.kind(&tree);
    if !check.errors.is_empty() {
        return Err(check.errors.join("\n"));
    }
    compose(&mut tree);
    Ok(Expression { source: source.to_owned(), kind, tree })
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

/// Makes one name of `variables.NAME`, so that it can be answered when it is asked for.
fn compose(tree: &mut IdedExpr) {
    match &mut tree.expr {
        Expr::Select(select) => {
            let of_variables = matches!(&select.operand.expr, Expr::Ident(name) if name == "variables");
            if of_variables && select.test {
                // The check knows that the variable is there.
                tree.expr = Expr::Literal(LiteralValue::Boolean(true.into()));
            } else if of_variables {
                tree.expr = Expr::Ident(format!("{COMPOSED}{}", select.field));
            } else {
                compose(&mut select.operand);
            }
        }
        // `dyn` is for the check alone; the interpreter does not know it.
        Expr::Call(call) if call.func_name == "dyn" && call.target.is_none() && call.args.len() == 1 => {
            if let Some(mut inner) = call.args.pop() {
                compose(&mut inner);
                *tree = inner;
            }
        }
        Expr::Call(call) => call.target.iter_mut().map(|target| &mut **target).chain(&mut call.args).for_each(compose),
        Expr::List(list) => list.elements.iter_mut().for_each(compose),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                match &mut entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        compose(&mut entry.key);
                        compose(&mut entry.value);
                    }
                    EntryExpr::StructField(field) => compose(&mut field.value),
                }
            }
        }
        Expr::Comprehension(comprehension) => {
            let parts = [
                &mut comprehension.iter_range,
                &mut comprehension.accu_init,
                &mut comprehension.loop_cond,
                &mut comprehension.loop_step,
                &mut comprehension.result,
            ];
            parts.into_iter().for_each(compose);
        }
        _ => {}
    }
}
