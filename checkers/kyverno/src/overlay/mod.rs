//! Patterns against objects (`validate.pattern`, and the conditions of `patchStrategicMerge`).

pub mod anchor;
pub mod leaf;
mod wildcards;

use anchor::{Anchor, Kind};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Why an object does not satisfy a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    pub message: String,
    /// `/spec/containers/0/image/`; empty where the pattern itself does not apply.
    pub path: String,
    /// A condition of the pattern does not hold, so that the pattern has nothing to say.
    pub skip: bool,
}

/// Deeper than any document that is read.
const DEEPEST: usize = 200;

/// Whether the object satisfies the pattern.
pub fn matches(object: &Value, pattern: &Value) -> Result<(), Mismatch> {
    let mut walk = Walk { anchors: BTreeMap::new(), depth: 0 };
    let Err(failure) = walk.element(object, pattern, "/") else { return Ok(()) };
    match failure.kind {
        FailureKind::Skip { .. } => Err(Mismatch { message: failure.message, path: String::new(), skip: true }),
        FailureKind::Negation => Err(Mismatch { message: failure.message, path: failure.path, skip: false }),
        FailureKind::Other if walk.misses_anchors() => Err(Mismatch { message: failure.message, path: String::new(), skip: false }),
        FailureKind::Other => Err(Mismatch { message: failure.message, path: failure.path, skip: false }),
    }
}

#[derive(Debug)]
struct Failure {
    message: String,
    path: String,
    kind: FailureKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureKind {
    /// `raw`: straight from an anchor, not yet gathered over the elements of a list or the keys of a map.
    Skip {
        raw: bool,
    },
    Negation,
    Other,
}

/// What Kyverno recognizes an error by, whatever it is wrapped in.
const CONDITION: &str = "conditional anchor mismatch";
const GLOBAL: &str = "global anchor mismatch";
const NEGATION: &str = "negation anchor matched in resource";

impl Failure {
    fn other(path: &str, message: String) -> Self {
        let kind = if message.contains(CONDITION) || message.contains(GLOBAL) {
            FailureKind::Skip { raw: true }
        } else if message.contains(NEGATION) {
            FailureKind::Negation
        } else {
            FailureKind::Other
        };
        Self { message, path: path.to_owned(), kind }
    }

    fn gathered(path: &str, skips: &[Failure]) -> Self {
        let message = skips.iter().map(|skip| skip.message.as_str()).collect::<Vec<_>>().join("; ");
        Self { message, path: path.to_owned(), kind: FailureKind::Skip { raw: false } }
    }

    fn is_skip(&self) -> bool {
        matches!(self.kind, FailureKind::Skip { .. })
    }

    fn is_raw_skip(&self) -> bool {
        self.kind == FailureKind::Skip { raw: true }
    }
}

struct Walk {
    /// Conditional, existence and negation anchors met, and whether the object has their key anywhere.
    anchors: BTreeMap<String, bool>,
    depth: usize,
}

impl Walk {
    fn misses_anchors(&self) -> bool {
        self.anchors.iter().any(|(key, present)| !present && !anchor::is(key, &[Kind::Negation]))
    }

    fn element(&mut self, object: &Value, pattern: &Value, path: &str) -> Result<(), Failure> {
        if self.depth > DEEPEST {
            return Err(Failure::other(path, format!("the pattern is nested too deeply at path {path}")));
        }
        self.depth += 1;
        let result = self.element_within(object, pattern, path);
        self.depth -= 1;
        result
    }

