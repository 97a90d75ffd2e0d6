//! Decoding by the built-in types, as sigs.k8s.io/json does it: the first type error wins, unknown and repeated fields are
//! collected beside. What comes out is what Kubernetes would write back: empty values that the type omits are gone, structures
//! that it always writes are there, quantities and times are canonical.

use super::{node::Node, time};
use crate::{
    clock::{rfc3339, rfc3339_micro},
    quantity::Quantity,
    types::{Field, Shape, Special, Type, TypeId},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// As many strict errors as Kubernetes keeps.
const MAX_STRICT_ERRORS: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// `unknown field "spec.foo"`, in the order found.
    pub strict: Vec<String>,
    seen: HashSet<String>,
    /// The first type error.
    type_error: Option<String>,
    /// Where the decoder stands, as strict errors print it: `spec.containers[0]`.
    path: String,
    /// The fields above, as type errors print them.
    fields: Vec<&'static str>,
    structure: &'static str,
}

/// How a type error names the type that was wanted.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Field(&'a Field),
    Element(&'a Field),
    Shape(&'a Shape),
}

impl Wanted<'_> {
    fn go_type(self) -> String {
        match self {
            Self::Field(field) => field.go_type(),
            Self::Element(field) => field.go_element(),
            Self::Shape(shape) => shape.go_type(),
        }
    }
}

/// Decodes one object; the outer error is the type error, in Go's words.
pub(super) fn decode(decoder: &mut Decoder, of: TypeId, node: &Node) -> Result<Map<String, Value>, String> {
    let shape = Shape::Ref(of);
    let decoded = decoder.value(node, &shape, Wanted::Shape(&shape))?;
    if let Some(error) = decoder.type_error.take() {
        return Err(error);
    }
    match decoded {
        Some(Value::Object(object)) => Ok(object),
        _ => Ok(encode(of.get(), Vec::new())),
    }
}

impl Decoder {
    pub fn at(path: &str) -> Self {
        Self { path: path.to_owned(), ..Self::default() }
    }

    pub fn complain(&mut self, error: String) {
        if self.strict.len() < MAX_STRICT_ERRORS && self.seen.insert(error.clone()) {
            self.strict.push(error);
        }
    }

