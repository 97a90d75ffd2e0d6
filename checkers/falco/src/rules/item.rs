//! The items of a rules file as they were read, before lists and macros are put in.

use super::report::Context;
use crate::fields::Source;
use std::{collections::BTreeSet, fmt};

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Informational,
    Debug,
}

impl Priority {
    const ALL: [Self; 8] =
        [Self::Emergency, Self::Alert, Self::Critical, Self::Error, Self::Warning, Self::Notice, Self::Informational, Self::Debug];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "Emergency",
            Self::Alert => "Alert",
            Self::Critical => "Critical",
            Self::Error => "Error",
            Self::Warning => "Warning",
            Self::Notice => "Notice",
            Self::Informational => "Informational",
            Self::Debug => "Debug",
        }
    }

    /// In any case, and shortened: `INFO` is Informational.
    pub fn from_word(word: &str) -> Option<Self> {
        let starts = |name: &str| name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        Self::ALL.into_iter().find(|priority| starts(priority.as_str()))
    }
}

/// `x.y.z`, as engines and plugins are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Version {
    /// Three numbers with dots between them; what follows them does not count.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut number = |last: bool| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let value = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
            if !last {
                rest = rest.strip_prefix('.')?;
            }
            Some(value)
        };
        Some(Self { major: number(false)?, minor: number(false)?, patch: number(true)? })
    }

    /// Whether an engine of this version runs what asks for another.
    pub fn serves(self, required: Self) -> bool {
        self.major == required.major && (self.minor, self.patch) >= (required.minor, required.patch)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What Falco would record when the rule fires. A limit of 0 is Falco's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capture {
    pub enabled: bool,
    /// In milliseconds.
    pub duration: u32,
    pub events: u32,
    /// In kilobytes.
    pub filesize: u32,
}

/// A value of an exception: a text, or a list of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Missing,
    Item(String),
    List(Vec<Entry>),
}

impl Entry {
    /// Whether it was given, and is no empty list.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Missing => false,
            Self::Item(item) => !item.is_empty(),
            Self::List(items) => !items.is_empty(),
        }
    }

    pub fn item(&self) -> &str {
        match self {
            Self::Item(item) => item,
            Self::Missing | Self::List(_) => "",
        }
    }

    pub fn items(&self) -> &[Entry] {
        match self {
            Self::List(items) => items,
            Self::Missing | Self::Item(_) => &[],
        }
    }

    pub fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }
}

#[derive(Debug, Clone)]
pub struct Exception {
    pub name: String,
    pub fields: Entry,
    pub comps: Entry,
    pub values: Vec<Entry>,
    pub context: Context,
}

/// Where an item stands among all items: what is defined later is not seen by earlier ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Order {
    pub index: usize,
    pub visibility: usize,
}

#[derive(Debug, Clone)]
pub struct ListItem {
    pub name: String,
    pub items: Vec<String>,
    pub order: Order,
    pub context: Context,
}

#[derive(Debug, Clone)]
pub struct MacroItem {
    pub name: String,
    pub condition: String,
    pub condition_context: Context,
    pub order: Order,
    pub context: Context,
}

#[derive(Debug, Clone)]
pub struct RuleItem {
    pub name: String,
    pub condition: String,
    pub condition_context: Context,
    pub output: String,
    pub output_context: Context,
    pub description: String,
    pub priority: Priority,
    pub source: String,
    /// None for a source that is not enabled.
    pub known_source: Option<Source>,
    pub enabled: bool,
    pub warn_evttypes: bool,
    pub skip_if_unknown_filter: bool,
    pub capture: Capture,
    pub tags: BTreeSet<String>,
    pub exceptions: Vec<Exception>,
    pub context: Context,
}

/// What an item with `append` or `override` changes in an earlier rule.
#[derive(Debug, Clone, Default)]
pub struct RuleChange {
    pub condition: Option<String>,
    pub output: Option<String>,
    pub description: Option<String>,
    pub tags: Option<BTreeSet<String>>,
    pub exceptions: Option<Vec<Exception>>,
    pub priority: Option<Priority>,
    pub enabled: Option<bool>,
    pub warn_evttypes: Option<bool>,
    pub skip_if_unknown_filter: Option<bool>,
    pub capture: Option<bool>,
    pub capture_duration: Option<u32>,
    pub capture_events: Option<u32>,
    pub capture_filesize: Option<u32>,
}

impl RuleChange {
    pub fn is_empty(&self) -> bool {
        let texts = self.condition.is_none() && self.output.is_none() && self.description.is_none();
        let flags = self.enabled.is_none() && self.warn_evttypes.is_none() && self.skip_if_unknown_filter.is_none();
        let limits = [self.capture_duration, self.capture_events, self.capture_filesize];
        let captures = self.capture.is_none() && limits.iter().all(Option::is_none);
        texts && flags && captures && self.tags.is_none() && self.exceptions.is_none() && self.priority.is_none()
    }
}

/// A plugin that a file asks for, any one of the alternatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRequirement {
    pub name: String,
    pub version: String,
}
