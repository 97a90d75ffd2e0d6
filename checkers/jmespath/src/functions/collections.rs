//! Functions on objects and lists.

use super::{failed, integer, shown, string, wrong_type};
use crate::{
    interpreter::{Answer, Run},
    value::Value,
};
use std::{collections::BTreeMap, rc::Rc};

/// Whether every label of the first object is in the second.
pub(super) fn label_match<'a>(run: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    for (key, value) in given[0].fields().unwrap_or_default() {
        let same = match given[1].field(&key) {
            Some(other) => run.equal(&other, &value)?,
            None => false,
        };
        if !same {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

pub(super) fn lookup<'a>(_: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    let found = match (&given[0], &given[1]) {
        (object, Value::Text(key)) if object.is_object() => object.field(key),
        (object, _) if object.is_object() => return Err(wrong_type("lookup", 2, "String")),
        (Value::Maps(_), _) => return Err(wrong_type("lookup", 1, "Object or Array")),
        (list, Value::Number(index)) => {
            let index = integer(*index).map_err(|problem| failed("lookup", format_args!("argument #2: {problem}")))?;
            usize::try_from(index).ok().and_then(|index| list.element(index))
        }
        _ => return Err(wrong_type("lookup", 2, "Number")),
    };
    Ok(found.unwrap_or(Value::Null))
}

/// A list of objects, one for each field or element, under the two given names.
pub(super) fn items<'a>(run: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    let (key_name, value_name) = (string(&given[1]), string(&given[2]));
    let entries: Vec<(Value<'a>, Value<'a>)> = match (given[0].fields(), given[0].any_elements()) {
        (Some(fields), _) => fields.into_iter().map(|(key, value)| (Value::text(key), value)).collect(),
        (_, Some(items)) => items.into_iter().enumerate().map(|(index, value)| (Value::count(index), value)).collect(),
        _ => return Err(wrong_type("items", 1, "Object or Array")),
    };
    run.charge(entries.len() * (2 + (key_name.len() + value_name.len()) / 8))?;
    let entry = |(key, value)| Value::object(BTreeMap::from([(key_name.to_owned(), key), (value_name.to_owned(), value)]));
    Ok(Value::Maps(Rc::new(entries.into_iter().map(entry).collect())))
}

pub(super) fn object_from_lists<'a>(_: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    let Some(keys) = given[0].any_elements() else { return Err(wrong_type("object_from_lists", 1, "Array")) };
    let Some(values) = given[1].any_elements() else { return Err(wrong_type("object_from_lists", 2, "Array")) };
    let mut values = values.into_iter();
    let mut object = BTreeMap::new();
    for key in &keys {
        let Some(key) = shown(key) else { return Err(wrong_type("object_from_lists", 1, "StringArray")) };
        object.insert(key, values.next().unwrap_or(Value::Null));
    }
    Ok(Value::object(object))
}
