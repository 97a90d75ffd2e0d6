//! `patchStrategicMerge`: conditions and additions of the patch are settled against the object, and what is left is merged.

use super::merge;
use crate::overlay::{
    self,
    anchor::{self, Kind},
};
use serde_json::{Map, Value};

pub fn apply(patch: &Value, object: &Value) -> Result<Value, String> {
    let mut patch = patch.clone();
    let settled = settle(&mut patch, Some(object), 0).map(|()| delete_conditions(&mut patch));
    match settled {
        Ok(()) => merge::merge(object, &patch),
        // A condition that does not hold leaves the object as it is.
        Err(Refusal::Condition | Refusal::Global) => Ok(object.clone()),
        Err(Refusal::Other(why)) => Err(format!("failed to preProcess rule: {why}")),
    }
}

enum Refusal {
    /// Leaves an element of a list out, or the whole patch.
    Condition,
    /// Leaves the whole patch out.
    Global,
    Other(String),
}

const DEEPEST: usize = 200;

fn is_any(key: &str) -> bool {
    anchor::is(key, &[Kind::Condition, Kind::Global, Kind::AddIfNotPresent])
}

fn settle(patch: &mut Value, object: Option<&Value>, depth: usize) -> Result<(), Refusal> {
    if depth > DEEPEST {
        return Err(Refusal::Other("the patch is nested too deeply".to_owned()));
    }
    match patch {
        Value::Object(map) => settle_map(map, object, depth),
        Value::Array(items) if items.first().is_some_and(Value::is_object) => settle_list(items, object, depth),
        _ => Ok(()),
    }
}

fn settle_map(patch: &mut Map<String, Value>, object: Option<&Value>, depth: usize) -> Result<(), Refusal> {
    settle_additions(patch, object);
    if !conditions_hold(patch, object, Kind::Global) {
        return Err(Refusal::Global);
    }
    if !conditions_hold(patch, object, Kind::Condition) {
        return Err(Refusal::Condition);
    }
    for (key, value) in patch.iter_mut().filter(|(key, _)| !is_any(key)) {
        settle(value, object.and_then(|object| object.get(key)), depth + 1)?;
    }
    Ok(())
}

/// `+(key)` goes where the object has the key, and becomes the key where it has not.
fn settle_additions(patch: &mut Map<String, Value>, object: Option<&Value>) -> usize {
    let keys: Vec<String> = patch.keys().filter(|key| anchor::is(key, &[Kind::AddIfNotPresent])).cloned().collect();
    for key in &keys {
        let (Some(value), Some(anchor)) = (patch.remove(key), anchor::parse(key)) else { continue };
        if object.is_none_or(|object| object.get(anchor.key).is_none()) {
            patch.insert(anchor.key.to_owned(), value);
        }
    }
    keys.len()
}

fn conditions_hold(patch: &mut Map<String, Value>, object: Option<&Value>, kind: Kind) -> bool {
    patch.iter_mut().all(|(key, value)| {
        let Some(anchor) = anchor::parse(key).filter(|anchor| anchor.kind == kind) else { return true };
        let Some(of_object) = object.and_then(|object| object.get(anchor.key)) else { return false };
        let added = value.as_object_mut().map_or(0, |map| settle_additions(map, Some(of_object)));
        added > 0 || overlay::matches(&as_text(of_object), &as_text(value)).is_ok()
    })
}

/// Scalars are compared by their text.
fn as_text(value: &Value) -> Value {
    match value {
        Value::Bool(_) | Value::Number(_) | Value::Null => Value::String(value.to_string()),
        other => other.clone(),
    }
}

fn settle_list(patch: &mut Vec<Value>, object: Option<&Value>, depth: usize) -> Result<(), Refusal> {
    let elements = match object {
        None | Some(Value::Null) => None,
        Some(Value::Array(elements)) => Some(elements),
        Some(_) => return Err(Refusal::Other("wrong node kind: expected SequenceNode".to_owned())),
    };
    for at in 0..patch.len() {
        if !has_anchors(&patch[at], &is_any, depth) {
            continue;
        }
        let global = has_anchors(&patch[at], &|key| anchor::is(key, &[Kind::Global]), depth);
        let mut passed = false;
        let mut refused = false;
        let mut pattern = patch[at].clone();
        let whole = [None];
        let each: Vec<Option<&Value>> = elements.map_or_else(|| whole.to_vec(), |elements| elements.iter().map(Some).collect());
        for element in each {
            match settle(&mut pattern, element, depth + 1) {
                Ok(()) if global => passed = true,
                Ok(()) => {
                    if let Some(name) = element.and_then(|element| element.get("name")).filter(|name| !name.is_null()) {
                        append_named(patch, &pattern, name);
                    }
                }
                Err(Refusal::Condition) => {}
                Err(Refusal::Global) if element.is_some() => refused = true,
                Err(other) => return Err(other),
            }
        }
        if !passed && refused {
            return Err(Refusal::Global);
        }
    }
    Ok(())
}

