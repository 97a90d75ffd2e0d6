//! Functions on values: casts, sets, lists, YAML, and what is random in OPA.

use super::{Entry, or_undefined, text};
use crate::rego::limits::grow;
use machinery::strict::{Format, read_untyped};
use regorus::Value;
use sha2::{Digest, Sha256};

pub(super) const FUNCTIONS: &[Entry] = &[
    ("all", 1, |given| or_undefined(elements(&given[0]).map(|all| Value::from(all.iter().all(|one| **one == Value::from(true)))))),
    ("any", 1, |given| or_undefined(elements(&given[0]).map(|all| Value::from(all.iter().any(|one| **one == Value::from(true)))))),
    ("array.flatten", 1, |given| {
        let Ok(list) = given[0].as_array() else { return Ok(Value::Undefined) };
        let mut flat = Vec::new();
        for item in list.iter() {
            match item.as_array() {
                Ok(inner) => flat.extend(inner.iter().cloned()),
                Err(_) => flat.push(item.clone()),
            }
            grow(16)?;
        }
        grow(flat.len() * 16)?;
        Ok(Value::from(flat))
    }),
    ("cast_array", 1, |given| match &given[0] {
        Value::Set(set) => Ok(Value::from(set.iter_sorted().cloned().collect::<Vec<_>>())),
        list @ Value::Array(_) => Ok(list.clone()),
        _ => Ok(Value::Undefined),
    }),
    ("cast_boolean", 1, |given| keep(given, |value| matches!(value, Value::Bool(_)))),
    ("cast_null", 1, |given| keep(given, |value| matches!(value, Value::Null))),
    ("cast_object", 1, |given| keep(given, |value| matches!(value, Value::Object(_)))),
    ("cast_string", 1, |given| keep(given, |value| matches!(value, Value::String(_)))),
    ("cast_set", 1, |given| match &given[0] {
        Value::Array(list) => Ok(Value::from(list.iter().cloned().collect::<std::collections::BTreeSet<_>>())),
        set @ Value::Set(_) => Ok(set.clone()),
        _ => Ok(Value::Undefined),
    }),
    ("set_diff", 2, |given| match (&given[0], &given[1]) {
        (Value::Set(left), Value::Set(right)) => {
            Ok(Value::from(left.iter().filter(|one| !right.contains(one)).cloned().collect::<std::collections::BTreeSet<_>>()))
        }
        _ => Ok(Value::Undefined),
    }),
    ("re_match", 2, |given| super::bounded::original("regex.match", given)),
    // Random in OPA, and the same for the same argument within a request. Here it is the same at all times.
    ("rand.intn", 2, |given| {
        let (Some(seed), Ok(end)) = (text(&given[0]), given[1].as_i64()) else { return Ok(Value::Undefined) };
        let end = end.unsigned_abs();
        Ok(Value::from(if end == 0 { 0 } else { u64::from_be_bytes(digest(seed)) % end }))
    }),
    ("uuid.rfc4122", 1, |given| {
        let Some(seed) = text(&given[0]) else { return Ok(Value::Undefined) };
        let digits = hex::encode(Sha256::digest(seed.as_bytes()));
        let id = format!("{}-{}-4{}-8{}-{}", &digits[..8], &digits[8..12], &digits[13..16], &digits[17..20], &digits[20..32]);
        Ok(Value::from(id))
    }),
    ("yaml.is_valid", 1, |given| Ok(Value::from(text(&given[0]).is_some_and(|text| read_untyped(Format::Yaml, text.as_bytes()).is_ok())))),
    ("yaml.unmarshal", 1, |given| {
        let read = text(&given[0]).and_then(|text| read_untyped(Format::Yaml, text.as_bytes()).ok());
        or_undefined(read.map(|(value, _)| Value::from(value)))
    }),
    ("yaml.marshal", 1, |given| {
        super::bounded::weigh(&given[0])?;
        or_undefined(serde_saphyr::to_string(&given[0]).ok().map(Value::from))
    }),
    ("json.is_valid", 1, |given| {
        Ok(Value::from(text(&given[0]).is_some_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())))
    }),
];

fn keep(given: &[Value], fits: fn(&Value) -> bool) -> anyhow::Result<Value> {
    Ok(if fits(&given[0]) { given[0].clone() } else { Value::Undefined })
}

fn elements(value: &Value) -> Option<Vec<&Value>> {
    match value {
        Value::Array(list) => Some(list.iter().collect()),
        Value::Set(set) => Some(set.iter().collect()),
        _ => None,
    }
}

fn digest(seed: &str) -> [u8; 8] {
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(seed.as_bytes())[..8]);
    first
}
