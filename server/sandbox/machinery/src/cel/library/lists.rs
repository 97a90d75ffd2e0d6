//! Lists: elements are compared as cel-go does it, and what is made or compared is counted before.

use crate::cel::{
    Answer, Run,
    eval::no_overload,
    value::{compare, equal, list},
};
use kube_cel::cel::{Value as Cel, common::ast::operators};
use std::cmp::Ordering;

impl Run<'_> {
    /// Nothing where there is no such function here.
    pub(super) fn lists(&mut self, name: &str, arguments: &[Cel]) -> Option<Answer> {
        Some(match (name, arguments) {
            ("lists.range", [Cel::Int(end)]) => match usize::try_from(*end) {
                Ok(length) => self.works(length).map(|()| list((0..*end).map(Cel::Int).collect())),
                Err(_) => Err("lists.range: size cannot be negative".to_owned()),
            },
            ("isSorted", [Cel::List(items)]) => {
                let orders: Option<Vec<_>> = items.windows(2).map(|pair| compare(&pair[0], &pair[1])).collect();
                orders.map_or_else(no_overload, |orders| Ok(Cel::Bool(!orders.contains(&Ordering::Greater))))
            }
            ("min", [Cel::List(items)]) => extreme(items, Ordering::Less, name),
            ("max", [Cel::List(items)]) => extreme(items, Ordering::Greater, name),
            ("sort", [Cel::List(items)]) => sorted(items.iter().map(|item| (item.clone(), item.clone())).collect()),
            ("sum", [Cel::List(items)]) => self.sum(items),
            ("indexOf", [Cel::List(items), item]) => Ok(place(items.iter().position(|held| equal(held, item)))),
            ("lastIndexOf", [Cel::List(items), item]) => Ok(place(items.iter().rposition(|held| equal(held, item)))),
            ("distinct", [Cel::List(items)]) => {
                if let Err(error) = self.works(items.len().saturating_mul(items.len())) {
                    return Some(Err(error));
                }
                let mut kept: Vec<Cel> = Vec::new();
                for item in items.iter() {
                    if !kept.iter().any(|held| equal(held, item)) {
                        kept.push(item.clone());
                    }
                }
                Ok(list(kept))
            }
            ("sets.contains", [Cel::List(items), Cel::List(others)]) => {
                self.sets(items, others).map(|()| Cel::Bool(has_all(items, others)))
            }
            ("sets.equivalent", [Cel::List(items), Cel::List(others)]) => {
                self.sets(items, others).map(|()| Cel::Bool(has_all(items, others) && has_all(others, items)))
            }
            ("sets.intersects", [Cel::List(items), Cel::List(others)]) => {
                self.sets(items, others).map(|()| Cel::Bool(items.iter().any(|item| others.iter().any(|other| equal(item, other)))))
            }
            _ => return None,
        })
    }

    fn sets(&mut self, items: &[Cel], others: &[Cel]) -> Result<(), String> {
        self.works(items.len().saturating_mul(others.len()))
    }

    fn sum(&mut self, items: &[Cel]) -> Answer {
        let Some((first, others)) = items.split_first() else { return Ok(Cel::Int(0)) };
        others.iter().try_fold(first.clone(), |sum, item| self.arithmetic(operators::ADD, sum, item.clone()))
    }
}

/// Items by their keys; those of equal keys keep their order.
pub(in crate::cel) fn sorted(mut keyed: Vec<(Cel, Cel)>) -> Answer {
    if keyed.windows(2).any(|pair| compare(&pair[0].0, &pair[1].0).is_none()) {
        return no_overload();
    }
    keyed.sort_by(|(a, _), (b, _)| compare(a, b).unwrap_or(Ordering::Equal));
    Ok(list(keyed.into_iter().map(|(_, item)| item).collect()))
}

fn extreme(items: &[Cel], wanted: Ordering, name: &str) -> Answer {
    let Some((first, others)) = items.split_first() else { return Err(format!("{name} called on empty list")) };
    let mut found = first;
    for item in others {
        match compare(item, found) {
            Some(order) if order == wanted => found = item,
            Some(_) => {}
            None => return no_overload(),
        }
    }
    Ok(found.clone())
}

fn place(found: Option<usize>) -> Cel {
    Cel::Int(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
}

fn has_all(items: &[Cel], others: &[Cel]) -> bool {
    others.iter().all(|other| items.iter().any(|item| equal(item, other)))
}
