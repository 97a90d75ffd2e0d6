//! Tables: `v1 pods` and an object in JSON, divided by a line of three dashes; also as the object of a custom resource would come.

use super::input::{parts, resource};
use machinery::{strict, table};
use std::sync::Arc;

pub fn run(input: &[u8]) {
    let parts = parts(input);
    let [first, object] = parts.as_slice() else { return };
    let resource = resource(first);
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    let render = |object: serde_json::Value| {
        let table = table::render(resource, serde_json::json!({}), &[Arc::new(object)], table::IncludeObject::Metadata, true, now);
        let count = |value: &serde_json::Value| value.as_array().map_or(0, Vec::len);
        assert_eq!(count(&table["rows"][0]["cells"]), count(&table["columnDefinitions"]), "{}", resource.plural);
    };
    if let Ok(decoded) = strict::decode(resource, strict::Format::Json, object.as_bytes(), strict::FieldValidation::Ignore) {
        render(decoded.object);
    }
    if let Ok((object, _)) = strict::read_untyped(strict::Format::Json, object.as_bytes()) {
        render(object);
    }
}
