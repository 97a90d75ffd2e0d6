//! A field that validation refuses, worded as Kubernetes' `field.Error`
//! (k8s.io/apimachinery/pkg/util/validation/field).

use serde_json::Value;
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    Internal,
    TypeInvalid,
}

impl FieldErrorKind {
    /// The machine's word: `reason` in a Status' `details.causes`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    /// The reader's word, at the start of the message.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
            Self::TypeInvalid => "Invalid value",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    pub kind: FieldErrorKind,
    /// Path as `spec.containers[0].image`.
    pub field: String,
    /// How the message prints the value: Go's `%#v` of it, or its JSON. Empty where the kind prints none.
    pub value: Option<String>,
    pub detail: String,
}

impl FieldError {
    fn new(kind: FieldErrorKind, field: impl Into<String>, value: Option<String>, detail: impl Into<String>) -> Self {
        Self { kind, field: field.into(), value, detail: detail.into() }
    }

    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Required, field, None, detail)
    }

    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Forbidden, field, None, detail)
    }

    pub fn invalid(field: impl Into<String>, value: impl Into<Shown>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Invalid, field, Some(value.into().0), detail)
    }

    pub fn not_found(field: impl Into<String>, value: impl Into<Shown>) -> Self {
        Self::new(FieldErrorKind::NotFound, field, Some(value.into().0), "")
    }

    pub fn duplicate(field: impl Into<String>, value: impl Into<Shown>) -> Self {
        Self::new(FieldErrorKind::Duplicate, field, Some(value.into().0), "")
    }

    /// `supported values: "A", "B"`, sorted as the caller gives them.
    pub fn not_supported(field: impl Into<String>, value: impl Into<Shown>, supported: &[&str]) -> Self {
        let quoted: Vec<_> = supported.iter().map(|s| go_quote(s)).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        Self::new(FieldErrorKind::NotSupported, field, Some(value.into().0), detail)
    }

    /// `may not be more than N bytes`; the value itself is never printed.
    pub fn too_long(field: impl Into<String>, most: usize) -> Self {
        let unit = if most == 1 { "byte" } else { "bytes" };
        Self::new(FieldErrorKind::TooLong, field, None, format!("may not be more than {most} {unit}"))
    }

    /// `must have at most N items`.
    pub fn too_many(field: impl Into<String>, count: usize, most: usize) -> Self {
        let unit = if most == 1 { "item" } else { "items" };
        Self::new(FieldErrorKind::TooMany, field, Some(count.to_string()), format!("must have at most {most} {unit}"))
    }

    pub fn internal(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Internal, field, None, detail)
    }

    /// The value has another type than the schema asks for.
    pub fn type_invalid(field: impl Into<String>, value: impl Into<Shown>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::TypeInvalid, field, Some(value.into().0), detail)
    }

    /// Everything after the field path, as a Status' cause prints it.
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if let Some(value) = &self.value {
            text = format!("{text}: {value}");
        }
        if !self.detail.is_empty() {
            text = format!("{text}: {}", self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// How a message prints a value: text quoted, numbers and booleans bare, the rest as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// Text that is already as it shall be printed.
    pub fn raw(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<&Value> for Shown {
    fn from(value: &Value) -> Self {
        Self(go_value(value))
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self(go_quote(text))
    }
}

impl From<&String> for Shown {
    fn from(text: &String) -> Self {
        Self(go_quote(text))
    }
}

impl From<String> for Shown {
    fn from(text: String) -> Self {
        Self(go_quote(&text))
    }
}

impl From<i64> for Shown {
    fn from(number: i64) -> Self {
        Self(number.to_string())
    }
}

impl From<bool> for Shown {
    fn from(value: bool) -> Self {
        Self(value.to_string())
    }
}

/// A value as Go prints it in a field error: strings quoted, numbers and booleans bare, the rest as `encoding/json` writes it
/// (keys of maps in order, and `<`, `>`, `&` escaped).
pub fn go_value(value: &Value) -> String {
    match value {
        Value::String(text) => go_quote(text),
        other => go_json(other),
    }
}

fn go_json(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(go_json).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{}:{}", go_json_text(key), go_json(value))).collect();
            format!("{{{}}}", pairs.join(","))
        }
        Value::String(text) => go_json_text(text),
        other => other.to_string(),
    }
}

/// A string as Go's `encoding/json` writes it.
pub(crate) fn go_json_text(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    if !quoted.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return quoted;
    }
    let mut escaped = String::with_capacity(quoted.len() + 8);
    for character in quoted.chars() {
        match character {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A string as Go's `%q` prints it.
pub fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\0'..='\u{1f}' | '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(character))),
            printable if !printable.is_control() && (printable == ' ' || !printable.is_whitespace()) => quoted.push(printable),
            other if u32::from(other) > 0xffff => quoted.push_str(&format!("\\U{:08x}", u32::from(other))),
            other => quoted.push_str(&format!("\\u{:04x}", u32::from(other))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_go_prints_them() {
        for (value, text) in [
            (json!("a\"b\\\n\u{0}é\u{a0}"), r#""a\"b\\\n\x00é\u00a0""#),
            (json!(-1), "-1"),
            (json!(null), "null"),
            (json!({"b": "<1>", "a": [1, true]}), r#"{"a":[1,true],"b":"\u003c1\u003e"}"#),
        ] {
            assert_eq!(go_value(&value), text);
        }
        assert_eq!(FieldError::too_long("a", 63).to_string(), "a: Too long: may not be more than 63 bytes");
        assert_eq!(
            FieldError::not_supported("a", "x", &["A", "B"]).to_string(),
            r#"a: Unsupported value: "x": supported values: "A", "B""#
        );
    }
}
