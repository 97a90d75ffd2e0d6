//! The operators of conditions (<https://kyverno.io/docs/policy-types/cluster-policy/preconditions/#operators>).

use crate::{
    overlay::leaf::{self, Operator},
    text::printed,
};
use kyverno_jmespath::{go_duration, semver::Version, wildcard::matches};
use machinery::quantity::Quantity;
use serde_json::{Number, Value};
use std::cmp::Ordering;

/// What a policy may write, letter for letter.
pub const OPERATORS: [&str; 18] = [
    "Equal",
    "Equals",
    "NotEqual",
    "NotEquals",
    "In",
    "AnyIn",
    "AllIn",
    "NotIn",
    "AnyNotIn",
    "AllNotIn",
    "GreaterThanOrEquals",
    "GreaterThan",
    "LessThanOrEquals",
    "LessThan",
    "DurationGreaterThanOrEquals",
    "DurationGreaterThan",
    "DurationLessThanOrEquals",
    "DurationLessThan",
];

/// What has been replaced, and by what.
pub const DEPRECATED: [(&str, &str); 6] = [
    ("In", "AllIn or AnyIn"),
    ("NotIn", "AllNotIn or AnyNotIn"),
    ("DurationGreaterThanOrEquals", "GreaterThanOrEquals"),
    ("DurationGreaterThan", "GreaterThan"),
    ("DurationLessThanOrEquals", "LessThanOrEquals"),
    ("DurationLessThan", "LessThan"),
];

/// Whether the condition holds; `None` for an operator that there is not.
pub fn evaluate(operator: &str, key: &Value, value: &Value) -> Option<bool> {
    Some(match operator.to_ascii_lowercase().as_str() {
        "equal" | "equals" => equals(key, value),
        "notequal" | "notequals" => not_equals(key, value),
        "in" => old_membership(key, value, false),
        "notin" => old_membership(key, value, true),
        "anyin" => membership(key, value, Wanted::Any),
        "allin" => membership(key, value, Wanted::All),
        "anynotin" => membership(key, value, Wanted::AnyNot),
        "allnotin" => membership(key, value, Wanted::AllNot),
        "greaterthanorequals" => order(key, value).is_some_and(Ordering::is_ge),
        "greaterthan" => order(key, value).is_some_and(Ordering::is_gt),
        "lessthanorequals" => order(key, value).is_some_and(Ordering::is_le),
        "lessthan" => order(key, value).is_some_and(Ordering::is_lt),
        "durationgreaterthanorequals" => duration_order(key, value).is_some_and(Ordering::is_ge),
        "durationgreaterthan" => duration_order(key, value).is_some_and(Ordering::is_gt),
        "durationlessthanorequals" => duration_order(key, value).is_some_and(Ordering::is_le),
        "durationlessthan" => duration_order(key, value).is_some_and(Ordering::is_lt),
        _ => return None,
    })
}

/// Two durations where at least one side is written as one; a number beside it counts seconds.
fn durations(key: &Value, value: &Value) -> Option<(i64, i64)> {
    let written = |side: &Value| side.as_str().filter(|text| *text != "0").and_then(|text| go_duration::parse(text).ok());
    let (of_key, of_value) = (written(key), written(value));
    if of_key.is_none() && of_value.is_none() {
        return None;
    }
    Some((of_key.or_else(|| seconds(key))?, of_value.or_else(|| seconds(value))?))
}

/// Whole seconds of a number, in nanoseconds.
fn seconds(side: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the fraction of a second does not count")]
    let whole = side.as_f64()?.trunc() as i64;
    Some(whole.wrapping_mul(1_000_000_000))
}

fn equals(key: &Value, value: &Value) -> bool {
    match key {
        Value::Bool(_) | Value::Object(_) | Value::Array(_) => same(key, value),
        Value::Number(number) => equals_number(number, value).unwrap_or(false),
        Value::String(text) => equals_text(text, key, value),
        Value::Null => false,
    }
}

fn not_equals(key: &Value, value: &Value) -> bool {
    match key {
        Value::Bool(_) | Value::Object(_) | Value::Array(_) => !same(key, value),
        Value::Number(number) => !equals_number(number, value).unwrap_or(false),
        Value::String(text) => {
            // A quantity beside a text that is none is neither equal nor unequal, except that nothing is unequal to it.
            let is_quantity = durations(key, value).is_none() && Quantity::parse(text).is_ok();
            if is_quantity && value.as_str().is_some_and(|value| !value.is_empty() && Quantity::parse(value).is_err()) {
                return false;
            }
            !equals_text(text, key, value)
        }
        Value::Null => false,
    }
}

/// Equality of documents, where 1 and 1.0 are the same.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b)),
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(key, a)| other.get(key).is_some_and(|b| same(a, b)))
        }
        (one, other) => one == other,
    }
}

