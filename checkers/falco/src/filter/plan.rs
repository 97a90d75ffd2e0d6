//! The conditions of many rules as one graph: what several of them ask is asked once per event.
//!
//! ```text
//! Filters ──equal parts once──► graph ──evt.type known──► branches per event type ──matching(&Event)──► rules
//! ```
//!
//! Comparisons have no effects, so they may be asked in any order: the cheap and the shared ones come first.

use super::{
    Check, Extract, Filter, Node,
    branches::{Branch, branches},
    test::Test,
};
use crate::event::{Event, Value};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Conditions by event type.
#[derive(Debug, Clone)]
pub struct Plan {
    steps: Vec<Step>,
    /// How many answers are remembered while one event is looked at.
    remembered: usize,
    /// By the number of the event type, how the rules are found that fire; the last is for all other types. Types that no condition
    /// tells apart share theirs.
    by_type: Vec<Arc<[Branch]>>,
}

/// Memory that is used again for each event.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    answers: Vec<u8>,
    firing: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Step {
    kind: Kind,
    /// Where its answer is remembered; [`Step::NOWHERE`] where it is asked once.
    place: u32,
}

#[derive(Debug, Clone)]
pub enum Kind {
    Always(bool),
    And(Box<[u32]>),
    Or(Box<[u32]>),
    Not(u32),
    Check(Box<Check>),
}

impl Step {
    const NOWHERE: u32 = u32::MAX;
}

/// An answer that is not there yet, then no or yes.
const UNKNOWN: u8 = 2;

impl Plan {
    /// `types`: names by number. `rules`: for each type, and for all others at the end, the numbers of the filters that may hold.
    /// `type_slot`: where an event has its type, if some condition reads it.
    pub fn new(filters: &[Filter], types: &[&str], rules: &[Vec<u32>], type_slot: Option<u32>) -> Self {
        let mut graph = Graph::default();
        let roots: Vec<u32> = filters.iter().map(|filter| graph.node(&filter.root)).collect();
        let uses = graph.uses(&roots);
        let mut by_type = Vec::with_capacity(rules.len());
        let mut grown: FxHashMap<Vec<(u32, u32)>, Arc<[Branch]>> = FxHashMap::default();
        for (number, rules) in rules.iter().enumerate() {
            let known = types.get(number).zip(type_slot).map(|(name, slot)| (slot, Value::Text((*name).into())));
            let mut folder = Folder {
                graph: &mut graph,
                uses: &uses,
                known,
                nothing: Event { values: Box::default(), event_type: Event::OTHER_TYPE },
                done: FxHashMap::default(),
            };
            let begins: Vec<(u32, u32)> = rules.iter().map(|rule| (*rule, folder.fold(roots[*rule as usize]))).collect();
            by_type.push(grown.entry(begins).or_insert_with_key(|begins| branches(&graph, begins).into()).clone());
        }
        let mut plan = Self { steps: graph.steps, remembered: 0, by_type };
        plan.remember();
        plan
    }

