//! Applying one mutator: down the location, making what is missing, to the place that is set.

use super::location::{Key, Location, Step};
use serde_json::{Map, Value};

/// Whether what a step leads to must be there, or must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    MustExist,
    MustNotExist,
}

/// What is done at the end of a location.
pub(super) trait Setter {
    /// Sets `field` of an object.
    fn set(&self, owner: &mut Map<String, Value>, field: &str) -> Result<(), String>;

    /// The item that a location which ends in a list puts there.
    fn item(&self) -> Result<Map<String, Value>, String> {
        Err("mutator does not accept keyed lists".to_owned())
    }
}

/// A location with its path tests, by the number of the step.
pub(super) struct Way<'a> {
    pub location: &'a Location,
    pub conditions: &'a [(usize, Condition)],
    pub setter: &'a dyn Setter,
}

impl Way<'_> {
    /// Changes `object`; whether anything was set, even to what it was.
    pub fn apply(&self, object: &mut Value) -> Result<bool, String> {
        if self.location.0.is_empty() {
            return Err("attempting to mutate an empty target location".to_owned());
        }
        self.go(object, 0)
    }

    fn may(&self, step: usize, wanted: Condition) -> bool {
        self.conditions.iter().rev().find(|(of, _)| *of == step).is_none_or(|(_, condition)| *condition == wanted)
    }

    fn go(&self, current: &mut Value, depth: usize) -> Result<bool, String> {
        let is_last = depth + 1 == self.location.0.len();
        match &self.location.0[depth] {
            Step::Field(name) => {
                let Some(owner) = current.as_object_mut() else { return Err(mismatch("object", current, self.location)) };
                let exists = owner.contains_key(name);
                let wanted = if exists { Condition::MustExist } else { Condition::MustNotExist };
                if !self.may(depth, wanted) {
                    return Ok(false);
                }
                if is_last {
                    self.setter.set(owner, name)?;
                    return Ok(true);
                }
                if exists {
                    return owner.get_mut(name).map_or(Ok(false), |next| self.go(next, depth + 1));
                }
                // What is made on the way stays only where something was set.
                let mut next = self.missing(depth)?;
                let changed = self.go(&mut next, depth + 1)?;
                if changed {
                    owner.insert(name.clone(), next);
                }
                Ok(changed)
            }
            Step::Item { by, key } => {
                let Some(list) = current.as_array_mut() else { return Err(mismatch("List", current, self.location)) };
                if is_last { self.put(list, by, key, depth) } else { self.items(list, by, key, depth) }
            }
        }
    }

    fn items(&self, list: &mut Vec<Value>, by: &str, key: &Key, depth: usize) -> Result<bool, String> {
        if *key == Key::Every && !self.may(depth, Condition::MustExist) {
            return Ok(false);
        }
        let (mut changed, mut found) = (false, false);
        for item in list.iter_mut() {
            if *key == Key::Every {
                changed |= self.go(item, depth + 1)?;
            } else if is_keyed(item, by, key) {
                if !self.may(depth, Condition::MustExist) {
                    return Ok(false);
                }
                changed |= self.go(item, depth + 1)?;
                found = true;
            }
        }
        if *key == Key::Every || found {
            return Ok(changed);
        }
        if !self.may(depth, Condition::MustNotExist) {
            return Ok(false);
        }
        let mut next = self.missing(depth)?;
        changed |= self.go(&mut next, depth + 1)?;
        if changed {
            list.push(next);
        }
        Ok(changed)
    }

    /// Puts an item into the list that a location ends in.
    fn put(&self, list: &mut Vec<Value>, by: &str, key: &Key, depth: usize) -> Result<bool, String> {
        let new = self.setter.item()?;
        if *key == Key::Every {
            return Err("last path entry can not be globbed".to_owned());
        }
        for item in list.iter_mut() {
            if !item.is_object() {
                return Err(format!("an item of the list is no object, but {item}"));
            }
            if !is_keyed(item, by, key) {
                continue;
            }
            if !new.get(by).is_some_and(|value| is_key(value, key)) {
                return Err("key value of replaced object must not change".to_owned());
            }
            if !self.may(depth, Condition::MustExist) {
                return Ok(false);
            }
            *item = Value::Object(new);
            return Ok(true);
        }
        if !self.may(depth, Condition::MustNotExist) {
            return Ok(false);
        }
        list.push(Value::Object(new));
        Ok(true)
    }

    /// What the step after `depth` needs to be there.
    fn missing(&self, depth: usize) -> Result<Value, String> {
        let mut next = match self.location.0.get(depth + 1) {
            Some(Step::Item { .. }) => Value::Array(Vec::new()),
            _ => Value::Object(Map::new()),
        };
        if let Step::Item { by, key } = &self.location.0[depth] {
            let Some(fields) = next.as_object_mut() else { return Err("two consecutive list path entries not allowed".to_owned()) };
            let value = match key {
                Key::Every => return Err("list entry has no key value".to_owned()),
                Key::Text(text) => Value::from(text.as_str()),
                Key::Number(number) => Value::from(*number),
            };
            fields.insert(by.clone(), value);
        }
        Ok(next)
    }
}

fn is_keyed(item: &Value, by: &str, key: &Key) -> bool {
    item.get(by).is_some_and(|value| is_key(value, key))
}

pub(super) fn is_key(value: &Value, key: &Key) -> bool {
    match key {
        Key::Every => false,
        Key::Text(text) => value.as_str() == Some(text),
        Key::Number(number) => value.as_i64() == Some(*number),
    }
}

fn mismatch(wanted: &str, got: &Value, location: &Location) -> String {
    let kind = match got {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    format!("mismatch between path entry (type: {wanted}) and received object (type: {kind}). Path: {location}")
}
