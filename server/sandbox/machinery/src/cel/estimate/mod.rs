//! What an expression may cost at most where a schema bounds what it sees, as cel-go and Kubernetes' libraries estimate it: an API
//! server refuses definitions whose rules could cost too much.

mod bounds;
mod calls;
mod range;
#[cfg(test)]
mod tests;

pub use bounds::Bounds;

use super::{
    Program,
    cost::{LIST, MAP, SELECT, STRUCTURE},
    kind::Kind,
};
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use range::{ONE, Range, UNKNOWN, ZERO, fixed};
use std::collections::HashMap;

/// The kinds of the parts of an expression, by their number in the tree.
pub(super) type Kinds = HashMap<u64, Kind>;

/// The most that an expression may cost, where `self` and `oldSelf` have these bounds.
pub(super) fn most(program: &Program, kinds: &Kinds, bounds: &Bounds) -> u64 {
    Estimate { root: bounds, kinds, scopes: Vec::new() }.part(&program.tree).cost.max
}

/// A key of a map, whose letters nothing bounds, and nobody counts.
static KEY: Bounds = Bounds::EMPTY;

struct Estimate<'a> {
    root: &'a Bounds,
    kinds: &'a Kinds,
    /// Variables of loops, innermost last.
    scopes: Vec<(String, Part<'a>)>,
}

/// Sizes of the keys and the values of a list or a map.
#[derive(Clone, Copy)]
struct Entry {
    key: Range,
    value: Range,
}

impl Entry {
    fn or(self, other: Self) -> Self {
        Self { key: self.key.or(other.key), value: self.value.or(other.value) }
    }
}

/// What is known of a part of an expression.
#[derive(Clone)]
struct Part<'a> {
    cost: Range,
    size: Option<Range>,
    entry: Option<Entry>,
    place: Place<'a>,
    kind: Kind,
}

/// Where a part lies in what the schema describes.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// It is made by the expression. What lies below counts as the whole, as cel-go's paths have it that begin nowhere.
    Nowhere,
    /// The schema does not describe it.
    Unknown,
    Known(&'a Bounds),
}

impl<'a> Place<'a> {
    fn step(self, root: &'a Bounds, step: impl FnOnce(&'a Bounds) -> Option<&'a Bounds>) -> Self {
        match self {
            Self::Nowhere => Self::Known(root),
            Self::Unknown => Self::Unknown,
            Self::Known(bounds) => step(bounds).map_or(Self::Unknown, Self::Known),
        }
    }
}

impl Part<'_> {
    fn size(&self) -> Range {
        self.size.unwrap_or(UNKNOWN)
    }
}