    /// The filters that hold, in their order.
    pub fn matching<'a>(&self, event: &Event, scratch: &'a mut Scratch) -> &'a [usize] {
        let last = self.by_type.len() - 1;
        let branches = self.by_type.get(event.event_type as usize).unwrap_or(&self.by_type[last]);
        scratch.firing.clear();
        if !branches.is_empty() {
            scratch.answers.clear();
            scratch.answers.resize(self.remembered, UNKNOWN);
            branches.iter().for_each(|branch| self.follow(branch, event, scratch));
            scratch.firing.sort_unstable();
        }
        &scratch.firing
    }

    fn follow(&self, branch: &Branch, event: &Event, scratch: &mut Scratch) {
        match branch {
            Branch::Rule(rule) => scratch.firing.push(*rule as usize),
            Branch::If(steps, inner) => {
                if steps.iter().all(|step| self.holds(*step, event, &mut scratch.answers)) {
                    inner.iter().for_each(|branch| self.follow(branch, event, scratch));
                }
            }
            Branch::Maybe(index, inner) => {
                let mut candidates = index.candidates(event);
                while candidates != 0 {
                    self.follow(&inner[candidates.trailing_zeros() as usize], event, scratch);
                    candidates &= candidates - 1;
                }
            }
        }
    }

    fn holds(&self, at: u32, event: &Event, answers: &mut [u8]) -> bool {
        let step = &self.steps[at as usize];
        match answers.get(step.place as usize) {
            Some(&answer) if answer != UNKNOWN => return answer == 1,
            _ => {}
        }
        let holds = match &step.kind {
            Kind::Always(holds) => *holds,
            Kind::And(children) => children.iter().all(|child| self.holds(*child, event, answers)),
            Kind::Or(children) => children.iter().any(|child| self.holds(*child, event, answers)),
            Kind::Not(child) => !self.holds(*child, event, answers),
            Kind::Check(check) => check.holds(event),
        };
        if let Some(answer) = answers.get_mut(step.place as usize) {
            *answer = u8::from(holds);
        }
        holds
    }

    /// Finds a place for the answers that one event asks for more than once.
    fn remember(&mut self) {
        for branches in &self.by_type {
            let mut seen = vec![false; self.steps.len()];
            let mut open = Vec::new();
            branches.iter().for_each(|branch| branch.steps(&mut open));
            while let Some(at) = open.pop() {
                let again = std::mem::replace(&mut seen[at as usize], true);
                let step = &mut self.steps[at as usize];
                if again {
                    if step.place == Step::NOWHERE && !matches!(step.kind, Kind::Always(_)) {
                        step.place = u32::try_from(self.remembered).unwrap_or(Step::NOWHERE);
                        self.remembered += 1;
                    }
                    continue;
                }
                open.extend(step.kind.children());
            }
        }
    }
}

impl Kind {
    fn children(&self) -> &[u32] {
        match self {
            Self::And(children) | Self::Or(children) => children,
            Self::Not(child) => std::slice::from_ref(child),
            Self::Always(_) | Self::Check(_) => &[],
        }
    }
}

/// Steps, equal ones once.
#[derive(Default)]
pub struct Graph {
    steps: Vec<Step>,
    /// A guess at what each step costs, in comparisons of a short text.
    costs: Vec<u32>,
    numbers: FxHashMap<Key, u32>,
}

/// What makes steps equal.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Always(bool),
    And(Box<[u32]>),
    Or(Box<[u32]>),
    Not(u32),
    /// What the comparison prints for debugging: that shows every part of it.
    Check(String),
}

impl Graph {
    pub fn kind(&self, step: u32) -> &Kind {
        &self.steps[step as usize].kind
    }

    pub fn cost(&self, step: u32) -> u32 {
        self.costs[step as usize]
    }

    fn add(&mut self, kind: Kind) -> u32 {
        let key = match &kind {
            Kind::Always(holds) => Key::Always(*holds),
            Kind::And(children) => Key::And(children.clone()),
            Kind::Or(children) => Key::Or(children.clone()),
            Kind::Not(child) => Key::Not(*child),
            Kind::Check(check) => Key::Check(format!("{check:?}")),
        };
        let next = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            let children = kind.children().iter().fold(1, |sum: u32, child| sum.saturating_add(self.costs[*child as usize]));
            self.costs.push(if let Kind::Check(check) = &kind { check.cost() } else { children });
            self.steps.push(Step { kind, place: Step::NOWHERE });
        }
        number
    }

    fn node(&mut self, node: &Node) -> u32 {
        let kind = match node {
            Node::And(children) => Kind::And(children.iter().map(|child| self.node(child)).collect()),
            Node::Or(children) => Kind::Or(children.iter().map(|child| self.node(child)).collect()),
            Node::Not(child) => Kind::Not(self.node(child)),
            Node::Check(check) => Kind::Check(Box::new(check.clone())),
        };
        self.add(kind)
    }

    /// How often each step is part of another one, or of a rule.
    fn uses(&self, roots: &[u32]) -> Vec<u32> {
        let mut uses = vec![0; self.steps.len()];
        let children = self.steps.iter().flat_map(|step| step.kind.children());
        children.chain(roots).for_each(|child| uses[*child as usize] += 1);
        uses
    }
}

