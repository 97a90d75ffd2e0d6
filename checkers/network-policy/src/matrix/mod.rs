//! Everybody to everybody on one port, at once.
//!
//! ```text
//! endpoints ──what policies can tell of them──► classes ──which policies select them──► rows
//! ```
//!
//! Endpoints that no selector, address block or named port tells apart form one class. Per direction, classes that the same policies select
//! share a row: a bit set of the classes at the other end that it allows. So a cell is two look-ups.

mod classes;
mod finder;

use crate::{
    admin::{Action, Tier},
    bits::Bits,
    cluster::{Cluster, share_node},
    resource::Protocol,
    verdict::Direction,
};
use classes::{Classes, Key};
use finder::{Finder, Side};
use std::{collections::HashMap, rc::Rc};

#[derive(Debug)]
pub struct Matrix<'a> {
    cluster: &'a Cluster,
    /// Class of each endpoint.
    class: Vec<usize>,
    /// Per class, what a source may go to.
    egress: Vec<Rc<Row>>,
    /// Per class, what a destination lets in.
    ingress: Vec<Rc<Row>>,
}

/// What one side allows; `None` is everything.
#[derive(Debug)]
struct Row {
    allowed: Option<Bits>,
    /// The same without NetworkPolicies, which do not bind what goes to the pod's own node.
    by_administrators: Option<Bits>,
}

/// The policies that select a class for one direction, by index, and the side that is asked.
type Signature<'a> = (Vec<usize>, Vec<usize>, Side<'a>);

/// What is decided so far.
#[derive(Clone)]
struct State {
    open: Bits,
    allowed: Bits,
}

/// What one administrator's policy says, whatever comes before it.
struct Effect {
    allow: Bits,
    deny: Bits,
    pass: Bits,
}

impl Cluster {
    /// Cost: endpoints and policies once each, rows times the policies that select them, classes per word of 64.
    pub fn matrix(&self, protocol: Protocol, port: u16) -> Matrix<'_> {
        let classes = Classes::of(self, protocol, port);
        let [egress, ingress] =
            [Direction::Egress, Direction::Ingress].map(|direction| Rows::new(self, &classes, protocol, port).of(direction));
        Matrix { cluster: self, class: classes.of, egress, ingress }
    }
}

impl Matrix<'_> {
    pub fn allowed(&self, from: usize, to: usize) -> bool {
        let endpoints = &self.cluster.endpoints;
        if from == to {
            return true;
        }
        let (source, destination) = (self.class[from], self.class[to]);
        let (egress, ingress) = (&self.egress[source], &self.ingress[destination]);
        let allows = |row: &Option<Bits>, class| row.as_ref().is_none_or(|bits: &Bits| bits.get(class));
        if share_node(&endpoints[from], &endpoints[to]) {
            return allows(&egress.by_administrators, destination) && allows(&ingress.by_administrators, source);
        }
        allows(&egress.allowed, destination) && allows(&ingress.allowed, source)
    }

    /// How many kinds of endpoints the policies tell apart.
    pub fn classes(&self) -> usize {
        self.egress.len()
    }

    /// One string per endpoint: `.` reachable, `X` not; rows are sources.
    pub fn rows(&self) -> Vec<String> {
        let count = self.cluster.endpoints.len();
        (0..count).map(|from| (0..count).map(|to| if self.allowed(from, to) { '.' } else { 'X' }).collect()).collect()
    }
}

