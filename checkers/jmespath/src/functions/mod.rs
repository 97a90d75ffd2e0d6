//! The functions: what they take, and who answers them.

mod arithmetic;
mod collections;
mod encoding;
mod quantity;
mod random;
mod standard;
mod text;
mod time;
mod x509;

use crate::{
    Error,
    interpreter::{Answer, Run},
    value::Value,
};

/// What an argument may be. The names are go-jmespath's, which messages show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Number,
    Text,
    Array,
    Object,
    Numbers,
    Texts,
    Reference,
    Any,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Text => "string",
            Self::Array => "array",
            Self::Object => "object",
            Self::Numbers => "array[number]",
            Self::Texts => "array[string]",
            Self::Reference => "expref",
            Self::Any => "any",
        }
    }

    fn takes(self, value: &Value<'_>) -> bool {
        let all = |fits: fn(&Value<'_>) -> bool| value.any_elements().is_some_and(|items| items.iter().all(fits));
        match self {
            Self::Number => matches!(value, Value::Number(_)),
            Self::Text => matches!(value, Value::Text(_)),
            Self::Array => value.is_list(),
            Self::Object => value.is_object(),
            Self::Numbers => all(|item| matches!(item, Value::Number(_))),
            Self::Texts => all(|item| matches!(item, Value::Text(_))),
            Self::Reference => matches!(value, Value::Reference(_)),
            Self::Any => true,
        }
    }
}

type Function = for<'a> fn(&mut Run<'a>, Vec<Value<'a>>) -> Answer<'a>;

enum Arguments {
    Fixed(&'static [&'static [Type]]),
    /// At least one, whose types nobody checks.
    Some,
    Unchecked,
}

use Arguments::{Fixed, Some as AtLeastOne, Unchecked};

const NUMBER: &[Type] = &[Type::Number];
const TEXT: &[Type] = &[Type::Text];
const ARRAY: &[Type] = &[Type::Array];
const OBJECT: &[Type] = &[Type::Object];
const REFERENCE: &[Type] = &[Type::Reference];
const ANY: &[Type] = &[Type::Any];
const ARRAY_OR_TEXT: &[Type] = &[Type::Array, Type::Text];
const TEXT_OR_NUMBER: &[Type] = &[Type::Text, Type::Number];
const OBJECT_OR_ARRAY: &[Type] = &[Type::Object, Type::Array];
const NUMBERS_OR_TEXTS: &[Type] = &[Type::Numbers, Type::Texts];

