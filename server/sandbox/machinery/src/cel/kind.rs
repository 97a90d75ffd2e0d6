//! Types of CEL, and which fits where.

use serde_json::Value;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The type of an expression, as far as it is known before it runs.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Known at run time only.
    Dyn,
    /// `null`, `bool`, `int`, `kubernetes.Quantity`, …
    Named(&'static str),
    List(Box<Kind>),
    Map(Box<Kind>, Box<Kind>),
    Optional(Box<Kind>),
    Object(Arc<Object>),
    /// A type parameter of an overload.
    Parameter(char),
}

pub const BOOL: Kind = Kind::Named("bool");
pub const STRING: Kind = Kind::Named("string");
pub const INT: Kind = Kind::Named("int");
pub const NULL: Kind = Kind::Named("null_type");

/// A structure with named fields.
#[derive(Debug)]
pub struct Object {
    pub name: String,
    fields: Fields,
}

#[derive(Debug)]
enum Fields {
    Listed(BTreeMap<String, Kind>),
    BuiltIn(crate::types::TypeId),
}

impl Object {
    pub fn listed(name: &str, fields: impl IntoIterator<Item = (&'static str, Kind)>) -> Kind {
        let fields = fields.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
        Kind::Object(Arc::new(Self { name: name.to_owned(), fields: Fields::Listed(fields) }))
    }

    pub fn of_names(name: &str, fields: BTreeMap<String, Kind>) -> Kind {
        Kind::Object(Arc::new(Self { name: name.to_owned(), fields: Fields::Listed(fields) }))
    }

    pub fn field(&self, name: &str) -> Option<Kind> {
        match &self.fields {
            Fields::Listed(fields) => fields.get(name).cloned(),
            Fields::BuiltIn(id) => {
                let field = id.get().fields.iter().find(|field| super::value::escape(field.name) == name)?;
                Some(of_shape(&field.shape))
            }
        }
    }
}

/// The type of a built-in kind.
pub fn of_built_in(id: crate::types::TypeId) -> Kind {
    use crate::types::Special;
    let kind = id.get();
    match kind.special {
        Special::None => Kind::Object(Arc::new(Object { name: kind.name.clone(), fields: Fields::BuiltIn(id) })),
        Special::Time | Special::MicroTime => Kind::Named("timestamp"),
        _ => Kind::Dyn,
    }
}

fn of_shape(shape: &crate::types::Shape) -> Kind {
    use crate::types::Shape;
    match shape {
        Shape::String => STRING,
        Shape::Bool => BOOL,
        Shape::Int32 | Shape::Int64 => INT,
        Shape::Float => Kind::Named("double"),
        Shape::Bytes => Kind::Named("bytes"),
        Shape::Any => Kind::Dyn,
        Shape::List(item) => Kind::List(Box::new(of_shape(item))),
        Shape::Map(value) => Kind::Map(Box::new(STRING), Box::new(of_shape(value))),
        Shape::Ref(id) => of_built_in(*id),
    }
}

/// The type that a schema describes; `resource` where it is a whole object.
pub fn of_schema(schema: &Value, resource: bool) -> Kind {
    let resource = resource || schema["x-kubernetes-embedded-resource"] == true;
    if schema["x-kubernetes-int-or-string"] == true {
        return Kind::Dyn;
    }
    match schema["type"].as_str() {
        Some("array") => Kind::List(Box::new(of_schema(&schema["items"], false))),
        Some("object") if schema["additionalProperties"].is_object() => {
            Kind::Map(Box::new(STRING), Box::new(of_schema(&schema["additionalProperties"], false)))
        }
        Some("object") if !resource && schema["x-kubernetes-preserve-unknown-fields"] == true && !schema["properties"].is_object() => {
            Kind::Dyn
        }
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let mut fields: BTreeMap<_, _> =
                properties.map(|(name, schema)| (super::value::escape(name), of_schema(schema, false))).collect();
            if resource {
                // A whole object has these, whatever its schema says.
                fields.insert("apiVersion".to_owned(), STRING);
                fields.insert("kind".to_owned(), STRING);
                fields.insert("metadata".to_owned(), Object::listed("object", [("name", STRING), ("generateName", STRING)]));
            }
            Object::of_names("object", fields)
        }
        Some("string") => match schema["format"].as_str() {
            Some("byte") => Kind::Named("bytes"),
            Some("duration") => Kind::Named("duration"),
            Some("date" | "date-time") => Kind::Named("timestamp"),
            _ => STRING,
        },
        Some("boolean") => BOOL,
        Some("number") => Kind::Named("double"),
        Some("integer") => INT,
        _ => Kind::Dyn,
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Named("duration") => f.write_str("google.protobuf.Duration"),
            Self::Named("timestamp") => f.write_str("google.protobuf.Timestamp"),
            Self::Named("null_type") => f.write_str("null"),
            Self::Named(name) => f.write_str(name),
            Self::List(item) => write!(f, "list({item})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Optional(kind) => write!(f, "optional_type({kind})"),
            Self::Object(object) => f.write_str(&object.name),
            Self::Parameter(name) => write!(f, "{name}"),
        }
    }
}

/// What the parameters of an overload stand for.
pub(super) type Bindings = BTreeMap<char, Kind>;

/// Whether a value of `from` may stand where `to` is wanted; parameters are bound on the way.
pub(super) fn fits(to: &Kind, from: &Kind, bound: &mut Bindings) -> bool {
    match (to, from) {
        (Kind::Parameter(a), _) => match bound.get(a).cloned() {
            None => {
                bound.insert(*a, from.clone());
                true
            }
            Some(Kind::Dyn | Kind::Parameter(_)) => {
                bound.insert(*a, from.clone());
                true
            }
            Some(known) => fits(&known, from, bound),
        },
        (Kind::Dyn, _) | (_, Kind::Dyn | Kind::Parameter(_)) => true,
        (Kind::Named(a), Kind::Named(b)) if a == b => true,
        (Kind::List(a), Kind::List(b)) | (Kind::Optional(a), Kind::Optional(b)) => fits(a, b, bound),
        (Kind::Map(a, b), Kind::Map(c, d)) => fits(a, c, bound) && fits(b, d, bound),
        (Kind::Object(a), Kind::Object(b)) => Arc::ptr_eq(a, b) || a.name == b.name,
        // null is a value of each type that may be absent.
        (Kind::Object(_) | Kind::Optional(_) | Kind::Named("timestamp" | "duration"), Kind::Named("null_type"))
        | (Kind::Named("null_type"), Kind::Object(_) | Kind::Optional(_) | Kind::Named("timestamp" | "duration")) => true,
        _ => false,
    }
}

/// `kind` with its parameters replaced; a parameter that nothing bound is dynamic.
pub(super) fn substitute(kind: &Kind, bound: &Bindings) -> Kind {
    match kind {
        Kind::Parameter(a) => bound.get(a).cloned().unwrap_or(Kind::Dyn),
        Kind::List(item) => Kind::List(Box::new(substitute(item, bound))),
        Kind::Optional(item) => Kind::Optional(Box::new(substitute(item, bound))),
        Kind::Map(key, value) => Kind::Map(Box::new(substitute(key, bound)), Box::new(substitute(value, bound))),
        other => other.clone(),
    }
}
