//! Tables: `v1 pods` and an object in JSON, divided by a line of three dashes; also as the object of a custom resource would come.

use machinery::{Resource, Scheme, strict, table};
use std::sync::Arc;

/// Parts of an input, divided by lines of three dashes.
fn parts(input: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(input).split("\n---\n").map(str::to_owned).collect()
}

/// `apps/v1 deployments …`; pods where it names nothing.
fn resource(line: &str) -> &'static Resource {
    let mut words = line.split_whitespace();
    let (version, plural) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let named = Scheme::builtin().iter().find(|resource| resource.api_version() == version && resource.plural == plural);
    named.or_else(|| Scheme::find_builtin("", "v1", "pods")).expect("there are pods")
}

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
