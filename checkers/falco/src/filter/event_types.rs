//! Which types of events a condition can be true for: the index of the rules, and the reason for `LOAD_NO_EVTTYPE`.

use crate::{
    fields,
    syntax::{Check, Expr, Modifier, Operand, Operator},
};
use std::collections::BTreeSet;

/// More event codes than this, and Falco warns.
const MANY_CODES: usize = 100;

/// A set of event types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventTypes {
    Only(BTreeSet<String>),
    AllBut(BTreeSet<String>),
}

impl EventTypes {
    fn all() -> Self {
        Self::AllBut(BTreeSet::new())
    }

    fn complement(self) -> Self {
        match self {
            Self::Only(names) => Self::AllBut(names),
            Self::AllBut(names) => Self::Only(names),
        }
    }

    fn intersection(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => Self::Only(a.intersection(&b).cloned().collect()),
            (Self::Only(only), Self::AllBut(but)) | (Self::AllBut(but), Self::Only(only)) => {
                Self::Only(only.difference(&but).cloned().collect())
            }
            (Self::AllBut(a), Self::AllBut(b)) => Self::AllBut(a.union(&b).cloned().collect()),
        }
    }

    fn union(self, other: Self) -> Self {
        self.complement().intersection(other.complement()).complement()
    }

    /// Whether a rule of such a condition costs too much: it is tried on nearly every event, or on none.
    pub fn is_too_wide(&self) -> bool {
        match self {
            Self::Only(names) => names.is_empty() || fields::event_codes(names.iter().map(String::as_str)) > MANY_CODES,
            Self::AllBut(_) => true,
        }
    }
}

/// Negation reaches the checks on `evt.type` only: any other check may be true or false for every type.
pub fn event_types(expr: &Expr) -> EventTypes {
    visit(expr, false)
}

fn visit(expr: &Expr, negated: bool) -> EventTypes {
    match expr {
        Expr::Not(child, _) => visit(child, !negated),
        Expr::And(children, _) | Expr::Or(children, _) => {
            let intersects = matches!(expr, Expr::And(..)) != negated;
            let sets = children.iter().map(|child| visit(child, negated));
            let combined = if intersects { sets.reduce(EventTypes::intersection) } else { sets.reduce(EventTypes::union) };
            combined.unwrap_or_else(EventTypes::all)
        }
        Expr::Macro(..) => EventTypes::all(),
        Expr::Check(check) => match named_types(check) {
            Some(types) if negated => types.complement(),
            Some(types) => types,
            None => EventTypes::all(),
        },
    }
}

fn named_types(check: &Check) -> Option<EventTypes> {
    let Operand::Field(field) = &check.left else { return None };
    if field.name != "evt.type" || !matches!(check.modifier, None | Some(Modifier::AnyOf)) {
        return None;
    }
    let names = match check.right.as_ref()? {
        Operand::Value(value, _) => BTreeSet::from([value.clone()]),
        Operand::List(values, _) => values.iter().cloned().collect(),
        _ => return None,
    };
    match (check.operator, check.modifier) {
        (Operator::Equal | Operator::In | Operator::Intersects, _) => Some(EventTypes::Only(names)),
        (Operator::NotEqual, None) => Some(EventTypes::AllBut(names)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse;

    #[test]
    fn sets_of_conditions() {
        let only = |names: &[&str]| EventTypes::Only(names.iter().map(|name| (*name).to_owned()).collect());
        let but = |names: &[&str]| EventTypes::AllBut(names.iter().map(|name| (*name).to_owned()).collect());
        let table = [
            ("evt.type = open", only(&["open"])),
            ("evt.type in (open, openat) and proc.name = cat", only(&["open", "openat"])),
            ("evt.type = open or evt.type = close", only(&["close", "open"])),
            ("evt.type = open or proc.name = cat", but(&[])),
            ("not evt.type = open", but(&["open"])),
            ("not (evt.type = open or proc.name = cat)", but(&["open"])),
            ("not (evt.type != open and proc.name = cat)", but(&[])),
            ("evt.type in (open, execve, mprotect) and not evt.type = mprotect", only(&["execve", "open"])),
            ("evt.type = open and evt.type = close", only(&[])),
            ("evt.type == anyof (open, close)", only(&["close", "open"])),
            ("evt.type startswith open", but(&[])),
            ("evt.type exists", but(&[])),
        ];
        for (condition, expected) in table {
            assert_eq!(event_types(&parse(condition).expect("a condition")), expected, "{condition}");
        }
    }
}
