//! Columns of custom resources: `additionalPrinterColumns` of their definition, else their age
//! (k8s.io/apiextensions-apiserver tableconvertor).

use super::duration;
use super::jsonpath::Path;
use crate::object;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) struct Columns(Vec<(Value, Option<Path>)>);

impl Columns {
    /// `columns` as the CustomResourceDefinition gives them.
    pub fn new(columns: &[Value]) -> Self {
        if columns.is_empty() {
            let age = json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"});
            return Self(vec![(age.clone(), Path::parse(".metadata.creationTimestamp"))]);
        }
        Self(columns.iter().map(|c| (c.clone(), Path::parse(c["jsonPath"].as_str().unwrap_or_default()))).collect())
    }

    pub fn definitions(&self) -> Vec<Value> {
        let mut all = vec![super::column::name().definition()];
        all.extend(self.0.iter().map(|(column, _)| {
            let path = column["jsonPath"].as_str().unwrap_or_default();
            let description = match column["description"].as_str() {
                Some(text) if !text.is_empty() => text.to_owned(),
                _ => format!("Custom resource definition column (in JSONPath format): {path}"),
            };
            json!({
                "name": column["name"], "type": column["type"], "format": column["format"].as_str().unwrap_or_default(),
                "description": description, "priority": column["priority"].as_i64().unwrap_or_default(),
            })
        }));
        all
    }

    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut cells = vec![object::name(object).into()];
        cells.extend(self.0.iter().map(|(column, path)| match path.as_ref().and_then(|p| p.first(object)) {
            Some(value) => cell(column["type"].as_str().unwrap_or_default(), value, now),
            None => Value::Null,
        }));
        cells
    }
}

fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match kind {
        "string" => go_print(value).into(),
        #[expect(clippy::cast_possible_truncation, reason = "Go truncates the fraction here too; `as` saturates")]
        "integer" => value.as_i64().or_else(|| value.as_f64().map(|f| f as i64)).map_or(Value::Null, Value::from),
        "number" => value.as_f64().map_or(Value::Null, Value::from),
        "boolean" => value.as_bool().map_or(Value::Null, Value::from),
        "date" if value.is_string() => match duration::parse(value) {
            Some(then) => duration::between(then, now).into(),
            None => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}

/// A value as Go's `fmt.Print` shows decoded JSON: `[a b]`, `map[k:v]`, strings bare.
fn go_print(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(nested).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            format!("map[{}]", pairs.into_iter().map(|(key, value)| format!("{key}:{}", nested(value))).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

fn nested(value: &Value) -> String {
    if value.is_null() { "<nil>".to_owned() } else { go_print(value) }
}