    fn element_within(&mut self, object: &Value, pattern: &Value, path: &str) -> Result<(), Failure> {
        let differs = |value: &Value| {
            let (value, pattern) = (crate::text::printed(value), crate::text::printed(pattern));
            Failure::other(path, format!("resource value '{value}' does not match '{pattern}' at path {path}"))
        };
        match (pattern, object) {
            (Value::Object(pattern), Value::Object(object)) => {
                self.note_anchors(pattern, object);
                self.map(object, pattern, path)
            }
            (Value::Object(_), other) => {
                let found = match other {
                    Value::Null => "<nil>",
                    Value::Bool(_) => "bool",
                    Value::Number(number) if number.is_f64() => "float64",
                    Value::Number(_) => "int64",
                    Value::String(_) => "string",
                    Value::Array(_) => "[]interface {}",
                    Value::Object(_) => "map[string]interface {}",
                };
                let message = format!(
                    "pattern and resource have different structures. Path: {path}. Expected map[string]interface {{}}, found {found}"
                );
                Err(Failure::other(path, message))
            }
            (Value::Array(pattern), Value::Array(object)) => self.list(object, pattern, path),
            (Value::Array(_), _) => {
                let message = format!("validation rule failed at path {path}, resource does not satisfy the expected overlay pattern");
                Err(Failure::other(path, message))
            }
            (pattern, Value::Array(items)) => {
                if items.iter().all(|item| leaf::matches(item, pattern)) {
                    Ok(())
                } else {
                    Err(differs(object))
                }
            }
            (pattern, value) => {
                if leaf::matches(value, pattern) {
                    Ok(())
                } else {
                    Err(differs(value))
                }
            }
        }
    }

    fn note_anchors(&mut self, pattern: &Map<String, Value>, object: &Map<String, Value>) {
        for key in pattern.keys() {
            let Some(anchor) = anchor::parse(key) else { continue };
            if matches!(anchor.kind, Kind::Condition | Kind::Existence | Kind::Negation) {
                let present = self.anchors.entry(key.clone()).or_insert(false);
                *present = *present || object.contains_key(anchor.key);
            }
        }
    }

    fn map(&mut self, object: &Map<String, Value>, pattern: &Map<String, Value>, path: &str) -> Result<(), Failure> {
        let expanded = wildcards::expand_in_metadata(pattern, object);
        let pattern = expanded.as_ref().unwrap_or(pattern);
        let first = [Kind::Condition, Kind::Existence, Kind::Equality, Kind::Negation];
        let (mut anchors, mut others): (Vec<_>, Vec<_>) = pattern.iter().partition(|(key, _)| anchor::is(key, &first));
        anchors.sort_by_key(|(key, _)| *key);
        let mut skips: Vec<Failure> = Vec::new();
        let mut applied = 0;
        for (key, value) in anchors {
            match self.entry(object, key, value, path) {
                Ok(()) => applied += 1,
                Err(failure) if failure.is_skip() => skips.push(failure),
                // A condition beside it did not hold: then the pattern does not apply, whatever else it says.
                Err(_) if skips.iter().any(Failure::is_raw_skip) => {}
                Err(failure) => return Err(failure),
            }
        }
        if !skips.is_empty() && (applied == 0 || skips.iter().any(Failure::is_raw_skip)) {
            return Err(Failure::gathered(path, &skips));
        }
        others.sort_by_key(|(key, _)| *key);
        for (key, value) in nested_anchors_first(others) {
            self.entry(object, key, value, path)?;
        }
        Ok(())
    }

    fn entry(&mut self, object: &Map<String, Value>, key: &str, pattern: &Value, path: &str) -> Result<(), Failure> {
        let Some(anchor) = anchor::parse(key).filter(|anchor| anchor.kind != Kind::AddIfNotPresent) else {
            return self.plain_entry(object, key, pattern, path);
        };
        let below = format!("{path}{}/", anchor.key);
        let value = object.get(anchor.key);
        match (anchor.kind, value) {
            (Kind::Negation, Some(_)) => {
                let message = format!("{NEGATION}: {below} is not allowed");
                Err(Failure { message, path: below, kind: FailureKind::Negation })
            }
            (Kind::Condition, None) => {
                let message = format!("{CONDITION}: conditional anchor key doesn't exist in the resource");
                Err(Failure { message, path: below, kind: FailureKind::Skip { raw: true } })
            }
            (_, None) => Ok(()),
            (Kind::Existence, Some(value)) => self.existence(value, pattern, &below),
            (kind, Some(value)) => self.element(value, pattern, &below).map_err(|failure| match kind {
                Kind::Condition => Failure {
                    message: format!("{CONDITION}: {}", failure.message),
                    path: failure.path,
                    kind: FailureKind::Skip { raw: true },
                },
                Kind::Global => {
                    Failure { message: format!("{GLOBAL}: {}", failure.message), path: failure.path, kind: FailureKind::Skip { raw: true } }
                }
                _ => failure,
            }),
        }
    }

