//! The four walks over typed values: to the set of its fields, comparing two, merging two, removing fields
//! (sigs.k8s.io/structured-merge-diff typed).

use super::{
    set::Set,
    typing::{Atom, Typing},
};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

static EMPTY: Vec<Value> = Vec::new();

fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap_or(&EMPTY)
}

/// List items by their path elements, the first of duplicates; an item without a proper key goes by its index.
fn indexed<'v>(typing: Typing<'_>, atom: &Atom<'_>, list: &'v Value) -> Vec<(String, &'v Value)> {
    let mut seen = HashSet::new();
    let elements = items(list).iter().enumerate().map(|(at, item)| {
        let element = typing.item_element(atom, at, item).unwrap_or_else(|_| format!("i:{at}"));
        (element, item)
    });
    elements.filter(|(element, _)| seen.insert(element.clone())).collect()
}

/// Every field that a configuration names.
pub(super) fn fields_of(typing: Typing<'_>, value: &Value, set: &mut Set) {
    match typing.atom(value) {
        Atom::Scalar | Atom::AtomicMap | Atom::AtomicList => set.member = true,
        atom @ (Atom::SetList | Atom::KeyedList(_)) => {
            for (element, item) in indexed(typing, &atom, value) {
                let child = set.child(&element);
                fields_of(typing.element(), item, child);
                child.member = true;
            }
        }
        Atom::Map => {
            let Some(entries) = value.as_object() else { return };
            for (key, value) in entries {
                let (below, named) = typing.field(key).unwrap_or((Typing::Deduced, false));
                let child = set.child(&format!("f:{key}"));
                fields_of(below, value, child);
                child.member |= !named || value.is_null() || value.as_object().is_some_and(Map::is_empty);
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub added: Set,
    pub modified: Set,
    pub removed: Set,
}

/// What lies between two objects of one typing.
pub(super) fn compare(typing: Typing<'_>, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    let Comparison { added, modified, removed } = &mut comparison;
    compare_under(typing, Some(old), Some(new), added, modified, removed);
    comparison
}

fn compare_under(typing: Typing<'_>, old: Option<&Value>, new: Option<&Value>, added: &mut Set, modified: &mut Set, removed: &mut Set) {
    let shown = new.filter(|v| !v.is_null()).or(old).unwrap_or(&Value::Null);
    let atom = typing.atom(shown);
    let bare = |value: Option<&Value>| match value {
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(entries)) => entries.is_empty(),
        Some(Value::Null) | None => true,
        Some(_) => false,
    };
    let mut mark_leaf = |added: &mut Set, removed: &mut Set| match (old, new) {
        (None, Some(_)) => added.member = true,
        (Some(_), None) => removed.member = true,
        (Some(old), Some(new)) if !equal(old, new) => modified.member = true,
        _ => {}
    };
    // a map against a scalar, as deduced typing may meet it, is a leaf too
    let mismatched = matches!((old, new), (Some(a), Some(b)) if !a.is_null() && !b.is_null() && (a.is_object() != b.is_object() || a.is_array() != b.is_array()));
    match atom {
        Atom::Scalar | Atom::AtomicMap | Atom::AtomicList => return mark_leaf(added, removed),
        _ if mismatched || (bare(old) && bare(new)) => return mark_leaf(added, removed),
        Atom::Map => {
            let empty = Map::new();
            let old_entries = old.and_then(Value::as_object).unwrap_or(&empty);
            let new_entries = new.and_then(Value::as_object).unwrap_or(&empty);
            let keys = old_entries.keys().chain(new_entries.keys().filter(|key| !old_entries.contains_key(*key)));
            for key in keys {
                let (a, b) = (old_entries.get(key), new_entries.get(key));
                if a == b {
                    continue;
                }
                let below = typing.field(key).map_or(Typing::Deduced, |(below, _)| below);
                let element = format!("f:{key}");
                compare_under(below, a, b, added.child(&element), modified.child(&element), removed.child(&element));
            }
        }
        ref atom @ (Atom::SetList | Atom::KeyedList(_)) => {
            let old_items = old.map(|old| indexed(typing, atom, old)).unwrap_or_default();
            let new_items = new.map(|new| indexed(typing, atom, new)).unwrap_or_default();
            let of_new: HashMap<&str, &Value> = new_items.iter().map(|(element, item)| (element.as_str(), *item)).collect();
            let of_old: HashSet<&str> = old_items.iter().map(|(element, _)| element.as_str()).collect();
            let both = old_items.iter().map(|(element, item)| (element, Some(*item), of_new.get(element.as_str()).copied()));
            let only_new =
                new_items.iter().filter(|(e, _)| !of_old.contains(e.as_str())).map(|(element, item)| (element, None, Some(*item)));
            for (element, a, b) in both.chain(only_new) {
                if a != b {
                    compare_under(typing.element(), a, b, added.child(element), modified.child(element), removed.child(element));
                }
            }
        }
    }
    match (old, new) {
        (None, Some(_)) => added.member = true,
        (Some(_), None) => removed.member = true,
        _ => {}
    }
}

/// Equal as JSON; `1` and `1.0` are one number.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b))),
        _ => a == b,
    }
}

