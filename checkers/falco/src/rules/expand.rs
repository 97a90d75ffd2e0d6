//! Lists and macros put into conditions, within bounds. Lists are replaced in the text, macros in the tree, as Falco does.

use super::{exceptions::quoted, item::ListItem};
use crate::syntax::{Expr, Position};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Longest condition, with the lists in it.
const MAX_CONDITION: usize = 1 << 20;
/// Largest condition, with the macros in it.
const MAX_CHECKS: usize = 100_000;
const MAX_DEPTH: usize = 400;

/// A list with the items of other lists in place of their names; one step deep, as Falco does it.
#[derive(Debug, Clone)]
pub struct List {
    pub name: String,
    pub items: Vec<String>,
    pub used: bool,
}

pub fn lists(read: &[ListItem]) -> Vec<List> {
    let by_name: FxHashMap<&str, usize> = read.iter().enumerate().map(|(index, list)| (list.name.as_str(), index)).collect();
    let mut used = vec![false; read.len()];
    let mut lists = Vec::with_capacity(read.len());
    for list in read {
        let mut items = Vec::new();
        for item in &list.items {
            match by_name.get(item.as_str()).filter(|index| read[**index].order.index < list.order.visibility) {
                Some(index) => {
                    used[*index] = true;
                    items.extend(read[*index].items.iter().cloned());
                }
                None => items.push(item.clone()),
            }
        }
        lists.push(List { name: list.name.clone(), items, used: false });
    }
    for (list, used) in lists.iter_mut().zip(used) {
        list.used = used;
    }
    lists
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_delimiter(c: char) -> bool {
    is_blank(c) || matches!(c, '(' | ')' | ',' | '=')
}

/// Puts the items of lists in place of their names.
pub fn put_lists(condition: &str, lists: &mut [List]) -> Result<String, String> {
    let mut text = condition.to_owned();
    for list in lists {
        if let Some(replaced) = put_list(&text, list)? {
            text = replaced;
            list.used = true;
        }
    }
    Ok(text)
}

fn put_list(condition: &str, list: &List) -> Result<Option<String>, String> {
    if list.name.is_empty() || !condition.contains(&list.name) {
        return Ok(None);
    }
    let items = list.items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ");
    let mut out = String::with_capacity(condition.len());
    let mut rest = condition;
    let mut used = false;
    while let Some(found) = rest.find(&list.name) {
        let end = found + list.name.len();
        let before = rest[..found].chars().next_back().or_else(|| out.chars().next_back());
        let whole = before.is_none_or(is_delimiter) && rest[end..].chars().next().is_none_or(is_delimiter);
        if !whole {
            let step = rest[found..].chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..found + step]);
            rest = &rest[found + step..];
            continue;
        }
        used = true;
        out.push_str(&rest[..found]);
        out.truncate(out.trim_end_matches(is_blank).len());
        rest = rest[end..].trim_start_matches(is_blank);
        // Nothing is left of an empty list, not even its comma.
        if items.is_empty() {
            if out.ends_with(',') {
                out.pop();
            } else if let Some(after) = rest.strip_prefix(',') {
                rest = after;
            }
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&items);
        out.push(' ');
        if out.len() + rest.len() > MAX_CONDITION {
            return Err(format!("the condition has more than {MAX_CONDITION} bytes with the items of list '{}'", list.name));
        }
    }
    out.push_str(rest);
    Ok(used.then_some(out))
}

/// A macro ready to be put in place of its name.
#[derive(Debug, Clone)]
pub struct Macro {
    pub condition: Arc<Expr>,
    pub size: Size,
    pub index: usize,
}

/// How large a condition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub checks: usize,
    pub depth: usize,
}

