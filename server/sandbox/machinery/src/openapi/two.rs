//! The same in Swagger 2.0, for `/openapi/v2`.

use serde_json::{Map, Value, json};

/// A v3 schema as v2 knows it: no `oneOf`, no defaults, a bare reference instead of `allOf`.
pub(super) fn schema(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut plain = Map::new();
            for (key, value) in entries {
                match key.as_str() {
                    "default" if !value.is_object() || value.as_object().is_some_and(Map::is_empty) => {}
                    "oneOf" | "anyOf" => _ = plain.insert("type".to_owned(), "string".into()),
                    "allOf" => {
                        let reference = value.get(0).and_then(|first| first.get("$ref")).cloned();
                        plain.extend(reference.map(|reference| ("$ref".to_owned(), reference)));
                    }
                    // a field may be called as one of the words above
                    "properties" => {
                        let properties = value.as_object().cloned().unwrap_or_default();
                        let properties: Map<String, Value> = properties.into_iter().map(|(name, value)| (name, schema(value))).collect();
                        plain.insert(key, Value::Object(properties));
                    }
                    _ => _ = plain.insert(key, schema(value)),
                }
            }
            Value::Object(plain)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(schema).collect()),
        scalar => scalar,
    }
}

fn parameter(mut value: Value) -> Value {
    let described = value.as_object_mut().and_then(|entries| entries.remove("schema"));
    if let (Some(Value::Object(schema)), Some(entries)) = (described, value.as_object_mut()) {
        entries.extend(schema);
    }
    value
}

/// One path with its operations.
pub(super) fn path(value: Value) -> Value {
    let Value::Object(entries) = value else { return value };
    let converted = entries.into_iter().map(|(method, value)| match value {
        Value::Array(parameters) => (method, Value::Array(parameters.into_iter().map(parameter).collect())),
        operation => (method, convert(operation)),
    });
    Value::Object(converted.collect())
}

fn convert(mut operation: Value) -> Value {
    let Some(entries) = operation.as_object_mut() else { return operation };
    let mut parameters: Vec<Value> = match entries.remove("parameters") {
        Some(Value::Array(parameters)) => parameters.into_iter().map(parameter).collect(),
        _ => Vec::new(),
    };
    let content = entries.remove("requestBody").and_then(|body| body["content"].as_object().cloned()).unwrap_or_default();
    if let Some(first) = content.values().next() {
        parameters.insert(0, json!({"name": "body", "in": "body", "required": true, "schema": first["schema"]}));
    }
    let consumes: Vec<&String> = content.keys().collect();
    let consumes = if consumes.is_empty() { json!(["*/*"]) } else { json!(consumes) };
    let responses: Map<String, Value> = entries
        .remove("responses")
        .and_then(|responses| responses.as_object().cloned())
        .unwrap_or_default()
        .into_iter()
        .map(|(code, response)| {
            let mut plain = json!({"description": response["description"]});
            let schema = &response["content"]["application/json"]["schema"];
            if !schema.is_null() {
                plain["schema"] = schema.clone();
            }
            (code, plain)
        })
        .collect();
    entries.insert("consumes".to_owned(), consumes);
    entries.insert("produces".to_owned(), json!(["application/json", "application/yaml"]));
    entries.insert("schemes".to_owned(), json!(["https"]));
    entries.insert("responses".to_owned(), Value::Object(responses));
    if !parameters.is_empty() {
        entries.insert("parameters".to_owned(), parameters.into());
    }
    operation
}
