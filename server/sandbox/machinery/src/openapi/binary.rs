//! The Swagger 2.0 document in protobuf, as kubectl takes it: gnostic's `openapi.v2.Document`, whose field numbers stand here.

use serde_json::{Map, Value};

/// One message in the making.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.number(field << 3 | 2);
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, value: &Value) {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u64, value: &Value) {
        for text in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.bytes(field, text.as_bytes());
        }
    }

    fn flag(&mut self, field: u64, value: &Value) {
        if value == true {
            self.number(field << 3);
            self.number(1);
        }
    }

    fn message(&mut self, field: u64, message: Self) {
        self.bytes(field, &message.0);
    }

    /// `Any`: the value as YAML, which JSON is.
    fn any(&mut self, field: u64, value: &Value) {
        let mut any = Self::default();
        any.bytes(2, value.to_string().as_bytes());
        self.message(field, any);
    }

    /// A map of names, as a repeated message of name and value.
    fn named(&mut self, field: u64, entries: &Value, encode: impl Fn(&Value) -> Self) {
        for (name, value) in entries.as_object().into_iter().flatten() {
            let mut pair = Self::default();
            pair.bytes(1, name.as_bytes());
            pair.message(2, encode(value));
            self.message(field, pair);
        }
    }

    fn extensions(&mut self, field: u64, of: &Value) {
        for (name, value) in of.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
            let mut pair = Self::default();
            pair.bytes(1, name.as_bytes());
            pair.any(2, value);
            self.message(field, pair);
        }
    }

    /// A message that holds nothing but another one.
    fn around(field: u64, message: Self) -> Self {
        let mut outer = Self::default();
        outer.message(field, message);
        outer
    }
}

/// The document that [`super::version_two`] gives.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, &document["swagger"]);
    let mut info = Message::default();
    info.text(1, &document["info"]["title"]);
    info.text(2, &document["info"]["version"]);
    message.message(2, info);
    let mut paths = Message::default();
    paths.named(2, &document["paths"], path);
    message.message(8, paths);
    let mut definitions = Message::default();
    definitions.named(1, &document["definitions"], schema);
    message.message(9, definitions);
    message.0
}

fn path(path: &Value) -> Message {
    let mut message = Message::default();
    for (field, method) in (2..).zip(["get", "put", "post", "delete", "options", "head", "patch"]) {
        if path[method].is_object() {
            message.message(field, operation(&path[method]));
        }
    }
    parameters(&mut message, 9, &path["parameters"]);
    message
}

fn operation(operation: &Value) -> Message {
    let mut message = Message::default();
    message.texts(1, &operation["tags"]);
    message.text(3, &operation["description"]);
    message.text(5, &operation["operationId"]);
    message.texts(6, &operation["produces"]);
    message.texts(7, &operation["consumes"]);
    parameters(&mut message, 8, &operation["parameters"]);
    let mut responses = Message::default();
    responses.named(1, &operation["responses"], |response| {
        let mut message = Message::default();
        message.text(1, &response["description"]);
        if response["schema"].is_object() {
            message.message(2, Message::around(1, schema(&response["schema"])));
        }
        Message::around(1, message)
    });
    message.message(9, responses);
    message.texts(10, &operation["schemes"]);
    message.extensions(13, operation);
    message
}

fn parameters(message: &mut Message, field: u64, parameters: &Value) {
    for parameter in parameters.as_array().into_iter().flatten() {
        let mut inner = Message::default();
        let kind = match parameter["in"].as_str() {
            Some("body") => {
                inner.text(1, &parameter["description"]);
                inner.text(2, &parameter["name"]);
                inner.text(3, &parameter["in"]);
                inner.flag(4, &parameter["required"]);
                inner.message(5, schema(&parameter["schema"]));
                Message::around(1, inner)
            }
            place => {
                let is_path = place == Some("path");
                inner.flag(1, &parameter["required"]);
                inner.text(2, &parameter["in"]);
                inner.text(3, &parameter["description"]);
                inner.text(4, &parameter["name"]);
                let (kind, format, unique) = if is_path { (5, 6, 19) } else { (6, 7, 20) };
                inner.text(kind, &parameter["type"]);
                inner.text(format, &parameter["format"]);
                inner.flag(unique, &parameter["uniqueItems"]);
                Message::around(2, Message::around(if is_path { 4 } else { 3 }, inner))
            }
        };
        message.message(field, Message::around(1, kind));
    }
}

fn schema(schema: &Value) -> Message {
    let mut message = Message::default();
    for (field, name) in [(1, "$ref"), (2, "format"), (3, "title"), (4, "description"), (13, "pattern")] {
        message.text(field, &schema[name]);
    }
    if !schema["default"].is_null() {
        message.any(5, &schema["default"]);
    }
    message.texts(19, &schema["required"]);
    for value in schema["enum"].as_array().into_iter().flatten() {
        message.any(20, value);
    }
    match &schema["additionalProperties"] {
        Value::Bool(open) => {
            let mut item = Message::default();
            item.number(2 << 3);
            item.number(u64::from(*open));
            message.message(21, item);
        }
        Value::Object(_) => message.message(21, Message::around(1, self::schema(&schema["additionalProperties"]))),
        _ => {}
    }
    let mut kinds = Message::default();
    kinds.text(1, &schema["type"]);
    kinds.texts(1, &schema["type"]);
    if !kinds.0.is_empty() {
        message.message(22, kinds);
    }
    if schema["items"].is_object() {
        message.message(23, Message::around(1, self::schema(&schema["items"])));
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        message.message(24, self::schema(part));
    }
    if schema["properties"].as_object().is_some_and(|properties: &Map<String, Value>| !properties.is_empty()) {
        let mut properties = Message::default();
        properties.named(1, &schema["properties"], self::schema);
        message.message(25, properties);
    }
    message.extensions(31, schema);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_have_the_numbers_of_gnostic() {
        let schema = schema(&json!({"type": "object", "additionalProperties": true, "x-a": 1}));
        // 21: {2: true}, 22: {1: "object"}, 31: {1: "x-a", 2: {2: "1"}}
        assert_eq!(schema.0, b"\xaa\x01\x02\x10\x01\xb2\x01\x08\x0a\x06object\xfa\x01\x0a\x0a\x03x-a\x12\x03\x12\x011");
        let long = Message::around(1, Message(vec![0; 300]));
        assert_eq!(long.0[..3], [0x0a, 0xac, 0x02]);
    }
}
