//! Kubernetes objects out of YAML and JSON texts: several documents, `List`s unfolded, each with its line.

use crate::yaml::{Document, YamlError, documents_from_bytes};
use serde_json::Value;
use std::sync::Arc;

/// One object of a text.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub value: Value,
    document: Arc<Document>,
    /// Where the object lies in its document: empty, or `items[3]`.
    place: String,
}

impl Manifest {
    /// `Deployment ml/serving`.
    pub fn id(&self) -> String {
        id(&self.value)
    }

    /// The line of one of the object's fields, or of what is there of the way to it.
    pub fn line(&self, field: &str) -> u64 {
        match (self.place.as_str(), field) {
            ("", field) => self.document.line(field),
            (place, "") => self.document.line(place),
            (place, field) => self.document.line(&format!("{place}.{field}")),
        }
    }
}

/// `Deployment ml/serving`; a namespace that is not named is left out.
pub fn id(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, namespace) = (text(&object["kind"]), text(&object["metadata"]["namespace"]));
    let mut name = text(&object["metadata"]["name"]);
    if name.is_empty() {
        name = text(&object["metadata"]["generateName"]);
    }
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}

/// Reads every object. What is no object, or has no kind, is an error: half of an input is never judged silently.
pub fn read(bytes: &[u8]) -> Result<Vec<Manifest>, YamlError> {
    let mut manifests = Vec::new();
    for document in documents_from_bytes(bytes)? {
        let document = Arc::new(document);
        unfold(&document, &document.value, String::new(), &mut manifests)?;
    }
    Ok(manifests)
}

fn unfold(document: &Arc<Document>, value: &Value, place: String, manifests: &mut Vec<Manifest>) -> Result<(), YamlError> {
    let error = |message: &str| YamlError { line: Some(document.line(&place)).filter(|line| *line > 0), message: message.to_owned() };
    if !value.is_object() {
        return Err(error("not a Kubernetes object"));
    }
    let kind = value["kind"].as_str().unwrap_or_default();
    if kind.is_empty() {
        return Err(error("not a Kubernetes object: it has no kind"));
    }
    if !value["apiVersion"].is_string() {
        return Err(error("not a Kubernetes object: it has no apiVersion"));
    }
    if kind.ends_with("List") && !value["items"].is_null() {
        let Some(items) = value["items"].as_array() else { return Err(error("the items of a list must be an array")) };
        for (index, item) in items.iter().enumerate() {
            let inner = if place.is_empty() { format!("items[{index}]") } else { format!("{place}.items[{index}]") };
            // Items of a typed list may leave their own kind out.
            let mut item = item.clone();
            if let (Some(fields), Some(of)) = (item.as_object_mut(), kind.strip_suffix("List").filter(|of| !of.is_empty())) {
                fields.entry("kind").or_insert_with(|| of.into());
                fields.entry("apiVersion").or_insert_with(|| value["apiVersion"].clone());
            }
            unfold(document, &item, inner, manifests)?;
        }
        return Ok(());
    }
    manifests.push(Manifest { value: value.clone(), document: document.clone(), place });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_unfolded() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a, namespace: n}\n- apiVersion: v1\n  kind: \
                    PodList\n  items:\n  - metadata:\n      name: b\n---\n{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"n\"}}\n";
        let manifests = read(text.as_bytes()).expect("readable");
        let got: Vec<_> = manifests.iter().map(|m| format!("{}:{}", m.id(), m.line("metadata.name"))).collect();
        assert_eq!(got, ["Pod n/a:6", "Pod b:11", "Namespace n:13"]);
    }

    #[test]
    fn other_things_are_errors() {
        for (text, want) in [
            ("3", "line 1: not a Kubernetes object"),
            ("a: 1", "line 1: not a Kubernetes object: it has no kind"),
            ("kind: Pod", "line 1: not a Kubernetes object: it has no apiVersion"),
            ("\nkind: List\napiVersion: v1\nitems: [1]", "line 4: not a Kubernetes object"),
            ("kind: List\napiVersion: v1\nitems: {}", "line 1: the items of a list must be an array"),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), want, "{text}");
        }
    }
}
