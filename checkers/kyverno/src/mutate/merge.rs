//! The merge of a patch into an object, as kustomize does it: lists of the built-in types merge by their keys, elements of the patch come first.

use machinery::types::{self, Field, Shape, TypeId};
use serde_json::{Map, Value};

/// What is known of the type at some place.
#[derive(Clone, Copy)]
enum Known<'a> {
    Nothing,
    Type(TypeId),
    /// The field that holds a list.
    List(&'a Field),
    /// A map or list of something.
    Of(&'a Shape),
}

pub fn merge(object: &Value, patch: &Value) -> Result<Value, String> {
    let kind = crate::trigger::KindOf::of(object);
    let known = types::of_kind(&kind.group, &kind.version, &kind.kind).map_or(Known::Nothing, Known::Type);
    walk(Some(object), Some(patch), known).map(|merged| merged.unwrap_or_else(|| Value::Object(Map::new())))
}

impl<'a> Known<'a> {
    fn field(self, name: &str) -> Known<'a> {
        match self {
            Self::Type(id) => match id.get().fields.iter().find(|field| field.name == name) {
                Some(field) => match &field.shape {
                    Shape::List(_) => Known::List(field),
                    shape => Known::shape(shape),
                },
                None => Known::Nothing,
            },
            Self::Of(Shape::Map(of)) => Known::shape(of),
            _ => Known::Nothing,
        }
    }

    fn shape(shape: &'a Shape) -> Self {
        match shape {
            Shape::Ref(id) => Self::Type(*id),
            shape => Self::Of(shape),
        }
    }

    fn elements(self) -> Self {
        match self {
            Self::List(field) => match &field.shape {
                Shape::List(of) => Self::shape(of),
                _ => Self::Nothing,
            },
            _ => Self::Nothing,
        }
    }
}

fn is_missing(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_null)
}

/// `None` where nothing is left.
fn walk(dest: Option<&Value>, patch: Option<&Value>, known: Known<'_>) -> Result<Option<Value>, String> {
    let first = [dest, patch].into_iter().flatten().find(|value| !value.is_null());
    match first {
        // A null that nobody touches stays.
        None => Ok(if patch.is_none() { dest.cloned() } else { None }),
        Some(Value::Object(_)) => walk_map(dest, patch, known),
        Some(Value::Array(_)) => walk_list(dest, patch, known),
        Some(_) => {
            if [dest, patch].into_iter().flatten().any(|value| value.is_object() || value.is_array()) {
                return Err("wrong node kind: expected ScalarNode".to_owned());
            }
            Ok(patch.or(dest).filter(|value| !value.is_null()).cloned())
        }
    }
}

enum Directive {
    Merge,
    Delete,
    Replace,
}

fn directive(value: Option<&Value>) -> Result<Directive, String> {
    match value.and_then(|value| value.get("$patch")) {
        None => Ok(Directive::Merge),
        Some(Value::String(text)) if text == "merge" => Ok(Directive::Merge),
        Some(Value::String(text)) if text == "delete" => Ok(Directive::Delete),
        Some(Value::String(text)) if text == "replace" => Ok(Directive::Replace),
        Some(other) => Err(format!("unknown patch strategy '{other}'")),
    }
}

fn walk_map(dest: Option<&Value>, patch: Option<&Value>, known: Known<'_>) -> Result<Option<Value>, String> {
    let map = |value: Option<&Value>| match value {
        Some(Value::Object(map)) => Ok(Some(map.clone())),
        None | Some(Value::Null) => Ok(None),
        Some(_) => Err("wrong node kind: expected MappingNode".to_owned()),
    };
    let (of_dest, mut of_patch) = (map(dest)?, map(patch)?);
    if !is_missing(dest) && patch.is_some_and(Value::is_null) {
        return Ok(None);
    }
    let how = directive(patch)?;
    if let Some(of_patch) = &mut of_patch {
        of_patch.remove("$patch");
    }
    let base = match (how, of_dest) {
        (Directive::Delete, _) => return Ok(None),
        (Directive::Replace, _) | (_, None) => of_patch.clone().unwrap_or_default(),
        (Directive::Merge, Some(of_dest)) => of_dest,
    };
    let mut merged = Map::new();
    let of_patch = of_patch.unwrap_or_default();
    let mut names: Vec<&String> = base.keys().chain(of_patch.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        if let Some(value) = walk(base.get(name), of_patch.get(name), known.field(name))? {
            merged.insert(name.clone(), value);
        }
    }
    Ok(Some(Value::Object(merged)))
}

