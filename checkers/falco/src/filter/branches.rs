//! In which order the rules of one event type are asked: what several of them need comes first, and where it does not hold, none
//! of them is looked at. Of rules that share nothing more, an [`Index`] finds those that may fire by what the event says.
//!
//! ```text
//! a and b and x → 1      If [a] ─┬─ If [b] ─── Maybe {x → 1, y → 2}
//! a and b and y → 2  ──►         └─ If [c] ─── Rule 3
//! a and c       → 3
//! ```

use super::{
    index::{self, Index},
    plan::{Graph, Kind},
};
use rustc_hash::FxHashMap;

/// Below this depth nothing is put in front of others any more: the answers are remembered anyway.
const MAX_DEPTH: u32 = 32;
/// So few rules are asked one by one.
const FEW: usize = 3;

#[derive(Debug, Clone)]
pub enum Branch {
    /// It fires.
    Rule(u32),
    /// What is asked only where all of these steps hold.
    If(Box<[u32]>, Box<[Branch]>),
    /// One branch for each of the index' entries.
    Maybe(Box<Index>, Box<[Branch]>),
}

/// A rule and the steps that must still hold for it.
struct Open {
    rule: u32,
    steps: Vec<u32>,
}

impl Branch {
    /// Every step that it may ask for.
    pub fn steps(&self, steps: &mut Vec<u32>) {
        match self {
            Self::Rule(_) => {}
            Self::If(asked, inner) => {
                steps.extend(asked);
                inner.iter().for_each(|branch| branch.steps(steps));
            }
            Self::Maybe(_, inner) => inner.iter().for_each(|branch| branch.steps(steps)),
        }
    }
}

/// The branches of rules, each with the step that decides it.
pub fn branches(graph: &Graph, rules: &[(u32, u32)]) -> Box<[Branch]> {
    let open = rules.iter().filter_map(|(rule, begin)| {
        let steps = match graph.kind(*begin) {
            Kind::Always(false) => return None,
            Kind::Always(true) => Vec::new(),
            Kind::And(children) => children.to_vec(),
            _ => vec![*begin],
        };
        Some(Open { rule: *rule, steps })
    });
    grow(graph, open.collect(), 0)
}

fn grow(graph: &Graph, open: Vec<Open>, depth: u32) -> Box<[Branch]> {
    let mut users: FxHashMap<u32, Vec<usize>> = FxHashMap::default();
    for (at, rule) in open.iter().enumerate() {
        for step in &rule.steps {
            users.entry(*step).or_default().push(at);
        }
    }
    let mut shared: Vec<(u32, u32)> = users.iter().filter(|(_, users)| users.len() > 1 && depth < MAX_DEPTH).map(price(graph)).collect();
    shared.sort_unstable();
    let mut open: Vec<Option<Open>> = open.into_iter().map(Some).collect();
    let mut made = Vec::new();
    for (_, step) in shared {
        let group: Vec<usize> = users[&step].iter().copied().filter(|at| open[*at].is_some()).collect();
        if group.len() > 1 {
            let group = group.into_iter().filter_map(|at| open[at].take()).collect();
            made.push(guarded(graph, group, depth));
        }
    }
    alone(graph, open.into_iter().flatten().collect(), &mut made);
    made.into()
}

/// What a step costs each of its users.
fn price(graph: &Graph) -> impl Fn((&u32, &Vec<usize>)) -> (u32, u32) {
    |(step, users)| (graph.cost(*step).saturating_mul(64) / u32::try_from(users.len()).unwrap_or(u32::MAX), *step)
}

/// Rules that share at least one step: all that they share is asked once.
fn guarded(graph: &Graph, mut group: Vec<Open>, depth: u32) -> Branch {
    let mut counts: FxHashMap<u32, usize> = FxHashMap::default();
    group.iter().flat_map(|rule| &rule.steps).for_each(|step| *counts.entry(*step).or_default() += 1);
    let mut common: Vec<u32> = counts.into_iter().filter(|(_, count)| *count == group.len()).map(|(step, _)| step).collect();
    common.sort_unstable_by_key(|step| (graph.cost(*step), *step));
    for rule in &mut group {
        rule.steps.retain(|step| !common.contains(step));
    }
    Branch::If(common.into(), grow(graph, group, depth + 1))
}

/// Rules that share nothing.
fn alone(graph: &Graph, rules: Vec<Open>, made: &mut Vec<Branch>) {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for rule in rules {
        match index::needs(graph, &rule.steps) {
            Some(needs) => found.push((rule, needs)),
            None => others.push(rule),
        }
    }
    if found.len() <= FEW {
        others.extend(found.drain(..).map(|(rule, _)| rule));
    }
    let mut found = found.into_iter().peekable();
    while found.peek().is_some() {
        let (rules, needs): (Vec<Open>, Vec<_>) = found.by_ref().take(Index::ENTRIES).unzip();
        made.push(Branch::Maybe(Box::new(Index::new(&needs)), rules.into_iter().map(chain).collect()));
    }
    made.extend(others.into_iter().map(chain));
}

/// One rule, its steps in the order of their costs, which the graph gave them.
fn chain(rule: Open) -> Branch {
    let fires = Branch::Rule(rule.rule);
    if rule.steps.is_empty() { fires } else { Branch::If(rule.steps.into(), Box::new([fires])) }
}
