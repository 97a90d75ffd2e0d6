//! Numbers and values as Go prints them, because Kyverno compares what is printed.

use serde_json::{Number, Value};

/// `fmt.Sprint` of a value of a JSON document, whose numbers are all float64.
pub fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => printed_number(number),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            format!("map[{}]", entries.iter().map(|(key, value)| format!("{key}:{}", printed(value))).collect::<Vec<_>>().join(" "))
        }
    }
}

/// A float64 as `%v` has it: with an exponent from a million on.
fn printed_number(number: &Number) -> String {
    let value = number.as_f64().unwrap_or_default();
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) { format!("{value}") } else { exponential(mantissa, exponent, 'e') }
}

/// `strconv.FormatFloat(v, 'E', -1, 64)`.
pub fn exponential_of(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    exponential(mantissa, exponent.parse().unwrap_or_default(), 'E')
}

fn exponential(mantissa: &str, exponent: i32, letter: char) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}{letter}{sign}{:02}", exponent.abs())
}

/// A number as the text that quantities and durations are read from.
pub fn number_text(number: &Number) -> String {
    match number.as_i64() {
        Some(whole) => whole.to_string(),
        None => format!("{:.6}", number.as_f64().unwrap_or_default()),
    }
}

/// The non-empty parts.
pub fn join_non_empty(parts: &[&str], separator: &str) -> String {
    parts.iter().copied().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(separator)
}
