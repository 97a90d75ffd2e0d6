//! How the parts of an object merge: by the built-in types, by a CustomResourceDefinition's schema, or as deduced from the value.

use crate::{
    resource::Resource,
    types::{self, Field, ListType, Shape, Special},
};
use serde_json::{Map, Value};

#[derive(Clone, Copy)]
pub(super) enum Typing<'a> {
    /// A built-in type; the field says how its list or map merges.
    Built(&'a Shape, Option<&'a Field>),
    /// A part of a structural schema.
    Schema(&'a Value),
    /// The root of a custom resource, whose `metadata` is built in.
    CustomRoot(&'a Value),
    /// Nothing known: maps merge, lists are replaced.
    Deduced,
    /// Replaced as a whole, whatever it is.
    Atomic,
}

/// What a value of this typing is.
pub(super) enum Atom<'a> {
    Scalar,
    AtomicMap,
    AtomicList,
    /// Merges by field.
    Map,
    /// A set of scalars.
    SetList,
    /// Merges by these keys.
    KeyedList(Vec<&'a str>),
}

/// The typing of a resource's objects. `shape` lives with the caller.
pub(super) fn of_resource<'a>(resource: &'a Resource, shape: &'a Option<Shape>) -> Typing<'a> {
    match (&resource.custom, shape) {
        (Some(definition), _) => Typing::CustomRoot(&definition.schema),
        (None, Some(shape)) => Typing::Built(shape, None),
        (None, None) => Typing::Deduced,
    }
}

pub(super) fn shape_of(resource: &Resource) -> Option<Shape> {
    types::of_kind(&resource.group, &resource.version, &resource.kind).map(Shape::Ref)
}

fn deduced<'a>(value: &Value) -> Atom<'a> {
    match value {
        Value::Object(_) => Atom::Map,
        Value::Array(_) => Atom::AtomicList,
        _ => Atom::Scalar,
    }
}

impl<'a> Typing<'a> {
    /// `value` decides where the type leaves it open; give the one that is not null.
    pub fn atom(self, value: &Value) -> Atom<'a> {
        match self {
            Self::Deduced => deduced(value),
            Self::Atomic => match value {
                Value::Object(_) => Atom::AtomicMap,
                Value::Array(_) => Atom::AtomicList,
                _ => Atom::Scalar,
            },
            Self::CustomRoot(_) => Atom::Map,
            Self::Built(shape, field) => match shape {
                Shape::Map(_) if field.is_some_and(|f| f.atomic) => Atom::AtomicMap,
                Shape::Map(_) => Atom::Map,
                Shape::List(_) => match field.map(|f| (f.list, &f.keys)) {
                    Some((ListType::Set, _)) => Atom::SetList,
                    Some((ListType::Map, keys)) => Atom::KeyedList(keys.clone()),
                    _ => Atom::AtomicList,
                },
                Shape::Ref(id) => {
                    let of = id.get();
                    match of.special {
                        Special::None if field.map_or(of.atomic, |f| (of.atomic && !f.granular) || f.atomic) => Atom::AtomicMap,
                        Special::None => Atom::Map,
                        Special::Quantity | Special::Time | Special::MicroTime | Special::IntOrString => Atom::Scalar,
                        _ => Self::Atomic.atom(value),
                    }
                }
                Shape::Any => Self::Atomic.atom(value),
                _ => Atom::Scalar,
            },
            Self::Schema(schema) => {
                let atomic_map = schema["x-kubernetes-map-type"] == "atomic";
                match schema["type"].as_str() {
                    Some("object") if atomic_map => Atom::AtomicMap,
                    Some("object") => Atom::Map,
                    Some("array") => match schema["x-kubernetes-list-type"].as_str() {
                        Some("set") => Atom::SetList,
                        Some("map") => {
                            let keys = schema["x-kubernetes-list-map-keys"].as_array();
                            Atom::KeyedList(keys.into_iter().flatten().filter_map(Value::as_str).collect())
                        }
                        _ => Atom::AtomicList,
                    },
                    Some(_) => Atom::Scalar,
                    None if schema["x-kubernetes-int-or-string"] == true => Atom::Scalar,
                    None => deduced(value),
                }
            }
        }
    }

    /// The typing of a field or of a map's value, and whether the type names the field. `None`: not declared.
    pub fn field(self, key: &str) -> Option<(Typing<'a>, bool)> {
        match self {
            Self::Deduced => Some((Self::Deduced, false)),
            Self::Atomic => Some((Self::Atomic, false)),
            Self::Built(Shape::Map(element), _) => Some((Self::Built(element, None), false)),
            Self::Built(Shape::Ref(id), _) if id.get().special == Special::None => {
                let field = id.get().field(key)?;
                Some((Self::Built(&field.shape, Some(field)), true))
            }
            Self::Built(..) => Some((Self::Atomic, false)),
            Self::CustomRoot(_) if matches!(key, "apiVersion" | "kind") => Some((Self::Built(&Shape::String, None), true)),
            Self::CustomRoot(_) if key == "metadata" => Some((metadata(), true)),
            Self::CustomRoot(schema) | Self::Schema(schema) => {
                if let Some(property) = schema["properties"].get(key) {
                    return Some((Self::Schema(property), true));
                }
                if schema["x-kubernetes-embedded-resource"] == true {
                    match key {
                        "apiVersion" | "kind" => return Some((Self::Built(&Shape::String, None), true)),
                        "metadata" => return Some((metadata(), true)),
                        _ => {}
                    }
                }
                match schema.get("additionalProperties") {
                    Some(additional) if additional.is_object() => Some((Self::Schema(additional), false)),
                    Some(Value::Bool(true)) => Some((Self::Deduced, false)),
                    _ if schema.is_null() || schema["x-kubernetes-preserve-unknown-fields"] == true => Some((Self::Deduced, false)),
                    _ => None,
                }
            }
        }
    }

    /// The typing of a list's items.
    pub fn element(self) -> Typing<'a> {
        match self {
            Self::Built(Shape::List(element), _) => Self::Built(element, None),
            Self::Schema(schema) => schema.get("items").map_or(Self::Deduced, Self::Schema),
            Self::Deduced => Self::Deduced,
            _ => Self::Atomic,
        }
    }

    /// What an item's key is where the item does not say: the default of that field.
    fn key_default(self, key: &str) -> Option<Value> {
        match self {
            Self::Built(Shape::Ref(id), _) => {
                let field = id.get().field(key)?;
                let default = field.default?;
                if default.is_empty() {
                    return Some(match field.shape {
                        Shape::String => Value::String(String::new()),
                        Shape::Bool => Value::Bool(false),
                        Shape::Int32 | Shape::Int64 | Shape::Float => 0.into(),
                        _ => return None,
                    });
                }
                serde_json::from_str(default).ok()
            }
            Self::Schema(schema) => schema["properties"][key].get("default").cloned(),
            _ => None,
        }
    }

    /// The path element of a list item, as `fieldsV1` writes it; an error in the API server's words.
    pub fn item_element(self, atom: &Atom<'_>, at: usize, item: &Value) -> Result<String, String> {
        match atom {
            Atom::SetList => match item {
                Value::Null => Err(format!("element {at}: associative list with values may not have nulls")),
                Value::Object(_) | Value::Array(_) => {
                    Err(format!("element {at}: associative list with values may not have non-scalar elements"))
                }
                scalar => Ok(format!("v:{scalar}")),
            },
            Atom::KeyedList(keys) => {
                let Value::Object(entries) = item else {
                    let what = if item.is_null() { "a null element" } else { "non-map elements" };
                    return Err(format!("element {at}: associative list with keys may not have {what}"));
                };
                let mut found = Map::new();
                for key in keys {
                    let value = entries.get(*key).cloned().or_else(|| self.element().key_default(key));
                    match value {
                        Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => {
                            found.insert((*key).to_owned(), value);
                        }
                        // one of several keys may be missing
                        None if keys.len() > 1 => {}
                        None => {
                            return Err(format!(
                                "element {at}: associative list with keys has an element that omits key field {key:?} (and doesn't have default value)"
                            ));
                        }
                        Some(_) => {
                            return Err(format!(
                                "element {at}: associative list with keys has an element that has no scalar key field {key:?}"
                            ));
                        }
                    }
                }
                let sorted: std::collections::BTreeMap<_, _> = found.into_iter().collect();
                Ok(format!("k:{}", serde_json::to_string(&sorted).unwrap_or_default()))
            }
            _ => Ok(format!("i:{at}")),
        }
    }
}

fn metadata<'a>() -> Typing<'a> {
    static META: std::sync::LazyLock<Shape> = std::sync::LazyLock::new(|| types::object_meta().map_or(Shape::Any, Shape::Ref));
    Typing::Built(&META, None)
}
