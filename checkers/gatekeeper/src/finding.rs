//! What is wrong with what a learner wrote.

use std::fmt;

/// One mistake in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Path of the field as `spec.targets[0].rego`.
    pub field: String,
    /// Line within the text that the field holds, from 1, where the field holds a program.
    pub line: Option<u64>,
    pub message: String,
}

impl Finding {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), line: None, message: message.into() }
    }

    pub(crate) fn at_line(mut self, line: Option<u64>) -> Self {
        self.line = line;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.field)?;
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}