/// By name. Kyverno's `sum` stands in the place of the standard's.
const FUNCTIONS: &[(&str, Arguments, Function)] = &[
    ("abs", Fixed(&[NUMBER]), standard::abs),
    ("add", Fixed(&[ANY, ANY]), arithmetic::add),
    ("avg", Fixed(&[&[Type::Numbers]]), standard::avg),
    ("base64_decode", Fixed(&[TEXT]), encoding::base64_decode),
    ("base64_encode", Fixed(&[TEXT]), encoding::base64_encode),
    ("ceil", Fixed(&[NUMBER]), standard::ceil),
    ("compare", Fixed(&[TEXT, TEXT]), text::compare),
    ("contains", Fixed(&[ARRAY_OR_TEXT, ANY]), standard::contains),
    ("divide", Fixed(&[ANY, ANY]), arithmetic::divide),
    ("ends_with", Fixed(&[TEXT, TEXT]), standard::ends_with),
    ("equal_fold", Fixed(&[TEXT, TEXT]), text::equal_fold),
    ("floor", Fixed(&[NUMBER]), standard::floor),
    ("image_normalize", Fixed(&[TEXT]), text::image_normalize),
    ("is_external_url", Fixed(&[TEXT]), text::is_external_url),
    ("items", Fixed(&[OBJECT_OR_ARRAY, TEXT, TEXT]), collections::items),
    ("join", Fixed(&[TEXT, &[Type::Texts]]), standard::join),
    ("keys", Fixed(&[OBJECT]), standard::keys),
    ("label_match", Fixed(&[OBJECT, OBJECT]), collections::label_match),
    ("length", Fixed(&[&[Type::Text, Type::Array, Type::Object]]), standard::length),
    ("lookup", Fixed(&[OBJECT_OR_ARRAY, TEXT_OR_NUMBER]), collections::lookup),
    ("map", Fixed(&[REFERENCE, ARRAY]), standard::map),
    ("max", Fixed(&[NUMBERS_OR_TEXTS]), standard::max),
    ("max_by", Fixed(&[ARRAY, REFERENCE]), standard::max_by),
    ("md5", Fixed(&[TEXT]), encoding::md5),
    ("merge", AtLeastOne, standard::merge),
    ("min", Fixed(&[NUMBERS_OR_TEXTS]), standard::min),
    ("min_by", Fixed(&[ARRAY, REFERENCE]), standard::min_by),
    ("modulo", Fixed(&[ANY, ANY]), arithmetic::modulo),
    ("multiply", Fixed(&[ANY, ANY]), arithmetic::multiply),
    ("not_null", AtLeastOne, standard::not_null),
    ("object_from_lists", Fixed(&[ARRAY, ARRAY]), collections::object_from_lists),
    ("parse_json", Fixed(&[TEXT]), encoding::parse_json),
    ("parse_yaml", Fixed(&[TEXT]), encoding::parse_yaml),
    ("path_canonicalize", Fixed(&[TEXT]), text::path_canonicalize),
    ("pattern_match", Fixed(&[TEXT, TEXT_OR_NUMBER]), text::pattern_match),
    ("random", Fixed(&[TEXT]), random::random),
    ("regex_match", Fixed(&[TEXT, TEXT_OR_NUMBER]), text::regex_match),
    ("regex_replace_all", Fixed(&[TEXT, TEXT_OR_NUMBER, TEXT_OR_NUMBER]), text::regex_replace_all),
    ("regex_replace_all_literal", Fixed(&[TEXT, TEXT_OR_NUMBER, TEXT_OR_NUMBER]), text::regex_replace_all_literal),
    ("replace", Fixed(&[TEXT, TEXT, TEXT, NUMBER]), text::replace),
    ("replace_all", Fixed(&[TEXT, TEXT, TEXT]), text::replace_all),
    ("reverse", Fixed(&[ARRAY_OR_TEXT]), standard::reverse),
    ("round", Fixed(&[NUMBER, NUMBER]), arithmetic::round),
    ("semver_compare", Fixed(&[TEXT, TEXT]), text::semver_compare),
    ("sha1", Fixed(&[TEXT]), encoding::sha1),
    ("sha256", Fixed(&[TEXT]), encoding::sha256),
    ("sort", Fixed(&[&[Type::Texts, Type::Numbers]]), standard::sort),
    ("sort_by", Fixed(&[ARRAY, REFERENCE]), standard::sort_by),
    ("split", Fixed(&[TEXT, TEXT]), text::split),
    ("starts_with", Fixed(&[TEXT, TEXT]), standard::starts_with),
    ("subtract", Fixed(&[ANY, ANY]), arithmetic::subtract),
    ("sum", Fixed(&[ARRAY]), arithmetic::sum),
    ("time_add", Fixed(&[TEXT, TEXT]), time::add),
    ("time_after", Fixed(&[TEXT, TEXT]), time::after),
    ("time_before", Fixed(&[TEXT, TEXT]), time::before),
    ("time_between", Fixed(&[TEXT, TEXT, TEXT]), time::between),
    ("time_diff", Fixed(&[TEXT, TEXT]), time::diff),
    ("time_now", Unchecked, time::now),
    ("time_now_utc", Unchecked, time::now),
    ("time_parse", Fixed(&[TEXT, TEXT]), time::parse),
    ("time_since", Fixed(&[TEXT, TEXT, TEXT]), time::since),
    ("time_to_cron", Fixed(&[TEXT]), time::to_cron),
    ("time_truncate", Fixed(&[TEXT, TEXT]), time::truncate),
    ("time_utc", Fixed(&[TEXT]), time::utc),
    ("to_array", Fixed(&[ANY]), standard::to_array),
    ("to_boolean", Fixed(&[TEXT]), text::to_boolean),
    ("to_lower", Fixed(&[TEXT]), text::to_lower),
    ("to_number", Fixed(&[ANY]), standard::to_number),
    ("to_string", Fixed(&[ANY]), standard::to_string),
    ("to_upper", Fixed(&[TEXT]), text::to_upper),
    ("trim", Fixed(&[TEXT, TEXT]), text::trim),
    ("trim_prefix", Fixed(&[TEXT, TEXT]), text::trim_prefix),
    ("truncate", Fixed(&[TEXT, NUMBER]), text::truncate),
    ("type", Fixed(&[ANY]), standard::type_of),
    ("values", Fixed(&[OBJECT]), standard::values),
    ("x509_decode", Fixed(&[TEXT]), x509::decode),
];

