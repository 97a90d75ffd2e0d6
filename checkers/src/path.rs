//! Fields of objects: `spec.containers[name=serving].env[0].value`, `metadata.labels[app.kubernetes.io/name]`.

use serde_json::Value;

/// The value at a path; `None` where it is not there. `[0]` counts, `[key=value]` finds in an array, `[key]` is a key with dots.
pub(crate) fn get<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = object;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (key, after) = inner.split_once(']')?;
            value = match (value, key.split_once('=')) {
                (Value::Array(items), Some((name, wanted))) => items.iter().find(|item| item[name].as_str() == Some(wanted))?,
                (Value::Array(items), None) => items.get(key.parse::<usize>().ok()?)?,
                (value, _) => value.get(key)?,
            };
            rest = after.strip_prefix('.').unwrap_or(after);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            value = value.get(&rest[..end])?;
            rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
        }
    }
    Some(value).filter(|value| !value.is_null())
}

/// A value in words: strings bare, the rest as JSON, long ones cut.
pub(crate) fn words(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths() {
        let object = json!({"metadata": {"labels": {"a.b/c": "d"}}, "spec": {"list": [{"name": "x", "v": 1}, {"name": "y", "v": [2, 3]}], "n": null}});
        for (path, want) in [
            ("metadata.labels[a.b/c]", Some(json!("d"))),
            ("spec.list[0].v", Some(json!(1))),
            ("spec.list[name=y].v[1]", Some(json!(3))),
            ("spec.list[name=z].v", None),
            ("spec.list[9]", None),
            ("spec.n", None),
            ("spec.list[0", None),
            ("", Some(object.clone())),
        ] {
            assert_eq!(get(&object, path).cloned(), want, "{path}");
        }
    }
}
