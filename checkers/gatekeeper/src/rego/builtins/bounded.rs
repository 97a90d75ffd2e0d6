//! regorus' functions whose results can be much larger than what they are given: each says beforehand how large it may get.

use super::{Entry, text};
use crate::rego::limits::grow;
use anyhow::Result;
use regorus::{
    Source, Value,
    unstable::{BUILTINS, Expr, Ref, Span},
};

/// Largest value that a function may be given, in bytes as it would be printed.
pub(super) const HEAVIEST: usize = 4 << 20;
/// Widest column of a format.
pub(super) const WIDEST: usize = 10_000;
/// What an element of a list costs.
const ELEMENT: usize = 16;

pub(super) const FUNCTIONS: &[Entry] = &[
    ("concat", 2, |given| {
        let weight = weigh(&given[1])?;
        made("concat", given, weight + count(&given[1]) * length(&given[0]))
    }),
    ("replace", 3, |given| {
        let times = length(&given[0]) / length(&given[1]).max(1) + 1;
        made("replace", given, length(&given[0]) + times.saturating_mul(length(&given[2])))
    }),
    ("strings.replace_n", 2, |given| {
        let weight = weigh(&given[0])?;
        made("strings.replace_n", given, (length(&given[1]) + 1).saturating_mul(weight + 1))
    }),
    ("regex.replace", 3, |given| {
        let groups = text(&given[2]).map_or(0, |text| text.matches('$').count());
        let one = length(&given[2]) + groups * length(&given[0]);
        made("regex.replace", given, (length(&given[0]) + 1).saturating_mul(one + 1))
    }),
    ("array.concat", 2, |given| made("array.concat", given, (count(&given[0]) + count(&given[1])) * ELEMENT)),
    ("numbers.range", 2, |given| made("numbers.range", given, span(&given[0], &given[1]).saturating_mul(ELEMENT))),
    ("numbers.range_step", 3, |given| made("numbers.range_step", given, span(&given[0], &given[1]).saturating_mul(ELEMENT))),
    ("split", 2, |given| made("split", given, length(&given[0]) * ELEMENT)),
    ("format_int", 2, |given| made("format_int", given, ELEMENT)),
    ("bits.lsh", 2, |given| match given[1].as_i64() {
        Ok(by) if by > 4096 => Ok(Value::Undefined),
        _ => made("bits.lsh", given, ELEMENT),
    }),
    ("json.marshal", 1, |given| weighed("json.marshal", given)),
    ("json.marshal_with_options", 2, |given| weighed("json.marshal_with_options", given)),
    ("json.unmarshal", 1, |given| made("json.unmarshal", given, length(&given[0]) * ELEMENT)),
    ("json.filter", 2, |given| weighed("json.filter", given)),
    ("json.remove", 2, |given| weighed("json.remove", given)),
    ("json.patch", 2, |given| weighed("json.patch", given)),
    ("object.union", 2, |given| weighed("object.union", given)),
    ("object.union_n", 1, |given| weighed("object.union_n", given)),
    ("urlquery.encode_object", 1, |given| weighed("urlquery.encode_object", given)),
];

/// Runs a function of regorus' own; what it refuses is `Undefined`.
pub(super) fn original(name: &str, given: &[Value]) -> Result<Value> {
    thread_local! {
        // A place for messages that nobody reads.
        static PLACE: Option<(Span, Vec<Ref<Expr>>)> = place();
    }
    PLACE.with(|place| {
        let (Some((span, parameters)), Some((function, _))) = (place, BUILTINS.get(name)) else { return Ok(Value::Undefined) };
        match function(span, parameters.get(..given.len()).unwrap_or_default(), given, false) {
            Ok(value) => Ok(value),
            Err(error) if error.downcast_ref::<regorus::LimitError>().is_some() => Err(error),
            Err(_) => Ok(Value::Undefined),
        }
    })
}

fn place() -> Option<(Span, Vec<Ref<Expr>>)> {
    let source = Source::from_contents(String::new(), "null".to_owned()).ok()?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 4 };
    let parameter = || Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
    let parameters = (0..4).map(|_| parameter()).collect();
    Some((span, parameters))
}

fn made(name: &str, given: &[Value], bytes: usize) -> Result<Value> {
    grow(bytes)?;
    original(name, given)
}

/// A function whose result is about as large as what it is given.
fn weighed(name: &str, given: &[Value]) -> Result<Value> {
    let mut bytes = 0;
    for value in given {
        bytes += weigh(value)?;
    }
    made(name, given, bytes)
}

/// How large a value is when it is printed; an error where that is too much. Values share their parts, so that a small one may print
/// without end.
pub(crate) fn weigh(value: &Value) -> Result<usize> {
    let mut total = 0_usize;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        total += match value {
            Value::String(text) => text.len() + 2,
            _ => ELEMENT,
        };
        match value {
            Value::Array(list) => open.extend(list.iter()),
            Value::Set(set) => open.extend(set.iter()),
            Value::Object(object) => {
                for (key, value) in object.iter() {
                    open.extend([key, value]);
                }
            }
            _ => {}
        }
        if total > HEAVIEST || open.len() > HEAVIEST {
            anyhow::bail!("a value is larger than {} MiB", HEAVIEST >> 20);
        }
    }
    Ok(total)
}

fn length(value: &Value) -> usize {
    text(value).map_or(0, str::len)
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.len(),
        Value::Set(set) => set.len(),
        _ => 0,
    }
}

fn span(from: &Value, to: &Value) -> usize {
    match (from.as_i64(), to.as_i64()) {
        (Ok(from), Ok(to)) => usize::try_from(from.abs_diff(to)).unwrap_or(usize::MAX),
        _ => 0,
    }
}
