//! Rules files: from text to rules that are ready to run.
//!
//! ```text
//! file ──yaml──► nodes ──read──► items ──collect──► what all files say ──compile──► Loaded
//!                                   └─────────────── Report ◄──────────────┘
//! ```
//!
//! <https://falco.org/docs/concepts/rules/> describes the items; codes, messages and the order of checks are those of Falco 0.44.

mod collect;
mod compile;
mod decode;
mod exceptions;
mod expand;
mod item;
mod read;
mod report;
mod yaml;

pub use item::{Capture, PluginRequirement, Priority, Version};
pub use report::{Context, ErrorCode, Location, Part, Problem, Report, WarningCode};
pub use yaml::{MAX_BYTES, Mark};

use crate::{fields::Source, filter::EventTypes, syntax::Expr};
use collect::Collection;
use std::collections::BTreeSet;

/// The version of Falco's engine whose language this is.
pub const ENGINE_VERSION: Version = Version { major: 0, minor: 62, patch: 0 };

/// A rule, with its lists, macros and exceptions put into the condition.
#[derive(Debug, Clone)]
pub struct Rule {
    pub name: String,
    pub description: String,
    pub condition: Expr,
    /// The types of events that it can be true for.
    pub event_types: EventTypes,
    pub output: String,
    pub priority: Priority,
    pub source: Source,
    pub tags: BTreeSet<String>,
    pub enabled: bool,
    pub capture: Capture,
    /// The line of the file that the rule begins on, from 1.
    pub line: usize,
}

/// What all files together say.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    pub rules: Vec<Rule>,
    pub macros: usize,
    pub lists: usize,
    pub required_engine_version: Option<Version>,
    pub required_plugins: Vec<Vec<PluginRequirement>>,
}

/// A file of rules.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    pub name: &'a str,
    pub text: &'a str,
}

/// Loads files one after the other, as Falco does: later items change earlier ones, and the first file that does not load ends it.
/// There is a report for every file that was looked at.
pub fn load(files: &[File<'_>], sources: &[Source]) -> (Option<Loaded>, Vec<Report>) {
    let mut collection = Collection::default();
    let mut loaded = Some(Loaded::default());
    let mut reports = Vec::new();
    for file in files {
        let mut report = Report { name: file.name.to_owned(), ..Report::default() };
        read::read(file.text, sources, &mut collection, &mut report);
        loaded = if report.is_successful() { compile::compile(&collection, &mut report) } else { None };
        reports.push(report);
        if loaded.is_none() {
            break;
        }
    }
    (loaded, reports)
}
