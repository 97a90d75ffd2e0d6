//! Operators, and the names under which the parser calls them.

use super::{NO_OVERLOAD, Run, element, no_overload};
use crate::cel::{
    Answer, cost,
    value::{as_key, compare, equal, list, none, optional, some, string, weight},
};
use kube_cel::cel::{
    IdedExpr, Value as Cel,
    common::ast::{CallExpr, Expr, LiteralValue, operators},
    objects::KeyRef,
};
use std::{cmp::Ordering, sync::Arc};

const ACCUMULATOR: &str = "@result";
/// Seconds since 1970 from the year 1 to the year 9999: other times there are none.
const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

impl Run<'_> {
    /// Operators; nothing where the call is of a function.
    pub(super) fn operator(&mut self, call: &CallExpr) -> Option<Answer> {
        if call.target.is_some() {
            return None;
        }
        Some(match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, then, other]) => match self.eval(condition) {
                Ok(Cel::Bool(true)) => self.eval(then),
                Ok(Cel::Bool(false)) => self.eval(other),
                Ok(_) => no_overload(),
                Err(error) => Err(error),
            },
            (operators::LOGICAL_OR, [left, right]) => self.logical(left, right, true),
            (operators::LOGICAL_AND, [left, right]) => self.logical(left, right, false),
            (operators::LOGICAL_NOT, [operand]) => self.unary(operand, |held| match held {
                Cel::Bool(truth) => Ok(Cel::Bool(!truth)),
                _ => no_overload(),
            }),
            (operators::NEGATE, [operand]) => self.unary(operand, |held| match held {
                Cel::Int(held) => held.checked_neg().map(Cel::Int).ok_or_else(|| "integer overflow".to_owned()),
                Cel::Float(held) => Ok(Cel::Float(-held)),
                _ => no_overload(),
            }),
            (operators::NOT_STRICTLY_FALSE, [operand]) => {
                let held = self.eval(operand);
                self.costs(cost::CALL).map(|()| Cel::Bool(!matches!(held, Ok(Cel::Bool(false)))))
            }
            (operators::INDEX, [operand, index]) => self.index(operand, index, false),
            (operators::OPT_INDEX, [operand, index]) => self.index(operand, index, true),
            (operators::OPT_SELECT, [operand, name]) => self.optional_field(operand, name),
            (operators::ADD, [left, right]) if matches!(&left.expr, Expr::Ident(name) if name == ACCUMULATOR) => self.collect(right),
            (operators::IN, [item, collection]) => self.is_in(item, collection),
            (
                name @ (operators::EQUALS
                | operators::NOT_EQUALS
                | operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS
                | operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO),
                [left, right],
            ) => match (self.eval(left), right) {
                (Ok(left), right) => self.eval(right).and_then(|right| self.binary(name, left, right)),
                (Err(error), _) => Err(error),
            },
            _ => return None,
        })
    }

    fn unary(&mut self, operand: &IdedExpr, apply: impl Fn(Cel) -> Answer) -> Answer {
        let held = self.eval(operand)?;
        self.costs(cost::CALL)?;
        apply(held)
    }

    /// `||` where `decisive` is true, `&&` where it is false.
    fn logical(&mut self, left: &IdedExpr, right: &IdedExpr, decisive: bool) -> Answer {
        let left = self.eval(left);
        if matches!(&left, Ok(Cel::Bool(truth)) if *truth == decisive) || self.is_over() {
            return left;
        }
        match (left, self.eval(right)) {
            (_, Err(error)) if self.is_over() => Err(error),
            (_, Ok(Cel::Bool(truth))) if truth == decisive => Ok(Cel::Bool(truth)),
            (Err(error), _) | (Ok(Cel::Bool(_)), Err(error)) => Err(error),
            (Ok(Cel::Bool(_)), Ok(Cel::Bool(truth))) => Ok(Cel::Bool(truth)),
            _ => no_overload(),
        }
    }

    /// `@result + [item]` of a loop: the list grows in place.
    fn collect(&mut self, right: &IdedExpr) -> Answer {
        let right = self.eval(right)?;
        self.costs(cost::SELECT + cost::CALL)?;
        let Some((_, held)) = self.scopes.iter_mut().rev().find(|(name, _)| name == ACCUMULATOR) else { return no_overload() };
        match (std::mem::replace(held, Ok(Cel::Null)), right) {
            (Ok(Cel::List(mut items)), Cel::List(more)) => {
                self.works(more.len())?;
                Arc::make_mut(&mut items).extend(more.iter().cloned());
                Ok(Cel::List(items))
            }
            (Ok(left), right) => self.arithmetic(operators::ADD, left, right),
            (Err(error), _) => Err(error),
        }
    }

    fn index(&mut self, operand: &IdedExpr, index: &IdedExpr, as_optional: bool) -> Answer {
        let operand = self.eval(operand)?;
        let index = self.eval(index)?;
        self.costs(cost::SELECT)?;
        match (optional(&operand), as_optional) {
            (Some(None), _) => Ok(none()),
            (Some(Some(held)), _) => Ok(element(&held, &index).map_or_else(|_| none(), some)),
            (None, true) => Ok(element(&operand, &index).map_or_else(|_| none(), some)),
            (None, false) => element(&operand, &index),
        }
    }

    /// `a.?b`
    fn optional_field(&mut self, operand: &IdedExpr, name: &IdedExpr) -> Answer {
        let Expr::Literal(LiteralValue::String(name)) = &name.expr else { return no_overload() };
        let name = name.inner();
        self.costs(cost::SELECT)?;
        if self.is_variables(operand) {
            return if self.variables.contains_key(name) { self.variable(name).map(some) } else { Ok(none()) };
        }
        let operand = self.eval(operand)?;
        let held = match optional(&operand) {
            Some(None) => return Ok(none()),
            Some(Some(held)) => held,
            None => operand,
        };
        match held {
            Cel::Map(entries) => Ok(entries.get(&KeyRef::String(name)).cloned().map_or_else(none, some)),
            _ => Ok(none()),
        }
    }

    fn is_in(&mut self, item: &IdedExpr, collection: &IdedExpr) -> Answer {
        let (item, literals) = (self.eval(item)?, matches!(&collection.expr, Expr::List(items) if super::is_constant(&items.elements)));
        let collection = self.eval(collection)?;
        match &collection {
            Cel::List(items) => {
                // A list of literals is looked up in one step.
                self.costs(if literals { 0 } else { cost::size(&collection) })?;
                self.works(weight(&item, self.left()).max(1).saturating_mul(items.len()))?;
                Ok(Cel::Bool(items.iter().any(|held| equal(held, &item))))
            }
            Cel::Map(entries) => {
                self.costs(cost::CALL)?;
                Ok(Cel::Bool(as_key(&item).is_some_and(|key| entries.get(&key).is_some())))
            }
            _ => no_overload(),
        }
    }

    fn binary(&mut self, name: &str, left: Cel, right: Cel) -> Answer {
        self.costs(cost::of_operator(name, &left, &right))?;
        let ordered = |wanted: &[Ordering]| {
            compare(&left, &right).map(|order| Cel::Bool(wanted.contains(&order))).ok_or_else(|| NO_OVERLOAD.to_owned())
        };
        match name {
            operators::EQUALS | operators::NOT_EQUALS => {
                // Two values are compared no further than the smaller one reaches.
                let most = weight(&left, self.left());
                self.works(weight(&right, most))?;
                Ok(Cel::Bool(equal(&left, &right) == (name == operators::EQUALS)))
            }
            operators::LESS => ordered(&[Ordering::Less]),
            operators::LESS_EQUALS => ordered(&[Ordering::Less, Ordering::Equal]),
            operators::GREATER => ordered(&[Ordering::Greater]),
            operators::GREATER_EQUALS => ordered(&[Ordering::Greater, Ordering::Equal]),
            _ => self.arithmetic(name, left, right),
        }
    }

    pub(in crate::cel) fn arithmetic(&mut self, name: &str, left: Cel, right: Cel) -> Answer {
        match (&left, &right) {
            (Cel::String(left), Cel::String(right)) if name == operators::ADD => {
                self.works((left.len() + right.len()) / 8)?;
                Ok(string(&format!("{left}{right}")))
            }
            (Cel::List(left), Cel::List(right)) if name == operators::ADD => {
                self.works(left.len() + right.len())?;
                Ok(list(left.iter().chain(right.iter()).cloned().collect()))
            }
            (Cel::Bytes(left), Cel::Bytes(right)) if name == operators::ADD => {
                self.works((left.len() + right.len()) / 8)?;
                Ok(Cel::Bytes(Arc::new([left.as_slice(), right.as_slice()].concat())))
            }
            (Cel::Int(left), Cel::Int(right)) => {
                let (left, right) = (*left, *right);
                let answer = match name {
                    operators::ADD => left.checked_add(right),
                    operators::SUBSTRACT => left.checked_sub(right),
                    operators::MULTIPLY => left.checked_mul(right),
                    _ => return divided(name, right == 0, left.checked_div(right), left.checked_rem(right)).map(Cel::Int),
                };
                answer.map(Cel::Int).ok_or_else(|| "integer overflow".to_owned())
            }
            (Cel::UInt(left), Cel::UInt(right)) => {
                let (left, right) = (*left, *right);
                let answer = match name {
                    operators::ADD => left.checked_add(right),
                    operators::SUBSTRACT => left.checked_sub(right),
                    operators::MULTIPLY => left.checked_mul(right),
                    _ => return divided(name, right == 0, left.checked_div(right), left.checked_rem(right)).map(Cel::UInt),
                };
                answer.map(Cel::UInt).ok_or_else(|| "unsigned integer overflow".to_owned())
            }
            (Cel::Float(left), Cel::Float(right)) => Ok(Cel::Float(match name {
                operators::ADD => left + right,
                operators::SUBSTRACT => left - right,
                operators::MULTIPLY => left * right,
                operators::DIVIDE => left / right,
                _ => return no_overload(),
            })),
            _ => in_time(name, &left, &right),
        }
    }
}