fn equals_number(key: &Number, value: &Value) -> Option<bool> {
    match value {
        Value::Number(value) => Some(key.as_f64() == value.as_f64()),
        Value::String(text) => Some(text.parse().ok() == key.as_f64()),
        _ => None,
    }
}

fn equals_text(text: &str, key: &Value, value: &Value) -> bool {
    if let Some((of_key, of_value)) = durations(key, value) {
        return of_key == of_value;
    }
    let Value::String(value) = value else { return false };
    if let Ok(of_key) = Quantity::parse(text) {
        return Quantity::parse(value).is_ok_and(|of_value| of_key.compare(&of_value).is_eq());
    }
    matches(value, text)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Any,
    All,
    AnyNot,
    AllNot,
}

/// Wildcards count on both sides.
fn alike(one: &str, other: &str) -> bool {
    matches(one, other) || matches(other, one)
}

fn membership(key: &Value, value: &Value, wanted: Wanted) -> bool {
    match key {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => {
            let found = one_in(&printed(key), value);
            match wanted {
                Wanted::Any | Wanted::All => found == Some(true),
                Wanted::AnyNot | Wanted::AllNot => found == Some(false),
            }
        }
        Value::Array(keys) => many_in(&keys.iter().map(printed).collect::<Vec<_>>(), value, wanted),
        _ => false,
    }
}

/// `None` where the value is nothing that something could be in.
fn one_in(key: &str, value: &Value) -> Option<bool> {
    match value {
        Value::Array(values) => Some(values.iter().any(|value| alike(&printed(value), key))),
        Value::String(text) => {
            if matches(text, key) {
                return Some(true);
            }
            if Operator::of(text) == Operator::InRange {
                return Some(leaf::matches_text(&Value::String(key.to_owned()), text));
            }
            Some(listed(text)?.iter().any(|value| value == key))
        }
        _ => None,
    }
}

/// A JSON list of texts, or the text itself where it is no JSON; `None` for JSON that is something else.
fn listed(text: &str) -> Option<Vec<String>> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Some(text),
                Value::Null => Some(String::new()),
                _ => None,
            })
            .collect(),
        Ok(Value::Null) => Some(Vec::new()),
        Ok(_) => None,
        Err(_) => Some(vec![text.to_owned()]),
    }
}

fn many_in(keys: &[String], value: &Value, wanted: Wanted) -> bool {
    let values: Vec<String> = match value {
        Value::Array(values) => values.iter().map(printed).collect(),
        Value::Number(_) | Value::Bool(_) if matches!(wanted, Wanted::Any | Wanted::AnyNot) => vec![printed(value)],
        Value::String(text) => {
            if keys.len() == 1 && keys[0] == *text {
                return matches!(wanted, Wanted::Any | Wanted::All);
            }
            if Operator::of(text) == Operator::InRange {
                return many_in_range(keys, text, wanted);
            }
            match listed(text) {
                Some(values) => values,
                None => return false,
            }
        }
        _ => return false,
    };
    let is_in = |key: &String| values.iter().any(|value| alike(key, value));
    match wanted {
        Wanted::Any => keys.iter().any(is_in),
        Wanted::All => keys.iter().all(is_in),
        Wanted::AnyNot => !keys.iter().all(is_in),
        Wanted::AllNot => !keys.iter().any(is_in),
    }
}

fn many_in_range(keys: &[String], range: &str, wanted: Wanted) -> bool {
    let within = |key: &String| leaf::matches_text(&Value::String(key.clone()), range);
    match wanted {
        Wanted::Any => keys.iter().any(within),
        Wanted::All => keys.iter().all(within),
        Wanted::AllNot => !keys.iter().any(within),
        Wanted::AnyNot => {
            let outside = range.replacen('-', "!-", 1);
            keys.iter().any(|key| leaf::matches_text(&Value::String(key.clone()), &outside))
        }
    }
}

