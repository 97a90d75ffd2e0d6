//! Schemas of the built-in types, as kube-apiserver publishes them.

use super::descriptions;
use crate::{
    scheme::Scheme,
    types::{self, Field, ListType, Shape, Special, Type, TypeId},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Gathers the schemas that a document needs, with everything that they refer to.
pub(super) struct Collector {
    prefix: &'static str,
    schemas: BTreeMap<String, Value>,
    waiting: Vec<TypeId>,
}

impl Collector {
    pub fn new(prefix: &'static str) -> Self {
        Self { prefix, schemas: BTreeMap::new(), waiting: Vec::new() }
    }

    /// `{"$ref": …}` to a built-in type, which becomes part of the document.
    pub fn reference(&mut self, id: TypeId) -> Value {
        let name = &id.get().name;
        if !self.schemas.contains_key(name) {
            self.schemas.insert(name.clone(), Value::Null);
            self.waiting.push(id);
        }
        json!({"$ref": format!("{}{name}", self.prefix)})
    }

    /// `{"$ref": …}` to a schema of another origin.
    pub fn reference_to(&self, name: &str) -> Value {
        json!({"$ref": format!("{}{name}", self.prefix)})
    }

    pub fn insert(&mut self, name: &str, schema: Value) {
        self.schemas.insert(name.to_owned(), schema);
    }

    pub fn finish(mut self) -> Value {
        while let Some(id) = self.waiting.pop() {
            let schema = self.schema(id.get());
            self.schemas.insert(id.get().name.clone(), schema);
        }
        Value::Object(self.schemas.into_iter().collect())
    }

    fn schema(&mut self, of: &'static Type) -> Value {
        let mut schema = match of.special {
            Special::None => json!({"type": "object"}),
            Special::Quantity => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            Special::Time | Special::MicroTime => json!({"type": "string", "format": "date-time"}),
            Special::IntOrString => json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
            Special::Raw if of.short == "JSON" => json!({}),
            Special::Raw => json!({"type": "object"}),
            Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStrings => json!({}),
        };
        if let Some(text) = descriptions::of_type(&of.name) {
            schema["description"] = text.into();
        } else if let Some(kind) = of.short.strip_suffix("List") {
            schema["description"] = format!("A list of {kind} objects.").into();
        }
        if !of.fields.is_empty() {
            let properties: Map<String, Value> = of.fields.iter().map(|field| (field.name.to_owned(), self.field(of, field))).collect();
            schema["properties"] = Value::Object(properties);
        }
        let required: Vec<&str> = of.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if of.atomic {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
        if let Some(union) = of.union.and_then(|union| serde_json::from_str::<Value>(union).ok()) {
            schema["x-kubernetes-unions"] = json!([union]);
        }
        let kinds: Vec<Value> = match of.every_group {
            Some(kind) => {
                let scheme = Scheme::default();
                let versions = scheme
                    .groups()
                    .into_iter()
                    .flat_map(|group| scheme.versions(group).into_iter().map(move |v| (group, v)).collect::<Vec<_>>());
                versions.map(|(group, version)| json!({"group": group, "version": version, "kind": kind})).collect()
            }
            None => of.kinds.iter().map(|(group, version, kind)| json!({"group": group, "version": version, "kind": kind})).collect(),
        };
        if !kinds.is_empty() {
            schema["x-kubernetes-group-version-kind"] = kinds.into();
        }
        schema
    }

    fn field(&mut self, of: &Type, field: &Field) -> Value {
        let mut extras = Map::new();
        let about = descriptions::of_field(&of.name, field.name).map(str::to_owned).or_else(|| {
            // lists of a kind have no words of their own
            (field.name == "items" && !of.kinds.is_empty()).then(|| format!("The {} objects.", of.short.trim_end_matches("List")))
        });
        let in_items = matches!(field.shape, Shape::List(_) | Shape::Map(_));
        if let Some(mut text) = about {
            if !field.values.is_empty() && !in_items {
                text.push_str("\n\nPossible enum values:");
                field.values.iter().for_each(|value| text.push_str(&format!("\n - `{value:?}`")));
            }
            extras.insert("description".to_owned(), text.into());
        }
        if let Some(default) = field.default {
            let value = if default.is_empty() { zero(&field.shape) } else { serde_json::from_str(default).ok() };
            extras.extend(value.map(|value| ("default".to_owned(), value)));
        }
        match field.list {
            ListType::Unspecified => {}
            ListType::Atomic => _ = extras.insert("x-kubernetes-list-type".to_owned(), "atomic".into()),
            ListType::Set => _ = extras.insert("x-kubernetes-list-type".to_owned(), "set".into()),
            ListType::Map => {
                extras.insert("x-kubernetes-list-type".to_owned(), "map".into());
                extras.insert("x-kubernetes-list-map-keys".to_owned(), json!(field.keys));
            }
        }
        if field.atomic || field.granular {
            extras.insert("x-kubernetes-map-type".to_owned(), if field.atomic { "atomic" } else { "granular" }.into());
        }
        let strategies = [(field.patch_merge, "merge"), (field.patch_retain_keys, "retainKeys")];
        let strategies: Vec<&str> = strategies.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
        if !strategies.is_empty() {
            extras.insert("x-kubernetes-patch-strategy".to_owned(), strategies.join(",").into());
        }
        if let Some(key) = field.patch_key {
            extras.insert("x-kubernetes-patch-merge-key".to_owned(), key.into());
        }
        if !field.values.is_empty() && !in_items {
            extras.insert("enum".to_owned(), json!(field.values));
        }
        let item_values = if in_items { field.values.as_slice() } else { &[] };
        self.shape(&field.shape, extras, item_values)
    }

    fn shape(&mut self, shape: &Shape, mut extras: Map<String, Value>, item_values: &[&str]) -> Value {
        let mut typed = |name: &str, format: Option<&str>| {
            extras.insert("type".to_owned(), name.into());
            extras.extend(format.map(|format| ("format".to_owned(), format.into())));
        };
        match shape {
            Shape::String => typed("string", None),
            Shape::Bool => typed("boolean", None),
            Shape::Int32 => typed("integer", Some("int32")),
            Shape::Int64 => typed("integer", Some("int64")),
            Shape::Float => typed("number", Some("double")),
            Shape::Bytes => typed("string", Some("byte")),
            Shape::Any => {}
            Shape::List(element) => {
                typed("array", None);
                let items = self.element(element, item_values);
                extras.insert("items".to_owned(), items);
            }
            Shape::Map(element) => {
                typed("object", None);
                let items = self.element(element, item_values);
                extras.insert("additionalProperties".to_owned(), items);
            }
            Shape::Ref(id) => {
                let reference = self.reference(*id);
                if extras.is_empty() {
                    return reference;
                }
                extras.insert("allOf".to_owned(), json!([reference]));
            }
        }
        Value::Object(extras)
    }

    fn element(&mut self, shape: &Shape, values: &[&str]) -> Value {
        let mut extras = Map::new();
        let default = match shape {
            Shape::Bytes => None,
            Shape::Ref(id) if id.get().special != Special::None => None,
            shape => zero(shape),
        };
        extras.extend(default.map(|default| ("default".to_owned(), default)));
        if !values.is_empty() {
            extras.insert("enum".to_owned(), json!(values));
        }
        self.shape(shape, extras, &[])
    }
}

fn zero(shape: &Shape) -> Option<Value> {
    Some(match shape {
        Shape::String => Value::String(String::new()),
        Shape::Bool => Value::Bool(false),
        Shape::Int32 | Shape::Int64 | Shape::Float => 0.into(),
        Shape::Ref(_) => json!({}),
        _ => return None,
    })
}

/// The types behind `Status`, `DeleteOptions`, `Patch` and their like.
pub(super) fn meta(short: &str) -> Option<TypeId> {
    types::named(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{short}"))
}
