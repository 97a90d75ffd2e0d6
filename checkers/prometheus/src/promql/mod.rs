//! The query language: text to a checked expression.
//!
//! ```text
//! text ──lexer──► tokens ──parser──► Expr ──check──► Expr (types hold)      series notation ──series──► labels, values
//! ```
//!
//! The grammar and the words of errors are Prometheus 3.5's. It is written by hand because errors and annotations name positions
//! in the text, which the available parser crates do not keep.

mod check;
mod functions;
mod lexer;
mod parser;
mod series;
mod token;

pub use functions::{Function, function};
pub use parser::{ParseError, ParseOptions, parse, position};
pub use series::{SequenceValue, parse_series};
pub use token::{Aggregator, Operator};

use crate::labels::Matcher;

/// Bytes of the text from start to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    Scalar,
    Vector,
    Matrix,
    String,
}

impl ValueType {
    /// As the documentation calls it.
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }

    pub fn short(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
        }
    }
}

#[derive(Debug, Clone)]
pub enum Expr {
    Number {
        value: f64,
        span: Span,
    },
    String {
        value: String,
        span: Span,
    },
    Vector(Selector),
    /// A range in milliseconds over a selector; `end` is where the bracket closes.
    Matrix {
        selector: Selector,
        range: i64,
        end: usize,
    },
    Subquery(Subquery),
    Call {
        function: &'static Function,
        args: Vec<Expr>,
        span: Span,
    },
    Aggregate(Aggregate),
    Binary(Binary),
    /// Only minus changes anything.
    Unary {
        negate: bool,
        expr: Box<Expr>,
        start: usize,
    },
    Paren {
        expr: Box<Expr>,
        span: Span,
    },
    /// The same at every step; put in by the engine.
    StepInvariant(Box<Expr>),
}

#[derive(Debug, Clone)]
pub struct Selector {
    pub name: String,
    pub matchers: Vec<Matcher>,
    /// Milliseconds.
    pub offset: i64,
    pub at: Option<At>,
    pub span: Span,
    /// Whether an empty set of matchers is fine, as in the second argument of `info`.
    pub may_be_empty: bool,
}

#[derive(Debug, Clone)]
pub struct Subquery {
    pub expr: Box<Expr>,
    pub range: i64,
    /// Zero where the text leaves it out.
    pub step: i64,
    pub offset: i64,
    pub at: Option<At>,
    pub end: usize,
}

/// The `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Time(i64),
    Start,
    End,
}

#[derive(Debug, Clone)]
pub struct Aggregate {
    pub op: Aggregator,
    pub expr: Box<Expr>,
    pub param: Option<Box<Expr>>,
    pub grouping: Vec<String>,
    pub without: bool,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub struct Binary {
    pub op: Operator,
    pub lhs: Box<Expr>,
    pub rhs: Box<Expr>,
    pub matching: Matching,
    pub return_bool: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Matching {
    pub cardinality: Cardinality,
    pub labels: Vec<String>,
    pub on: bool,
    /// Labels of the `one` side that the result takes over.
    pub include: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cardinality {
    #[default]
    OneToOne,
    ManyToOne,
    OneToMany,
    ManyToMany,
}

impl Expr {
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number { .. } => ValueType::Scalar,
            Self::String { .. } => ValueType::String,
            Self::Vector(_) | Self::Aggregate(_) => ValueType::Vector,
            Self::Matrix { .. } | Self::Subquery(_) => ValueType::Matrix,
            Self::Call { function, .. } => function.returns,
            Self::Binary(binary) => match (binary.lhs.value_type(), binary.rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            Self::Unary { expr, .. } | Self::Paren { expr, .. } | Self::StepInvariant(expr) => expr.value_type(),
        }
    }

    pub fn span(&self) -> Span {
        match self {
            Self::Number { span, .. } | Self::String { span, .. } | Self::Call { span, .. } | Self::Paren { span, .. } => *span,
            Self::Vector(selector) => selector.span,
            Self::Matrix { selector, end, .. } => Span { start: selector.span.start, end: *end },
            Self::Subquery(subquery) => Span { start: subquery.expr.span().start, end: subquery.end },
            Self::Aggregate(aggregate) => aggregate.span,
            Self::Binary(binary) => Span { start: binary.lhs.span().start, end: binary.rhs.span().end },
            Self::Unary { expr, start, .. } => Span { start: *start, end: expr.span().end },
            Self::StepInvariant(expr) => expr.span(),
        }
    }

    /// Without parentheses and marks of invariance around it.
    pub fn unwrapped(&self) -> &Self {
        match self {
            Self::Paren { expr, .. } | Self::StepInvariant(expr) => expr.unwrapped(),
            other => other,
        }
    }
}