impl<'a> Estimate<'a> {
    fn part(&mut self, tree: &IdedExpr) -> Part<'a> {
        let kind = self.kinds.get(&tree.id).cloned().unwrap_or(Kind::Dyn);
        let none = Part { cost: ZERO, size: None, entry: None, place: Place::Nowhere, kind };
        match &tree.expr {
            Expr::Literal(literal) => Part { size: Some(fixed(size_of(literal))), ..none },
            Expr::Ident(name) => self.ident(name, none),
            Expr::Select(select) => {
                let operand = self.part(&select.operand);
                if select.test {
                    return Part { cost: operand.cost, size: Some(ONE), ..none };
                }
                let reads = matches!(operand.kind, Kind::Map(..) | Kind::Object(_) | Kind::Parameter(_));
                let cost = operand.cost.plus(if reads { fixed(SELECT) } else { ZERO });
                let place = operand.place.step(self.root, |bounds| bounds.fields.get(&select.field));
                sized(Part { cost, place, ..none })
            }
            Expr::Call(call) => self.call(call, none),
            Expr::List(list) => {
                let mut value = if list.elements.is_empty() { ZERO } else { Range { min: u64::MAX, max: 0 } };
                let mut cost = fixed(LIST);
                for element in &list.elements {
                    let element = self.part(element);
                    cost = cost.plus(element.cost);
                    value = value.or(element.size());
                }
                Part { cost, size: Some(fixed(list.elements.len() as u64)), entry: Some(Entry { key: ONE, value }), ..none }
            }
            Expr::Map(map) => {
                let nothing = if map.entries.is_empty() { ZERO } else { Range { min: u64::MAX, max: 0 } };
                let (mut cost, mut entry) = (fixed(MAP), Entry { key: nothing, value: nothing });
                for pair in &map.entries {
                    let EntryExpr::MapEntry(pair) = &pair.expr else { continue };
                    let (key, value) = (self.part(&pair.key), self.part(&pair.value));
                    cost = cost.plus(key.cost).plus(value.cost);
                    entry = Entry { key: entry.key.or(key.size()), value: entry.value.or(value.size()) };
                }
                Part { cost, size: Some(fixed(map.entries.len() as u64)), entry: Some(entry), ..none }
            }
            Expr::Struct(structure) => {
                let mut cost = fixed(STRUCTURE);
                for field in &structure.entries {
                    if let EntryExpr::StructField(field) = &field.expr {
                        cost = cost.plus(self.part(&field.value).cost);
                    }
                }
                Part { cost, ..none }
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, none),
            Expr::Unspecified => none,
        }
    }

    fn ident(&mut self, name: &str, none: Part<'a>) -> Part<'a> {
        let cost = fixed(SELECT);
        if let Some((_, known)) = self.scopes.iter().rev().find(|(variable, _)| variable == name) {
            return Part { cost, ..known.clone() };
        }
        sized(Part { cost, place: Place::Known(self.root), ..none })
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr, none: Part<'a>) -> Part<'a> {
        let range = self.part(&loops.iter_range);
        let init = self.part(&loops.accu_init);
        let begin = self.scopes.len();
        self.scopes.push((loops.accu_var.clone(), Part { kind: Kind::Dyn, ..init.clone() }));
        self.scopes.push((loops.iter_var.clone(), self.single(&range)));
        let step = self.part(&loops.loop_cond).cost;
        let next = self.part(&loops.loop_step);
        self.scopes.truncate(begin + 1);
        let result = self.part(&loops.result).cost;
        self.scopes.truncate(begin);
        let cost = range.cost.plus(init.cost).plus(result).plus(range.size().by(step.plus(next.cost)));
        let collects = matches!(loops.accu_init.expr, Expr::List(_) | Expr::Map(_));
        let size = if collects { range.size() } else { init.size() };
        Part { cost, size: Some(size), entry: next.entry.filter(|_| collects), ..none }
    }

    /// The variable of a loop over elements of a list, or keys of a map.
    fn single(&self, range: &Part<'a>) -> Part<'a> {
        let Kind::Map(key, _) = &range.kind else { return self.value(range) };
        let place = range.place.step(self.root, |_| Some(&KEY));
        held(place, range.entry.map(|entry| entry.key), key)
    }

    /// What a list or a map holds.
    fn value(&self, range: &Part<'a>) -> Part<'a> {
        let kind = match &range.kind {
            Kind::List(kind) | Kind::Map(_, kind) => kind,
            _ => &Kind::Dyn,
        };
        let place = range.place.step(self.root, |bounds| bounds.element.as_deref());
        held(place, range.entry.map(|entry| entry.value), kind)
    }

    fn call(&mut self, call: &CallExpr, none: Part<'a>) -> Part<'a> {
        if let Some(part) = self.form(call, &none) {
            return part;
        }
        let arguments: Vec<_> = call.args.iter().map(|argument| self.part(argument)).collect();
        let costs = arguments.iter().fold(ZERO, |sum, argument| sum.plus(argument.cost));
        match (call.func_name.as_str(), arguments.as_slice()) {
            ("dyn", [argument]) if call.target.is_none() => {
                return Part { cost: argument.cost.plus(ONE), size: argument.size, entry: argument.entry, ..none };
            }
            // The second part may never be run.
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                return Part { cost: Range { min: left.cost.min, max: left.cost.plus(right.cost).max }, size: Some(ONE), ..none };
            }
            (operators::CONDITIONAL, [condition, then, other]) => {
                let entry = then.entry.zip(other.entry).map(|(then, other)| then.or(other));
                let cost = condition.cost.plus(then.cost.or(other.cost));
                return Part { cost, size: Some(then.size().or(other.size())), entry, ..none };
            }
            (operators::INDEX, [held, _]) => {
                let element = self.value(held);
                return Part {
                    cost: costs.plus(ONE),
                    size: held.entry.map(|entry| entry.value).or(element.size),
                    place: element.place,
                    ..none
                };
            }
            _ => {}
        }
        // `sets.contains(…)` has no target: its name has a dot.
        let named = |target: &IdedExpr| match &target.expr {
            Expr::Ident(prefix)
                if !matches!(prefix.as_str(), "self" | "oldSelf") && !self.scopes.iter().any(|(name, _)| name == prefix) =>
            {
                Some(format!("{prefix}.{}", call.func_name))
            }
            _ => None,
        };
        let (name, target) = match call.target.as_deref() {
            Some(target) => match named(target) {
                Some(name) => (name, None),
                None => (call.func_name.clone(), Some(self.part(target))),
            },
            None => (call.func_name.clone(), None),
        };
        let made = calls::estimate(&name, target.as_ref(), &arguments);
        let cost = costs.plus(target.map_or(ZERO, |target| target.cost)).plus(made.cost);
        sized(Part { cost, size: made.size, entry: made.entry, ..none })
    }

    /// What is written like a call and binds a variable, as the loops that an API server makes of it.
    fn form(&mut self, call: &CallExpr, none: &Part<'a>) -> Option<Part<'a>> {
        let target = call.target.as_deref()?;
        let name = call.func_name.as_str();
        let variable = |tree: &IdedExpr| if let Expr::Ident(name) = &tree.expr { Some(name.clone()) } else { None };
        match (name, call.args.as_slice()) {
            ("optMap" | "optFlatMap", [bound, inner]) => {
                let held = self.part(target);
                let inner = self.within(
                    vec![(variable(bound)?, Part { cost: ZERO, size: None, entry: None, place: Place::Nowhere, kind: Kind::Dyn })],
                    inner,
                );
                // `hasValue`, `value`, an empty list and what the optional is made of.
                let cost = held.cost.by(fixed(2)).plus(fixed(LIST + 3)).plus(inner.cost);
                Some(Part { cost, ..none.clone() })
            }
            (
                "all" | "exists" | "existsOne" | "exists_one" | "transformList" | "transformMap" | "transformMapEntry",
                [first, second, inner @ ..],
            ) if !inner.is_empty() => {
                let range = self.part(target);
                let key = Part { size: Some(ONE), ..self.single(&range) };
                let bound = vec![(variable(first)?, key), (variable(second)?, self.value(&range))];
                let parts: Vec<_> = inner.iter().map(|inner| self.within(bound.clone(), inner)).collect();
                let step = parts.iter().fold(ZERO, |sum, part| sum.plus(part.cost));
                let (base, each) = match name {
                    "all" | "exists" => (0, 3),
                    "existsOne" | "exists_one" => (1, 2),
                    "transformList" => (LIST, LIST + 2),
                    _ => (MAP, 2),
                };
                let cost = range.cost.plus(fixed(base + SELECT)).plus(range.size().by(step.plus(fixed(each))));
                let size = if base > 1 { range.size } else { Some(ONE) };
                let value = parts.last().map_or(UNKNOWN, Part::size);
                Some(Part { cost, size, entry: (base > 1).then_some(Entry { key: ONE, value }), ..none.clone() })
            }
            _ => None,
        }
    }

    fn within(&mut self, bound: Vec<(String, Part<'a>)>, inner: &IdedExpr) -> Part<'a> {
        let begin = self.scopes.len();
        self.scopes.extend(bound);
        let part = self.part(inner);
        self.scopes.truncate(begin);
        part
    }
}

/// What a loop variable stands for, of which the schema says more than the literal that it may come from.
fn held<'a>(place: Place<'a>, size: Option<Range>, kind: &Kind) -> Part<'a> {
    let part = sized(Part { cost: ZERO, size: None, entry: None, place, kind: kind.clone() });
    Part { size: part.size.or(size), ..part }
}

/// The size of what has none yet: what the schema says, else that of one number, time or truth value.
fn sized(part: Part<'_>) -> Part<'_> {
    let of_place = match part.place {
        Place::Known(bounds) => Some(Range { min: 0, max: bounds.most }),
        _ => None,
    };
    Part { size: part.size.or(of_place).or_else(|| calls::is_scalar(&part.kind).then_some(ONE)), ..part }
}

fn size_of(literal: &LiteralValue) -> u64 {
    let size = match literal {
        LiteralValue::String(text) => text.inner().chars().count(),
        LiteralValue::Bytes(bytes) => bytes.inner().len(),
        _ => 1,
    };
    size as u64
}
