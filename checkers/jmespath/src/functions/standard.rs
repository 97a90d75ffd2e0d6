//! The functions of the standard, as go-jmespath has them.

use super::{conversion, number, string};
use crate::{
    Error,
    interpreter::{Answer, Run},
    parser::Node,
    value::Value,
};
use std::{cmp::Ordering, collections::BTreeMap};

type Given<'a> = Vec<Value<'a>>;

pub(super) fn abs<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(Value::Number(number(&given[0]).abs()))
}

pub(super) fn ceil<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(Value::Number(number(&given[0]).ceil()))
}

pub(super) fn floor<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(Value::Number(number(&given[0]).floor()))
}

pub(super) fn avg<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let items = given[0].elements().unwrap_or_default();
    let sum: f64 = items.iter().map(number).sum();
    Ok(Value::Number(sum / number(&Value::count(items.len()))))
}

pub(super) fn contains<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let wanted = &given[1];
    if let Value::Text(text) = &given[0] {
        return Ok(Value::Bool(matches!(wanted, Value::Text(part) if text.contains(&**part))));
    }
    let Some(items) = given[0].any_elements() else { return Err(conversion("[]map[string]interface {}", "[]interface {}")) };
    for item in &items {
        // Go compares what the interfaces hold, which must not be a list or a map on both sides.
        match (item, wanted) {
            (a, b) if a.is_list() && b.is_list() => return Err(uncomparable("[]interface {}")),
            (a, b) if a.is_object() && b.is_object() => return Err(uncomparable("map[string]interface {}")),
            (a, b) if a.equals(b, &mut 0) => return Ok(Value::Bool(true)),
            _ => {}
        }
    }
    Ok(Value::Bool(false))
}

fn uncomparable(kind: &str) -> Error {
    Error::Failed(format!("runtime error: comparing uncomparable type {kind}"))
}

pub(super) fn ends_with<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(Value::Bool(string(&given[0]).ends_with(string(&given[1]))))
}

pub(super) fn starts_with<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(Value::Bool(string(&given[0]).starts_with(string(&given[1]))))
}

pub(super) fn join<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let items = given[1].elements().unwrap_or_default();
    let separators = string(&given[0]).len().saturating_mul(items.len());
    run.charge(separators / 8)?;
    let texts: Vec<_> = items.iter().map(string).collect();
    run.text(texts.join(string(&given[0])))
}

pub(super) fn keys<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(Value::list(given[0].fields().unwrap_or_default().into_iter().map(|(key, _)| Value::text(key)).collect()))
}

pub(super) fn values<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(Value::list(given[0].fields().unwrap_or_default().into_iter().map(|(_, value)| value).collect()))
}

pub(super) fn length<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(match &given[0] {
        Value::Text(text) => Value::count(text.chars().count()),
        other => Value::count(other.size()),
    })
}

pub(super) fn map<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let Some(items) = given[1].any_elements() else { return Err(conversion("[]map[string]interface {}", "[]interface {}")) };
    let node = reference(&given[0])?;
    let mapped: Result<_, _> = items.iter().map(|item| run.run_lenient(node, item)).collect();
    Ok(Value::list(mapped?))
}

pub(super) fn max<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(best(&given[0], Ordering::Greater))
}

pub(super) fn min<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(best(&given[0], Ordering::Less))
}

fn best<'a>(list: &Value<'a>, wanted: Ordering) -> Value<'a> {
    let items = list.elements().unwrap_or_default().into_iter();
    items.reduce(|best, item| if compare(&item, &best) == Some(wanted) { item } else { best }).unwrap_or(Value::Null)
}

fn compare(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

pub(super) fn max_by<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    best_by(run, &given, Ordering::Greater)
}

pub(super) fn min_by<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    best_by(run, &given, Ordering::Less)
}

fn best_by<'a>(run: &mut Run<'a>, given: &[Value<'a>], wanted: Ordering) -> Answer<'a> {
    let Some(items) = given[0].any_elements() else { return Err(conversion("[]map[string]interface {}", "[]interface {}")) };
    let node = reference(&given[1])?;
    let mut items = items.into_iter();
    let Some(mut best) = items.next() else { return Ok(Value::Null) };
    let mut rest = items.peekable();
    if rest.peek().is_none() {
        return Ok(best);
    }
    let mut best_key = run.run_lenient(node, &best)?;
    let wanted_type = key_type(&best_key)?;
    for item in rest {
        let key = run.run_lenient(node, &item)?;
        match compare(&key, &best_key) {
            Some(order) if order == wanted => (best, best_key) = (item, key),
            Some(_) => {}
            None if std::mem::discriminant(&key) == std::mem::discriminant(&best_key) => {}
            None => return Err(Error::Failed(format!("invalid type, must be {wanted_type}"))),
        }
    }
    Ok(best)
}

fn key_type(key: &Value<'_>) -> Result<&'static str, Error> {
    match key {
        Value::Number(_) => Ok("number"),
        Value::Text(_) => Ok("string"),
        _ => Err(Error::Failed("invalid type, must be number of string".to_owned())),
    }
}

pub(super) fn sort_by<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let Some(items) = given[0].any_elements() else { return Err(conversion("[]map[string]interface {}", "[]interface {}")) };
    let node = reference(&given[1])?;
    if items.len() < 2 {
        return Ok(given[0].clone());
    }
    let incomparable = || Error::Failed("error in sort_by comparison".to_owned());
    let mut keyed = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let key = match run.run(node, &item) {
            Err(Error::NotFound(_)) if index == 0 => Value::Null,
            Err(Error::Limit(limit)) => return Err(Error::Limit(limit)),
            Err(_) if index > 0 => return Err(incomparable()),
            other => other?,
        };
        if index == 0 {
            key_type(&key)?;
        }
        keyed.push((key, item));
    }
    let first = std::mem::discriminant(&keyed[0].0);
    if keyed.iter().any(|(key, _)| std::mem::discriminant(key) != first) {
        return Err(incomparable());
    }
    run.charge(4 * keyed.len())?;
    keyed.sort_by(|(left, _), (right, _)| compare(left, right).unwrap_or(Ordering::Equal));
    Ok(Value::list(keyed.into_iter().map(|(_, item)| item).collect()))
}

