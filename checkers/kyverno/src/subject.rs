//! One object under one policy: the request as the rules of the policy see it.

use crate::{
    policy::KyvernoPolicy,
    trigger::{KindOf, Operation, UserInfo},
};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub struct Subject<'a> {
    pub policy: &'a KyvernoPolicy,
    pub kind: KindOf,
    pub operation: Operation,
    /// `None` where nothing is known of who sends the request.
    pub user: Option<UserInfo>,
    pub namespace_labels: BTreeMap<String, String>,
    /// The object as it will be; `None` where it is deleted.
    pub new: Option<Value>,
    pub old: Option<Value>,
    /// The element of the loop that patterns look at instead.
    pub element: Option<Value>,
}

impl Subject<'_> {
    /// The object that rules match: the new one, or the old one where there is no new one.
    pub fn object(&self) -> Option<&Value> {
        self.new.as_ref().or(self.old.as_ref())
    }

    pub fn deletes(&self) -> bool {
        self.operation == Operation::Delete
    }

    pub fn updates(&self) -> bool {
        self.operation == Operation::Update || self.old.is_some() && self.new.is_some()
    }
}
