//! Items put together over all files: definitions, what later items append to them, and what they replace.

use super::{
    item::{Entry, Exception, ListItem, MacroItem, Order, PluginRequirement, RuleChange, RuleItem, Version},
    report::{Context, ErrorCode, Failure, Report, WarningCode, failure},
};
use crate::{
    event::Schema,
    fields::Source,
    filter,
    syntax::{Modifier, Operator, parse_field},
};

/// Everything that was read so far.
#[derive(Debug, Clone, Default)]
pub struct Collection {
    pub lists: Vec<ListItem>,
    pub macros: Vec<MacroItem>,
    pub rules: Vec<RuleItem>,
    pub required_engine_version: Option<Version>,
    /// One entry per requirement, each with its alternatives.
    pub required_plugins: Vec<Vec<PluginRequirement>>,
    next: usize,
}

pub const NO_PREVIOUS_LIST: &str = "List uses 'append' or 'override.items: append' but no list by that name already exists";
pub const NO_PREVIOUS_MACRO: &str = "Macro uses 'append' or 'override.condition: append' but no macro by that name already exists";
const NO_PREVIOUS_RULE_APPEND: &str = "Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists";
const NO_PREVIOUS_RULE_REPLACE: &str = "An 'override.<key>: replace' to a rule was requested but no rule by that name already exists";

fn invalid(message: impl Into<String>, context: &Context) -> Failure {
    failure(ErrorCode::Validate, message, context)
}

