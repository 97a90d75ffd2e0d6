//! Which mutators contradict each other: every location says which fields are objects and which are lists, and of what key.

use super::{
    location::Step,
    mutator::{Kind, Mutator},
};
use std::collections::{BTreeMap, BTreeSet};

/// Kind and name of a mutator.
type Id = (String, String);

/// What all locations together say of the kinds that they are in.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    conflicts: BTreeSet<Id>,
}

/// A place in objects of one kind.
#[derive(Debug, Default)]
struct Node {
    referenced_by: BTreeSet<Id>,
    must_end: BTreeSet<Id>,
    /// By field, or by the key of a list; then by what is there: `object`, `list`, `set`, `string`, `unknown`.
    children: BTreeMap<String, BTreeMap<&'static str, Node>>,
}

impl Schemas {
    pub fn of<'a>(mutators: impl Iterator<Item = &'a Mutator>) -> Self {
        let mut roots = BTreeMap::<(Kind, &'static str), Node>::new();
        let mut conflicts = BTreeSet::new();
        for mutator in mutators {
            let id = (mutator.kind.clone(), mutator.name.clone());
            for binding in mutator.bindings() {
                let root = roots.entry(binding).or_default();
                root.add(&id, &mutator.location.0, mutator.end(), mutator.must_end(), &mut conflicts);
            }
        }
        Self { conflicts }
    }

    pub fn has_conflict(&self, mutator: &Mutator) -> bool {
        // Few mutators conflict, and a set of none is asked often.
        !self.conflicts.is_empty() && self.conflicts.contains(&(mutator.kind.clone(), mutator.name.clone()))
    }
}

impl Node {
    fn add(&mut self, id: &Id, steps: &[Step], end: &'static str, must_end: bool, conflicts: &mut BTreeSet<Id>) {
        self.referenced_by.insert(id.clone());
        let Some(step) = steps.first() else {
            if must_end {
                self.must_end.insert(id.clone());
            }
            return;
        };
        let key = match step {
            Step::Field(name) => name,
            Step::Item { by, .. } => by,
        };
        // What follows says what is there.
        let kind = match steps.get(1) {
            Some(Step::Field(_)) => "object",
            Some(Step::Item { .. }) => "list",
            None => end,
        };
        let children = self.children.entry(key.clone()).or_default();
        children.entry(kind).or_default().add(id, &steps[1..], end, must_end, conflicts);
        Self::find(children, conflicts);
    }

    fn find(children: &BTreeMap<&'static str, Self>, conflicts: &mut BTreeSet<Id>) {
        let kinds = children.keys().filter(|kind| **kind != "unknown").count();
        for (kind, child) in children {
            let several_keys = *kind == "list" && child.children.len() > 1;
            if *kind != "unknown" && (kinds > 1 || several_keys) {
                conflicts.extend(child.referenced_by.iter().cloned());
            }
        }
        let ends = children.values().any(|child| !child.must_end.is_empty());
        let goes_on = children.values().any(|child| !child.children.is_empty());
        if ends && goes_on {
            for child in children.values() {
                conflicts.extend(child.must_end.iter().cloned());
                let below = child.children.values().flat_map(BTreeMap::values);
                conflicts.extend(below.flat_map(|grandchild| grandchild.referenced_by.iter().cloned()));
            }
        }
    }
}