/// What the pattern says, said of the element of that name.
fn append_named(patch: &mut Vec<Value>, pattern: &Value, name: &Value) {
    let mut named = pattern.clone();
    if delete_anchors(&mut named, true) {
        return;
    }
    if let Some(map) = named.as_object_mut() {
        map.insert("name".to_owned(), name.clone());
    }
    patch.push(named);
}

fn has_anchors(value: &Value, is: &dyn Fn(&str) -> bool, depth: usize) -> bool {
    if depth > DEEPEST {
        return false;
    }
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| is(key) || !value.is_null() && has_anchors(value, is, depth + 1)),
        Value::Array(items) => items.iter().any(|item| has_anchors(item, is, depth + 1)),
        Value::String(text) => anchor::is_conditional(text),
        _ => false,
    }
}

fn delete_conditions(patch: &mut Value) {
    let Some(map) = patch.as_object_mut() else { return };
    let keys: Vec<String> = map.keys().cloned().collect();
    for key in keys {
        let conditional = anchor::is_conditional(&key);
        if map.get_mut(&key).is_some_and(|value| delete_anchors(value, conditional)) {
            map.remove(&key);
        }
    }
}

/// Removes what was a condition; whether nothing else is left.
fn delete_anchors(value: &mut Value, scalar: bool) -> bool {
    match value {
        Value::Object(map) => delete_in_map(map),
        Value::Array(items) => delete_in_list(items),
        _ => scalar,
    }
}

fn delete_in_map(map: &mut Map<String, Value>) -> bool {
    let conditional: Vec<String> = map.keys().filter(|key| anchor::is_conditional(key)).cloned().collect();
    let mut kept = false;
    for key in &conditional {
        if map.get_mut(key).is_some_and(|value| delete_anchors(value, true)) {
            map.remove(key);
        } else {
            kept = true;
        }
    }
    if kept {
        for key in &conditional {
            if let (Some(value), Some(anchor)) = (map.remove(key), anchor::parse(key)) {
                map.insert(anchor.key.to_owned(), value);
            }
        }
    }
    map.retain(|_, value| !delete_anchors(value, false));
    map.is_empty()
}

fn delete_in_list(items: &mut Vec<Value>) -> bool {
    let was_empty = items.is_empty();
    let before: Vec<Value> = items.clone();
    for (i, element) in before.iter().enumerate() {
        // Kyverno counts on as if nothing had gone, so that an element after one that went is judged at its old place.
        let delete = if has_anchors(element, &is_any, 0) {
            true
        } else {
            let mut cleaned = element.clone();
            let empty = delete_anchors(&mut cleaned, false);
            if let Some(place) = items.iter().position(|item| item == element) {
                items[place] = cleaned;
            }
            empty
        };
        if delete && i < items.len() {
            items.remove(i);
        }
    }
    items.is_empty() && !was_empty
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patches_with_anchors() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "1"}},
            "spec": {"containers": [{"name": "a", "image": "nginx:latest"}, {"name": "b", "image": "busybox:1"}]},
        });
        for (patch, pointer, want) in [
            (json!({"metadata": {"labels": {"+(a)": "2", "+(b)": "3"}}}), "/metadata/labels", json!({"a": "1", "b": "3"})),
            (
                json!({"spec": {"containers": [{"(image)": "*:latest", "imagePullPolicy": "Always"}]}}),
                "/spec/containers",
                json!([{"name": "a", "image": "nginx:latest", "imagePullPolicy": "Always"}, {"name": "b", "image": "busybox:1"}]),
            ),
            (json!({"spec": {"(hostNetwork)": true, "dnsPolicy": "None"}}), "/spec/dnsPolicy", json!(null)),
            (json!({"metadata": {"labels": {"(a)": "1", "c": "4"}}}), "/metadata/labels", json!({"a": "1", "c": "4"})),
            (json!({"spec": {"containers": [{"<(image)": "*:none"}], "dnsPolicy": "None"}}), "/spec/dnsPolicy", json!(null)),
            (json!({"spec": {"containers": [{"<(image)": "*:latest"}], "dnsPolicy": "None"}}), "/spec/dnsPolicy", json!("None")),
            (
                json!({"spec": {"containers": [{"(name)": "*", "+(tty)": true}]}}),
                "/spec/containers/1",
                json!({"name": "b", "image": "busybox:1", "tty": true}),
            ),
        ] {
            let patched = apply(&patch, &pod).unwrap();
            assert_eq!(patched.pointer(pointer).unwrap_or(&Value::Null), &want, "{patch}");
        }
    }
}
