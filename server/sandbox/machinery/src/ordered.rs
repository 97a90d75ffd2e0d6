//! JSON with the fields of built-in types in the order of Go's structures, as an API server writes them.
//!
//! What has no type of its own here (custom resources, free-form values) keeps the order of its names.

use crate::{
    object,
    types::{self, Shape, Special, TypeId},
};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

#[derive(Debug, Clone, Copy)]
enum Of {
    Unknown,
    Shape(&'static Shape),
    Type(TypeId),
    /// Tables and partial metadata, whose names all stand in [`OF_TABLES`].
    Table,
    /// Aggregated discovery, whose names stand in [`OF_DISCOVERY`].
    Discovery,
}

const OF_DISCOVERY: [&str; 19] = [
    "kind",
    "apiVersion",
    "metadata",
    "items",
    "name",
    "versions",
    "version",
    "resources",
    "freshness",
    "resource",
    "subresource",
    "responseKind",
    "acceptedTypes",
    "scope",
    "singularResource",
    "verbs",
    "shortNames",
    "categories",
    "subresources",
];

/// `group`, `version`, `kind` of what is answered.
const OF_KINDS: [&str; 3] = ["group", "version", "kind"];

const OF_TABLES: [&str; 13] = [
    "kind",
    "apiVersion",
    "metadata",
    "columnDefinitions",
    "rows",
    "items",
    "name",
    "type",
    "format",
    "description",
    "priority",
    "cells",
    "object",
];

/// A value, and what is known of its type.
#[derive(Debug, Clone, Copy)]
pub struct Ordered<'a> {
    value: &'a Value,
    of: Of,
    /// Without `kind` and `apiVersion`, as in a list of one kind.
    bare: bool,
}

fn type_of(object: &Value) -> Of {
    let version = object::api_version(object);
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    if group == "meta.k8s.io" {
        return Of::Table;
    }
    if group == "apidiscovery.k8s.io" {
        return Of::Discovery;
    }
    // The oldest answers of all say no version of their own.
    let version = if version.is_empty() && matches!(object::kind(object), "APIVersions" | "APIResourceList") { "v1" } else { version };
    types::of_kind(group, version, object::kind(object)).map_or(Of::Unknown, Of::Type)
}

/// Whole objects, by their own kind.
pub fn object(value: &Value) -> Ordered<'_> {
    Ordered { value, of: type_of(value), bare: false }
}

/// `metadata` of a list.
pub fn list_metadata(value: &Value) -> Ordered<'_> {
    let of = types::named("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta").map_or(Of::Unknown, Of::Type);
    Ordered { value, of, bare: false }
}

/// Items of a list whose kind they do not repeat.
pub fn item(value: &Value) -> Ordered<'_> {
    Ordered { value, of: type_of(value), bare: true }
}

impl<'a> Ordered<'a> {
    /// Fields of a map in their order; those that the type does not know come last.
    fn entries(&self, map: &'a serde_json::Map<String, Value>) -> Vec<(usize, &'a String, Ordered<'a>)> {
        let of = match self.of {
            Of::Shape(Shape::Ref(id)) => Of::Type(*id),
            of => of,
        };
        let child = |value, of| Ordered { value, of, bare: false };
        let mut entries: Vec<_> = map
            .iter()
            .map(|(name, value)| match of {
                Of::Type(id) if id.get().special == Special::None => match id.get().field(name) {
                    Some(field) => (field.place, name, child(value, Of::Shape(&field.shape))),
                    None => (usize::MAX, name, child(value, Of::Unknown)),
                },
                Of::Table => {
                    let of = match name.as_str() {
                        "metadata" => types::object_meta().map_or(Of::Unknown, Of::Type),
                        "object" => type_of(value),
                        _ => Of::Table,
                    };
                    (OF_TABLES.iter().position(|known| known == name).unwrap_or(usize::MAX), name, child(value, of))
                }
                Of::Discovery => {
                    let names = if map.contains_key("group") { OF_KINDS.as_slice() } else { OF_DISCOVERY.as_slice() };
                    (names.iter().position(|known| known == name).unwrap_or(usize::MAX), name, child(value, Of::Discovery))
                }
                Of::Shape(Shape::Map(of)) => (0, name, child(value, Of::Shape(of))),
                _ => (0, name, child(value, Of::Unknown)),
            })
            .collect();
        entries.sort_by_key(|(place, _, _)| *place);
        entries
    }
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.value, self.of) {
            (value, Of::Unknown) if !self.bare => value.serialize(serializer),
            (Value::Object(map), _) => {
                let mut fields = serializer.serialize_map(None)?;
                for (_, name, value) in self.entries(map) {
                    if !self.bare || (name != "kind" && name != "apiVersion") {
                        fields.serialize_entry(name, &value)?;
                    }
                }
                fields.end()
            }
            (Value::Array(items), of @ (Of::Shape(Shape::List(_)) | Of::Table | Of::Discovery)) => {
                let of = if let Of::Shape(Shape::List(item)) = of { Of::Shape(item) } else { of };
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for value in items {
                    list.serialize_element(&Ordered { value, of, bare: false })?;
                }
                list.end()
            }
            (value, _) => value.serialize(serializer),
        }
    }
}