fn walk_list(dest: Option<&Value>, patch: Option<&Value>, known: Known<'_>) -> Result<Option<Value>, String> {
    let list = |value: Option<&Value>| match value {
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        None | Some(Value::Null) => Ok(None),
        Some(_) => Err("wrong node kind: expected SequenceNode".to_owned()),
    };
    let (of_dest, of_patch) = (list(dest)?, list(patch)?);
    let field = match known {
        Known::List(field) if field.patch_merge => field,
        _ => return Ok(patch.or(dest).filter(|value| !value.is_null()).cloned()),
    };
    if of_dest.is_some() && patch.is_some_and(Value::is_null) {
        return Ok(None);
    }
    let mut of_patch = of_patch.unwrap_or_default();
    // An element that is a directive and nothing else is about the whole list.
    let about_list = of_patch.iter().position(|item| item.as_object().is_some_and(|map| map.len() == 1 && map.contains_key("$patch")));
    let how = directive(about_list.map(|at| &of_patch[at]))?;
    if let Some(at) = about_list {
        of_patch.remove(at);
    }
    let base = match (how, of_dest) {
        (Directive::Delete, _) => return Ok(None),
        (Directive::Replace, _) | (_, None) => of_patch.clone(),
        (Directive::Merge, Some(of_dest)) => of_dest,
    };
    let keys: Vec<&str> = if field.keys.is_empty() { field.patch_key.into_iter().collect() } else { field.keys.clone() };
    let merged = if keys.is_empty() { merge_scalars(&base, &of_patch) } else { merge_elements(&base, &of_patch, &keys, known.elements())? };
    Ok(Some(Value::Array(merged)))
}

fn merge_scalars(base: &[Value], patch: &[Value]) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for value in patch.iter().chain(base) {
        if !merged.contains(value) {
            merged.push(value.clone());
        }
    }
    merged
}

/// The values of the keys of an element, as texts; empty for a key that is missing.
fn values_of(element: &Value, keys: &[&str]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    keys.iter().map(|key| element.get(*key).map_or_else(String::new, text)).collect()
}

/// Whether two elements are the same one; a key that one of them leaves out does not tell them apart, if another does not.
fn same(one: &[String], other: &[String]) -> bool {
    if one == other {
        return true;
    }
    let mut common = false;
    for (a, b) in one.iter().zip(other) {
        match (a == b, a.is_empty() || b.is_empty()) {
            (true, _) => common = true,
            (false, true) => {}
            (false, false) => return false,
        }
    }
    common && one.len() > 1
}

fn merge_elements(base: &[Value], patch: &[Value], keys: &[&str], known: Known<'_>) -> Result<Vec<Value>, String> {
    let mut merged: Vec<(Vec<String>, Value)> = Vec::new();
    let mut gone: Vec<Vec<String>> = Vec::new();
    for element in patch {
        let values = values_of(element, keys);
        if values.iter().all(String::is_empty) {
            merged.push((values, element.clone()));
            continue;
        }
        let existing = base.iter().find(|other| same(&values, &values_of(other, keys)));
        match walk(existing, Some(element), known)? {
            Some(Value::Object(mut map)) if !map.is_empty() => {
                for key in keys {
                    if let Some(value) = existing.and_then(|existing| existing.get(*key)).or_else(|| element.get(*key)) {
                        map.entry((*key).to_owned()).or_insert_with(|| value.clone());
                    }
                }
                match merged.iter().position(|(known, _)| *known == values) {
                    Some(at) => merged[at].1 = Value::Object(map),
                    None => merged.push((values, Value::Object(map))),
                }
            }
            _ => gone.push(values),
        }
    }
    for element in base {
        let values = values_of(element, keys);
        let nameless = values.iter().all(String::is_empty);
        let known_already = !nameless && (merged.iter().any(|(v, _)| same(v, &values)) || gone.iter().any(|v| same(v, &values)));
        if !known_already && !merged.iter().any(|(_, value)| nameless && value == element) {
            merged.push((values, element.clone()));
        }
    }
    Ok(merged.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merges() {
        let pod = |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "spec": spec});
        let containers = json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]});
        for (object, patch, want) in [
            (
                pod(containers.clone()),
                json!({"spec": {"containers": [{"name": "b", "image": "z"}]}}),
                pod(json!({"containers": [{"name": "b", "image": "z"}, {"name": "a", "image": "x"}]})),
            ),
            (
                pod(containers.clone()),
                json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}),
                pod(json!({"containers": [{"name": "b", "image": "y"}]})),
            ),
            (
                pod(containers.clone()),
                json!({"spec": {"containers": [{"name": "a", "image": null}]}}),
                pod(json!({"containers": [{"name": "a"}, {"name": "b", "image": "y"}]})),
            ),
            (
                pod(json!({"tolerations": [{"key": "a"}]})),
                json!({"spec": {"tolerations": [{"key": "b"}]}}),
                pod(json!({"tolerations": [{"key": "b"}]})),
            ),
            (
                pod(json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "http"}]}]})),
                json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}),
                pod(json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "http", "protocol": "TCP"}]}]})),
            ),
            (pod(json!({"a": {"b": 1}})), json!({"spec": {"a": null}}), pod(json!({}))),
            (
                json!({"apiVersion": "x.io/v1", "kind": "Own", "items": [{"name": "a"}]}),
                json!({"items": [{"name": "b"}]}),
                json!({"apiVersion": "x.io/v1", "kind": "Own", "items": [{"name": "b"}]}),
            ),
            (
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"finalizers": ["a"]}}),
                json!({"metadata": {"finalizers": ["b"]}}),
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"finalizers": ["b", "a"]}}),
            ),
        ] {
            assert_eq!(merge(&object, &patch), Ok(want), "{patch}");
        }
        assert!(merge(&pod(json!({"a": 1})), &json!({"spec": {"a": {"b": 1}}})).is_err());
    }
}