pub(super) fn sort<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let mut items = given[0].elements().unwrap_or_default();
    run.charge(4 * items.len())?;
    items.sort_by(|left, right| compare(left, right).unwrap_or(Ordering::Equal));
    Ok(Value::list(items))
}

pub(super) fn merge<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let mut merged = BTreeMap::new();
    for argument in given {
        let Some(fields) = argument.fields() else { return Err(conversion(go_type(&argument), "map[string]interface {}")) };
        merged.extend(fields);
    }
    Ok(Value::object(merged))
}

fn go_type(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::Int(_) => "int64",
        Value::Text(_) => "string",
        Value::Reference(_) => "jmespath.expRef",
        Value::Maps(_) => "[]map[string]interface {}",
        list if list.is_list() => "[]interface {}",
        _ => "map[string]interface {}",
    }
}

pub(super) fn not_null<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(given.into_iter().find(|argument| !argument.is_null()).unwrap_or(Value::Null))
}

pub(super) fn reverse<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    if let Value::Text(text) = &given[0] {
        return run.text(text.chars().rev().collect());
    }
    let Some(mut items) = given[0].any_elements() else { return Err(conversion("[]map[string]interface {}", "[]interface {}")) };
    items.reverse();
    Ok(Value::list(items))
}

pub(super) fn to_array<'a>(_: &mut Run<'a>, mut given: Given<'a>) -> Answer<'a> {
    Ok(if given[0].any_elements().is_some() { given.swap_remove(0) } else { Value::list(given) })
}

pub(super) fn to_number<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(match &given[0] {
        Value::Number(number) => Value::Number(*number),
        Value::Text(text) => crate::number::parse(text).map_or(Value::Null, Value::Number),
        Value::Int(_) | Value::Maps(_) | Value::Reference(_) => return Err(Error::Failed("unknown type".to_owned())),
        _ => Value::Null,
    })
}

pub(super) fn type_of<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(Value::text(match &given[0] {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::Text(_) => "string",
        Value::Int(_) | Value::Maps(_) | Value::Reference(_) => return Err(Error::Failed("unknown type".to_owned())),
        list if list.is_list() => "array",
        _ => "object",
    }))
}

pub(super) fn to_string<'a>(run: &mut Run<'a>, mut given: Given<'a>) -> Answer<'a> {
    if matches!(given[0], Value::Text(_)) {
        return Ok(given.swap_remove(0));
    }
    let mut out = String::new();
    write_json(run, &given[0], &mut out)?;
    run.text(out)
}

/// As `encoding/json` writes it: keys in order, `<`, `>` and `&` escaped.
fn write_json<'a>(run: &mut Run<'a>, value: &Value<'a>, out: &mut String) -> Result<(), Error> {
    run.charge(1)?;
    match value {
        Value::Null => *out += "null",
        Value::Bool(truth) => *out += &truth.to_string(),
        Value::Int(integer) => *out += &integer.to_string(),
        Value::Number(number) => match crate::number::json(*number) {
            Some(text) => *out += &text,
            None => return Err(Error::Failed(format!("json: unsupported value: {}", crate::number::general(*number)))),
        },
        Value::Text(text) => quote(text, out),
        // A struct without exported fields.
        Value::Reference(_) => *out += "{}",
        list if list.is_list() => {
            out.push('[');
            for (index, item) in list.elements().unwrap_or_default().iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(run, item, out)?;
            }
            out.push(']');
        }
        object => {
            out.push('{');
            for (index, (key, value)) in object.fields().unwrap_or_default().iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                quote(key, out);
                out.push(':');
                write_json(run, value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => *out += "\\\"",
            '\\' => *out += "\\\\",
            '\n' => *out += "\\n",
            '\r' => *out += "\\r",
            '\t' => *out += "\\t",
            '\u{8}' => *out += "\\b",
            '\u{c}' => *out += "\\f",
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => *out += &format!("\\u{:04x}", u32::from(letter)),
            other => out.push(other),
        }
    }
    out.push('"');
}

fn reference<'a>(value: &Value<'a>) -> Result<&'a Node, Error> {
    match value {
        Value::Reference(node) => Ok(node),
        _ => Err(Error::Failed("invalid node value type".to_owned())),
    }
}