/// Compact JSON as Go's encoder writes it. What cannot be written is `null`: no value of this crate is.
pub fn text(value: &impl Serialize) -> Box<RawValue> {
    let Ok(text) = to_raw_value(value) else { return RawValue::NULL.to_owned() };
    if !text.get().contains(['<', '>', '&']) {
        return text;
    }
    let escaped = String::from_utf8(without_markup(Box::<str>::from(text).into_string().into_bytes()));
    escaped.ok().and_then(|text| RawValue::from_string(text).ok()).unwrap_or_else(|| RawValue::NULL.to_owned())
}

/// JSON with `<`, `>` and `&`, which stand in texts only, as Go's encoder writes them.
pub fn without_markup(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.iter().any(|byte| matches!(byte, b'<' | b'>' | b'&')) {
        return bytes;
    }
    let mut escaped = Vec::with_capacity(bytes.len() + 64);
    for byte in bytes {
        match byte {
            b'<' => escaped.extend_from_slice(b"\\u003c"),
            b'>' => escaped.extend_from_slice(b"\\u003e"),
            b'&' => escaped.extend_from_slice(b"\\u0026"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The text of an object after a patch: what the patch went through is decoded and has its names in order, the rest is as it was.
pub fn patched(value: &Value, touched: &Value) -> String {
    let mut text = String::new();
    write(&mut text, &object(value), touched);
    text
}

fn write(text: &mut String, value: &Ordered<'_>, touched: &Value) {
    let (Value::Object(map), Value::Object(touched)) = (value.value, touched) else {
        let whole = if touched.is_null() { serde_json::to_string(value) } else { serde_json::to_string(value.value) };
        text.push_str(&whole.unwrap_or_default());
        return;
    };
    let mut entries = value.entries(map);
    entries.sort_by_key(|(_, name, _)| *name);
    text.push('{');
    for (index, (_, name, value)) in entries.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        write(text, value, touched.get(*name).unwrap_or(&Value::Null));
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_stand_in_the_order_of_their_structures() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"uid": "u", "name": "a", "labels": {"z": "1", "b": "2"}},
            "spec": {"restartPolicy": "Always", "containers": [{"image": "x", "name": "a", "unknown": 1}]},
        });
        let expected = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","uid":"u","labels":{"b":"2","z":"1"}},"spec":{"containers":[{"name":"a","image":"x","unknown":1}],"restartPolicy":"Always"}}"#;
        assert_eq!(serde_json::to_string(&object(&pod)).ok().as_deref(), Some(expected));
        let bare = serde_json::to_string(&item(&pod)).unwrap_or_default();
        assert!(bare.starts_with(r#"{"metadata":{"name":"a""#), "{bare}");
        let custom = json!({"apiVersion": "a.b/v1", "kind": "C", "spec": {"b": 1, "a": 2}});
        assert_eq!(serde_json::to_string(&object(&custom)).ok(), serde_json::to_string(&custom).ok());
        let after = patched(&pod, &json!({"spec": {"restartPolicy": 5}}));
        assert!(after.starts_with(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","#), "{after}");
    }
}