/// Makes the rows of one direction.
struct Rows<'a> {
    cluster: &'a Cluster,
    classes: &'a Classes<'a>,
    finder: Finder<'a>,
    policies: HashMap<(usize, Side<'a>), Bits>,
    effects: HashMap<(usize, Side<'a>), Effect>,
}

impl<'a> Rows<'a> {
    fn new(cluster: &'a Cluster, classes: &'a Classes<'a>, protocol: Protocol, port: u16) -> Self {
        let finder = Finder::new(cluster, classes, protocol, port);
        Self { cluster, classes, finder, policies: HashMap::new(), effects: HashMap::new() }
    }

    fn of(mut self, direction: Direction) -> Vec<Rc<Row>> {
        let classes = self.classes;
        let count = classes.keys.len();
        let (mut admin, mut selecting) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        for (index, policy) in self.cluster.admin_policies.iter().enumerate().filter(|(_, policy)| !policy.rules(direction).is_empty()) {
            self.finder.subjects(&policy.subject).iter().for_each(|class| admin[class].push(index));
        }
        for (index, policy) in self.cluster.policies.iter().enumerate().filter(|(_, policy)| policy.rules(direction).is_some()) {
            self.finder.selected(policy).iter().for_each(|class| selecting[class].push(index));
        }
        let mut rows: HashMap<Signature<'a>, Rc<Row>> = HashMap::new();
        let row_of = |(key, (admin, policies)): (&'a Key<'a>, (Vec<usize>, Vec<usize>))| {
            let side = match direction {
                Direction::Egress => Side::Egress,
                Direction::Ingress => Side::Ingress { ipv6: key.ipv6, port_names: &key.port_names },
            };
            let row = rows.entry((admin, policies, side));
            Rc::clone(row.or_insert_with_key(|(admin, policies, side)| Rc::new(self.row(admin, policies, *side))))
        };
        classes.keys.iter().zip(admin.into_iter().zip(selecting)).map(row_of).collect()
    }

    fn row(&mut self, admin: &[usize], policies: &[usize], side: Side<'a>) -> Row {
        let (first, last) = admin.split_at(admin.partition_point(|index| self.cluster.admin_policies[*index].tier == Tier::Admin));
        let mut state = State { open: self.finder.all(), allowed: self.finder.none() };
        self.tier(first, side, &mut state);
        let by_administrators = (!admin.is_empty()).then(|| {
            let mut state = state.clone();
            self.tier(last, side, &mut state);
            state.allowed.or(&state.open);
            state.allowed
        });
        if policies.is_empty() {
            return Row { allowed: by_administrators.clone(), by_administrators };
        }
        let mut allowed = self.finder.none();
        policies.iter().for_each(|index| allowed.or(self.policy(*index, side)));
        allowed.and(&state.open);
        allowed.or(&state.allowed);
        Row { allowed: Some(allowed), by_administrators }
    }

    /// What the policies of one tier decide is no longer open afterwards.
    fn tier(&mut self, policies: &[usize], side: Side<'a>, state: &mut State) {
        let mut passed = self.finder.none();
        for index in policies {
            let effect = self.effect(*index, side);
            state.allowed.or(&effect.allow.both(&state.open));
            passed.or(&effect.pass.both(&state.open));
            [&effect.allow, &effect.deny, &effect.pass].into_iter().for_each(|decided| state.open.and_not(decided));
        }
        state.open.or(&passed);
    }

    /// The classes that a NetworkPolicy's rules allow.
    fn policy(&mut self, index: usize, side: Side<'a>) -> &Bits {
        let policy = &self.cluster.policies[index];
        let finder = &mut self.finder;
        self.policies.entry((index, side)).or_insert_with(|| {
            let mut allowed = finder.none();
            let rules = policy.rules(side.direction()).unwrap_or_default();
            rules.iter().for_each(|rule| allowed.or(&finder.about(rule, &policy.namespace, side)));
            allowed
        })
    }

    fn effect(&mut self, index: usize, side: Side<'a>) -> &Effect {
        let policy = &self.cluster.admin_policies[index];
        let finder = &mut self.finder;
        self.effects.entry((index, side)).or_insert_with(|| {
            let mut effect = Effect { allow: finder.none(), deny: finder.none(), pass: finder.none() };
            let mut decided = finder.none();
            for rule in policy.rules(side.direction()) {
                let mut about = finder.about(&rule.rule, "", side);
                about.and_not(&decided);
                decided.or(&about);
                match rule.action {
                    Action::Allow => effect.allow.or(&about),
                    Action::Deny => effect.deny.or(&about),
                    Action::Pass => effect.pass.or(&about),
                }
            }
            effect
        })
    }
}