    fn child(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn mismatch(&self, value: &str, wanted: &str) -> String {
        if self.structure.is_empty() {
            return format!("json: cannot unmarshal {value} into Go value of type {wanted}");
        }
        format!("json: cannot unmarshal {value} into Go struct field {}.{} of type {wanted}", self.structure, self.fields.join("."))
    }

    /// Remembers a type error and goes on, as Go does.
    fn save<T>(&mut self, error: String) -> Result<Option<T>, String> {
        self.type_error.get_or_insert(error);
        Ok(None)
    }

    fn wrong<T>(&mut self, node: &Node, wanted: Wanted<'_>) -> Result<Option<T>, String> {
        let error = self.mismatch(node.go_kind(), &wanted.go_type());
        self.save(error)
    }

    /// `None` where the value stays unset: null, or of a wrong type. `Err` ends the decoding at once.
    fn value(&mut self, node: &Node, shape: &Shape, wanted: Wanted<'_>) -> Result<Option<Value>, String> {
        match (shape, node) {
            (Shape::Ref(id), node) if id.get().special != Special::None => self.special(id.get(), node),
            (_, Node::Null) => Ok(None),
            (Shape::Any, node) => Ok(Some(node.to_value())),
            (Shape::String, Node::Text(text)) => Ok(Some(Value::String(text.clone()))),
            (Shape::Bool, Node::Bool(yes)) => Ok(Some(Value::Bool(*yes))),
            (Shape::Int32 | Shape::Int64, Node::Number(text)) => {
                let number = text.parse::<i64>().ok().filter(|n| *shape == Shape::Int64 || i32::try_from(*n).is_ok());
                match number {
                    Some(number) => Ok(Some(number.into())),
                    None => {
                        let error = self.mismatch(&format!("number {text}"), &wanted.go_type());
                        self.save(error)
                    }
                }
            }
            (Shape::Float, Node::Number(text)) => Ok(Some(super::node::number(text))),
            (Shape::Bytes, Node::Text(text)) => match check_base64(text) {
                Ok(()) => Ok(Some(Value::String(text.replace(['\r', '\n'], "")))),
                Err(error) => self.save(error),
            },
            (Shape::List(element), Node::List(items)) => {
                let inner = match wanted {
                    Wanted::Field(field) => Wanted::Element(field),
                    _ => Wanted::Shape(element),
                };
                let length = self.path.len();
                let mut values = Vec::with_capacity(items.len());
                for (at, item) in items.iter().enumerate() {
                    self.path.push_str(&format!("[{at}]"));
                    let value = self.value(item, element, inner)?;
                    values.push(value.unwrap_or_else(|| zero(element)));
                    self.path.truncate(length);
                }
                Ok(Some(Value::Array(values)))
            }
            (Shape::Map(element), Node::Object(entries)) => {
                let inner = match wanted {
                    Wanted::Field(field) => Wanted::Element(field),
                    _ => Wanted::Shape(element),
                };
                let mut values = Map::new();
                let above = self.path.clone();
                for (key, item) in entries {
                    let path = self.child(key);
                    if values.contains_key(key) {
                        self.complain(format!("duplicate field {path:?}"));
                    }
                    self.path = path;
                    let value = self.value(item, element, inner)?;
                    values.insert(key.clone(), value.unwrap_or_else(|| zero(element)));
                    self.path.clone_from(&above);
                }
                Ok(Some(Value::Object(values)))
            }
            (Shape::Ref(id), Node::Object(entries)) => self.structure(id.get(), entries).map(Some),
            (_, node) => self.wrong(node, wanted),
        }
    }

    fn structure(&mut self, of: &'static Type, entries: &[(String, Node)]) -> Result<Value, String> {
        let mut values: Vec<Option<Value>> = vec![None; of.fields.len()];
        let mut given = vec![false; of.fields.len()];
        let above = self.path.clone();
        let structure = self.structure;
        for (key, node) in entries {
            let path = self.child(key);
            let Ok(at) = of.fields.binary_search_by(|field| field.name.cmp(key)) else {
                self.complain(format!("unknown field {path:?}"));
                continue;
            };
            let (Some(field), Some(given), Some(value)) = (of.fields.get(at), given.get_mut(at), values.get_mut(at)) else { continue };
            if std::mem::replace(given, true) {
                self.complain(format!("duplicate field {path:?}"));
            }
            self.path = path;
            self.fields.push(field.name);
            self.structure = of.short;
            *value = self.value(node, &field.shape, Wanted::Field(field))?;
            self.fields.pop();
            self.structure = structure;
            self.path.clone_from(&above);
        }
        Ok(Value::Object(encode(of, values)))
    }

    pub(super) fn special(&mut self, of: &'static Type, node: &Node) -> Result<Option<Value>, String> {
        match (of.special, node) {
            (_, Node::Null) => Ok(None),
            (Special::Quantity, node) => {
                let text = match node {
                    Node::Text(text) | Node::Number(text) => text.trim().to_owned(),
                    other => other.to_value().to_string(),
                };
                Quantity::canonical(&text).map(|text| Some(Value::String(text))).map_err(|error| error.to_string())
            }
            (Special::Time | Special::MicroTime, Node::Text(text)) => {
                let micro = of.special == Special::MicroTime;
                let time = time::parse(text, micro)?;
                Ok(Some(Value::String(if micro { rfc3339_micro(time) } else { rfc3339(time) })))
            }
            (Special::Time | Special::MicroTime, node) => Err(self.mismatch(node.go_kind(), "string")),
            (Special::IntOrString, Node::Text(text)) => Ok(Some(Value::String(text.clone()))),
            (Special::IntOrString, Node::Number(text)) => match text.parse::<i32>() {
                Ok(number) => Ok(Some(number.into())),
                Err(_) => Err(self.mismatch(&format!("number {text}"), "int32")),
            },
            (Special::IntOrString, node) => Err(self.mismatch(node.go_kind(), "int32")),
            (Special::SchemaOrBool, Node::Bool(yes)) => Ok(Some(Value::Bool(*yes))),
            (Special::SchemaOrArray, Node::List(items)) => {
                let schemas: Result<Vec<Value>, String> = items.iter().map(|item| self.schema(item)).collect();
                schemas.map(|schemas| Some(Value::Array(schemas)))
            }
            (Special::SchemaOrStrings, Node::List(_)) => Ok(Some(node.to_value())),
            (Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStrings, Node::Object(_)) => self.schema(node).map(Some),
            (Special::SchemaOrBool, _) => Err("boolean or JSON schema expected".to_owned()),
            (Special::SchemaOrArray | Special::SchemaOrStrings, _) => Ok(None),
            (Special::Raw | Special::None, node) => Ok(Some(node.to_value())),
        }
    }

    /// A `JSONSchemaProps` inside a type with a JSON form of its own: decoded apart, so its unknown fields are dropped unsaid.
    fn schema(&mut self, node: &Node) -> Result<Value, String> {
        let Some(id) = crate::types::named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps") else {
            return Ok(node.to_value());
        };
        decode(&mut Self::default(), id, node).map(Value::Object)
    }
}