/// `In` and `NotIn`, which know lists of texts alone.
fn old_membership(key: &Value, value: &Value, negated: bool) -> bool {
    let listed_strictly = |text: &str| serde_json::from_str::<Vec<String>>(text).ok();
    match key {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => {
            let key = printed(key);
            let found = match value {
                Value::Array(values) => values.iter().any(|value| alike(&printed(value), &key)),
                Value::String(text) => {
                    if matches(text, &key) {
                        true
                    } else {
                        let Some(values) = listed_strictly(text) else { return false };
                        values.contains(&key)
                    }
                }
                _ => return false,
            };
            found != negated
        }
        Value::Array(keys) => {
            let Some(keys) = keys.iter().map(|key| key.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>() else { return false };
            let values = match value {
                Value::Array(values) => values.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>(),
                Value::String(text) if keys.len() == 1 && keys[0] == *text => return true,
                Value::String(text) => listed_strictly(text),
                _ => None,
            };
            let Some(values) = values else { return false };
            keys.iter().all(|key| values.contains(key)) != negated
        }
        _ => false,
    }
}

/// How a key compares with a value: durations, quantities, numbers, versions.
fn order(key: &Value, value: &Value) -> Option<Ordering> {
    if !matches!(key, Value::Number(_) | Value::String(_)) {
        return None;
    }
    if let Some((key, value)) = durations(key, value).filter(|_| key.is_string() || value.is_string()) {
        return Some(key.cmp(&value));
    }
    let number = |side: &Value| match side {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    if let (Some(key), Some(value)) = (key.as_str(), value.as_str())
        && let (Ok(key), Ok(value)) = (Quantity::parse(key), Quantity::parse(value))
    {
        return Some(key.compare(&value));
    }
    if let Some(of_key) = number(key) {
        return of_key.partial_cmp(&number(value)?);
    }
    let versions = (Version::parse(key.as_str()?).ok()?, Version::parse(value.as_str()?).ok()?);
    Some(versions.0.cmp(&versions.1))
}

fn duration_order(key: &Value, value: &Value) -> Option<Ordering> {
    let of = |side: &Value| match side {
        Value::String(text) => go_duration::parse(text).ok(),
        Value::Number(_) => seconds(side),
        _ => None,
    };
    Some(of(key)?.cmp(&of(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operators() {
        for (key, operator, value, want) in [
            (json!("a"), "Equals", json!("a"), true),
            (json!("abc"), "equals", json!("a*"), true),
            (json!("a*"), "Equals", json!("abc"), false),
            (json!("1Ki"), "Equals", json!("1024"), true),
            (json!("1h"), "Equals", json!("60m"), true),
            (json!("1h"), "Equals", json!(3600), true),
            (json!("1"), "Equals", json!(1), false),
            (json!(1), "Equals", json!("1"), true),
            (json!(null), "Equals", json!(null), false),
            (json!(null), "NotEquals", json!("a"), false),
            (json!([1]), "Equals", json!([1.0]), true),
            (json!("1Gi"), "NotEquals", json!("1024Mi"), false),
            (json!("10"), "NotEquals", json!("x"), false),
            (json!("10"), "NotEquals", json!(""), true),
            (json!("a"), "NotEquals", json!(3), true),
            (json!("a"), "AnyIn", json!(["b", "a"]), true),
            (json!("abc"), "AnyIn", json!(["a*"]), true),
            (json!("a*"), "AnyIn", json!(["abc"]), true),
            (json!(["a", "b"]), "AnyIn", json!(["b"]), true),
            (json!(["a", "b"]), "AllIn", json!(["b"]), false),
            (json!([]), "AllIn", json!(["b"]), true),
            (json!([]), "AnyIn", json!(["b"]), false),
            (json!(["a", "b"]), "AnyNotIn", json!(["b"]), true),
            (json!(["a", "b"]), "AllNotIn", json!(["c"]), true),
            (json!("a"), "AnyIn", json!("[\"a\",\"b\"]"), true),
            (json!("a"), "AnyIn", json!("a"), true),
            (json!(5), "AnyIn", json!("1-10"), true),
            (json!([5, 15]), "AllIn", json!("1-10"), false),
            (json!([5, 15]), "AnyNotIn", json!("1-10"), true),
            (json!([15, 16]), "AllNotIn", json!("1-10"), true),
            (json!("a"), "AnyNotIn", json!({}), false),
            (json!(null), "AnyIn", json!(["a"]), false),
            (json!(null), "AllNotIn", json!(["a"]), false),
            (json!("a"), "In", json!(["a"]), true),
            (json!("a"), "NotIn", json!("b"), false),
            (json!(["a", "c"]), "NotIn", json!(["a", "b"]), true),
            (json!(2), "GreaterThan", json!(1), true),
            (json!("2"), "GreaterThan", json!("10"), false),
            (json!("1Gi"), "GreaterThan", json!("512Mi"), true),
            (json!("1h"), "LessThan", json!("90m"), true),
            (json!(30), "LessThanOrEquals", json!("1m"), true),
            (json!("1.5.0"), "GreaterThan", json!("1.4.9"), true),
            (json!("a"), "GreaterThan", json!("b"), false),
            (json!("1h"), "DurationGreaterThan", json!(3599), true),
            (json!("x"), "DurationGreaterThan", json!(3599), false),
        ] {
            assert_eq!(evaluate(operator, &key, &value), Some(want), "{key} {operator} {value}");
        }
        assert_eq!(evaluate("Like", &json!("a"), &json!("a")), None);
    }
}
