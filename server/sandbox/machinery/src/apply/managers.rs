//! `metadata.managedFields`: who owns which fields.

use super::set::Set;
use crate::clock::rfc3339;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// More update entries than this are gathered into one.
const MAX_UPDATE_MANAGERS: usize = 10;
const GATHERED: &str = "ancient-changes";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    pub subresource: String,
    /// As written; empty where it is not known.
    pub time: String,
    pub fields: Set,
}

impl Owner {
    pub fn new(manager: &str, operation: Operation, api_version: String, subresource: &str, now: Timestamp) -> Self {
        Self {
            manager: manager.to_owned(),
            operation,
            api_version,
            subresource: subresource.to_owned(),
            time: rfc3339(now),
            fields: Set::default(),
        }
    }

    /// An applier stays the same over API versions.
    pub fn is_same(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// `"kubectl" with subresource "scale" using apps/v1`.
    pub fn describe(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// Reads the entries of an object; `None` where a client asks to forget them all, with `[{}]`.
pub(super) fn read(object: &Value) -> Option<Vec<Owner>> {
    let entries = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.len() == 1 && entries.first().is_some_and(|entry| entry.as_object().is_some_and(Map::is_empty)) {
        return None;
    }
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let owners = entries.iter().map(|entry| Owner {
        manager: text(entry, "manager"),
        operation: if entry["operation"] == "Apply" { Operation::Apply } else { Operation::Update },
        api_version: text(entry, "apiVersion"),
        subresource: text(entry, "subresource"),
        time: text(entry, "time"),
        fields: Set::parse(&entry["fieldsV1"]),
    });
    Some(owners.filter(|owner| !owner.fields.is_empty()).collect())
}

/// Writes the entries, in Kubernetes' order.
pub(super) fn write(object: &mut Value, mut owners: Vec<Owner>) {
    owners.retain(|owner| !owner.fields.is_empty());
    cap(&mut owners);
    let order = |owner: &Owner| {
        (
            owner.operation == Operation::Update,
            owner.time.clone(),
            owner.manager.clone(),
            owner.api_version.clone(),
            owner.subresource.clone(),
        )
    };
    owners.sort_by_cached_key(order);
    let entries: Vec<Value> = owners
        .iter()
        .map(|owner| {
            let mut entry = json!({
                "manager": owner.manager,
                "operation": if owner.operation == Operation::Apply { "Apply" } else { "Update" },
                "apiVersion": owner.api_version,
                "fieldsType": "FieldsV1",
                "fieldsV1": owner.fields.to_value(),
            });
            if !owner.time.is_empty() {
                entry["time"] = owner.time.clone().into();
            }
            if !owner.subresource.is_empty() {
                entry["subresource"] = owner.subresource.clone().into();
            }
            entry
        })
        .collect();
    forget(object);
    if !entries.is_empty() {
        crate::object::set_meta(object, "managedFields", entries);
    }
}

/// Takes the entries off an object.
pub(super) fn forget(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn cap(owners: &mut Vec<Owner>) {
    let mut updates: Vec<usize> =
        (0..owners.len()).filter(|at| owners.get(*at).is_some_and(|o| o.operation == Operation::Update)).collect();
    if updates.len() <= MAX_UPDATE_MANAGERS {
        return;
    }
    updates.sort_by_key(|at| owners.get(*at).map(|owner| owner.time.clone()));
    updates.truncate(updates.len() - MAX_UPDATE_MANAGERS + 1);
    updates.sort_unstable();
    let mut gathered: Option<Owner> = None;
    for at in updates.into_iter().rev() {
        let owner = owners.remove(at);
        match &mut gathered {
            Some(all) => {
                all.fields.extend(&owner.fields);
                all.time = all.time.clone().max(owner.time);
            }
            None => gathered = Some(Owner { manager: GATHERED.to_owned(), subresource: String::new(), ..owner }),
        }
    }
    owners.extend(gathered);
}