pub fn size(expr: &Expr) -> Size {
    match expr {
        Expr::Macro(..) | Expr::Check(_) => Size { checks: 1, depth: 1 },
        Expr::Not(child, _) => {
            let Size { checks, depth } = size(child);
            Size { checks, depth: depth + 1 }
        }
        Expr::And(children, _) | Expr::Or(children, _) => children
            .iter()
            .map(size)
            .fold(Size { checks: 0, depth: 1 }, |all, one| Size { checks: all.checks + one.checks, depth: all.depth.max(one.depth + 1) }),
    }
}

/// Why a macro could not be put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroError {
    pub message: String,
    pub position: Position,
}

/// Puts macros in place of their names. `own` is the macro whose condition this is. Returns the names that were used.
pub fn put_macros(
    expr: &mut Expr,
    macros: &FxHashMap<String, Macro>,
    visibility: usize,
    own: Option<&str>,
) -> Result<Vec<String>, MacroError> {
    let mut putter = Putter { macros, visibility, own, used: Vec::new(), undefined: None, checks: 0 };
    putter.visit(expr, 1)?;
    match putter.undefined {
        Some((name, position)) => Err(MacroError { message: format!("Undefined macro '{name}' used in filter."), position }),
        None => Ok(putter.used),
    }
}

struct Putter<'a> {
    macros: &'a FxHashMap<String, Macro>,
    visibility: usize,
    own: Option<&'a str>,
    used: Vec<String>,
    undefined: Option<(String, Position)>,
    checks: usize,
}

impl Putter<'_> {
    fn visit(&mut self, expr: &mut Expr, depth: usize) -> Result<(), MacroError> {
        match expr {
            Expr::And(children, _) | Expr::Or(children, _) => children.iter_mut().try_for_each(|child| self.visit(child, depth + 1)),
            Expr::Not(child, _) => self.visit(child, depth + 1),
            Expr::Check(_) => {
                self.checks += 1;
                Ok(())
            }
            Expr::Macro(name, position) => {
                let position = *position;
                if self.own == Some(name.as_str()) && self.macros.get(name).is_some_and(|found| found.index < self.visibility) {
                    return Err(MacroError { message: "reference loop in macro".to_owned(), position });
                }
                let Some(found) = self.macros.get(name).filter(|found| found.index < self.visibility) else {
                    // Of several unknown names, the first by the alphabet is reported.
                    if self.undefined.as_ref().is_none_or(|(other, _)| *name < *other) {
                        self.undefined = Some((name.clone(), position));
                    }
                    return Ok(());
                };
                self.checks += found.size.checks;
                if self.checks > MAX_CHECKS || depth + found.size.depth > MAX_DEPTH {
                    return Err(MacroError { message: format!("the condition grows too large with macro '{name}'"), position });
                }
                self.used.push(name.clone());
                *expr = (*found.condition).clone();
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(name: &str, items: &[&str]) -> List {
        List { name: name.to_owned(), items: items.iter().map(|item| (*item).to_owned()).collect(), used: false }
    }

    #[test]
    fn lists_are_replaced_where_they_stand_alone() {
        let table = [
            ("proc.name in (names)", "proc.name in ( cat, ls )"),
            ("proc.name= names or x", "proc.name= cat, ls or x"),
            ("proc.name in (a, names, b)", "proc.name in (a, cat, ls , b)"),
            ("proc.name in (names_too)", "proc.name in (names_too)"),
            ("proc.name in (a, none)", "proc.name in (a  )"),
            ("proc.name in (none, a)", "proc.name in (   a)"),
            ("names", "cat, ls "),
            ("proc.name in (blank)", "proc.name in ( \"a b\" )"),
        ];
        for (condition, expected) in table {
            let mut lists = [list("names", &["cat", "ls"]), list("none", &[]), list("blank", &["a b"])];
            assert_eq!(put_lists(condition, &mut lists).as_deref(), Ok(expected), "{condition}");
        }
    }

    #[test]
    fn what_grows_without_end_is_refused() {
        let long = list("l", &vec!["0123456789"; 20_000]);
        let condition = format!("proc.name in ({})", vec!["l"; 50].join(", "));
        assert!(put_lists(&condition, &mut [long]).is_err());
    }
}
