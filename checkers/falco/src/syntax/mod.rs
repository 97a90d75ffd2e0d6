//! Conditions as text: the grammar of Falco's filters, the tree that comes out of it, and the way back.
//!
//! ```text
//! "evt.type = open and not proc.name in (cat, ls)" ──parse──► Expr ──to_string──► "(evt.type = open and not proc.name in (cat, ls))"
//! ```

mod escape;
mod lexer;
mod parser;
mod print;

pub use parser::{MAX_NESTING, ParseError, parse, parse_field};

use std::fmt;

/// A place in a condition: bytes from 0, lines and columns from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub index: usize,
    pub line: usize,
    pub column: usize,
}

impl Default for Position {
    fn default() -> Self {
        Self { index: 0, line: 1, column: 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {}, line {}, column {}", self.index, self.line, self.column)
    }
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    IContains,
    BContains,
    StartsWith,
    BStartsWith,
    EndsWith,
    Glob,
    IGlob,
    Regex,
    In,
    Intersects,
    PMatch,
}

impl Operator {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Contains => "contains",
            Self::IContains => "icontains",
            Self::BContains => "bcontains",
            Self::StartsWith => "startswith",
            Self::BStartsWith => "bstartswith",
            Self::EndsWith => "endswith",
            Self::Glob => "glob",
            Self::IGlob => "iglob",
            Self::Regex => "regex",
            Self::In => "in",
            Self::Intersects => "intersects",
            Self::PMatch => "pmatch",
        }
    }

    /// The word in capitals, as some of Falco's messages have it.
    pub(crate) fn shout(self) -> String {
        self.as_str().to_uppercase()
    }

    /// Whether a list follows it.
    pub fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::Intersects | Self::PMatch)
    }

    /// As written in the `comps` of an exception: with `==`, without a modifier.
    pub fn from_word(word: &str) -> Option<Self> {
        lexer::ALL_OPERATORS.iter().find(|(name, _)| *name == word).map(|(_, operator)| *operator)
    }

    /// Whether `oneof`, `anyof` or `allof` may follow it.
    pub fn takes_modifier(self) -> bool {
        lexer::STRING_OPERATORS.iter().any(|(_, operator)| *operator == self)
    }
}

/// How many of the listed values must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Modifier {
    /// Exactly one of them.
    OneOf,
    /// At least one of them.
    AnyOf,
    /// Each of them.
    AllOf,
}

impl Modifier {
    pub const ALL: [Self; 3] = [Self::OneOf, Self::AnyOf, Self::AllOf];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneOf => "oneof",
            Self::AnyOf => "anyof",
            Self::AllOf => "allof",
        }
    }
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    And(Vec<Expr>, Position),
    Or(Vec<Expr>, Position),
    Not(Box<Expr>, Position),
    /// The name of a macro.
    Macro(String, Position),
    Check(Box<Check>),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub left: Operand,
    pub operator: Operator,
    pub modifier: Option<Modifier>,
    /// None behind `exists`.
    pub right: Option<Operand>,
    pub position: Position,
}

/// What is compared, or compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    Field(FieldName),
    Transformed(Transformed),
    Value(String, Position),
    List(Vec<String>, Position),
    /// A list of operands, inside a transformer only.
    Operands(Vec<Operand>, Position),
}

/// `proc.aname[2]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldName {
    pub name: String,
    /// What stands in brackets; empty where there are none.
    pub argument: String,
    pub position: Position,
}

/// `tolower(proc.name)`, `getopt(…)[t]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transformed {
    pub transformer: String,
    pub arguments: Vec<Operand>,
    pub selector: Option<String>,
    pub position: Position,
}

impl Expr {
    pub fn position(&self) -> Position {
        match self {
            Self::And(_, position) | Self::Or(_, position) | Self::Not(_, position) | Self::Macro(_, position) => *position,
            Self::Check(check) => check.position,
        }
    }
}

impl Operand {
    pub fn position(&self) -> Position {
        match self {
            Self::Field(field) => field.position,
            Self::Transformed(transformed) => transformed.position,
            Self::Value(_, position) | Self::List(_, position) | Self::Operands(_, position) => *position,
        }
    }
}