/// What Go's encoder writes for a structure whose fields hold `values` (in the order of the type's fields).
fn encode(of: &Type, mut values: Vec<Option<Value>>) -> Map<String, Value> {
    values.resize(of.fields.len(), None);
    let mut object = Map::new();
    for (field, value) in of.fields.iter().zip(values) {
        let written = match value {
            Some(value) if field.pointer || field.keep || !is_empty(&field.shape, &value) => Some(value),
            None if field.pointer => field.keep.then_some(Value::Null),
            _ if field.omit_zero => None,
            _ if field.keep || always_written(&field.shape) => Some(zero(&field.shape)),
            _ => None,
        };
        if let Some(written) = written {
            object.insert(field.name.to_owned(), written);
        }
    }
    object
}

/// `omitempty` does not reach structures.
fn always_written(shape: &Shape) -> bool {
    matches!(shape, Shape::Ref(_))
}

fn is_empty(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::Ref(_), _) => false,
        (_, Value::String(text)) => text.is_empty(),
        (_, Value::Bool(yes)) => !yes,
        (_, Value::Number(number)) => number.as_f64() == Some(0.0),
        (_, Value::Array(items)) => items.is_empty(),
        (_, Value::Object(entries)) => entries.is_empty(),
        (_, Value::Null) => true,
    }
}

/// The zero value of a type, as Go writes it.
fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::String => Value::String(String::new()),
        Shape::Bool => Value::Bool(false),
        Shape::Int32 | Shape::Int64 | Shape::Float => 0.into(),
        Shape::Bytes | Shape::Any | Shape::List(_) | Shape::Map(_) => Value::Null,
        Shape::Ref(id) => match id.get().special {
            Special::None => Value::Object(encode(id.get(), Vec::new())),
            Special::Quantity => Value::String("0".to_owned()),
            Special::IntOrString => 0.into(),
            _ => Value::Null,
        },
    }
}

/// The complaint of Go's base64 decoder, which skips line ends.
fn check_base64(text: &str) -> Result<(), String> {
    let clean: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    if STANDARD.decode(&clean).is_ok() {
        return Ok(());
    }
    let body = clean.trim_end_matches('=');
    let wrong = body.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'+' || b == b'/'));
    let at = wrong.unwrap_or(if clean.len() == body.len() { body.len() - body.len() % 4 } else { body.len() });
    Err(format!("illegal base64 data at input byte {at}"))
}