/// The live object with the configuration laid over it.
pub(super) fn merge(typing: Typing<'_>, live: &Value, configuration: &Value) -> Value {
    if configuration.is_null() || live.is_null() {
        return configuration.clone();
    }
    match (typing.atom(configuration), live, configuration) {
        (Atom::Map, Value::Object(live), Value::Object(configuration)) => {
            let mut merged = live.clone();
            for (key, value) in configuration {
                let below = typing.field(key).map_or(Typing::Deduced, |(below, _)| below);
                let value = match live.get(key) {
                    Some(live) => merge(below, live, value),
                    None => value.clone(),
                };
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        (atom @ (Atom::SetList | Atom::KeyedList(_)), Value::Array(_), Value::Array(_)) => {
            Value::Array(merge_lists(typing, &indexed(typing, &atom, live), &indexed(typing, &atom, configuration)))
        }
        (_, _, configuration) => configuration.clone(),
    }
}

/// The configuration's order holds; items that only the live list has keep their place among those that both have.
fn merge_lists(typing: Typing<'_>, live: &[(String, &Value)], wanted: &[(String, &Value)]) -> Vec<Value> {
    let of_live: HashMap<&str, &Value> = live.iter().map(|(element, item)| (element.as_str(), *item)).collect();
    let of_wanted: HashSet<&str> = wanted.iter().map(|(element, _)| element.as_str()).collect();
    let mut shared = wanted.iter().map(|(element, _)| element.as_str()).filter(|e| of_live.contains_key(e)).peekable();
    let mut taken: HashSet<&str> = HashSet::new();
    let mut merged = Vec::with_capacity(live.len() + wanted.len());
    let (mut l, mut w) = (0, 0);
    loop {
        let (next_live, next_wanted) = (live.get(l), wanted.get(w));
        if next_live.is_none() && next_wanted.is_none() {
            return merged;
        }
        if let (Some((a, _)), Some((b, _))) = (next_live, next_wanted)
            && a != b
            && of_wanted.contains(a.as_str())
            && shared.peek().is_some_and(|next| next != a)
        {
            // a shared item whose turn has not come
            l += 1;
            continue;
        }
        if let Some((element, item)) = next_live {
            if !of_wanted.contains(element.as_str()) {
                merged.push((*item).clone());
                l += 1;
                continue;
            }
            if taken.contains(element.as_str()) || next_wanted.is_some_and(|(b, _)| b == element) || next_wanted.is_none() {
                l += 1;
            }
        }
        if let Some((element, item)) = next_wanted {
            taken.insert(element);
            merged.push(of_live.get(element.as_str()).map_or_else(|| (*item).clone(), |live| merge(typing.element(), live, item)));
            w += 1;
            if shared.peek() == Some(&element.as_str()) {
                shared.next();
            }
        }
    }
}

/// The object without the members of `gone`. What becomes empty that way is null.
pub(super) fn remove(typing: Typing<'_>, value: &Value, gone: &Set) -> Value {
    if gone.children.is_empty() {
        return value.clone();
    }
    match (typing.atom(value), value) {
        (Atom::Map, Value::Object(entries)) => {
            let mut kept = Map::new();
            for (key, value) in entries {
                let below = typing.field(key).map_or(Typing::Deduced, |(below, _)| below);
                match gone.children.get(&format!("f:{key}")) {
                    Some(set) if set.member => {}
                    Some(set) if !set.is_empty() => _ = kept.insert(key.clone(), remove(below, value, set)),
                    _ => _ = kept.insert(key.clone(), value.clone()),
                }
            }
            if kept.is_empty() && !entries.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (atom @ (Atom::SetList | Atom::KeyedList(_)), Value::Array(list)) => {
            let mut kept = Vec::new();
            for (at, item) in list.iter().enumerate() {
                let element = typing.item_element(&atom, at, item).unwrap_or_else(|_| format!("i:{at}"));
                match gone.children.get(&element) {
                    Some(set) if set.member => {}
                    Some(set) if !set.is_empty() => kept.push(remove(typing.element(), item, set)),
                    _ => kept.push(item.clone()),
                }
            }
            if kept.is_empty() && !list.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        _ => value.clone(),
    }
}

/// The set with every field on the way that the type names made a member: such fields vanish with what was in them.
pub(super) fn with_named_fields(typing: Typing<'_>, set: &Set) -> Set {
    let mut outcome = Set { member: set.member, ..Set::default() };
    for (element, child) in &set.children {
        let (below, named) = match element.strip_prefix("f:") {
            Some(key) => typing.field(key).unwrap_or((Typing::Deduced, false)),
            None => (typing.element(), false),
        };
        let mut child = with_named_fields(below, child);
        child.member |= named && !child.is_empty();
        outcome.children.insert(element.clone(), child);
    }
    outcome
}

/// What the API server has against a configuration, before anything is merged.
pub(super) fn validate(typing: Typing<'_>, value: &Value, path: &str, errors: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    match (typing.atom(value), value) {
        (Atom::Map | Atom::AtomicMap, Value::Object(entries)) => {
            for (key, value) in entries {
                let inner = format!("{path}.{key}");
                match typing.field(key) {
                    Some((below, _)) => validate(below, value, &inner, errors),
                    None => errors.push(format!("{inner}: field not declared in schema")),
                }
            }
        }
        (atom @ (Atom::SetList | Atom::KeyedList(_)), Value::Array(list)) => {
            let mut seen = HashSet::new();
            for (at, item) in list.iter().enumerate() {
                match typing.item_element(&atom, at, item) {
                    Ok(element) => {
                        let printed = super::set::print_element(&element);
                        if !seen.insert(element) {
                            errors.push(format!("{path}: duplicate entries for key {printed}"));
                        }
                        validate(typing.element(), item, &format!("{path}{printed}"), errors);
                    }
                    Err(error) => errors.push(format!("{path}: {error}")),
                }
            }
        }
        (Atom::AtomicList, Value::Array(list)) => {
            for (at, item) in list.iter().enumerate() {
                validate(typing.element(), item, &format!("{path}[{at}]"), errors);
            }
        }
        (Atom::Map | Atom::AtomicMap, other) => errors.push(format!("{path}: expected map, got &{{{}}}", crate::patch::go_print(other))),
        (Atom::SetList | Atom::KeyedList(_) | Atom::AtomicList, other) => {
            errors.push(format!("{path}: expected list, got &{{{}}}", crate::patch::go_print(other)));
        }
        (Atom::Scalar, value) => errors.extend(scalar_error(typing, value).map(|error| format!("{path}: {error}"))),
    }
}

fn scalar_error(typing: Typing<'_>, value: &Value) -> Option<String> {
    use crate::types::Shape;
    let wanted = match typing {
        Typing::Built(Shape::String | Shape::Bytes, _) => "string",
        Typing::Built(Shape::Bool, _) => "boolean",
        Typing::Built(Shape::Int32 | Shape::Int64 | Shape::Float, _) => "numeric",
        Typing::Built(..) => "",
        Typing::Schema(schema) => match schema["type"].as_str() {
            Some("string") => "string",
            Some("boolean") => "boolean",
            Some("integer" | "number") => "numeric",
            _ => "",
        },
        _ => "",
    };
    let fits = match wanted {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "numeric" => value.is_number(),
        _ => !value.is_object() && !value.is_array(),
    };
    if fits {
        return None;
    }
    let kind = match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
        Value::Null | Value::Number(_) => "int64",
    };
    Some(match wanted {
        "numeric" => format!("expected numeric (int or float), got {kind}"),
        "" => format!("expected scalar, got {kind}"),
        wanted => format!("expected {wanted}, got &value.valueUnstructured{{Value:{value}}}"),
    })
}
