//! How large what a schema describes may get: what its bounds say, else what fits into a request.

use crate::cel::value::escape;
use serde_json::Value;
use std::collections::BTreeMap;

/// Bytes of the largest request.
const LARGEST_REQUEST: u64 = 3 << 20;
/// Bytes of `""`, `{}` or `[]`.
const EMPTY: u64 = 2;
const DEEPEST: usize = 64;

/// The bounds of a value and of what lies below it.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// Most elements or letters; 0 of what has none.
    pub most: u64,
    /// Bytes of the shortest JSON.
    smallest: u64,
    /// By names as expressions write them.
    pub fields: BTreeMap<String, Bounds>,
    /// What a list or a map holds.
    pub element: Option<Box<Bounds>>,
}

impl Bounds {
    pub(super) const EMPTY: Self = Self { most: 0, smallest: 0, fields: BTreeMap::new(), element: None };

    /// Nothing of what expressions do not see.
    pub fn of_schema(schema: &Value, resource: bool) -> Option<Self> {
        Self::node(schema, resource, 0)
    }

    fn node(schema: &Value, resource: bool, depth: usize) -> Option<Self> {
        if depth > DEEPEST {
            return None;
        }
        let whole = |schema: &Value| schema["x-kubernetes-embedded-resource"] == true;
        let below = |schema: &Value| Self::node(schema, whole(schema), depth + 1);
        let leaf = |most: u64, smallest: u64| Some(Self { most, smallest, ..Self::default() });
        let longest = schema["maxLength"].as_u64();
        if schema["x-kubernetes-int-or-string"] == true {
            return leaf(longest.map_or(LARGEST_REQUEST - EMPTY, letters), 1);
        }
        match schema["type"].as_str()? {
            "array" => {
                let element = below(&schema["items"])?;
                let most = schema["maxItems"].as_u64().unwrap_or((LARGEST_REQUEST - EMPTY) / (element.smallest + 1));
                Some(Self { most, smallest: EMPTY, element: Some(Box::new(element)), ..Self::default() })
            }
            "object" if schema["additionalProperties"].is_object() => {
                let element = below(&schema["additionalProperties"])?;
                // A key, its quotes, a colon and a comma.
                let most = schema["maxProperties"].as_u64().unwrap_or((LARGEST_REQUEST - EMPTY) / (element.smallest + 6));
                Some(Self { most, smallest: EMPTY, element: Some(Box::new(element)), ..Self::default() })
            }
            "object" => {
                let mut object = Self { smallest: EMPTY, ..Self::default() };
                let required =
                    |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
                for (name, part) in schema["properties"].as_object().into_iter().flatten() {
                    let Some(bounds) = below(part) else { continue };
                    if required(name) && part["default"].is_null() {
                        object.smallest += name.len() as u64 + bounds.smallest + 4;
                    }
                    object.fields.insert(escape(name), bounds);
                }
                if resource {
                    let text = || Self { most: LARGEST_REQUEST - EMPTY, smallest: EMPTY, ..Self::default() };
                    let metadata = ["name", "generateName"].map(|name| (name.to_owned(), text()));
                    let metadata = Self { smallest: EMPTY, fields: metadata.into(), ..Self::default() };
                    object.fields.extend([
                        ("kind".to_owned(), text()),
                        ("apiVersion".to_owned(), text()),
                        ("metadata".to_owned(), metadata),
                    ]);
                }
                Some(object)
            }
            "string" => match schema["format"].as_str() {
                Some("byte") => leaf(longest.unwrap_or(LARGEST_REQUEST - EMPTY), EMPTY),
                Some("duration") => leaf(32, 3),
                Some("date") => leaf(12, 12),
                Some("date-time") => leaf(32, 21),
                _ => {
                    let named = schema["enum"].as_array().filter(|values| !values.is_empty());
                    let named = named.map(|values| values.iter().filter_map(Value::as_str).map(str::len).max().unwrap_or(0) as u64);
                    leaf(longest.map(letters).or(named).unwrap_or(LARGEST_REQUEST - EMPTY), EMPTY)
                }
            },
            "boolean" => leaf(0, 4),
            "number" | "integer" => leaf(0, 1),
            _ => None,
        }
    }

    /// How often such a value may lie in one request.
    pub fn most_often(&self) -> u64 {
        LARGEST_REQUEST / (self.smallest + 1)
    }
}

/// Bytes of as many letters.
fn letters(count: u64) -> u64 {
    count.saturating_mul(4)
}
