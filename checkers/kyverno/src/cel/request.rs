//! The admission request that the policies judge: what it is about, who sends it, and the variables that expressions see of it.

use super::kinds::{Kinds, namespace_of};
use crate::{Evidence, Operation, Trigger, trigger::KindOf};
use machinery::cel::{Value as Cel, value::of_json};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub kind: KindOf,
    /// The plural name.
    pub resource: String,
    pub name: String,
    pub namespace: String,
    pub operation: Operation,
    pub user: Value,
    /// Null where something is deleted.
    pub object: Value,
    /// Null where something is created.
    pub old_object: Value,
    /// The namespace as far as it is known.
    pub namespace_object: Value,
}

impl Request {
    /// `object` is the trigger's, as earlier policies have left it.
    pub fn new(trigger: &Trigger, object: &Value, evidence: &Evidence, kinds: &Kinds<'_>) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let kind = trigger.kind.clone();
        // What the values say; a connection is not simulated.
        let operation = match evidence.values.global.get("request.operation").and_then(Value::as_str) {
            Some("UPDATE") => Operation::Update,
            Some("DELETE") => Operation::Delete,
            _ => Operation::Create,
        };
        let namespace = namespace_of(&kind, object);
        let mut object = object.clone();
        if !namespace.is_empty() && text_at(&object, "/metadata/namespace").is_empty() {
            set_namespace(&mut object, &namespace);
        }
        let (new, old) = match operation {
            Operation::Delete => (Value::Null, object.clone()),
            // What an object was is what the request says, or what it is, as Kyverno's command line has it.
            Operation::Update => {
                let old = evidence.values.global.get("request.oldObject").filter(|old| old.is_object());
                (object.clone(), old.unwrap_or(&object).clone())
            }
            Operation::Create | Operation::Connect => (object.clone(), Value::Null),
        };
        let namespace_object = match evidence.namespaces.get(&namespace) {
            Some(known) => known.clone(),
            None if namespace.is_empty() || trigger.namespace_labels.is_empty() => Value::Null,
            None => json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace, "labels": trigger.namespace_labels },
            }),
        };
        Self {
            resource: kinds.resource_of(&kind),
            name: text("/metadata/name").to_owned(),
            namespace,
            operation,
            user: trigger.user.user_info.clone(),
            object: new,
            old_object: old,
            namespace_object,
            kind,
        }
    }

    /// The object, or what it was.
    pub fn subject(&self) -> &Value {
        if self.object.is_null() { &self.old_object } else { &self.object }
    }

    /// `request`
    pub fn variable(&self) -> Value {
        let KindOf { group, version, kind, subresource } = &self.kind;
        let kind = json!({ "group": group, "version": version, "kind": kind });
        let resource = json!({ "group": group, "version": version, "resource": self.resource });
        let mut user = self.user.as_object().cloned().unwrap_or_default();
        for (name, empty) in [("username", json!("")), ("uid", json!("")), ("groups", json!([])), ("extra", json!({}))] {
            user.entry(name).or_insert(empty);
        }
        json!({
            "uid": "",
            "kind": kind.clone(),
            "resource": resource.clone(),
            "subResource": subresource,
            "requestKind": kind,
            "requestResource": resource,
            "requestSubResource": subresource,
            "name": self.name,
            "namespace": self.namespace,
            "operation": self.operation.to_string(),
            "userInfo": Value::Object(user),
            "object": self.object,
            "oldObject": self.old_object,
            "dryRun": false,
            "options": null,
        })
    }

    /// The variables that every policy of objects sees.
    pub fn inputs(&self) -> [(&'static str, Cel); 4] {
        [
            ("object", of_json(&self.object)),
            ("oldObject", of_json(&self.old_object)),
            ("request", of_json(&self.variable())),
            ("namespaceObject", of_json(&self.namespace_object)),
        ]
    }
}

pub(super) fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn set_namespace(object: &mut Value, namespace: &str) {
    let Some(fields) = object.as_object_mut() else { return };
    let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
}
