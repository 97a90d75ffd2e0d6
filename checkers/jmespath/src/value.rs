//! Values while an expression runs: the given document is borrowed, what is new is shared.

use crate::parser::Node;
use serde_json::Value as Json;
use std::{borrow::Cow, collections::BTreeMap, rc::Rc};

#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(f64),
    /// Go's `int` or `int64`, which no comparison and no function takes for a number.
    Int(i64),
    Text(Cow<'a, str>),
    List(Rc<Vec<Value<'a>>>),
    /// A list that Go types more closely than `[]any`, as `items` returns: projections take it, most functions do not.
    Maps(Rc<Vec<Value<'a>>>),
    Object(Rc<BTreeMap<String, Value<'a>>>),
    /// A list or an object of the document or of a literal.
    Given(&'a Json, Numbers),
    Reference(&'a Node),
}

/// What the numbers of a document are in Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Numbers {
    /// All are float64, as in an admission request. What comes out whole is written as an integer.
    #[default]
    Floats,
    /// Integers are int64, as in the resources that Kyverno's command line reads: they equal no literal, and arithmetic refuses
    /// them. `1.0` in the document is a float64 still, and results keep the difference.
    Typed,
}

impl<'a> Value<'a> {
    pub fn given(json: &'a Json, numbers: Numbers) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => match (numbers, number.as_i64()) {
                (Numbers::Typed, Some(integer)) => Self::Int(integer),
                _ => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => Self::Given(json, numbers),
        }
    }

    /// A copy that borrows nothing.
    pub fn owned(json: Json, numbers: Numbers) -> Self {
        match json {
            Json::Array(items) => Self::list(items.into_iter().map(|item| Self::owned(item, numbers)).collect()),
            Json::Object(map) => Self::object(map.into_iter().map(|(key, value)| (key, Self::owned(value, numbers))).collect()),
            Json::String(text) => Self::text(text),
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(truth),
            Json::Number(number) => match (numbers, number.as_i64()) {
                (Numbers::Typed, Some(integer)) => Self::Int(integer),
                _ => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            },
        }
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(items))
    }

    pub fn object(fields: BTreeMap<String, Self>) -> Self {
        Self::Object(Rc::new(fields))
    }

    /// A count, which is a float64.
    pub fn count(number: usize) -> Self {
        Self::Number(number as f64)
    }

    /// The elements of a list of any type.
    pub fn elements(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) | Self::Maps(items) => Some(items.to_vec()),
            Self::Given(Json::Array(items), numbers) => Some(items.iter().map(|item| Self::given(item, *numbers)).collect()),
            _ => None,
        }
    }

    /// The elements of an `[]any`.
    pub fn any_elements(&self) -> Option<Vec<Self>> {
        if matches!(self, Self::Maps(_)) { None } else { self.elements() }
    }

    pub fn is_list(&self) -> bool {
        matches!(self, Self::List(_) | Self::Maps(_) | Self::Given(Json::Array(_), _))
    }

    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_) | Self::Given(Json::Object(_), _))
    }

    /// How many elements or fields.
    pub fn size(&self) -> usize {
        match self {
            Self::List(items) | Self::Maps(items) => items.len(),
            Self::Object(fields) => fields.len(),
            Self::Given(Json::Array(items), _) => items.len(),
            Self::Given(Json::Object(fields), _) => fields.len(),
            Self::Text(text) => text.len(),
            _ => 0,
        }
    }

    pub fn element(&self, index: usize) -> Option<Self> {
        match self {
            Self::List(items) | Self::Maps(items) => items.get(index).cloned(),
            Self::Given(Json::Array(items), numbers) => items.get(index).map(|item| Self::given(item, *numbers)),
            _ => None,
        }
    }

    pub fn field(&self, key: &str) -> Option<Self> {
        match self {
            Self::Object(fields) => fields.get(key).cloned(),
            Self::Given(Json::Object(fields), numbers) => fields.get(key).map(|value| Self::given(value, *numbers)),
            _ => None,
        }
    }

    /// The fields of an object, in the order of their names.
    pub fn fields(&self) -> Option<Vec<(String, Self)>> {
        let mut fields: Vec<_> = match self {
            Self::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            Self::Given(Json::Object(fields), numbers) => {
                fields.iter().map(|(key, value)| (key.clone(), Self::given(value, *numbers))).collect()
            }
            _ => return None,
        };
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        Some(fields)
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What JMESPath counts as false.
    pub fn is_false(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(truth) => !truth,
            Self::Text(_) | Self::List(_) | Self::Maps(_) | Self::Object(_) | Self::Given(..) => self.size() == 0,
            Self::Number(_) | Self::Int(_) | Self::Reference(_) => false,
        }
    }

    /// As Go's `reflect.DeepEqual`: types count. `work` is told how much was compared.
    pub fn equals(&self, other: &Self, work: &mut u64) -> bool {
        *work += 1;
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Maps(_), b) | (b, Self::Maps(_)) if !matches!((self, b), (Self::Maps(_), Self::Maps(_))) && b.is_list() => false,
            (a, b) if a.is_list() && b.is_list() && a.size() == b.size() => {
                let mut sides = a.elements().unwrap_or_default().into_iter().zip(b.elements().unwrap_or_default());
                sides.all(|(a, b)| a.equals(&b, work))
            }
            (a, b) if a.is_object() && b.is_object() && a.size() == b.size() => {
                a.fields().unwrap_or_default().into_iter().all(|(key, value)| b.field(&key).is_some_and(|other| value.equals(&other, work)))
            }
            _ => false,
        }
    }

    /// The result as JSON.
    pub fn into_json(self, numbers: Numbers) -> Json {
        match self {
            Self::Null | Self::Reference(_) => Json::Null,
            Self::Bool(truth) => Json::Bool(truth),
            Self::Int(integer) => Json::from(integer),
            Self::Number(number) => match (numbers, whole(number)) {
                (Numbers::Floats, Some(integer)) => Json::from(integer),
                _ => serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number),
            },
            Self::Text(text) => Json::String(text.into_owned()),
            Self::Given(json, given) if given == numbers && numbers == Numbers::Typed => json.clone(),
            Self::List(_) | Self::Maps(_) | Self::Given(Json::Array(_), _) => {
                self.elements().unwrap_or_default().into_iter().map(|item| item.into_json(numbers)).collect()
            }
            Self::Object(_) | Self::Given(..) => {
                self.fields().unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_json(numbers))).collect()
            }
        }
    }

    /// As Go's `%v` prints it.
    pub fn printed(&self) -> String {
        match self {
            Self::Null => "<nil>".to_owned(),
            Self::Bool(truth) => truth.to_string(),
            Self::Int(integer) => integer.to_string(),
            Self::Number(number) => crate::number::general(*number),
            Self::Text(text) => text.to_string(),
            Self::Reference(_) => "{expression}".to_owned(),
            list if list.is_list() => {
                let items: Vec<_> = list.elements().unwrap_or_default().iter().map(Self::printed).collect();
                format!("[{}]", items.join(" "))
            }
            object => {
                let fields = object.fields().unwrap_or_default();
                let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key}:{}", value.printed())).collect();
                format!("map[{}]", fields.join(" "))
            }
        }
    }
}

/// The integer that a float64 is, where it is one that it can tell from its neighbours.
pub(crate) fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
}
