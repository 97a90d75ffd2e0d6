//! Values of an item, read as the type that its key has. Messages are Falco's.

use super::{
    report::{Context, ErrorCode, Failure, Part, failure},
    yaml::Node,
};

pub fn invalid(message: impl Into<String>, context: &Context) -> Failure {
    failure(ErrorCode::YamlValidate, message, context)
}

pub fn value_context(node: &Node, key: &str, context: &Context) -> Context {
    context.part(Part::ValueFor, key, node.mark)
}

fn missing(key: &str, context: &Context) -> Failure {
    invalid(format!("Item has no mapping for key '{key}'"), context)
}

/// A scalar that is there and not empty.
pub fn text(item: &Node, key: &str, context: &Context) -> Result<String, Failure> {
    optional_text(item, key, context)?.ok_or_else(|| missing(key, context))
}

pub fn optional_text(item: &Node, key: &str, context: &Context) -> Result<Option<String>, Failure> {
    let Some(node) = item.get(key) else { return Ok(None) };
    if node.is_null() {
        return Err(invalid(format!("Mapping for key '{key}' is empty"), context));
    }
    let here = value_context(node, key, context);
    match node.scalar() {
        None => Err(invalid("Value is not a scalar value", &here)),
        Some("") => Err(invalid("Value must be non-empty", &here)),
        Some(text) => Ok(Some(text.to_owned())),
    }
}

fn decoded<T>(item: &Node, key: &str, context: &Context, decode: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Failure> {
    let Some(text) = optional_text(item, key, context)? else { return Ok(None) };
    let here = || item.get(key).map_or_else(|| context.clone(), |node| value_context(node, key, context));
    decode(&text).map(Some).ok_or_else(|| invalid("Can't decode YAML scalar value", &here()))
}

/// `true`, `yes`, `on`, `y` and their opposites: in lower case, in capitals or with a capital first.
pub fn optional_bool(item: &Node, key: &str, context: &Context) -> Result<Option<bool>, Failure> {
    decoded(item, key, context, |text| {
        let lower = text.to_ascii_lowercase();
        let capital = text.starts_with(|c: char| c.is_ascii_uppercase()) && text[1..].bytes().all(|byte| byte.is_ascii_lowercase());
        if text != lower && text != lower.to_ascii_uppercase() && !capital {
            return None;
        }
        match lower.as_str() {
            "y" | "yes" | "true" | "on" => Some(true),
            "n" | "no" | "false" | "off" => Some(false),
            _ => None,
        }
    })
}

pub fn boolean(item: &Node, key: &str, context: &Context) -> Result<bool, Failure> {
    optional_bool(item, key, context)?.ok_or_else(|| missing(key, context))
}

pub fn optional_number(item: &Node, key: &str, context: &Context) -> Result<Option<u32>, Failure> {
    decoded(item, key, context, |text| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    })
}

/// A sequence of scalars.
pub fn optional_texts(item: &Node, key: &str, context: &Context) -> Result<Option<Vec<String>>, Failure> {
    let Some(node) = item.get(key) else { return Ok(None) };
    let here = value_context(node, key, context);
    let items = node.sequence().ok_or_else(|| invalid("Value is not a sequence", &here))?;
    let texts = items.iter().map(|item| {
        let context = here.part(Part::ListItem, "", item.mark);
        item.scalar().map(str::to_owned).ok_or_else(|| invalid("sequence value is not scalar", &context))
    });
    texts.collect::<Result<_, _>>().map(Some)
}

pub fn texts(item: &Node, key: &str, context: &Context) -> Result<Vec<String>, Failure> {
    optional_texts(item, key, context)?.ok_or_else(|| missing(key, context))
}