/// The names of all functions, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, ..)| *name)
}

pub(crate) fn call<'a>(run: &mut Run<'a>, name: &str, arguments: Vec<Value<'a>>) -> Answer<'a> {
    let Ok(found) = FUNCTIONS.binary_search_by(|(known, ..)| (*known).cmp(name)) else {
        return Err(Error::Failed(format!("unknown function: {name}")));
    };
    let (_, wanted, function) = &FUNCTIONS[found];
    // What a function reads and makes is about as large as what it is given.
    run.charge(
        arguments.iter().map(|argument| if matches!(argument, Value::Text(_)) { argument.size() / 8 } else { argument.size() }).sum(),
    )?;
    match wanted {
        Fixed(wanted) => {
            if wanted.len() != arguments.len() {
                return Err(Error::Failed("incorrect number of args".to_owned()));
            }
            for (types, argument) in wanted.iter().zip(&arguments) {
                if !types.iter().any(|kind| kind.takes(argument)) {
                    let names: Vec<_> = types.iter().map(|kind| format!("{:?}", kind.name())).collect();
                    let given = argument.printed();
                    run.charge(given.len() / 8)?;
                    let expected = format!("[]jmespath.JpType{{{}}}", names.join(", "));
                    return Err(Error::Failed(format!("Invalid type for: {given}, expected: {expected}")));
                }
            }
        }
        AtLeastOne if arguments.is_empty() => return Err(Error::Failed("Invalid arity.".to_owned())),
        AtLeastOne | Unchecked => {}
    }
    function(run, arguments)
}

/// A failure in the words that Kyverno's functions begin with.
fn failed(function: &str, problem: impl std::fmt::Display) -> Error {
    Error::Failed(format!("JMESPath function '{function}': {problem}"))
}

fn wrong_type(function: &str, argument: usize, wanted: &str) -> Error {
    failed(function, format_args!("argument #{argument} is not of type {wanted}"))
}

/// Where Go would end with a panic, which Kyverno reports as the failure of the rule.
fn conversion(given: &str, wanted: &str) -> Error {
    Error::Failed(format!("interface conversion: interface {{}} is {given}, not {wanted}"))
}

fn number(value: &Value<'_>) -> f64 {
    if let Value::Number(number) = value { *number } else { f64::NAN }
}

fn string<'v>(value: &'v Value<'_>) -> &'v str {
    if let Value::Text(text) = value { text } else { "" }
}

/// An argument that may be text or number, as text.
fn shown(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Text(text) => text.to_string(),
        Value::Number(number) => (*number as f32).to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => return None,
    })
}

/// The integer that a number must be, or why it is none.
fn integer(number: f64) -> Result<i64, String> {
    if number.fract() != 0.0 || !number.is_finite() {
        return Err(format!("expected an integer number but got: {}", crate::number::general(number)));
    }
    if number.abs() < 9.3e18 {
        Ok(number as i64)
    } else {
        Err(format!("number is outside the range of integer numbers: {}", crate::number::general(number)))
    }
}
