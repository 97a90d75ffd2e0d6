//! What loading a file came to, in the words and the form of Falco's own report.

use super::yaml::Mark;
use crate::syntax::Position;
use serde_json::{Value as Json, json};
use std::fmt::{self, Write};

/// Why a file does not load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    YamlParse,
    YamlValidate,
    CompileCondition,
    CompileOutput,
    Validate,
}

/// What looks wrong in a file that loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningCode {
    UnknownSource,
    UnsafeNaCheck,
    NoEvttype,
    UnknownFilter,
    UnusedMacro,
    UnusedList,
    UnknownItem,
    DeprecatedItem,
    AppendNoValues,
    ExceptionNameNotUnique,
    InvalidMacroName,
    InvalidListName,
    CompileCondition,
    UnknownKey,
}

impl ErrorCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::YamlParse => "LOAD_ERR_YAML_PARSE",
            Self::YamlValidate => "LOAD_ERR_YAML_VALIDATE",
            Self::CompileCondition => "LOAD_ERR_COMPILE_CONDITION",
            Self::CompileOutput => "LOAD_ERR_COMPILE_OUTPUT",
            Self::Validate => "LOAD_ERR_VALIDATE",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::YamlParse => "YAML parse error",
            Self::YamlValidate => "Error validating internal structure of YAML file",
            Self::CompileCondition => "Error compiling condition",
            Self::CompileOutput => "Error compiling output",
            Self::Validate => "Error validating rule/macro/list/exception objects",
        }
    }
}

impl WarningCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownSource => "LOAD_UNKNOWN_SOURCE",
            Self::UnsafeNaCheck => "LOAD_UNSAFE_NA_CHECK",
            Self::NoEvttype => "LOAD_NO_EVTTYPE",
            Self::UnknownFilter => "LOAD_UNKNOWN_FILTER",
            Self::UnusedMacro => "LOAD_UNUSED_MACRO",
            Self::UnusedList => "LOAD_UNUSED_LIST",
            Self::UnknownItem => "LOAD_UNKNOWN_ITEM",
            Self::DeprecatedItem => "LOAD_DEPRECATED_ITEM",
            Self::AppendNoValues => "LOAD_APPEND_NO_VALUES",
            Self::ExceptionNameNotUnique => "LOAD_EXCEPTION_NAME_NOT_UNIQUE",
            Self::InvalidMacroName => "LOAD_INVALID_MACRO_NAME",
            Self::InvalidListName => "LOAD_INVALID_LIST_NAME",
            Self::CompileCondition => "LOAD_COMPILE_CONDITION",
            Self::UnknownKey => "LOAD_UNKNOWN_KEY",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::UnknownSource => "Unknown event source",
            Self::UnsafeNaCheck => "Unsafe <NA> comparison in condition",
            Self::NoEvttype => "Condition has no event-type restriction",
            Self::UnknownFilter => "Unknown field or event-type in condition or output",
            Self::UnusedMacro => "Unused macro",
            Self::UnusedList => "Unused list",
            Self::UnknownItem => "Unknown rules file item",
            Self::DeprecatedItem => "Used deprecated item",
            Self::AppendNoValues => "Overriding/appending with no values",
            Self::ExceptionNameNotUnique => "Multiple exceptions defined with the same name",
            Self::InvalidMacroName => "Invalid macro name",
            Self::InvalidListName => "Invalid list name",
            Self::CompileCondition => "Warning in rule condition",
            Self::UnknownKey => "Unknown key in item definition",
        }
    }
}

/// What a place in a file is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    ValueFor,
    Exceptions,
    Exception,
    ExceptionValues,
    ExceptionValue,
    RulesContent,
    RulesContentItem,
    RequiredEngineVersion,
    RequiredPluginVersions,
    RequiredPluginVersionsEntry,
    RequiredPluginVersionsAlternative,
    List,
    ListItem,
    Macro,
    MacroCondition,
    Rule,
    RuleCondition,
    ConditionExpression,
    RuleOutput,
    RulePriority,
    Overrides,
}

impl Part {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ValueFor => "value for",
            Self::Exceptions => "exceptions",
            Self::Exception => "exception",
            Self::ExceptionValues => "exception values",
            Self::ExceptionValue => "exception value",
            Self::RulesContent => "rules content",
            Self::RulesContentItem => "rules content item",
            Self::RequiredEngineVersion => "required_engine_version",
            Self::RequiredPluginVersions => "required plugin versions",
            Self::RequiredPluginVersionsEntry => "required plugin versions entry",
            Self::RequiredPluginVersionsAlternative => "required plugin versions alternative",
            Self::List => "list",
            Self::ListItem => "list item",
            Self::Macro => "macro",
            Self::MacroCondition => "macro condition",
            Self::Rule => "rule",
            Self::RuleCondition => "rule condition",
            Self::ConditionExpression => "condition expression",
            Self::RuleOutput => "rule output",
            Self::RulePriority => "rule priority",
            Self::Overrides => "overrides",
        }
    }
}

/// The way to a place: from the file to the item to the part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub locations: Vec<Location>,
    /// The condition that the last location lies in, where it is no place of the file.
    condition: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, or the beginning of a condition.
    pub name: String,
    pub mark: Mark,
    pub part: Part,
    pub item: String,
}

impl Context {
    pub fn file(name: &str) -> Self {
        let location = Location { name: name.to_owned(), mark: Mark::default(), part: Part::RulesContent, item: String::new() };
        Self { locations: vec![location], condition: None }
    }

    /// A part of what this context is about.
    pub fn part(&self, part: Part, item: &str, mark: Mark) -> Self {
        let name = self.locations.first().map(|location| location.name.clone()).unwrap_or_default();
        let mut locations = self.locations.clone();
        locations.push(Location { name, mark, part, item: item.to_owned() });
        Self { locations, condition: None }
    }