/// Makes a condition smaller for one type of events.
struct Folder<'a> {
    graph: &'a mut Graph,
    uses: &'a [u32],
    /// The slot of `evt.type` and what it holds.
    known: Option<(u32, Value)>,
    /// What a comparison with constants reads of the rest of an event.
    nothing: Event,
    done: FxHashMap<u32, u32>,
}

impl Folder<'_> {
    fn fold(&mut self, at: u32) -> u32 {
        if let Some(done) = self.done.get(&at) {
            return *done;
        }
        let made = match self.graph.steps[at as usize].kind.clone() {
            Kind::And(children) => self.many(&children, true),
            Kind::Or(children) => self.many(&children, false),
            Kind::Not(child) => {
                let child = self.fold(child);
                match self.graph.steps[child as usize].kind {
                    Kind::Always(holds) => self.graph.add(Kind::Always(!holds)),
                    _ => self.graph.add(Kind::Not(child)),
                }
            }
            Kind::Check(check) => match (&self.known, &check.left, &check.test) {
                (Some((slot, value)), Extract::Slot(left), test) if slot == left && !matches!(test, Test::Field(..)) => {
                    let holds = test.holds(value, &self.nothing);
                    self.graph.add(Kind::Always(holds))
                }
                _ => at,
            },
            Kind::Always(_) => at,
        };
        self.done.insert(at, made);
        made
    }

    /// All of them, or any of them. `and`: what does not change the outcome is left out, what decides it is the outcome.
    fn many(&mut self, children: &[u32], and: bool) -> u32 {
        let mut kept: Vec<(u32, u32)> = Vec::new();
        for child in children {
            let folded = self.fold(*child);
            let uses = self.uses.get(*child as usize).copied().unwrap_or(1).max(1);
            let (costs, kind) = (&self.graph.costs, &self.graph.steps[folded as usize].kind);
            match kind {
                Kind::Always(holds) if *holds == and => {}
                Kind::Always(_) => return self.graph.add(Kind::Always(!and)),
                // What nobody else asks needs no step of its own.
                Kind::And(inner) if and && uses == 1 => kept.extend(inner.iter().map(|inner| (costs[*inner as usize], *inner))),
                Kind::Or(inner) if !and && uses == 1 => kept.extend(inner.iter().map(|inner| (costs[*inner as usize], *inner))),
                _ => kept.push((costs[folded as usize] / uses, folded)),
            }
        }
        kept.sort_unstable();
        kept.dedup();
        let kept: Box<[u32]> = kept.into_iter().map(|(_, child)| child).collect();
        match &*kept {
            [] => self.graph.add(Kind::Always(and)),
            [only] => *only,
            _ => self.graph.add(if and { Kind::And(kept) } else { Kind::Or(kept) }),
        }
    }
}

