//! A set of field paths, as `fieldsV1` writes it: `f:` a field, `k:` an item by its keys, `v:` an item by its value
//! (sigs.k8s.io/structured-merge-diff fieldpath).

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A tree of path elements in their written form; a path is in the set where its node is a member.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Set {
    pub member: bool,
    pub children: BTreeMap<String, Set>,
}

/// How deep a written set may nest; beyond it is cut off.
const MAX_DEPTH: usize = 200;

impl Set {
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Self::is_empty)
    }

    /// Whether the set holds the field at the end of `path`.
    pub fn has(&self, path: &[&str]) -> bool {
        match path {
            [] => true,
            [first, rest @ ..] => self.children.get(*first).is_some_and(|child| child.has(rest)),
        }
    }

    pub fn child(&mut self, element: &str) -> &mut Self {
        if !self.children.contains_key(element) {
            self.children.insert(element.to_owned(), Self::default());
        }
        self.children.entry(element.to_owned()).or_default()
    }

    /// Reads `fieldsV1`.
    pub fn parse(fields: &Value) -> Self {
        Self::parse_within(fields, 0)
    }

    fn parse_within(fields: &Value, depth: usize) -> Self {
        let mut set = Self::default();
        let Some(entries) = fields.as_object().filter(|_| depth < MAX_DEPTH) else { return set };
        for (key, below) in entries {
            if key == "." {
                set.member = true;
                continue;
            }
            let mut child = Self::parse_within(below, depth + 1);
            // an element with nothing below it stands for itself
            child.member |= below.as_object().is_none_or(Map::is_empty);
            set.children.insert(key.clone(), child);
        }
        set
    }

    /// Writes `fieldsV1`.
    pub fn to_value(&self) -> Value {
        let mut entries = Map::new();
        for (key, child) in self.children.iter().filter(|(_, child)| !child.is_empty()) {
            let mut below = child.to_value();
            if child.member
                && let Value::Object(map) = &mut below
                && !map.is_empty()
            {
                map.insert(".".to_owned(), Value::Object(Map::new()));
            }
            entries.insert(key.clone(), below);
        }
        Value::Object(entries)
    }

    pub fn union(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.extend(other);
        both
    }

    pub fn extend(&mut self, other: &Self) {
        self.member |= other.member;
        for (key, child) in &other.children {
            self.child(key).extend(child);
        }
    }

    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, &|mine, theirs| mine && !theirs)
    }

    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, &|mine, theirs| mine && theirs)
    }

    /// Only what is in `self` can be in the outcome.
    fn combine(&self, other: &Self, keep: &dyn Fn(bool, bool) -> bool) -> Self {
        static NOTHING: Set = Set { member: false, children: BTreeMap::new() };
        let mut outcome = Self { member: keep(self.member, other.member), children: BTreeMap::new() };
        for (key, child) in &self.children {
            let child = child.combine(other.children.get(key).unwrap_or(&NOTHING), keep);
            if !child.is_empty() {
                outcome.children.insert(key.clone(), child);
            }
        }
        outcome
    }

    /// Drops everything at and below a top-level field.
    pub fn without_field(mut self, field: &str) -> Self {
        self.children.remove(&format!("f:{field}"));
        self
    }

    /// All paths as messages print them: `.spec.containers[name="a"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, above: &str, paths: &mut Vec<String>) {
        if self.member {
            paths.push(above.to_owned());
        }
        for (key, child) in &self.children {
            child.collect(&format!("{above}{}", print_element(key)), paths);
        }
    }
}

/// A path element as messages print it.
pub(super) fn print_element(element: &str) -> String {
    if let Some(name) = element.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(keys) = element.strip_prefix("k:") {
        let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
        let mut names: Vec<&String> = keys.keys().collect();
        names.sort_unstable();
        let keys: Vec<String> = names.into_iter().filter_map(|key| Some(format!("{key}={}", keys.get(key)?))).collect();
        return format!("[{}]", keys.join(","));
    }
    if let Some(value) = element.strip_prefix("v:") {
        return format!("[={value}]");
    }
    format!("[{}]", element.strip_prefix("i:").unwrap_or(element))
}
