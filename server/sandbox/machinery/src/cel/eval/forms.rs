//! What is written like a call and binds a variable: `cel.bind`, `optMap`, `sortBy`, and loops with a key and a value.

use super::{Run, no_overload, no_range};
use crate::cel::{
    Answer,
    cost::OVER_LIMIT,
    library,
    value::{as_key, list, map, none, of_key, optional, some, sorted},
};
use kube_cel::cel::{
    IdedExpr, Value as Cel,
    common::ast::{CallExpr, Expr},
};
use std::collections::HashMap;

impl Run<'_> {
    /// What is written like a call and binds a variable: `cel.bind`, `optMap`, `transformList` and their kin.
    pub(super) fn form(&mut self, call: &CallExpr) -> Option<Answer> {
        let target = call.target.as_deref()?;
        let name = call.func_name.as_str();
        let variable = |tree: &IdedExpr| if let Expr::Ident(name) = &tree.expr { Some(name.clone()) } else { None };
        match (name, call.args.as_slice()) {
            ("bind", [bound, value, inner]) if matches!(&target.expr, Expr::Ident(prefix) if prefix == "cel") => {
                let bound = variable(bound)?;
                let value = self.eval(value);
                Some(self.bound(vec![(bound, value)], inner))
            }
            ("optMap" | "optFlatMap", [bound, inner]) => {
                let bound = variable(bound)?;
                let held = match self.eval(target) {
                    Ok(held) => held,
                    Err(error) => return Some(Err(error)),
                };
                Some(match optional(&held) {
                    None => no_overload(),
                    Some(None) => Ok(none()),
                    Some(Some(held)) => {
                        let answer = self.bound(vec![(bound, Ok(held))], inner);
                        if name == "optMap" { answer.map(some) } else { answer }
                    }
                })
            }
            ("sortBy", [bound, inner]) => {
                let bound = variable(bound)?;
                Some(self.sort_by(target, &bound, inner))
            }
            ("existsOne", [bound, inner]) => {
                let bound = variable(bound)?;
                Some(self.loop_over(target, name, (None, bound), None, inner))
            }
            (
                "all" | "exists" | "existsOne" | "exists_one" | "transformList" | "transformMap" | "transformMapEntry",
                [first, second, inner],
            ) => {
                let (first, second) = (variable(first)?, variable(second)?);
                Some(self.loop_over(target, name, (Some(first), second), None, inner))
            }
            ("transformList" | "transformMap" | "transformMapEntry", [first, second, condition, inner]) => {
                let (first, second) = (variable(first)?, variable(second)?);
                Some(self.loop_over(target, name, (Some(first), second), Some(condition), inner))
            }
            _ => None,
        }
    }

    fn bound(&mut self, variables: Vec<(String, Answer)>, inner: &IdedExpr) -> Answer {
        let begin = self.scopes.len();
        self.scopes.extend(variables);
        let answer = self.eval(inner);
        self.scopes.truncate(begin);
        answer
    }

    fn sort_by(&mut self, target: &IdedExpr, bound: &str, inner: &IdedExpr) -> Answer {
        let mut keyed = Vec::new();
        for (_, item) in self.range(target)? {
            keyed.push((self.bound(vec![(bound.to_owned(), Ok(item.clone()))], inner)?, item));
        }
        library::sorted(keyed)
    }

    /// Loops with a key and a value. `all` and `exists` outlast an error where another element decides.
    fn loop_over(
        &mut self,
        target: &IdedExpr,
        name: &str,
        (first, second): (Option<String>, String),
        condition: Option<&IdedExpr>,
        inner: &IdedExpr,
    ) -> Answer {
        let (mut items, mut entries, mut held, mut failure) = (Vec::new(), HashMap::new(), 0, None);
        for (at, item) in self.range(target)? {
            let mut variables = vec![(second.clone(), Ok(item))];
            variables.extend(first.clone().map(|first| (first, Ok(at.clone()))));
            if let Some(condition) = condition
                && !matches!(self.bound(variables.clone(), condition)?, Cel::Bool(true))
            {
                continue;
            }
            let answer = self.bound(variables, inner);
            if self.is_over() {
                return Err(OVER_LIMIT.to_owned());
            }
            match (name, answer) {
                ("all", Ok(Cel::Bool(false))) => return Ok(Cel::Bool(false)),
                ("exists", Ok(Cel::Bool(true))) => return Ok(Cel::Bool(true)),
                ("existsOne" | "exists_one", Ok(Cel::Bool(true))) => held += 1,
                ("all" | "exists" | "existsOne" | "exists_one", Ok(Cel::Bool(_))) => {}
                ("all" | "exists", Err(error)) => failure = failure.or(Some(error)),
                ("transformList", Ok(value)) => items.push(value),
                ("transformMap", Ok(value)) => drop(entries.insert(as_key(&at).ok_or("unsupported key type")?, value)),
                ("transformMapEntry", Ok(Cel::Map(more))) => {
                    for (key, value) in sorted(&more) {
                        if entries.contains_key(&key) {
                            return Err(format!("insert failed: key {key} already exists"));
                        }
                        entries.insert(key, value);
                    }
                }
                (_, Err(error)) => return Err(error),
                _ => return no_overload(),
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        Ok(match name {
            "all" => Cel::Bool(true),
            "exists" => Cel::Bool(false),
            "existsOne" | "exists_one" => Cel::Bool(held == 1),
            "transformList" => list(items),
            _ => map(entries),
        })
    }

    /// The elements of a list, or the keys of a map.
    fn range(&mut self, tree: &IdedExpr) -> Result<Vec<(Cel, Cel)>, String> {
        let range = self.eval(tree)?;
        let pairs: Vec<(Cel, Cel)> = match range {
            Cel::List(items) => {
                items.iter().enumerate().map(|(at, item)| (Cel::Int(i64::try_from(at).unwrap_or(i64::MAX)), item.clone())).collect()
            }
            Cel::Map(entries) => sorted(&entries).into_iter().map(|(key, value)| (of_key(key), value)).collect(),
            other => return no_range(&other),
        };
        self.works(pairs.len())?;
        Ok(pairs)
    }
}
