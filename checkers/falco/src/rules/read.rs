//! One file: its documents, their items, and what each item says. Messages and their order are Falco's.

use super::{
    collect::Collection,
    decode::{self, invalid},
    exceptions,
    item::{Capture, ListItem, MacroItem, Order, PluginRequirement, Priority, RuleChange, RuleItem, Version},
    report::{Context, ErrorCode, Failure, Part, Report, WarningCode, failure},
    yaml::{self, Node},
};
use crate::fields::Source;
use std::collections::{BTreeMap, BTreeSet};

const APPEND_IS_DEPRECATED: &str = "'append' key is deprecated. Add an 'append' entry (e.g. 'condition: append') under 'override' instead.";
const ENABLED_IS_DEPRECATED: &str = "The standalone 'enabled' key usage is deprecated. The correct approach requires also a 'replace' \
                                     entry under the 'override' key (i.e. 'enabled: replace').";
const OVERRIDE_AND_APPEND: &str = "Keys 'override' and 'append: true' cannot be used together. Add an 'append' entry (e.g. 'condition: \
                                   append') under 'override' instead.";
const MACRO_NAME: &str = "Macro has an invalid name. Macro names should match a regular expression: ([a-zA-Z]+[a-zA-Z0-9_]*)";
const LIST_NAME: &str = "List has an invalid name. List names should match a regular expression: ([^()\"'[:space:]=,]+)";

const RULE_KEYS: &[&str] = &[
    "rule",
    "desc",
    "condition",
    "output",
    "priority",
    "source",
    "enabled",
    "tags",
    "exceptions",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "capture",
    "capture_duration",
    "capture_events",
    "capture_filesize",
    "append",
    "override",
];
const MACRO_KEYS: &[&str] = &["macro", "condition", "append", "override"];
const LIST_KEYS: &[&str] = &["list", "items", "append", "override"];

const APPENDABLE: &[&str] = &["condition", "output", "desc", "tags", "exceptions"];
const REPLACEABLE: &[&str] = &[
    "condition",
    "output",
    "desc",
    "priority",
    "tags",
    "exceptions",
    "enabled",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "capture",
    "capture_duration",
    "capture_events",
    "capture_filesize",
];

/// Reads a file into the collection. What is wrong ends the reading and stands in the report.
pub fn read(text: &str, sources: &[Source], collection: &mut Collection, report: &mut Report) {
    let context = Context::file(&report.name);
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => {
            let place = context.part(Part::ValueFor, "", error.mark);
            report.errors.push(*failure(ErrorCode::YamlParse, error.to_string(), &place));
            return;
        }
    };
    let mut reader = Reader { sources, collection, report };
    for document in documents.iter().filter(|document| !document.is_null()) {
        if let Err(failure) = reader.document(document, &context) {
            reader.report.errors.push(*failure);
            return;
        }
    }
}

struct Reader<'a> {
    sources: &'a [Source],
    collection: &'a mut Collection,
    report: &'a mut Report,
}

