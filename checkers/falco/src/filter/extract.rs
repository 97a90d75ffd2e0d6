//! Where a comparison gets its values from: a slot of the event, a constant, or a transformer over others.

use super::transform::Transformer;
use crate::event::{Event, Value};

#[derive(Debug, Clone)]
pub enum Extract {
    Slot(u32),
    Constant(Value),
    /// Each of them must have a value.
    List(Box<[Extract]>),
    Transformed(Box<Transformer>),
}

impl Extract {
    /// Hands the value over, borrowed where it can be.
    pub fn with<T>(&self, event: &Event, then: impl FnOnce(&Value) -> T) -> T {
        match self {
            Self::Slot(slot) => then(event.value(*slot)),
            Self::Constant(value) => then(value),
            Self::List(_) | Self::Transformed(_) => then(&self.value(event)),
        }
    }

    /// The value, as its own.
    pub fn value(&self, event: &Event) -> Value {
        match self {
            Self::Slot(slot) => event.value(*slot).clone(),
            Self::Constant(value) => value.clone(),
            Self::List(items) => {
                let values: Vec<Value> = items.iter().map(|item| item.value(event)).collect();
                if values.contains(&Value::Absent) { Value::Absent } else { Value::Many(values) }
            }
            Self::Transformed(transformer) => transformer.value(event),
        }
    }
}