impl Collection {
    fn take_number(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    pub fn require_engine(&mut self, version: Version, context: &Context) -> Result<(), Failure> {
        let engine = super::ENGINE_VERSION;
        if !engine.serves(version) {
            return Err(invalid(format!("Rules require engine version {version}, but engine version is {engine}"), context));
        }
        self.required_engine_version = self.required_engine_version.max(Some(version));
        Ok(())
    }

    pub fn require_plugin(&mut self, alternatives: Vec<PluginRequirement>, context: &Context) -> Result<(), Failure> {
        for (index, required) in alternatives.iter().enumerate() {
            let PluginRequirement { name, version } = required;
            if Version::parse(version).is_none() {
                return Err(invalid(format!("Invalid required version '{version}' for plugin '{name}'"), context));
            }
            if alternatives[..index].iter().any(|other| other.name == *name) {
                return Err(invalid(format!("Defined multiple alternative version requirements for plugin '{name}'"), context));
            }
        }
        self.required_plugins.push(alternatives);
        Ok(())
    }

    pub fn define_list(&mut self, mut list: ListItem) {
        let number = self.take_number();
        match self.lists.iter_mut().find(|other| other.name == list.name) {
            Some(previous) => {
                list.order = Order { index: previous.order.index, visibility: number };
                *previous = list;
            }
            None => {
                list.order = Order { index: number, visibility: number };
                self.lists.push(list);
            }
        }
    }

    pub fn append_list(&mut self, list: ListItem) -> Result<(), Failure> {
        let number = self.next;
        let previous = self.lists.iter_mut().find(|other| other.name == list.name);
        let previous = previous.ok_or_else(|| invalid(NO_PREVIOUS_LIST, &list.context))?;
        previous.items.extend(list.items);
        previous.order.visibility = number;
        self.next += 1;
        Ok(())
    }

    pub fn define_macro(&mut self, mut item: MacroItem) {
        let number = self.take_number();
        match self.macros.iter_mut().find(|other| other.name == item.name) {
            Some(previous) => {
                item.order = Order { index: previous.order.index, visibility: number };
                *previous = item;
            }
            None => {
                item.order = Order { index: number, visibility: number };
                self.macros.push(item);
            }
        }
    }

    pub fn append_macro(&mut self, item: &MacroItem) -> Result<(), Failure> {
        let number = self.next;
        let previous = self.macros.iter_mut().find(|other| other.name == item.name);
        let previous = previous.ok_or_else(|| invalid(NO_PREVIOUS_MACRO, &item.context))?;
        previous.condition = format!("{} {}", previous.condition, item.condition);
        previous.order.visibility = number;
        self.next += 1;
        Ok(())
    }

    pub fn define_rule(&mut self, mut rule: RuleItem, report: &mut Report) -> Result<(), Failure> {
        let previous = self.rules.iter_mut().find(|other| other.name == rule.name);
        if previous.as_ref().is_some_and(|previous| previous.source != rule.source) {
            return Err(invalid("Rule has been re-defined with a different source", &rule.context));
        }
        if rule.known_source.is_none() {
            report.warn(WarningCode::UnknownSource, format!("Unknown source {}, skipping", rule.source), &rule.context);
        }
        for exception in &mut rule.exceptions {
            if !exception.fields.is_valid() {
                let message = "Rule exception item must have fields property with a list of fields";
                return Err(invalid(message, &exception.context));
            }
            check_exception(rule.known_source, exception)?;
        }
        match previous {
            Some(previous) => *previous = rule,
            None => self.rules.push(rule),
        }
        self.next += 1;
        Ok(())
    }

    fn rule(&mut self, name: &str, missing: &str, context: &Context) -> Result<&mut RuleItem, Failure> {
        self.rules.iter_mut().find(|rule| rule.name == name).ok_or_else(|| invalid(missing, context))
    }

    pub fn append_rule(&mut self, name: &str, change: RuleChange, context: &Context) -> Result<(), Failure> {
        self.next += 1;
        let rule = self.rule(name, NO_PREVIOUS_RULE_APPEND, context)?;
        if change.is_empty() {
            return Err(invalid("Appended rule must have exceptions or condition property", context));
        }
        let texts =
            [(&mut rule.condition, change.condition), (&mut rule.output, change.output), (&mut rule.description, change.description)];
        for (text, more) in texts {
            if let Some(more) = more.filter(|more| !more.is_empty()) {
                text.push(' ');
                text.push_str(&more);
            }
        }
        rule.tags.extend(change.tags.into_iter().flatten());
        for mut exception in change.exceptions.into_iter().flatten() {
            match rule.exceptions.iter_mut().find(|other| other.name == exception.name) {
                None => {
                    if !exception.fields.is_valid() {
                        let message = "Rule exception must have fields property with a list of fields";
                        return Err(invalid(message, &exception.context));
                    }
                    if exception.values.is_empty() {
                        let message = "Rule exception must have values property with a list of values";
                        return Err(invalid(message, &exception.context));
                    }
                    check_exception(rule.known_source, &mut exception)?;
                    rule.exceptions.push(exception);
                }
                Some(previous) => {
                    for (what, entry) in [("fields", &exception.fields), ("comps", &exception.comps)] {
                        if entry.is_valid() {
                            let message = format!("Can not append exception {what} to existing exception, only values");
                            return Err(invalid(message, &exception.context));
                        }
                    }
                    previous.values.extend(exception.values);
                }
            }
        }
        Ok(())
    }

    pub fn replace_in_rule(&mut self, name: &str, change: RuleChange, context: &Context) -> Result<(), Failure> {
        self.next += 1;
        let rule = self.rule(name, NO_PREVIOUS_RULE_REPLACE, context)?;
        if change.is_empty() {
            return Err(invalid("The rule must have at least one field that can be replaced", context));
        }
        fn put<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        put(&mut rule.condition, change.condition);
        put(&mut rule.output, change.output);
        put(&mut rule.description, change.description);
        put(&mut rule.tags, change.tags);
        put(&mut rule.priority, change.priority);
        put(&mut rule.enabled, change.enabled);
        put(&mut rule.warn_evttypes, change.warn_evttypes);
        put(&mut rule.skip_if_unknown_filter, change.skip_if_unknown_filter);
        put(&mut rule.capture.enabled, change.capture);
        put(&mut rule.capture.duration, change.capture_duration);
        put(&mut rule.capture.events, change.capture_events);
        put(&mut rule.capture.filesize, change.capture_filesize);
        if let Some(mut exceptions) = change.exceptions {
            for exception in &mut exceptions {
                check_exception(rule.known_source, exception)?;
            }
            rule.exceptions = exceptions;
        }
        Ok(())
    }

    pub fn enable_rule(&mut self, name: &str, enabled: bool, context: &Context) -> Result<(), Failure> {
        self.rule(name, "Rule has 'enabled' key but no rule by that name already exists", context)?.enabled = enabled;
        Ok(())
    }
}

/// The operator and the modifier of a `comps` entry; none where there is no such operator.
pub fn comparison(word: &str) -> Option<(Operator, Option<Modifier>)> {
    let mut words = word.split_whitespace();
    let operator = Operator::from_word(words.next()?)?;
    let modifier = match words.next() {
        None => None,
        Some(word) => Some(Modifier::ALL.into_iter().find(|modifier| modifier.as_str() == word).filter(|_| operator.takes_modifier())?),
    };
    words.next().is_none().then_some((operator, modifier))
}

/// Fills in what an exception leaves out, and checks that fields and comparisons fit together.
fn check_exception(source: Option<Source>, exception: &mut Exception) -> Result<(), Failure> {
    let context = &exception.context;
    let known = |field: &str| match source {
        Some(source) if !is_field(source, field) => Err(invalid(format!("'{field}' is not a supported filter field"), context)),
        _ => Ok(()),
    };
    match &exception.fields {
        Entry::List(fields) => {
            if !exception.comps.is_valid() {
                exception.comps = Entry::List(vec![Entry::Item("=".to_owned()); fields.len()]);
            }
            if fields.len() != exception.comps.items().len() {
                return Err(invalid("Fields and comps lists must have equal length", context));
            }
            for comp in exception.comps.items() {
                if comparison(comp.item()).is_none() {
                    return Err(invalid(format!("'{}' is not a supported comparison operator", comp.item().trim()), context));
                }
            }
            fields.iter().try_for_each(|field| known(field.item()))
        }
        Entry::Item(field) => {
            if !exception.comps.is_valid() {
                exception.comps = Entry::Item("in".to_owned());
            }
            if exception.comps.is_list() {
                return Err(invalid("Fields and comps must both be strings", context));
            }
            match comparison(exception.comps.item()) {
                Some((_, Some(_))) => {}
                Some((operator, None)) if operator.takes_list() => {}
                _ => {
                    let message = "When fields is a single value, comps must be one of (in, pmatch, intersects) or a modifier operator \
                                   (e.g. startswith oneof)";
                    return Err(invalid(message, context));
                }
            }
            known(field)
        }
        Entry::Missing => Ok(()),
    }
}

/// A field, or a transformer over fields.
fn is_field(source: Source, text: &str) -> bool {
    match parse_field(text) {
        Ok((operand, length)) => length == text.len() && filter::compile_operand(&operand, source, &mut Schema::default()).is_ok(),
        Err(_) => false,
    }
}
