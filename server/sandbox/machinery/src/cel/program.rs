//! Parsing: text to a tree that the check and the evaluation may walk, because it is bounded in length and depth.

use super::place::Places;
use kube_cel::cel::{
    common::ast::{EntryExpr, Expr, IdedExpr},
    parser::Parser,
};
use std::sync::Arc;

/// Longest text of one expression.
const LONGEST: usize = 64 * 1024;
/// How deep brackets, and the parts of a tree, may lie in one another.
const DEEPEST: usize = 150;
/// Operators that may follow one another without a bracket, a comma or a logical operator: each is a call of the parser.
const LONGEST_ROW: usize = 500;
const TOO_DEEP: &str = "expression recursion limit exceeded";

/// A parsed expression.
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) tree: Arc<IdedExpr>,
}

impl Program {
    /// The message is cel-go's, one block of lines for each mistake.
    pub fn parse(source: &str) -> Result<Self, String> {
        let without_place = |message: &str| Err(format!("ERROR: <input>:-1:0: {message}"));
        if source.len() > LONGEST {
            return without_place("expression code point size exceeds limit");
        }
        if is_too_deep(source) {
            return without_place(TOO_DEEP);
        }
        match Parser::new().enable_optional_syntax(true).parse(source) {
            Ok(tree) if depth_exceeds(&tree, DEEPEST) => without_place(TOO_DEEP),
            Ok(tree) => Ok(Self { tree: Arc::new(tree) }),
            Err(errors) => {
                let places = Places::new(source);
                let said: Vec<_> = errors.errors.iter().map(|error| places.message_at(error.pos, &error.msg)).collect();
                Err(said.join("\n"))
            }
        }
    }

    /// Whether the expression uses a variable.
    pub fn mentions(&self, variable: &str) -> bool {
        self.tree.references().has_variable(variable)
    }
}

/// Whether the parser would go too deep: brackets within brackets, and operators in one row.
fn is_too_deep(source: &str) -> bool {
    // Operators so far between the commas of each open bracket.
    let mut rows = vec![0_usize];
    let mut operators = 0;
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => rows.push(0),
            b')' | b']' | b'}' if rows.len() > 1 => operators -= rows.pop().unwrap_or(0),
            // The parser balances `&&` and `||`.
            b',' | b'&' | b'|' => operators -= rows.last_mut().map(std::mem::take).unwrap_or(0),
            b'+' | b'-' | b'*' | b'/' | b'%' | b'.' | b'!' | b'?' | b'<' | b'>' | b'=' => {
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

fn depth_exceeds(tree: &IdedExpr, most: usize) -> bool {
    let mut level = vec![tree];
    for _ in 0..most {
        level = level.into_iter().flat_map(children).collect();
        if level.is_empty() {
            return false;
        }
    }
    true
}

fn children(tree: &IdedExpr) -> Vec<&IdedExpr> {
    match &tree.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| parts(&entry.expr)).collect(),
        Expr::Struct(structure) => structure.entries.iter().flat_map(|entry| parts(&entry.expr)).collect(),
        Expr::Comprehension(loops) => vec![&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}