impl Check {
    fn cost(&self) -> u32 {
        let values = if matches!(self.left, Extract::Slot(_)) { 1 } else { 16 };
        self.test.cost().saturating_mul(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Schema,
        fields::Source,
        filter::{EventTypes, compile, event_types},
        syntax::parse,
    };
    use serde_json::{Map, Value as Json, json};

    struct Dice(u64);

    impl Dice {
        fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            &items[(self.0 >> 33) as usize % items.len()]
        }

        fn condition(&mut self, depth: u32) -> String {
            const CHECKS: &[&str] = &[
                "evt.type = open",
                "evt.type in (open, openat)",
                "evt.type != execve",
                "evt.type startswith open",
                "evt.type exists",
                "proc.name in (cat, bash)",
                "proc.name = cat",
                "proc.name != bash",
                "proc.name contains a",
                "proc.name = val(evt.type)",
                "proc.pid > 2",
                "proc.pid exists",
                "fd.name glob /e*",
                "fd.name startswith /etc",
                "fd.name endswith x",
                "fd.name glob *p",
                "fd.sport in (80, 443)",
                "fd.sport = 80",
                "fd.port = 443",
                "fd.ip != 10.0.0.1",
                "proc.aname in (cat, bash)",
                "proc.aname intersects (sh, cat)",
                "toupper(proc.name) = CAT",
            ];
            let kind = if depth == 0 { 0 } else { *self.pick(&[0, 1, 1, 2, 2, 3]) };
            match kind {
                0 => (*self.pick(CHECKS)).to_owned(),
                3 => format!("not ({})", self.condition(depth - 1)),
                _ => {
                    let word = if kind == 1 { " and " } else { " or " };
                    let parts: Vec<String> = (0..*self.pick(&[2, 3])).map(|_| format!("({})", self.condition(depth - 1))).collect();
                    parts.join(word)
                }
            }
        }

        fn event(&mut self) -> Map<String, Json> {
            let mut event = Map::new();
            let values: &[(&str, &[Json])] = &[
                ("evt.type", &[json!("open"), json!("openat"), json!("execve"), json!("close"), json!(7)]),
                ("proc.name", &[json!("cat"), json!("bash"), json!("open"), json!("")]),
                ("proc.pid", &[json!(1), json!(3)]),
                ("fd.name", &[json!("/etc/x"), json!("/tmp"), json!("/e")]),
                ("fd.sport", &[json!(80), json!(81)]),
                ("fd.cip", &[json!("10.0.0.1"), json!("10.0.0.2")]),
                ("fd.sip", &[json!("10.0.0.1"), json!("10.0.0.3")]),
                ("proc.aname", &[json!(["cat", "bash"]), json!(["bash", "sh"])]),
            ];
            for (field, values) in values {
                if *self.pick(&[true, true, true, false]) {
                    event.insert((*field).to_owned(), self.pick(values).clone());
                }
            }
            event
        }
    }

    #[test]
    fn a_plan_says_what_its_conditions_say() {
        let (mut held, mut remembered, mut indexed, mut scratch) = (0, 0, 0, Scratch::default());
        for seed in 0..120 {
            let mut dice = Dice(seed);
            let texts: Vec<String> = (0..12).map(|_| dice.condition(if seed % 2 == 0 { 3 } else { 1 })).collect();
            let mut schema = Schema::default();
            let (mut filters, mut kinds) = (Vec::new(), Vec::new());
            for text in &texts {
                let condition = parse(text).expect("a condition");
                filters.push(compile(&condition, Source::Syscall, &mut schema).expect("a filter").0);
                kinds.push(event_types(&condition));
            }
            for name in ["open", "openat", "execve"] {
                schema.event_type(name);
            }
            let types = schema.event_types();
            let may = |kind: &EventTypes, name: Option<&&str>| match kind {
                EventTypes::Only(names) => name.is_some_and(|name| names.contains(*name)),
                EventTypes::AllBut(names) => !name.is_some_and(|name| names.contains(*name)),
            };
            let candidates: Vec<Vec<u32>> = types
                .iter()
                .map(Some)
                .chain([None])
                .map(|name| (0..).zip(&kinds).filter(|(_, kind)| may(kind, name)).map(|(number, _)| number).collect())
                .collect();
            let plan = Plan::new(&filters, &types, &candidates, schema.type_slot());
            remembered += plan.remembered;
            indexed +=
                plan.by_type.iter().flat_map(|branches| branches.iter()).filter(|branch| matches!(branch, Branch::Maybe(..))).count();
            for _ in 0..100 {
                let fields = dice.event();
                let event = schema.decode(&fields);
                let bucket = &candidates[(event.event_type as usize).min(types.len())];
                let want: Vec<usize> =
                    bucket.iter().map(|number| *number as usize).filter(|number| filters[*number].matches(&event)).collect();
                let got = plan.matching(&event, &mut scratch);
                assert_eq!(got, want, "seed {seed}: {fields:?}\n{}", texts.join("\n"));
                held += got.len();
            }
        }
        assert!(held > 5_000 && remembered > 200 && indexed > 50, "the dice are loaded: {held}, {remembered}, {indexed}");
    }
}
