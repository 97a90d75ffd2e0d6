//! The part of a CustomResourceDefinition's schema that these kinds use, and what the API server says about an object that does not
//! follow it. A field that is null counts as absent, as the API server drops it.

use crate::validate::Problems;
use serde_json::Value;
use std::collections::BTreeSet;

/// A rule in CEL: what it says about a value that breaks it.
pub(super) type Broken = fn(&Value) -> Option<&'static str>;
/// A regular expression, and who matches it.
type Pattern = (&'static str, fn(&str) -> bool);

pub(super) enum Schema {
    Object(Object),
    /// Labels.
    Strings,
    List {
        items: &'static Schema,
        min: usize,
        max: usize,
        /// No value twice.
        set: bool,
    },
    Text(Text),
    Integer {
        min: i64,
        max: i64,
    },
}

pub(super) struct Object {
    pub fields: &'static [(&'static str, &'static Schema)],
    pub required: &'static [&'static str],
    /// How many fields there may be.
    pub count: (usize, usize),
    pub rule: Option<Broken>,
}

pub(super) struct Text {
    /// Empty: any.
    pub choices: &'static [&'static str],
    pub max_bytes: usize,
    pub pattern: Option<Pattern>,
    pub rule: Option<Broken>,
}

impl Object {
    pub(super) const ANY: Self = Self { fields: &[], required: &[], count: (0, usize::MAX), rule: None };
    pub(super) const ONE_FIELD: Self = Self { count: (1, 1), ..Self::ANY };
}

impl Text {
    pub(super) const ANY: Self = Self { choices: &[], max_bytes: usize::MAX, pattern: None, rule: None };
}

/// What the schema says first, then what its rules say: those are asked only where no complaint is of a kind that would mislead them.
/// Returns whether they were asked.
pub(super) fn check(all: &mut Problems, schema: &Schema, value: &Value, path: &str) -> bool {
    let mut walk = Walk { all, rules: Vec::new(), misleading: false };
    walk.value(schema, value, path);
    let Walk { rules, misleading, .. } = walk;
    if !misleading {
        rules.into_iter().for_each(|(field, message)| all.add(field, message));
    }
    !misleading
}

struct Walk<'a> {
    all: &'a mut Problems,
    rules: Vec<(String, String)>,
    misleading: bool,
}

impl Walk<'_> {
    fn value(&mut self, schema: &Schema, value: &Value, path: &str) {
        match (schema, value) {
            (Schema::Object(schema), Value::Object(_)) => self.object(schema, value, path),
            (Schema::Strings, Value::Object(labels)) => {
                for (key, value) in labels {
                    self.value(&Schema::Text(Text::ANY), value, &format!("{path}.{key}"));
                }
            }
            (Schema::List { items, min, max, set }, Value::Array(list)) => {
                self.count(list.len(), (*min, *max), "items", path);
                let mut seen = BTreeSet::new();
                for (index, item) in list.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.value(items, item, &path);
                    if *set && !seen.insert(item.to_string()) {
                        self.all.add(path, format!("Duplicate value: {item}"));
                    }
                }
            }
            (Schema::Text(schema), Value::String(text)) => self.text(schema, value, text, path),
            (Schema::Integer { min, max }, Value::Number(number)) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => {
                let float = number.as_f64().unwrap_or_default();
                if float < *min as f64 {
                    self.all.invalid(path, value, format_args!("{path} in body should be greater than or equal to {min}"));
                } else if float > *max as f64 {
                    self.all.invalid(path, value, format_args!("{path} in body should be less than or equal to {max}"));
                }
            }
            _ => {
                let (wanted, found) = (schema.kind(), kind(value));
                self.misleading = true;
                self.all.invalid(path, &found.into(), format_args!("{path} in body must be of type {wanted}: \"{found}\""));
            }
        }
    }

    fn object(&mut self, schema: &Object, value: &Value, path: &str) {
        let known: Vec<&str> = schema.fields.iter().map(|(key, _)| *key).collect();
        let _ = self.all.fields(value, path, &known);
        let there: Vec<_> = schema.fields.iter().filter(|(key, _)| !value[*key].is_null()).collect();
        self.count(there.len(), schema.count, "properties", path);
        for key in schema.required.iter().filter(|key| value[**key].is_null()) {
            self.misleading = true;
            self.all.required(format!("{path}.{key}"), "");
        }
        for (key, schema) in there {
            self.value(schema, &value[*key], &format!("{path}.{key}"));
        }
        if let Some(message) = schema.rule.and_then(|rule| rule(value)) {
            self.rules.push((path.to_owned(), format!("Invalid value: \"object\": {message}")));
        }
    }

    fn text(&mut self, schema: &Text, value: &Value, text: &str, path: &str) {
        if !schema.choices.is_empty() && !schema.choices.contains(&text) {
            self.misleading = true;
            self.all.unsupported(path, value, schema.choices);
        }
        if text.chars().count() > schema.max_bytes {
            self.misleading = true;
            self.all.add(path, format!("Too long: may not be more than {} bytes", schema.max_bytes));
        }
        if let Some((pattern, matches)) = schema.pattern
            && !matches(text)
        {
            self.all.invalid(path, value, format_args!("{path} in body should match '{pattern}'"));
        }
        if let Some(message) = schema.rule.and_then(|rule| rule(value)) {
            self.rules.push((path.to_owned(), format!("Invalid value: \"string\": {message}")));
        }
    }

    fn count(&mut self, count: usize, (min, max): (usize, usize), what: &str, path: &str) {
        if count < min {
            self.all.invalid(path, &count.into(), format_args!("{path} in body should have at least {min} {what}"));
        } else if count > max {
            self.misleading = true;
            let items = if max == 1 { "item" } else { "items" };
            self.all.add(path, format!("Too many: {count}: must have at most {max} {items}"));
        }
    }
}

impl Schema {
    fn kind(&self) -> &'static str {
        match self {
            Self::Object(_) | Self::Strings => "object",
            Self::List { .. } => "array",
            Self::Text(_) => "string",
            Self::Integer { .. } => "integer",
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