    /// A place inside a condition.
    pub fn expression(&self, condition: &str, position: Position) -> Self {
        let short = if condition.len() > 20 {
            let end = (0..=17).rev().find(|end| condition.is_char_boundary(*end)).unwrap_or(0);
            format!("\"{}...\"", &condition[..end])
        } else {
            format!("\"{condition}\"")
        };
        let last = self.locations.last().map(|location| location.mark).unwrap_or_default();
        let mark = Mark { offset: position.index + last.offset, line: position.line + last.line, column: position.column + last.column };
        let mut locations = self.locations.clone();
        locations.push(Location { name: short.replace(['\n', '\r'], " "), mark, part: Part::ConditionExpression, item: String::new() });
        Self { locations, condition: Some(condition.to_owned()) }
    }

    /// The line of the file that the place lies on, from 1.
    pub fn line(&self) -> usize {
        let in_file = self.locations.iter().rev().find(|location| location.part != Part::ConditionExpression);
        in_file.map_or(1, |location| location.mark.line + 1)
    }

    /// The line of text around the place, with a mark below it.
    fn snippet(&self, contents: &str) -> String {
        const HALF: usize = 80;
        let text = self.condition.as_deref().unwrap_or(contents);
        let chars: Vec<char> = text.chars().collect();
        if chars.is_empty() {
            return "<No context available>\n".to_owned();
        }
        let mut at = self.locations.last().map_or(0, |location| location.mark.offset).min(chars.len());
        while at > 0 && (at >= chars.len() || chars[at] == '\n') {
            at -= 1;
        }
        let from = (0..at).rev().take(HALF).find(|index| chars[*index] == '\n').map_or(at.saturating_sub(HALF), |index| index + 1);
        let to = (at..chars.len()).take(HALF).find(|index| chars[*index] == '\n').unwrap_or((at + HALF).min(chars.len()));
        let mut line: String = chars[from..to].iter().collect();
        if line.is_empty() {
            return "<No context available>\n".to_owned();
        }
        line.push('\n');
        let _ = writeln!(line, "{}^", " ".repeat(at - from));
        line
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, location) in self.locations.iter().enumerate() {
            f.write_str(if index == 0 { "In " } else { "    " })?;
            f.write_str(location.part.as_str())?;
            if !location.item.is_empty() {
                write!(f, " '{}'", location.item)?;
            }
            writeln!(f, ": ({}:{}:{})", location.name, location.mark.line, location.mark.column)?;
        }
        Ok(())
    }
}

/// An error or a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem<Code> {
    pub code: Code,
    pub message: String,
    pub context: Context,
}

/// What loading one file came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    pub name: String,
    pub errors: Vec<Problem<ErrorCode>>,
    pub warnings: Vec<Problem<WarningCode>>,
}

/// An error on its way to the report.
pub(super) type Failure = Box<Problem<ErrorCode>>;

pub(super) fn failure(code: ErrorCode, message: impl Into<String>, context: &Context) -> Failure {
    Box::new(Problem { code, message: message.into(), context: context.clone() })
}

impl Report {
    pub fn is_successful(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn warn(&mut self, code: WarningCode, message: impl Into<String>, context: &Context) {
        self.warnings.push(Problem { code, message: message.into(), context: context.clone() });
    }

    fn head(&self) -> String {
        let state = match (self.errors.is_empty(), self.warnings.is_empty()) {
            (true, true) => "Ok",
            (true, false) => "Ok, with warnings",
            (false, _) => "Invalid",
        };
        format!("{}: {state}\n", self.name)
    }

    /// As `falco --validate` prints it. Lines and columns are counted from 0, as Falco counts them.
    pub fn to_text(&self, contents: &str) -> String {
        let mut text = self.head();
        let mut section = |count: usize, title: &str, problems: Vec<(&Context, String)>| {
            if count > 0 {
                let _ = writeln!(text, "{count} {title}:");
            }
            for (context, line) in problems {
                let _ = write!(text, "{context}------\n{}------\n{line}\n", context.snippet(contents));
            }
        };
        let errors = self.errors.iter().map(|p| (&p.context, format!("{} ({}): {}", p.code.as_str(), p.code.title(), p.message)));
        section(self.errors.len(), "Errors", errors.collect());
        let warnings = self.warnings.iter().map(|p| (&p.context, format!("{} ({}): {}", p.code.as_str(), p.code.title(), p.message)));
        section(self.warnings.len(), "Warnings", warnings.collect());
        text
    }

    /// As `falco --validate -o json_output=true` has it.
    pub fn to_json(&self, contents: &str) -> Json {
        let problem = |code: &str, title: &str, message: &str, context: &Context| {
            let locations: Vec<Json> = context
                .locations
                .iter()
                .map(|location| {
                    let Mark { offset, line, column } = location.mark;
                    let position = json!({"name": location.name, "line": line, "column": column, "offset": offset});
                    json!({"item_type": location.part.as_str(), "item_name": location.item, "position": position})
                })
                .collect();
            let context = json!({"locations": locations, "snippet": context.snippet(contents)});
            json!({"code": code, "codedesc": title, "message": message, "context": context})
        };
        let errors: Vec<Json> = self.errors.iter().map(|p| problem(p.code.as_str(), p.code.title(), &p.message, &p.context)).collect();
        let warnings: Vec<Json> = self.warnings.iter().map(|p| problem(p.code.as_str(), p.code.title(), &p.message, &p.context)).collect();
        json!({"name": self.name, "successful": self.is_successful(), "errors": errors, "warnings": warnings})
    }
}
