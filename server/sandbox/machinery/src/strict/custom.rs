//! Decoding by the structural schema of a CustomResourceDefinition: what the schema does not name is dropped, and reported where
//! the client wants it. Values of a wrong type are left for validation, as the API server leaves them.

use super::{
    node::Node,
    typed::{self, Decoder},
};
use crate::{resource::CustomDefinition, types};
use serde_json::{Map, Value};

/// Decodes the body of a custom resource. The outer error is a type error within `metadata`.
pub(super) fn decode(decoder: &mut Decoder, definition: &CustomDefinition, node: &Node) -> Result<Map<String, Value>, String> {
    report_duplicates(decoder, node, "");
    let Value::Object(mut object) = node.to_value() else { return Ok(Map::new()) };
    decode_metadata(decoder, node.get("metadata"), &mut object, "metadata")?;
    if !definition.preserve_unknown_fields && definition.schema.is_object() {
        let mut unknown = Vec::new();
        prune(&definition.schema, &mut object, "", true, &mut unknown);
        unknown.sort_unstable();
        for path in unknown {
            decoder.complain(format!("unknown field {path:?}"));
        }
    }
    Ok(object)
}

fn decode_metadata(decoder: &mut Decoder, node: Option<&Node>, object: &mut Map<String, Value>, path: &str) -> Result<(), String> {
    let (Some(node), Some(of)) = (node, types::object_meta()) else { return Ok(()) };
    let mut inner = Decoder::at(path);
    let metadata = typed::decode(&mut inner, of, node)?;
    // repeated fields have been reported already
    for error in inner.strict.into_iter().filter(|error| error.starts_with("unknown")) {
        decoder.complain(error);
    }
    object.insert("metadata".to_owned(), Value::Object(metadata));
    Ok(())
}

/// Reports repeated fields of an object without a type.
pub(super) fn report_duplicates(decoder: &mut Decoder, node: &Node, path: &str) {
    match node {
        Node::Object(entries) => {
            let mut seen = std::collections::HashSet::new();
            for (key, node) in entries {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if !seen.insert(key) {
                    decoder.complain(format!("duplicate field {inner:?}"));
                }
                report_duplicates(decoder, node, &inner);
            }
        }
        Node::List(items) => {
            for (at, item) in items.iter().enumerate() {
                report_duplicates(decoder, item, &format!("{path}[{at}]"));
            }
        }
        _ => {}
    }
}

/// Drops what the schema does not name, and nulls where it allows none.
fn prune(schema: &Value, object: &mut Map<String, Value>, path: &str, is_root: bool, unknown: &mut Vec<String>) {
    let is_resource = is_root || schema["x-kubernetes-embedded-resource"] == true;
    let preserves = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let properties = schema["properties"].as_object();
    let additional = schema.get("additionalProperties").filter(|a| a.is_object() || **a == Value::Bool(true));
    object.retain(|key, value| {
        if is_resource && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
            return true;
        }
        let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Some(property) = properties.and_then(|properties| properties.get(key)) {
            if value.is_null() && property["nullable"] != true && property["x-kubernetes-preserve-unknown-fields"] != true {
                return false;
            }
            prune_value(property, value, &inner, unknown);
            return true;
        }
        match additional {
            Some(additional) => {
                prune_value(additional, value, &inner, unknown);
                true
            }
            None if preserves => true,
            None => {
                unknown.push(inner);
                false
            }
        }
    });
}

fn prune_value(schema: &Value, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    if !schema.is_object() {
        return;
    }
    match value {
        Value::Object(object) => prune(schema, object, path, false, unknown),
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                prune_value(&schema["items"], item, &format!("{path}[{at}]"), unknown);
            }
        }
        _ => {}
    }
}
