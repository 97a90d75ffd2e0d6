//! `patchesJson6902`: a JSON patch (RFC 6902), lenient as Kyverno applies it.
//!
//! Parents of what is added are made where they are missing, removing what is not there is no error, and indices may count from the end.

use serde_json::{Map, Value};

/// Longest list that an index may make.
const LONGEST_LIST: usize = 10_000;

pub fn apply(patches: &str, object: &Value) -> Result<Value, String> {
    let operations: Value = match serde_json::from_str(patches) {
        Ok(operations) => operations,
        Err(_) => machinery::strict::from_yaml(patches).map_err(|error| format!("failed to decode patches: {error}"))?,
    };
    let operations = operations.as_array().ok_or("failed to decode patches: they have to be a list")?;
    let mut object = object.clone();
    for operation in operations {
        one(operation, &mut object)?;
    }
    Ok(object)
}

fn one(operation: &Value, object: &mut Value) -> Result<(), String> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let op = text("op").unwrap_or_default();
    let path = steps(text("path").ok_or("a patch has no path")?);
    let value = operation.get("value").cloned().unwrap_or(Value::Null);
    let from = || text("from").map(steps).ok_or_else(|| format!("{op} operation does not apply: it has no from"));
    match op {
        "add" => add(object, &path, value),
        "remove" => {
            remove(object, &path);
            Ok(())
        }
        "replace" => {
            let place = find(object, &path).ok_or_else(|| missing(op, &path))?;
            *place = value;
            Ok(())
        }
        "move" => {
            let from = from()?;
            let moved = find(object, &from).cloned().ok_or_else(|| missing(op, &from))?;
            remove(object, &from);
            add(object, &path, moved)
        }
        "copy" => {
            let from = from()?;
            let copied = find(object, &from).cloned().ok_or_else(|| missing(op, &from))?;
            add(object, &path, copied)
        }
        "test" => {
            let found = find(object, &path).cloned().unwrap_or(Value::Null);
            if found == value { Ok(()) } else { Err(format!("testing value {} failed", display(&path))) }
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn display(path: &[String]) -> String {
    path.iter().map(|step| format!("/{step}")).collect()
}

fn missing(op: &str, path: &[String]) -> String {
    format!("{op} operation does not apply: doc is missing path: {}: missing value", display(path))
}

fn steps(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

/// Where an index points to; `-1` is the last element.
fn index(step: &str, length: usize) -> Option<usize> {
    match step.strip_prefix('-') {
        Some(back) => length.checked_sub(back.parse().ok()?),
        None => step.parse().ok(),
    }
}

fn find<'v>(object: &'v mut Value, path: &[String]) -> Option<&'v mut Value> {
    path.iter().try_fold(object, |value, step| match value {
        Value::Object(map) => map.get_mut(step),
        Value::Array(items) => {
            let at = index(step, items.len())?;
            items.get_mut(at)
        }
        _ => None,
    })
}

fn remove(object: &mut Value, path: &[String]) {
    let Some((last, way)) = path.split_last() else { return };
    match find(object, way) {
        Some(Value::Object(map)) => {
            map.remove(last);
        }
        Some(Value::Array(items)) => {
            if let Some(at) = index(last, items.len()).filter(|at| *at < items.len()) {
                items.remove(at);
            }
        }
        _ => {}
    }
}

fn add(object: &mut Value, path: &[String], value: Value) -> Result<(), String> {
    let Some((last, way)) = path.split_last() else {
        *object = value;
        return Ok(());
    };
    let mut place = object;
    for (i, step) in way.iter().enumerate() {
        let next = way.get(i + 1).unwrap_or(last);
        let fresh = if next == "-" || next.parse::<usize>().is_ok() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
        place = match place {
            Value::Object(map) => {
                let entry = map.entry(step.clone()).or_insert(Value::Null);
                if entry.is_null() {
                    *entry = fresh;
                }
                entry
            }
            Value::Array(items) => {
                let at = if step == "-" { Some(items.len()) } else { index(step, items.len()) };
                let at = at.filter(|at| *at < LONGEST_LIST).ok_or_else(|| missing("add", path))?;
                while items.len() <= at {
                    items.push(Value::Null);
                }
                if items[at].is_null() {
                    items[at] = fresh;
                }
                &mut items[at]
            }
            _ => return Err(missing("add", path)),
        };
    }
    match place {
        Value::Object(map) => {
            map.insert(last.clone(), value);
        }
        Value::Array(items) => {
            let at = if last == "-" { items.len() } else { index(last, items.len() + 1).ok_or_else(|| missing("add", path))? };
            if at > items.len() {
                return Err(format!("add operation does not apply: doc is missing path: {}: invalid index referenced", display(path)));
            }
            items.insert(at, value);
        }
        _ => return Err(missing("add", path)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patches() {
        let object = json!({"a": {"b": [1, 2]}});
        for (patch, want) in [
            ("- op: add\n  path: /a/c\n  value: 3", Ok(json!({"a": {"b": [1, 2], "c": 3}}))),
            (r#"[{"op":"add","path":"/x/y~1z","value":1}]"#, Ok(json!({"a": {"b": [1, 2]}, "x": {"y/z": 1}}))),
            (r#"[{"op":"add","path":"/a/b/-","value":3}]"#, Ok(json!({"a": {"b": [1, 2, 3]}}))),
            (r#"[{"op":"add","path":"/a/b/0","value":0}]"#, Ok(json!({"a": {"b": [0, 1, 2]}}))),
            (r#"[{"op":"add","path":"/a/n/-","value":0}]"#, Ok(json!({"a": {"b": [1, 2], "n": [0]}}))),
            (r#"[{"op":"remove","path":"/a/b/0"}]"#, Ok(json!({"a": {"b": [2]}}))),
            (r#"[{"op":"remove","path":"/a/none"}]"#, Ok(json!({"a": {"b": [1, 2]}}))),
            (r#"[{"op":"replace","path":"/a/b/-1","value":9}]"#, Ok(json!({"a": {"b": [1, 9]}}))),
            (r#"[{"op":"move","from":"/a/b","path":"/c"}]"#, Ok(json!({"a": {}, "c": [1, 2]}))),
            (r#"[{"op":"copy","from":"/a/b/0","path":"/c"}]"#, Ok(json!({"a": {"b": [1, 2]}, "c": 1}))),
            (
                r#"[{"op":"replace","path":"/a/none","value":9}]"#,
                Err("replace operation does not apply: doc is missing path: /a/none: missing value".to_owned()),
            ),
            (r#"[{"op":"test","path":"/a/b/0","value":2}]"#, Err("testing value /a/b/0 failed".to_owned())),
        ] {
            assert_eq!(apply(patch, &object), want, "{patch}");
        }
        assert!(apply("{", &object).is_err());
        assert!(apply(r#"[{"op":"add","path":"/a/n/99999999/x","value":0}]"#, &object).is_err());
    }
}
