//! What a query has to say besides its result.

use crate::promql::{Span, position};
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Warning,
    Info,
}

/// Each message once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations(BTreeSet<(Level, String)>);

impl Annotations {
    pub fn of(&self, level: Level) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |entry| entry.0 == level).map(|entry| entry.1.as_str())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `PromQL warning: … (1:5)`.
    pub(super) fn add(&mut self, level: Level, query: &str, at: Span, text: &str) {
        let (line, column) = position(query, at.start);
        let word = match level {
            Level::Warning => "PromQL warning",
            Level::Info => "PromQL info",
        };
        self.0.insert((level, format!("{word}: {text} ({line}:{column})")));
    }
}
