//! Transformers: `tolower(proc.name)`, `join(",", (proc.name, fd.name))`, `getopt(…)[t]`.

use super::Extract;
use crate::event::{Event, Value};
use base64::{Engine, alphabet, engine::DecodePaddingMode, engine::GeneralPurpose, engine::GeneralPurposeConfig};

/// A transformer with what it works on.
#[derive(Debug, Clone)]
pub enum Transformer {
    Lower(Extract),
    Upper(Extract),
    Basename(Extract),
    Base64(Extract),
    /// Characters of a text, bytes of a buffer, items of a list.
    Length(Extract, Measured),
    Join {
        separator: Extract,
        list: Extract,
    },
    Concat(Box<[Extract]>),
    Getopt {
        arguments: Extract,
        options: Extract,
        selector: Option<u8>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    List,
    Bytes,
}

/// Padding may be there or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

impl Transformer {
    pub fn value(&self, event: &Event) -> Value {
        match self {
            Self::Lower(inner) => text(inner, event, |text| Some(text.to_ascii_lowercase())),
            Self::Upper(inner) => text(inner, event, |text| Some(text.to_ascii_uppercase())),
            Self::Basename(inner) => text(inner, event, |text| Some(text.rsplit('/').next().unwrap_or_default().to_owned())),
            Self::Base64(inner) => {
                text(inner, event, |text| BASE64.decode(text).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
            }
            Self::Length(inner, measured) => inner.with(event, |value| length(value, *measured)),
            Self::Join { separator, list } => {
                let Some(separator) = plain(&separator.value(event)) else { return Value::Absent };
                list.with(event, |value| match value {
                    Value::Absent => Value::Absent,
                    Value::Many(values) => match values.iter().map(plain).collect::<Option<Vec<_>>>() {
                        Some(parts) => Value::Text(parts.join(&separator).into()),
                        None => Value::Absent,
                    },
                    one => plain(one).map_or(Value::Absent, |text| Value::Text(text.into())),
                })
            }
            Self::Concat(parts) => {
                let parts: Option<Vec<String>> = parts.iter().map(|part| part.with(event, plain)).collect();
                parts.map_or(Value::Absent, |parts| Value::Text(parts.concat().into()))
            }
            Self::Getopt { arguments, options, selector } => {
                let Some(options) = plain(&options.value(event)) else { return Value::Absent };
                arguments.with(event, |value| {
                    let arguments = match value {
                        Value::Absent => None,
                        Value::Many(values) => values.iter().map(plain).collect(),
                        one => plain(one).map(|text| vec![text]),
                    };
                    arguments.map_or(Value::Absent, |arguments| getopt(&arguments, options.as_bytes(), *selector))
                })
            }
        }
    }
}

/// Applies a function to one text, or to each of many.
fn text(inner: &Extract, event: &Event, apply: impl Fn(&str) -> Option<String>) -> Value {
    let one = |value: &Value| match value {
        Value::Text(text) => apply(text),
        Value::Bytes(bytes) => apply(&String::from_utf8_lossy(bytes)),
        _ => None,
    };
    inner.with(event, |value| match value {
        Value::Many(values) => {
            let values: Option<Vec<Value>> = values.iter().map(|value| one(value).map(|text| Value::Text(text.into()))).collect();
            values.map_or(Value::Absent, Value::Many)
        }
        Value::Bytes(_) => one(value).map_or(Value::Absent, |text| Value::Bytes(text.into_bytes().into())),
        _ => one(value).map_or(Value::Absent, |text| Value::Text(text.into())),
    })
}

fn length(value: &Value, measured: Measured) -> Value {
    let length = match (value, measured) {
        (Value::Absent, _) => return Value::Absent,
        (Value::Many(values), Measured::List) => values.len(),
        (_, Measured::List) => 1,
        (Value::Text(text), Measured::Bytes) => text.len(),
        (Value::Bytes(bytes), Measured::Bytes) => bytes.len(),
        (_, Measured::Bytes) => return Value::Absent,
    };
    Value::Number(length as i128)
}

/// A single value as text.
pub fn plain(value: &Value) -> Option<String> {
    Some(match value {
        Value::Absent | Value::Many(_) => return None,
        Value::Text(text) => text.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Double(double) => format!("{double:.1}"),
        Value::Bool(truth) => truth.to_string(),
        Value::Address(address) => address.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    })
}

/// Short options as getopt(3) reads them, up to the first argument that is none. Every option and every value that belongs to one
/// is in the list, `?` for an unknown option, nothing for a value that is missing; with a selector, the last value of that option.
fn getopt(arguments: &[String], options: &[u8], selector: Option<u8>) -> Value {
    let options = options.strip_prefix(b":").unwrap_or(options);
    let takes_value = |option: u8| {
        let at = options.iter().position(|known| *known == option && option != b':')?;
        Some(options.get(at + 1) == Some(&b':'))
    };
    let mut found: Vec<Value> = Vec::new();
    let mut selected = None;
    let put = |option: u8, value: Option<&[u8]>, found: &mut Vec<Value>, selected: &mut Option<Value>| {
        let name = Value::Text(String::from_utf8_lossy(&[option]).into());
        let value = value.map(|value| Value::Text(String::from_utf8_lossy(value).into()));
        match selector {
            Some(wanted) if wanted == option => *selected = Some(value.unwrap_or(name)),
            Some(_) => {}
            None => {
                found.push(name);
                found.extend(value);
            }
        }
    };
    let mut index = 0;
    while let Some(argument) = arguments.get(index).map(String::as_bytes) {
        index += 1;
        if argument == b"--" {
            break;
        }
        if argument.len() > 2 && argument.starts_with(b"--") {
            continue;
        }
        if argument.len() < 2 || argument[0] != b'-' {
            break;
        }
        for (at, option) in argument.iter().copied().enumerate().skip(1) {
            match takes_value(option) {
                None if selector.is_none() => found.push(Value::Text("?".into())),
                None => {}
                Some(false) => put(option, None, &mut found, &mut selected),
                Some(true) => {
                    let attached = argument.get(at + 1..).filter(|rest| !rest.is_empty());
                    let value = attached.or_else(|| {
                        index += 1;
                        arguments.get(index - 1).map(String::as_bytes)
                    });
                    match value {
                        Some(value) => put(option, Some(value), &mut found, &mut selected),
                        None if selector.is_none() => found.push(Value::Text("".into())),
                        None if selector == Some(option) => selected = Some(Value::Text("".into())),
                        None => {}
                    }
                    break;
                }
            }
        }
    }
    match selector {
        Some(_) => selected.unwrap_or(Value::Absent),
        None => Value::Many(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(value: &Value) -> String {
        match value {
            Value::Many(values) => values.iter().filter_map(plain).collect::<Vec<_>>().join(" "),
            one => plain(one).unwrap_or_else(|| "absent".to_owned()),
        }
    }

    #[test]
    fn getopt_reads_short_options() {
        let table: [(&[&str], &str, Option<u8>, &str); 12] = [
            (&["-thello"], "t:", None, "t hello"),
            (&["-n", "-t", "hello"], "nt:", None, "n t hello"),
            (&["-n", "--", "-t"], "nt:", None, "n"),
            (&["-x", "-n"], "n", None, "? n"),
            (&["-t"], "t:", None, ""),
            (&["--exec", "-n"], "n", None, "n"),
            (&["file", "-n"], "n", None, ""),
            (&["-", "-n"], "n", None, ""),
            (&["-n", "-t", "hello"], "nt:", Some(b't'), "hello"),
            (&["-n"], "nt:", Some(b't'), "absent"),
            (&["-t", "v1", "-t", "v2"], "t:", Some(b't'), "v2"),
            (&["-n"], "n", Some(b'n'), "n"),
        ];
        for (arguments, options, selector, expected) in table {
            let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            assert_eq!(show(&getopt(&arguments, options.as_bytes(), selector)), expected, "{arguments:?} {options}");
        }
    }
}