/// A quotient or a remainder; `none` where it does not fit.
fn divided<T>(name: &str, by_zero: bool, quotient: Option<T>, remainder: Option<T>) -> Result<T, String> {
    let (answer, word) = match name {
        operators::DIVIDE => (quotient, "division"),
        operators::MODULO => (remainder, "modulus"),
        _ => return no_overload(),
    };
    answer.ok_or_else(|| if by_zero { format!("{word} by zero") } else { "integer overflow".to_owned() })
}

/// Times and durations.
fn in_time(name: &str, left: &Cel, right: &Cel) -> Answer {
    let overflow = |kind: &str| format!("{kind} overflow");
    match (name, left, right) {
        (operators::ADD, Cel::Timestamp(time), Cel::Duration(by)) | (operators::ADD, Cel::Duration(by), Cel::Timestamp(time)) => time
            .checked_add_signed(*by)
            .filter(|time| YEARS.contains(&time.timestamp()))
            .map(Cel::Timestamp)
            .ok_or_else(|| overflow("timestamp")),
        (operators::SUBSTRACT, Cel::Timestamp(time), Cel::Duration(by)) => time
            .checked_sub_signed(*by)
            .filter(|time| YEARS.contains(&time.timestamp()))
            .map(Cel::Timestamp)
            .ok_or_else(|| overflow("timestamp")),
        (operators::SUBSTRACT, Cel::Timestamp(left), Cel::Timestamp(right)) => Ok(Cel::Duration(left.signed_duration_since(right))),
        (operators::ADD, Cel::Duration(left), Cel::Duration(right)) => {
            left.checked_add(right).map(Cel::Duration).ok_or_else(|| overflow("duration"))
        }
        (operators::SUBSTRACT, Cel::Duration(left), Cel::Duration(right)) => {
            left.checked_sub(right).map(Cel::Duration).ok_or_else(|| overflow("duration"))
        }
        _ => no_overload(),
    }
}
