//! One value against one pattern: operators, ranges, alternatives, wildcards, quantities and durations.

use crate::text::{exponential_of, number_text};
use kyverno_jmespath::{go_duration, wildcard};
use machinery::quantity::Quantity;
use serde_json::{Number, Value};
use std::cmp::Ordering;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    MoreEqual,
    LessEqual,
    NotEqual,
    More,
    Less,
    InRange,
    NotInRange,
}

impl Operator {
    /// How a pattern begins that has it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "",
            Self::MoreEqual => ">=",
            Self::LessEqual => "<=",
            Self::NotEqual => "!",
            Self::More => ">",
            Self::Less => "<",
            Self::InRange => "-",
            Self::NotInRange => "!-",
        }
    }

    pub fn of(pattern: &str) -> Self {
        if pattern.len() < 2 {
            return Self::Equal;
        }
        let prefixed = [Self::MoreEqual, Self::LessEqual, Self::More, Self::Less, Self::NotEqual];
        if let Some(operator) = prefixed.into_iter().find(|operator| pattern.starts_with(operator.sign())) {
            return operator;
        }
        if range(pattern, "!-").is_some() {
            Self::NotInRange
        } else if range(pattern, "-").is_some() {
            Self::InRange
        } else {
            Self::Equal
        }
    }
}

/// The ends of `10Mi-20Mi`: signed numbers with letters behind them.
fn range<'a>(pattern: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let first = end(pattern)?;
    let rest = pattern[first..].strip_prefix(separator)?;
    (end(rest)? == rest.len()).then_some((&pattern[..first], rest))
}

/// Where a signed number with its unit ends.
fn end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let start = usize::from(matches!(bytes.first(), Some(b'-' | b'+' | b'|')));
    let mut at = digits(start);
    if at == start {
        return None;
    }
    if bytes.get(at) == Some(&b'.') && digits(at + 1) > at + 1 {
        at = digits(at + 1);
    }
    while bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
        at += 1;
    }
    Some(at)
}

/// Whether the value satisfies the pattern. Lists are no patterns; a map stands for any map.
pub fn matches(value: &Value, pattern: &Value) -> bool {
    match pattern {
        Value::Bool(pattern) => value.as_bool() == Some(*pattern),
        Value::Number(pattern) => matches_number(value, pattern),
        Value::Null => match value {
            Value::Null => true,
            Value::Bool(truth) => !truth,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(_) | Value::Object(_) => false,
        },
        Value::Object(_) => value.is_object(),
        Value::String(pattern) => matches_text(value, pattern),
        Value::Array(_) => false,
    }
}

fn matches_number(value: &Value, pattern: &Number) -> bool {
    let whole = pattern.as_i64();
    match value {
        Value::Number(number) => number.as_f64() == pattern.as_f64(),
        Value::String(text) => match whole {
            Some(whole) => text.parse() == Ok(whole),
            None => text.parse().ok() == pattern.as_f64(),
        },
        _ => false,
    }
}

/// `a | b & c`: alternatives of conjunctions.
pub fn matches_text(value: &Value, pattern: &str) -> bool {
    if value.as_str() == Some(pattern) {
        return true;
    }
    pattern.split('|').any(|alternative| alternative.trim_matches(' ').split('&').all(|part| matches_one(value, part.trim_matches(' '))))
}

fn matches_one(value: &Value, pattern: &str) -> bool {
    let operator = Operator::of(pattern);
    match operator {
        Operator::InRange => range(pattern, "-")
            .is_some_and(|(low, high)| compares(value, low, Operator::MoreEqual) && compares(value, high, Operator::LessEqual)),
        Operator::NotInRange => {
            range(pattern, "!-").is_some_and(|(low, high)| compares(value, low, Operator::Less) || compares(value, high, Operator::More))
        }
        _ => compares(value, pattern[operator.sign().len()..].trim(), operator),
    }
}

fn compares(value: &Value, pattern: &str, operator: Operator) -> bool {
    let as_text = match value {
        Value::Null => Some("0".to_owned()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number_text(number)),
        _ => None,
    };
    if let Some(text) = &as_text {
        if let (Ok(pattern), Ok(value)) = (go_duration::parse(pattern), go_duration::parse(text)) {
            return holds(value.cmp(&pattern), operator);
        }
        if let (Ok(pattern), Ok(value)) = (Quantity::parse(pattern), Quantity::parse(text)) {
            return holds(value.compare(&pattern), operator);
        }
    }
    if !matches!(operator, Operator::Equal | Operator::NotEqual) {
        return false;
    }
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.to_string(),
            None => exponential_of(number.as_f64().unwrap_or_default()),
        },
        _ => return false,
    };
    wildcard::matches(pattern, &text) == (operator == Operator::Equal)
}

fn holds(ordering: Ordering, operator: Operator) -> bool {
    match operator {
        Operator::Equal => ordering.is_eq(),
        Operator::NotEqual => ordering.is_ne(),
        Operator::More => ordering.is_gt(),
        Operator::Less => ordering.is_lt(),
        Operator::MoreEqual => ordering.is_ge(),
        Operator::LessEqual => ordering.is_le(),
        Operator::InRange | Operator::NotInRange => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_and_patterns() {
        for (value, pattern, want) in [
            (json!("nginx:1.2"), json!("*:*"), true),
            (json!("nginx"), json!("*:*"), false),
            (json!("a"), json!("!a"), false),
            (json!("b"), json!("!a & !c"), true),
            (json!("c"), json!("!a & !c"), false),
            (json!("b"), json!("a | b"), true),
            (json!(null), json!("?*"), false),
            (json!(null), json!("*"), false),
            (json!(""), json!("?*"), false),
            (json!("x"), json!("?*"), true),
            (json!(10), json!(">9"), true),
            (json!("10"), json!("> 9"), true),
            (json!(null), json!("<1"), true),
            (json!("512Mi"), json!("<=1Gi"), true),
            (json!("2Gi"), json!("<=1Gi"), false),
            (json!("100m"), json!("0.1"), true),
            (json!("60s"), json!("1m"), true),
            (json!("90m"), json!(">1h"), true),
            (json!(5), json!("1-10"), true),
            (json!(15), json!("1-10"), false),
            (json!(15), json!("1!-10"), true),
            (json!(5), json!("1!-10"), false),
            (json!("15Mi"), json!("10Mi-20Mi"), true),
            (json!(-3), json!("-5--1"), true),
            (json!(true), json!("true"), true),
            (json!(true), json!(true), true),
            (json!("true"), json!(true), false),
            (json!(0), json!(null), true),
            (json!(false), json!(null), true),
            (json!("a"), json!(null), false),
            (json!("3"), json!(3), true),
            (json!(3.0), json!(3), true),
            (json!({"a": 1}), json!({}), true),
            (json!([]), json!({}), false),
            (json!("1.5"), json!(1.5), true),
            (json!("v1.2"), json!("v1.*"), true),
        ] {
            assert_eq!(matches(&value, &pattern), want, "{value} against {pattern}");
        }
    }
}
