//! What is wrong with a lab, and where.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Path in the lab's folder.
    pub file: String,
    /// From 1; 0 where it is not known.
    pub line: u64,
    /// As `spec.tasks[0].points`; empty for the whole file.
    pub field: String,
    pub message: String,
}

impl Problem {
    pub fn new(file: impl Into<String>, line: u64, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line, field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}
