//! Small pieces that several kinds' cells share.

use serde_json::{Map, Value};

/// The string, or empty.
pub(super) fn str_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The string, or `instead` where it is missing or empty.
pub(super) fn or<'a>(value: &'a Value, instead: &'a str) -> &'a str {
    match value.as_str() {
        Some(text) if !text.is_empty() => text,
        _ => instead,
    }
}

pub(super) fn integer(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A string or a number, as `intstr.IntOrString` prints.
pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn count(value: &Value) -> i64 {
    let length = match value {
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    };
    i64::try_from(length).unwrap_or(i64::MAX)
}

pub(super) fn truth(value: &Value) -> &'static str {
    match value.as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    }
}

/// A map of labels as `a=b,c=d`, in order of keys; `<none>` where there are none.
pub(super) fn labels(map: &Value) -> String {
    let text = match map.as_object() {
        Some(map) => equalities(map),
        None => String::new(),
    };
    none_if_empty(text)
}

fn equalities(map: &Map<String, Value>) -> String {
    let mut pairs: Vec<_> = map.iter().map(|(key, value)| format!("{key}={}", str_of(value))).collect();
    pairs.sort();
    pairs.join(",")
}

/// A `metav1.LabelSelector` in the query syntax, in order of keys. Empty where it selects by nothing.
pub(super) fn selector(selector: &Value) -> String {
    let mut terms: Vec<(String, String)> = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        terms.push((key.clone(), format!("{key}={}", str_of(value))));
    }
    for expression in items(&selector["matchExpressions"]) {
        let key = str_of(&expression["key"]);
        let mut values: Vec<_> = items(&expression["values"]).iter().map(str_of).collect();
        values.sort_unstable();
        values.dedup();
        let values = values.join(",");
        let term = match str_of(&expression["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".to_owned(),
        };
        terms.push((key.to_owned(), term));
    }
    terms.sort_by(|a, b| a.0.cmp(&b.0));
    terms.into_iter().map(|(_, term)| term).collect::<Vec<_>>().join(",")
}

pub(super) fn selector_or_none(value: &Value) -> String {
    none_if_empty(selector(value))
}

pub(super) fn none_if_empty(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}

/// `containers` of a pod spec: their names and their images.
pub(super) fn containers(pod_spec: &Value) -> [Value; 2] {
    let column = |field: &str| items(&pod_spec["containers"]).iter().map(|c| str_of(&c[field])).collect::<Vec<_>>().join(",").into();
    [column("name"), column("image")]
}

/// At most `most` entries, then `+ n more...`; `empty` where there are none.
pub(super) fn at_most(list: &[String], most: usize, separator: &str, empty: &str) -> String {
    if list.len() > most {
        format!("{} + {} more...", list[..most].join(separator), list.len() - most)
    } else if list.is_empty() {
        empty.to_owned()
    } else {
        list.join(separator)
    }
}

/// The status of the condition of this type, if there is one.
pub(super) fn condition<'a>(conditions: &'a Value, of: &str) -> Option<&'a str> {
    items(conditions).iter().find(|c| c["type"] == of).map(|c| str_of(&c["status"]))
}
