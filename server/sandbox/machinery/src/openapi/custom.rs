//! Schemas of custom resources, as the API server publishes them: the definition's own with `apiVersion`, `kind` and `metadata`.

use super::{
    descriptions,
    schemas::{Collector, meta},
};
use crate::resource::{CustomDefinition, Resource};
use serde_json::{Value, json};

/// `com.example.zoo.v1.Gizmo`: the group's parts in reverse.
pub(super) fn name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').collect();
    parts.reverse();
    format!("{}.{version}.{kind}", parts.join("."))
}

const OBJECT: &str = "io.k8s.api.core.v1.ConfigMap";
const LIST: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

fn described(schema: &mut Value, text: Option<&str>) {
    if let Some(text) = text {
        schema["description"] = text.into();
    }
}

pub(super) fn add(collected: &mut Collector, resource: &Resource, definition: &CustomDefinition) {
    let (group, version, kind) = (&*resource.group, &*resource.version, &*resource.kind);
    let mut schema = match &definition.schema {
        Value::Object(_) => definition.schema.clone(),
        _ => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    };
    let text_of = |field: &str| {
        let mut text = json!({"type": "string"});
        described(&mut text, descriptions::of_field(OBJECT, field));
        text
    };
    open(&mut schema, 0);
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    schema["properties"]["apiVersion"] = text_of("apiVersion");
    schema["properties"]["kind"] = text_of("kind");
    if let Some(id) = meta("ObjectMeta") {
        let mut metadata = json!({"allOf": [collected.reference(id)]});
        described(&mut metadata, descriptions::of_field(OBJECT, "metadata"));
        schema["properties"]["metadata"] = metadata;
    }
    schema["x-kubernetes-group-version-kind"] = json!([{"group": group, "version": version, "kind": kind}]);
    let name_of_kind = name(group, version, kind);
    collected.insert(&name_of_kind, schema);

    let list_kind = resource.list_kind();
    let mut list = json!({
        "description": format!("{list_kind} is a list of {kind}"), "type": "object", "required": ["items"],
        "properties": {
            "apiVersion": text_of("apiVersion"), "kind": text_of("kind"),
            "items": {"description": format!("List of {}", resource.plural), "type": "array", "items": collected.reference_to(&name_of_kind)},
        },
        "x-kubernetes-group-version-kind": [{"group": group, "version": version, "kind": list_kind}],
    });
    if let Some(id) = meta("ListMeta") {
        let mut metadata = json!({"allOf": [collected.reference(id)]});
        described(&mut metadata, descriptions::of_field(LIST, "metadata"));
        list["properties"]["metadata"] = metadata;
    }
    collected.insert(&name(group, version, &list_kind), list);
}

/// `x-kubernetes-int-or-string` is spelled out for clients that do not know it.
fn open(schema: &mut Value, depth: usize) {
    if depth > 100 {
        return;
    }
    if schema["x-kubernetes-int-or-string"] == true && schema["anyOf"].is_null() {
        schema["anyOf"] = json!([{"type": "integer"}, {"type": "string"}]);
    } else if let Some(object) = schema.as_object_mut()
        && object.get("anyOf").is_some_and(Value::is_null)
    {
        object.remove("anyOf");
    }
    for key in ["properties", "items", "additionalProperties"] {
        match schema.get_mut(key) {
            Some(Value::Object(properties)) if key == "properties" => {
                properties.values_mut().for_each(|property| open(property, depth + 1))
            }
            Some(below @ Value::Object(_)) => open(below, depth + 1),
            _ => {}
        }
    }
}