    fn plain_entry(&mut self, object: &Map<String, Value>, key: &str, pattern: &Value, path: &str) -> Result<(), Failure> {
        let value = object.get(key).unwrap_or(&Value::Null);
        if pattern.as_str() == Some("*") {
            return if value.is_null() { Err(Failure::other(path, format!("{path}/{key} not found"))) } else { Ok(()) };
        }
        self.element(value, pattern, &format!("{path}{key}/"))
    }

    /// Every pattern of the list is satisfied by some element.
    fn existence(&mut self, value: &Value, pattern: &Value, path: &str) -> Result<(), Failure> {
        let Value::Array(items) = value else {
            return Err(Failure::other(path, "the anchor ^() can be used on lists only, and the resource has none there".to_owned()));
        };
        let Value::Array(patterns) = pattern else {
            return Err(Failure::other(path, "the pattern of an anchor ^() has to be a list".to_owned()));
        };
        for pattern in patterns {
            if !pattern.is_object() {
                return Err(Failure::other(path, "the pattern of an anchor ^() has to be a list of maps".to_owned()));
            }
            let found = items.iter().enumerate().any(|(i, item)| self.element(item, pattern, &format!("{path}{i}/")).is_ok());
            if !found {
                return Err(Failure::other(path, format!("existence anchor validation failed at path {path}")));
            }
        }
        Ok(())
    }

    fn list(&mut self, items: &[Value], patterns: &[Value], path: &str) -> Result<(), Failure> {
        match patterns.first() {
            None => Err(Failure::other(path, "pattern Array empty".to_owned())),
            Some(pattern @ Value::Object(_)) => {
                let each = items.iter().map(|item| (item, pattern));
                self.each(each, path)
            }
            Some(Value::Array(_)) if items.len() < patterns.len() => {
                let (items, patterns) = (items.len(), patterns.len());
                let message = format!(
                    "validate Array failed, array length mismatch, resource Array len is {items} and pattern Array len is {patterns}"
                );
                Err(Failure::other("", message))
            }
            Some(Value::Array(_)) => self.each(items.iter().zip(patterns), path),
            Some(pattern) => {
                let items = Value::Array(items.to_vec());
                self.element(&items, pattern, path)
            }
        }
    }

    /// Elements that a condition leaves out do not count, unless it leaves out all.
    fn each<'a>(&mut self, pairs: impl Iterator<Item = (&'a Value, &'a Value)>, path: &str) -> Result<(), Failure> {
        let mut skips = Vec::new();
        let mut applied = 0;
        for (i, (item, pattern)) in pairs.enumerate() {
            match self.element(item, pattern, &format!("{path}{i}/")) {
                Ok(()) => applied += 1,
                Err(failure) if failure.is_skip() => skips.push(failure),
                Err(failure) => return Err(failure),
            }
        }
        if applied == 0 && !skips.is_empty() { Err(Failure::gathered(path, &skips)) } else { Ok(()) }
    }
}

/// Keys whose values hold anchors come first, the last of them foremost, as Kyverno orders them.
fn nested_anchors_first<'a>(entries: Vec<(&'a String, &'a Value)>) -> Vec<(&'a String, &'a Value)> {
    let (mut first, rest): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, value)| anchor::is(key, &[Kind::Global]) || has_anchors(value, 0));
    first.reverse();
    first.extend(rest);
    first
}

fn has_anchors(pattern: &Value, depth: usize) -> bool {
    let counts = |key: &String| anchor::parse(key).is_some_and(|Anchor { kind, .. }| kind != Kind::AddIfNotPresent);
    match pattern {
        _ if depth > DEEPEST => false,
        Value::Object(map) => map.keys().any(counts) || map.values().any(|value| has_anchors(value, depth + 1)),
        Value::Array(items) => items.iter().any(|item| has_anchors(item, depth + 1)),
        _ => false,
    }
}
