//! Mutation: what the mutation webhook makes of an object.
//!
//! <https://open-policy-agent.github.io/gatekeeper/website/docs/mutation/>. Mutators are applied by kind and name, again and again, until
//! nothing changes; where that does not come about, mutation fails. Mutators whose locations contradict each other are not applied.

mod apply;
mod conflict;
mod image;
mod location;
mod mutator;

pub use location::Location;
pub(crate) use mutator::ApplyTo;
pub use mutator::Mutator;

use crate::{Finding, Matchable, Origin, group_version, text};
use conflict::Schemas;
use machinery::object;
use serde_json::Value;
use std::collections::BTreeMap;

/// Why an object could not be mutated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MutationError {
    #[error("matching for mutator {0} failed: {1}")]
    Matching(String, String),
    #[error("mutator {0} failed: {1}")]
    Applying(String, String),
    #[error("mutation not converging for {0}: the mutators {1} change it again and again")]
    NotConverging(String, String),
}

/// An object to mutate.
#[derive(Debug, Clone, Copy)]
pub struct Mutable<'a> {
    pub namespace: Option<&'a Value>,
    pub origin: Origin,
    /// `CREATE`, `UPDATE`, or empty where nobody asked.
    pub operation: &'a str,
}

/// All mutators of a cluster.
#[derive(Debug, Default)]
pub struct System {
    mutators: BTreeMap<(String, String), Mutator>,
    schemas: Schemas,
}

/// Whether an object is a mutator.
pub fn is_mutator(given: &Value) -> bool {
    group_version(text(&given["apiVersion"])).0 == mutator::GROUP
        && matches!(object::kind(given), "Assign" | "AssignMetadata" | "ModifySet" | "AssignImage")
}

impl System {
    /// Adds a mutator or replaces the one of its kind and name.
    pub fn add(&mut self, given: &Value) -> Result<(), Finding> {
        let mutator = Mutator::read(given)?;
        self.mutators.insert((mutator.kind.clone(), mutator.name.clone()), mutator);
        self.schemas = Schemas::of(self.mutators.values());
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.mutators.is_empty()
    }

    /// Mutators that are not applied, because their locations make different things of the same field.
    pub fn conflicts(&self) -> impl Iterator<Item = &Mutator> {
        self.mutators.values().filter(|mutator| self.schemas.has_conflict(mutator))
    }

    /// Applies all mutators; the mutators that changed something, in the order in which they first did.
    pub fn mutate(&self, object: &mut Value, about: &Mutable) -> Result<Vec<&Mutator>, MutationError> {
        let most = self.mutators.len() + 1;
        let mut applied: Vec<&Mutator> = Vec::new();
        let mut last = Vec::new();
        for _ in 0..most {
            let before = object.clone();
            last.clear();
            for mutator in self.mutators.values().filter(|mutator| !self.schemas.has_conflict(mutator)) {
                let id = || format!("{} {}", mutator.kind, mutator.name);
                let target = Matchable { object: &*object, namespace: about.namespace, origin: about.origin };
                if !mutator.is_about(&target, about.operation).map_err(|why| MutationError::Matching(id(), why))? {
                    continue;
                }
                let unchanged = object.clone();
                mutator.apply(object).map_err(|why| MutationError::Applying(id(), why))?;
                if *object != unchanged {
                    last.push(mutator);
                }
            }
            if *object == before {
                return Ok(applied);
            }
            for mutator in &last {
                if !applied.iter().any(|held| std::ptr::eq(*held, *mutator)) {
                    applied.push(*mutator);
                }
            }
        }
        let names: Vec<_> = last.iter().map(|mutator| format!("{} {}", mutator.kind, mutator.name)).collect();
        let of = format!("{} {}", object::kind(object), object::name(object));
        Err(MutationError::NotConverging(of, names.join(", ")))
    }
}
