//! The types of what is written like a call and binds a variable: `optMap`, loops with a key and a value.

use super::{Check, is_bool};
use crate::cel::kind::{BOOL, INT, Kind};
use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr, operators};

/// What the variables of a loop are: the one variable, or a key and a value.
pub(super) struct Range {
    pub single: Kind,
    key: Kind,
    value: Kind,
}

impl Check<'_> {
    /// Nothing where the call is of a function.
    pub(super) fn form(&mut self, call: &CallExpr) -> Option<Kind> {
        let target = call.target.as_deref()?;
        let variable = |tree: &IdedExpr| if let Expr::Ident(name) = &tree.expr { Some(name.clone()) } else { None };
        let name = call.func_name.as_str();
        Some(match (name, call.args.as_slice()) {
            ("optMap" | "optFlatMap", [bound, inner]) => {
                let bound = variable(bound)?;
                let held = match self.kind(target) {
                    Kind::Optional(held) => *held,
                    Kind::Dyn => Kind::Dyn,
                    other => {
                        let at = self.places.here();
                        self.error(at, &format!("found no matching overload for 'hasValue' applied to '{other}.()'"))
                    }
                };
                let made = self.bound(name, &[(bound, held)], &[inner]).pop()?;
                if name == "optMap" { Kind::Optional(Box::new(made)) } else { made }
            }
            ("all" | "exists" | "existsOne" | "exists_one", [first, second, inner]) => {
                let (first, second) = (variable(first)?, variable(second)?);
                let range = self.range(target);
                let predicate = self.bound(name, &[(first, range.key), (second, range.value)], &[inner]).pop()?;
                if !is_bool(&predicate) {
                    let at = self.places.here();
                    let operator = if name == "exists" { operators::LOGICAL_OR } else { operators::LOGICAL_AND };
                    self.error(at, &format!("found no matching overload for '{operator}' applied to '(bool, {predicate})'"));
                }
                BOOL
            }
            ("transformList" | "transformMap" | "transformMapEntry", [first, second, rest @ ..]) if matches!(rest.len(), 1 | 2) => {
                let (first, second) = (variable(first)?, variable(second)?);
                let range = self.range(target);
                let rest: Vec<_> = rest.iter().collect();
                let mut kinds = self.bound(name, &[(first, range.key.clone()), (second, range.value)], &rest);
                let made = kinds.pop()?;
                if let Some(condition) = kinds.pop().filter(|condition| !is_bool(condition)) {
                    let at = self.places.here();
                    self.error(at, &format!("found no matching overload for '_?_:_' applied to '({condition}, {made}, {made})'"));
                }
                match name {
                    "transformList" => Kind::List(Box::new(made)),
                    "transformMap" => Kind::Map(Box::new(range.key), Box::new(made)),
                    _ => made,
                }
            }
            _ => return None,
        })
    }

    /// The kinds of what is written within brackets, where the variables are known.
    fn bound(&mut self, name: &str, variables: &[(String, Kind)], inner: &[&IdedExpr]) -> Vec<Kind> {
        self.places.pass(name);
        self.places.pass("(");
        for (variable, _) in variables {
            self.places.pass(variable);
        }
        let depth = self.scopes.len();
        self.scopes.extend(variables.iter().cloned());
        let kinds = inner.iter().map(|inner| self.kind(inner)).collect();
        self.scopes.truncate(depth);
        kinds
    }

    /// What a loop goes over.
    pub(super) fn range(&mut self, tree: &IdedExpr) -> Range {
        let begin = self.places.here();
        match self.kind(tree) {
            Kind::Dyn | Kind::Parameter(_) => Range { single: Kind::Dyn, key: Kind::Dyn, value: Kind::Dyn },
            Kind::List(item) => Range { single: (*item).clone(), key: INT, value: *item },
            Kind::Map(key, value) => Range { single: (*key).clone(), key: *key, value: *value },
            other => {
                let message = format!("expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)");
                let single = self.error(begin, &message);
                Range { single, key: Kind::Dyn, value: Kind::Dyn }
            }
        }
    }
}
