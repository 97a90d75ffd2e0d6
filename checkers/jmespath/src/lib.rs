//! JMESPath as Kyverno 1.19 evaluates it: its fork of go-jmespath and its functions.
//!
//! ```text
//!  text ──compile──► Expression ──search, with a document and Env (clock, seed, limits)──► JSON, or an error in Kyverno's words
//! ```
//!
//! The functions are those of <https://jmespath.org/specification.html#built-in-functions> and
//! <https://kyverno.io/docs/policy-types/cluster-policy/jmespath/>. Where the two languages of types show (an integer that is no
//! float64, a list that is no `[]any`), the answer is the one that Go gives. A key that an object lacks is [`Error::NotFound`].
//!
//! Pure: no I/O, no clock, no names resolved. Bounded by [`Limits`]; it must never panic, whatever the expression and the document.

mod functions;
pub mod go_duration;
pub mod go_time;
pub mod image;
mod interpreter;
mod lexer;
mod number;
mod parser;
pub mod semver;
#[cfg(test)]
mod tests;
mod value;
pub mod wildcard;

pub use functions::names as function_names;
pub use value::Numbers;

use interpreter::Run;
use jiff::Timestamp;
use std::{cell::Cell, collections::BTreeMap, net::IpAddr};

/// Why an expression is none, or why it gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("SyntaxError: {message}")]
    Syntax { message: String, offset: usize },
    /// A part that the grammar takes, but whose text is no JSON or no number.
    #[error("{message}")]
    Invalid { message: String, offset: usize },
    #[error("Unknown key \"{0}\" in path")]
    NotFound(String),
    #[error("{0}")]
    Failed(String),
    /// Kyverno knows no such bound.
    #[error("the expression {0}")]
    Limit(&'static str),
}

impl Error {
    /// Where in the expression, in bytes.
    pub fn offset(&self) -> Option<usize> {
        match self {
            Self::Syntax { offset, .. } | Self::Invalid { offset, .. } => Some(*offset),
            _ => None,
        }
    }
}

/// What one search may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Nodes run, elements visited or made, and eighths of the bytes of texts made.
    pub work: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { work: 4_000_000 }
    }
}

/// What an expression sees beside the document.
#[derive(Debug, Clone)]
pub struct Env {
    pub now: Timestamp,
    /// Where `random` stands; every use moves it on.
    pub seed: Cell<u64>,
    pub limits: Limits,
    pub numbers: Numbers,
    /// What names resolve to, for `is_external_url`.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
}

impl Env {
    pub fn new(now: Timestamp, seed: u64) -> Self {
        Self { now, seed: Cell::new(seed), limits: Limits::default(), numbers: Numbers::default(), hosts: BTreeMap::new() }
    }
}

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    root: parser::Node,
}

pub fn compile(source: &str) -> Result<Expression, Error> {
    Ok(Expression { root: parser::parse(source)? })
}

impl Expression {
    pub fn search(&self, data: &serde_json::Value, env: &Env) -> Result<serde_json::Value, Error> {
        let mut run = Run::new(env);
        let result = run.run(&self.root, &value::Value::given(data, env.numbers))?;
        Ok(result.into_json(env.numbers))
    }
}
