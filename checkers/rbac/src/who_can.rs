//! The question from the other end: who may.

use crate::{Attributes, MASTERS, Policy, User, items, namespace, text};
use serde_json::Value;
use std::{collections::BTreeSet, fmt};

/// A user, a group, or a service account, as a binding names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Group(String),
    ServiceAccount { namespace: String, name: String },
    User(String),
}

impl Subject {
    /// `None` where the subject is of a kind that RBAC does not know, or a service account of no namespace.
    pub(crate) fn of(subject: &Value, binding: &Value) -> Option<Self> {
        let name = text(subject, "name").to_owned();
        match text(subject, "kind") {
            "User" => Some(Self::User(name)),
            "Group" => Some(Self::Group(name)),
            "ServiceAccount" => {
                let home = match text(subject, "namespace") {
                    "" => namespace(binding),
                    given => given,
                };
                (!home.is_empty()).then(|| Self::ServiceAccount { namespace: home.to_owned(), name })
            }
            _ => None,
        }
    }

    /// The user's name that a member of this subject asks with; empty for a group.
    pub fn user(&self) -> String {
        match self {
            Self::User(name) => name.clone(),
            Self::Group(_) => String::new(),
            Self::ServiceAccount { namespace, name } => format!("system:serviceaccount:{namespace}:{name}"),
        }
    }

    /// The groups that a member of this subject is in for certain.
    pub fn groups(&self) -> Vec<String> {
        let authenticated = || "system:authenticated".to_owned();
        match self {
            Self::User(name) if name == "system:anonymous" => vec!["system:unauthenticated".to_owned()],
            Self::User(_) => vec![authenticated()],
            Self::Group(name) if name == "system:unauthenticated" || *name == authenticated() => vec![name.clone()],
            Self::Group(name) => vec![name.clone(), authenticated()],
            Self::ServiceAccount { namespace, .. } => {
                vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}"), authenticated()]
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(out, "User {name}"),
            Self::Group(name) => write!(out, "Group {name}"),
            Self::ServiceAccount { namespace, name } => write!(out, "ServiceAccount {namespace}/{name}"),
        }
    }
}

/// Every subject that a binding names, once, sorted; `system:masters` is among them.
pub fn subjects(policy: &Policy) -> Vec<Subject> {
    let named = policy.bindings().flat_map(|binding| items(binding, "subjects").filter_map(|subject| Subject::of(subject, binding)));
    let all: BTreeSet<Subject> = named.chain([Subject::Group(MASTERS.to_owned())]).collect();
    all.into_iter().collect()
}

impl Policy {
    /// Whether a member of `subject` may, by whatever binding; the words that say why.
    pub fn allows(&self, subject: &Subject, attributes: &Attributes) -> Option<String> {
        let (user, groups) = (subject.user(), subject.groups());
        crate::authorize(self, User { name: &user, groups: &groups }, attributes)
    }
}
