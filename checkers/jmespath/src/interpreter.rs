//! Running a tree. A key that an object lacks is an error of its own kind, which most nodes take for null and a plain path hands on.

use crate::{
    Env, Error, functions,
    parser::{Comparator, Node},
    value::{Numbers, Value},
};
use std::{collections::BTreeMap, rc::Rc};

pub(crate) type Answer<'a> = Result<Value<'a>, Error>;

/// One search: what it sees and what it has cost so far.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub env: &'a Env,
    work: u64,
}

impl<'a> Run<'a> {
    pub fn new(env: &'a Env) -> Self {
        Self { env, work: 0 }
    }

    /// Counts what is done or made: a node, an element, eight bytes of text.
    pub fn charge(&mut self, work: usize) -> Result<(), Error> {
        self.work = self.work.saturating_add(u64::try_from(work).unwrap_or(u64::MAX));
        if self.work > self.env.limits.work { Err(Error::Limit("costs too much")) } else { Ok(()) }
    }

    pub fn text(&mut self, text: String) -> Answer<'a> {
        self.charge(text.len() / 8)?;
        Ok(Value::text(text))
    }

    pub fn equal(&mut self, left: &Value<'a>, right: &Value<'a>) -> Result<bool, Error> {
        let mut work = 0;
        let equal = left.equals(right, &mut work);
        self.charge(usize::try_from(work).unwrap_or(usize::MAX))?;
        Ok(equal)
    }

    /// The elements of a list of any type, counted.
    pub fn elements(&mut self, list: &Value<'a>) -> Result<Option<Vec<Value<'a>>>, Error> {
        self.charge(if list.is_list() { list.size() } else { 0 })?;
        Ok(list.elements())
    }

    /// As [`Self::run`], with null for a key that is not there.
    pub fn run_lenient(&mut self, node: &'a Node, value: &Value<'a>) -> Answer<'a> {
        match self.run(node, value) {
            Err(Error::NotFound(_)) => Ok(Value::Null),
            other => other,
        }
    }

    pub fn run(&mut self, node: &'a Node, value: &Value<'a>) -> Answer<'a> {
        self.charge(1)?;
        match node {
            Node::Empty => Err(Error::Failed("Unknown AST node: ASTEmpty".to_owned())),
            Node::Identity => Ok(value.clone()),
            Node::Literal(literal) => Ok(Value::given(literal, Numbers::Floats)),
            Node::Reference(inner) => Ok(Value::Reference(inner)),
            Node::Field(key) if value.is_object() => value.field(key).ok_or_else(|| Error::NotFound(key.clone())),
            Node::Field(_) => Ok(Value::Null),
            Node::Index(index) => Ok(position(*index, value.size()).and_then(|at| value.element(at)).unwrap_or(Value::Null)),
            Node::Slice(parts) => self.slice(value, *parts),
            Node::Comparator(comparator, sides) => self.compare(*comparator, &sides[0], &sides[1], value),
            Node::Call(name, arguments) => self.call(name.as_deref(), arguments, value),
            Node::FilterProjection(parts) => {
                let [left, right, condition] = &**parts;
                self.filter(left, right, condition, value)
            }
            Node::Flatten(left) => self.flatten(left, value),
            Node::MultiSelectHash(_) | Node::MultiSelectList(_) if value.is_null() => Ok(Value::Null),
            Node::MultiSelectHash(fields) => {
                let mut collected = BTreeMap::new();
                for (key, node) in fields {
                    collected.insert(key.clone(), self.run_lenient(node, value)?);
                }
                Ok(Value::object(collected))
            }
            Node::MultiSelectList(nodes) => {
                let items: Result<_, _> = nodes.iter().map(|node| self.run_lenient(node, value)).collect();
                Ok(Value::list(items?))
            }
            Node::Or(sides) => {
                let left = self.run_lenient(&sides[0], value)?;
                if left.is_false() { self.run_lenient(&sides[1], value) } else { Ok(left) }
            }
            Node::And(sides) => {
                let left = self.run_lenient(&sides[0], value)?;
                if left.is_false() { Ok(left) } else { self.run(&sides[1], value) }
            }
            Node::Not(inner) => Ok(Value::Bool(self.run_lenient(inner, value)?.is_false())),
            Node::Pipe(sides) => {
                let left = self.run_lenient(&sides[0], value)?;
                self.run_lenient(&sides[1], &left)
            }
            Node::Projection(sides) => {
                let left = self.run_lenient(&sides[0], value)?;
                match self.elements(&left)? {
                    Some(items) => self.project(&sides[1], items),
                    None => Ok(Value::Null),
                }
            }
            Node::ValueProjection(sides) => self.project_values(&sides[0], &sides[1], value),
            Node::Sub(sides) => {
                let left = self.run(&sides[0], value)?;
                self.run(&sides[1], &left)
            }
        }
    }

    fn compare(&mut self, comparator: Comparator, left: &'a Node, right: &'a Node, value: &Value<'a>) -> Answer<'a> {
        let left = self.run_lenient(left, value)?;
        let right = self.run_lenient(right, value)?;
        let numbers = match (&left, &right) {
            (Value::Number(left), Value::Number(right)) => Some((*left, *right)),
            _ => None,
        };
        Ok(match (comparator, numbers) {
            (Comparator::Eq, _) => Value::Bool(self.equal(&left, &right)?),
            (Comparator::Ne, _) => Value::Bool(!self.equal(&left, &right)?),
            (_, None) => Value::Null,
            (Comparator::Lt, Some((left, right))) => Value::Bool(left < right),
            (Comparator::Lte, Some((left, right))) => Value::Bool(left <= right),
            (Comparator::Gt, Some((left, right))) => Value::Bool(left > right),
            (Comparator::Gte, Some((left, right))) => Value::Bool(left >= right),
        })
    }

    fn call(&mut self, name: Option<&str>, arguments: &'a [Node], value: &Value<'a>) -> Answer<'a> {
        let Some(name) = name else { return Err(Error::Failed("invalid node value type".to_owned())) };
        let arguments: Result<Vec<_>, _> = arguments.iter().map(|argument| self.run_lenient(argument, value)).collect();
        functions::call(self, name, arguments?)
    }

    fn filter(&mut self, left: &'a Node, right: &'a Node, condition: &'a Node, value: &Value<'a>) -> Answer<'a> {
        let Some(items) = self.list_or_nothing(left, value)? else { return Ok(Value::Null) };
        let mut collected = Vec::new();
        for item in items {
            if self.run_lenient(condition, &item)?.is_false() {
                continue;
            }
            let item = self.run_lenient(right, &item)?;
            if !item.is_null() {
                collected.push(item);
            }
        }
        Ok(Value::list(collected))
    }

    fn flatten(&mut self, left: &'a Node, value: &Value<'a>) -> Answer<'a> {
        let Some(items) = self.list_or_nothing(left, value)? else { return Ok(Value::Null) };
        let mut flat = Vec::new();
        for item in items {
            match self.elements(&item)? {
                Some(inner) => flat.extend(inner),
                None => flat.push(item),
            }
        }
        Ok(Value::list(flat))
    }

    /// What is filtered or flattened: any failure of it counts as nothing, save that it costs too much.
    fn list_or_nothing(&mut self, node: &'a Node, value: &Value<'a>) -> Result<Option<Vec<Value<'a>>>, Error> {
        match self.run(node, value) {
            Ok(list) => self.elements(&list),
            Err(Error::Limit(limit)) => Err(Error::Limit(limit)),
            Err(_) => Ok(None),
        }
    }

    fn project(&mut self, right: &'a Node, items: Vec<Value<'a>>) -> Answer<'a> {
        let mut collected = Vec::with_capacity(items.len());
        for item in items {
            let item = self.run_lenient(right, &item)?;
            if !item.is_null() {
                collected.push(item);
            }
        }
        Ok(Value::list(collected))
    }

    /// Kyverno's fork runs the right-hand side on as many nulls as there are values, and then on the values.
    fn project_values(&mut self, left: &'a Node, right: &'a Node, value: &Value<'a>) -> Answer<'a> {
        let object = match self.run(left, value) {
            Ok(object) => object,
            Err(Error::Limit(limit)) => return Err(Error::Limit(limit)),
            Err(_) => return Ok(Value::Null),
        };
        let Some(fields) = object.fields() else { return Ok(Value::Null) };
        self.charge(2 * fields.len())?;
        let nulls = std::iter::repeat_n(Value::Null, fields.len());
        self.project(right, nulls.chain(fields.into_iter().map(|(_, value)| value)).collect())
    }

    fn slice(&mut self, value: &Value<'a>, [start, stop, step]: [Option<i64>; 3]) -> Answer<'a> {
        let Some(items) = self.elements(value)? else { return Ok(Value::Null) };
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(Error::Failed("Invalid slice, step cannot be 0".to_owned()));
        }
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let capped = |at: i64| match at {
            at if at < 0 && at.saturating_add(length) < 0 => {
                if step < 0 {
                    -1
                } else {
                    0
                }
            }
            at if at < 0 => at + length,
            at if at >= length => {
                if step < 0 {
                    length - 1
                } else {
                    length
                }
            }
            at => at,
        };
        let mut at = start.map_or(if step < 0 { length - 1 } else { 0 }, capped);
        let stop = stop.map_or(if step < 0 { -1 } else { length }, capped);
        let mut kept = Vec::new();
        while if step > 0 { at < stop } else { at > stop } {
            kept.extend(usize::try_from(at).ok().and_then(|at| items.get(at)).cloned());
            at = at.saturating_add(step);
        }
        Ok(Value::List(Rc::new(kept)))
    }
}

/// Where an index points; negative ones count from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => usize::try_from(index.checked_add(i64::try_from(length).ok()?)?).ok(),
    }
}
