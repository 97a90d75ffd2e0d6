//! Conditions made ready to run: fields become slots of an event, values are read by type, operators checked against types.
//!
//! ```text
//! Expr ──compile(source, &mut Schema)──► Filter ──matches(&Event)──► bool
//! ```

mod branches;
mod compile;
mod event_types;
mod extract;
mod glob;
mod index;
pub(crate) mod literal;
mod plan;
mod regex;
mod test;
mod transform;

pub(crate) use compile::compile_operand;
pub use compile::{CompileError, Warning, compile};
pub use event_types::{EventTypes, event_types};
pub(crate) use extract::Extract;
pub(crate) use plan::Plan;
pub use plan::Scratch;

use crate::event::{Event, Value};
use test::Test;

/// A compiled condition.
#[derive(Debug, Clone)]
pub struct Filter {
    root: Node,
}

#[derive(Debug, Clone)]
enum Node {
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    Check(Check),
}

/// One comparison.
#[derive(Debug, Clone)]
struct Check {
    left: Extract,
    values: Quantity,
    test: Test,
}

/// What many values of one field mean to a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    /// One of them is enough.
    Any,
    /// Each of them must hold: `!=` on either side of a connection, `in` on a field that is a list.
    All,
}

impl Filter {
    /// Whether an event of the schema that the filter was compiled into meets the condition.
    pub fn matches(&self, event: &Event) -> bool {
        self.root.holds(event)
    }
}

impl Node {
    fn holds(&self, event: &Event) -> bool {
        match self {
            Self::And(children) => children.iter().all(|child| child.holds(event)),
            Self::Or(children) => children.iter().any(|child| child.holds(event)),
            Self::Not(child) => !child.holds(event),
            Self::Check(check) => check.holds(event),
        }
    }
}

impl Check {
    fn holds(&self, event: &Event) -> bool {
        self.left.with(event, |value| self.passes(value, event))
    }

    fn passes(&self, value: &Value, event: &Event) -> bool {
        match value {
            Value::Absent => false,
            Value::Many(_) if matches!(self.test, Test::Exists) => true,
            Value::Many(values) => match self.values {
                Quantity::Any => values.iter().any(|value| self.test.holds(value, event)),
                Quantity::All => values.iter().all(|value| self.test.holds(value, event)),
            },
            one => self.test.holds(one, event),
        }
    }
}
