//! Wildcards in keys of labels and annotations.

use super::anchor;
use kyverno_jmespath::wildcard;
use serde_json::{Map, Value};

/// The pattern with the wildcards in keys below `metadata.labels` and `metadata.annotations` replaced by keys that the object has.
/// `None` where there is nothing to replace.
pub fn expand_in_metadata(pattern: &Map<String, Value>, object: &Map<String, Value>) -> Option<Map<String, Value>> {
    let (metadata_key, metadata) = find(pattern, "metadata")?;
    let metadata = metadata.as_object()?;
    let of_object = object.get("metadata")?.as_object()?;
    let mut changed = metadata.clone();
    let mut any = false;
    for tag in ["labels", "annotations"] {
        let (Some((key, wanted)), Some(actual)) = (find(metadata, tag), of_object.get(tag).and_then(Value::as_object)) else { continue };
        let Some(wanted) = wanted.as_object() else { continue };
        let texts: Map<String, Value> =
            wanted.iter().filter(|(_, v)| v.is_string()).map(|(k, v)| (expanded(k, actual), v.clone())).collect();
        any = true;
        changed.insert(key.clone(), Value::Object(texts));
    }
    any.then(|| {
        let mut pattern = pattern.clone();
        pattern.insert(metadata_key.clone(), Value::Object(changed));
        pattern
    })
}

fn find<'a>(map: &'a Map<String, Value>, tag: &str) -> Option<(&'a String, &'a Value)> {
    map.iter().find(|(key, _)| *key == tag || anchor::parse(key).is_some_and(|anchor| anchor.key == tag))
}

fn expanded(key: &str, actual: &Map<String, Value>) -> String {
    if !wildcard::contains(key) {
        return key.to_owned();
    }
    let first = |pattern: &str| actual.keys().find(|k| wildcard::matches(pattern, k)).cloned();
    match anchor::parse(key) {
        Some(anchor) => first(anchor.key).map_or_else(|| key.to_owned(), |found| anchor.around(&found)),
        None => first(key).unwrap_or_else(|| key.to_owned()),
    }
}