impl Reader<'_> {
    fn document(&mut self, document: &Node, context: &Context) -> Result<(), Failure> {
        if document.scalar().is_some() {
            return Err(invalid("Rules content is not yaml", context));
        }
        let items = document.sequence().ok_or_else(|| invalid("Rules content is not yaml array of objects", context))?;
        items.iter().filter(|item| !item.is_null()).try_for_each(|item| self.item(item, context))
    }

    fn item(&mut self, item: &Node, file: &Context) -> Result<(), Failure> {
        let here = file.part(Part::RulesContentItem, "", item.mark);
        if item.mapping().is_none() {
            return Err(invalid("Unexpected element type. Each element should be a yaml associative array.", &here));
        }
        if item.get("required_engine_version").is_some() {
            self.required_engine_version(item, file)
        } else if let Some(plugins) = item.get("required_plugin_versions") {
            self.required_plugin_versions(plugins, file)
        } else if item.get("list").is_some() {
            self.list(item, file)
        } else if item.get("macro").is_some() {
            self.macro_item(item, file)
        } else if item.get("rule").is_some() {
            self.rule(item, file)
        } else {
            self.report.warn(WarningCode::UnknownItem, "Unknown top level item", &here);
            Ok(())
        }
    }

    fn warn_of_unknown_keys(&mut self, item: &Node, known: &[&str], context: &Context) {
        for (key, _) in item.mapping().unwrap_or_default() {
            if let Some(name) = key.scalar().filter(|name| !known.contains(name)) {
                let here = context.part(Part::ValueFor, name, key.mark);
                self.report.warn(WarningCode::UnknownKey, format!("Unknown key '{name}'. The key will be ignored."), &here);
            }
        }
    }

    fn required_engine_version(&mut self, item: &Node, file: &Context) -> Result<(), Failure> {
        let context = file.part(Part::RequiredEngineVersion, "", item.mark);
        let text = decode::text(item, "required_engine_version", &context)?;
        // A number alone is the minor version of an engine before 1.0.
        let version = match text.parse() {
            Ok(minor) => Some(Version { major: 0, minor, patch: 0 }),
            Err(_) => Version::parse(&text),
        };
        let version = version.ok_or_else(|| {
            let message = format!("Unable to parse engine version '{text}' as a semver string. Expected \"x.y.z\" semver format.");
            invalid(message, &context)
        })?;
        self.collection.require_engine(version, &context)
    }

    fn required_plugin_versions(&mut self, plugins: &Node, file: &Context) -> Result<(), Failure> {
        let context = file.part(Part::RequiredPluginVersions, "", plugins.mark);
        let plugins = plugins.sequence().ok_or_else(|| invalid("Value of required_plugin_versions must be a sequence", &context))?;
        for plugin in plugins {
            let entry = context.part(Part::RequiredPluginVersionsEntry, "", plugin.mark);
            if plugin.mapping().is_none() {
                return Err(invalid("Plugin version must be a mapping", &entry));
            }
            let name = decode::text(plugin, "name", &entry)?;
            let entry = context.part(Part::RequiredPluginVersionsEntry, &name, plugin.mark);
            let version = decode::text(plugin, "version", &entry)?;
            let mut alternatives = vec![PluginRequirement { name, version }];
            if let Some(others) = plugin.get("alternatives") {
                let others = others.sequence().ok_or_else(|| invalid("Value of plugin version alternatives must be a sequence", &entry))?;
                for other in others {
                    let place = entry.part(Part::RequiredPluginVersionsAlternative, "", other.mark);
                    if other.mapping().is_none() {
                        return Err(invalid("Plugin version alternative must be a mapping", &place));
                    }
                    let name = decode::text(other, "name", &place)?;
                    let place = entry.part(Part::RequiredPluginVersionsAlternative, &name, other.mark);
                    alternatives.push(PluginRequirement { version: decode::text(other, "version", &place)?, name });
                }
            }
            self.collection.require_plugin(alternatives, &entry)?;
        }
        Ok(())
    }

    /// The name that stands under `word`, and where the item is.
    fn head(&mut self, item: &Node, word: &str, part: Part, keys: &[&str], file: &Context) -> Result<(String, Context), Failure> {
        let name = decode::text(item, word, &file.part(part, "", item.mark))?;
        let context = file.part(part, &name, item.mark);
        self.warn_of_unknown_keys(item, keys, &context);
        Ok((name, context))
    }

    /// Whether the deprecated `append: true` is there, or what is overridden: one of them at most.
    fn changes(&mut self, item: &Node, appendable: &[&str], replaceable: &[&str], context: &Context) -> Result<(bool, Overrides), Failure> {
        let append = decode::optional_bool(item, "append", context)?.unwrap_or(false);
        if append {
            self.report.warn(WarningCode::DeprecatedItem, APPEND_IS_DEPRECATED, context);
        }
        let overrides = overrides(item, appendable, replaceable, context)?;
        if append && !overrides.is_empty() {
            return Err(invalid(OVERRIDE_AND_APPEND, context));
        }
        Ok((append, overrides))
    }

    fn list(&mut self, item: &Node, file: &Context) -> Result<(), Failure> {
        let (name, context) = self.head(item, "list", Part::List, LIST_KEYS, file)?;
        if name.chars().any(|c| matches!(c, '(' | ')' | '"' | '\'' | '=' | ',') || c.is_ascii_whitespace()) {
            self.report.warn(WarningCode::InvalidListName, LIST_NAME, &context);
        }
        let items = decode::texts(item, "items", &context)?;
        let (append, overrides) = self.changes(item, &["items"], &["items"], &context)?;
        let list = ListItem { name, items, order: Order::default(), context };
        if append || overrides.get("items") == Some(&Change::Append) {
            return self.collection.append_list(list);
        }
        self.collection.define_list(list);
        Ok(())
    }

    fn macro_item(&mut self, item: &Node, file: &Context) -> Result<(), Failure> {
        let (name, context) = self.head(item, "macro", Part::Macro, MACRO_KEYS, file)?;
        let letters = name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !letters || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.report.warn(WarningCode::InvalidMacroName, MACRO_NAME, &context);
        }
        let condition = decode::text(item, "condition", &context)?;
        let condition_context = part(item, "condition", Part::MacroCondition, &context);
        let (append, overrides) = self.changes(item, &["condition"], &["condition"], &context)?;
        let item = MacroItem { name, condition, condition_context, order: Order::default(), context };
        if append || overrides.get("condition") == Some(&Change::Append) {
            return self.collection.append_macro(&item);
        }
        self.collection.define_macro(item);
        Ok(())
    }

    fn rule(&mut self, item: &Node, file: &Context) -> Result<(), Failure> {
        let (name, context) = self.head(item, "rule", Part::Rule, RULE_KEYS, file)?;
        let (append, overrides) = self.changes(item, APPENDABLE, REPLACEABLE, &context)?;
        if !overrides.is_empty() {
            return self.override_rule(&name, item, &overrides, &context);
        }
        if append {
            let mut change = RuleChange { condition: decode::optional_text(item, "condition", &context)?, ..RuleChange::default() };
            if item.get("exceptions").is_some() {
                change.exceptions = Some(exceptions::read(item, &context, true, self.report)?);
            }
            return self.collection.append_rule(&name, change, &context);
        }
        if ["condition", "output", "desc", "priority"].iter().all(|key| item.get(key).is_none()) {
            let enabled = decode::boolean(item, "enabled", &context)?;
            self.report.warn(WarningCode::DeprecatedItem, ENABLED_IS_DEPRECATED, &context);
            return self.collection.enable_rule(&name, enabled, &context);
        }
        let rule = self.whole_rule(name, item, context)?;
        self.collection.define_rule(rule, self.report)
    }

    fn whole_rule(&mut self, name: String, item: &Node, context: Context) -> Result<RuleItem, Failure> {
        let condition = decode::text(item, "condition", &context)?;
        let output = decode::text(item, "output", &context)?;
        let description = decode::text(item, "desc", &context)?;
        let priority = priority(item, &context)?;
        let source = decode::optional_text(item, "source", &context)?.unwrap_or_else(|| Source::Syscall.as_str().to_owned());
        let known_source = self.sources.iter().copied().find(|known| known.as_str() == source);
        Ok(RuleItem {
            condition_context: part(item, "condition", Part::RuleCondition, &context),
            output_context: part(item, "output", Part::RuleOutput, &context),
            output: output.trim().to_owned(),
            enabled: decode::optional_bool(item, "enabled", &context)?.unwrap_or(true),
            warn_evttypes: decode::optional_bool(item, "warn_evttypes", &context)?.unwrap_or(true),
            skip_if_unknown_filter: decode::optional_bool(item, "skip-if-unknown-filter", &context)?.unwrap_or(false),
            capture: Capture {
                enabled: decode::optional_bool(item, "capture", &context)?.unwrap_or(false),
                duration: decode::optional_number(item, "capture_duration", &context)?.unwrap_or(0),
                events: decode::optional_number(item, "capture_events", &context)?.unwrap_or(0),
                filesize: decode::optional_number(item, "capture_filesize", &context)?.unwrap_or(0),
            },
            tags: tags(item, &context)?.unwrap_or_default(),
            exceptions: exceptions::read(item, &context, false, self.report)?,
            name,
            condition,
            description,
            priority,
            source,
            known_source,
            context,
        })
    }

    fn override_rule(&mut self, name: &str, item: &Node, changes: &Overrides, context: &Context) -> Result<(), Failure> {
        let mut defined: BTreeSet<&str> = REPLACEABLE.iter().copied().filter(|key| item.get(key).is_some()).collect();
        for (operation, word) in [(Change::Append, "append"), (Change::Replace, "replace")] {
            if !changes.values().any(|change| *change == operation) {
                continue;
            }
            let mut change = RuleChange::default();
            let order: &[&str] = &["condition", "exceptions", "output", "desc", "tags", "priority", "enabled", "warn_evttypes"];
            let rest: &[&str] = &["skip-if-unknown-filter", "capture", "capture_duration", "capture_events", "capture_filesize"];
            for key in order.iter().chain(rest).filter(|key| changes.get(**key) == Some(&operation)) {
                if !defined.remove(key) {
                    let message = format!("An {word} override for '{key}' was specified but '{key}' is not defined");
                    return Err(invalid(message, context));
                }
                match *key {
                    "condition" => change.condition = Some(decode::text(item, key, context)?),
                    "exceptions" => {
                        change.exceptions = Some(exceptions::read(item, context, operation == Change::Append, self.report)?);
                    }
                    "output" => change.output = Some(decode::text(item, key, context)?),
                    "desc" => change.description = Some(decode::text(item, key, context)?),
                    "tags" => change.tags = tags(item, context)?,
                    "priority" => change.priority = Some(priority(item, context)?),
                    "enabled" => change.enabled = Some(decode::boolean(item, key, context)?),
                    "warn_evttypes" => change.warn_evttypes = Some(decode::boolean(item, key, context)?),
                    "skip-if-unknown-filter" => change.skip_if_unknown_filter = Some(decode::boolean(item, key, context)?),
                    "capture" => change.capture = Some(decode::boolean(item, key, context)?),
                    "capture_duration" => change.capture_duration = decode::optional_number(item, key, context)?,
                    "capture_events" => change.capture_events = decode::optional_number(item, key, context)?,
                    _ => change.capture_filesize = decode::optional_number(item, key, context)?,
                }
            }
            match operation {
                Change::Append => self.collection.append_rule(name, change, context)?,
                Change::Replace => self.collection.replace_in_rule(name, change, context)?,
            }
        }
        match defined.first() {
            None => Ok(()),
            Some(key) => {
                let place = part(item, key, Part::Overrides, context);
                Err(invalid(format!("Unexpected key '{key}': no corresponding entry under 'override' is defined."), &place))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Append,
    Replace,
}

type Overrides = BTreeMap<String, Change>;

fn overrides(item: &Node, appendable: &[&str], replaceable: &[&str], context: &Context) -> Result<Overrides, Failure> {
    let mut changes = Overrides::new();
    let Some(node) = item.get("override") else { return Ok(changes) };
    let here = context.part(Part::Overrides, "", item.mark);
    let not_a_word = || failure(ErrorCode::Validate, "bad conversion", &here);
    let entries = if node.is_null() { &[][..] } else { node.mapping().ok_or_else(not_a_word)? };
    for (key, operation) in entries {
        let (name, word) = (key.scalar().ok_or_else(not_a_word)?, operation.scalar().ok_or_else(not_a_word)?);
        let place = here.part(Part::Overrides, name, key.mark);
        let (may_append, may_replace) = (appendable.contains(&name), replaceable.contains(&name));
        let change = match word {
            "append" if !may_append => {
                return Err(invalid(format!("Key '{name}' cannot be appended to, use 'replace' instead"), &place));
            }
            "append" => Change::Append,
            "replace" if !may_replace => return Err(invalid(format!("Key '{name}' cannot be replaced"), &place)),
            "replace" => Change::Replace,
            _ => {
                let allowed = format!("{}{}", if may_append { "append " } else { "" }, if may_replace { "replace " } else { "" });
                let message = format!("Invalid override operation for key '{name}': '{word}'. Allowed values are: {allowed}");
                return Err(invalid(message, &here.part(Part::ValueFor, name, operation.mark)));
            }
        };
        changes.insert(name.to_owned(), change);
    }
    Ok(changes)
}

fn part(item: &Node, key: &str, part: Part, context: &Context) -> Context {
    context.part(part, if part == Part::Overrides { key } else { "" }, item.get(key).map(|node| node.mark).unwrap_or_default())
}

fn priority(item: &Node, context: &Context) -> Result<Priority, Failure> {
    let word = decode::text(item, "priority", context)?;
    Priority::from_word(&word).ok_or_else(|| invalid("Invalid priority", &part(item, "priority", Part::RulePriority, context)))
}

fn tags(item: &Node, context: &Context) -> Result<Option<BTreeSet<String>>, Failure> {
    Ok(decode::optional_texts(item, "tags", context)?.map(|tags| tags.into_iter().collect()))
}
