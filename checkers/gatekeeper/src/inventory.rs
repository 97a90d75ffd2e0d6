//! `data.inventory`: the objects of the cluster that constraints may refer to.

use crate::{group_version, text};
use machinery::object;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Objects by group and version, kind and name.
type Scope = BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>>;

/// What is known of a cluster, as Rego sees it.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    cluster: Scope,
    namespaces: BTreeMap<String, Scope>,
}

impl Inventory {
    /// Adds an object; the error says what it lacks.
    pub fn add(&mut self, added: &Value) -> Result<(), String> {
        let (api_version, kind, name) = (text(&added["apiVersion"]), text(&added["kind"]), object::name(added));
        if group_version(api_version).1.is_empty() {
            return Err(format!("resource {name} has no version"));
        }
        if kind.is_empty() {
            return Err(format!("resource {name} has no kind"));
        }
        let scope = match object::namespace(added) {
            "" => &mut self.cluster,
            namespace => self.namespaces.entry(namespace.to_owned()).or_default(),
        };
        let kinds = scope.entry(api_version.to_owned()).or_default();
        kinds.entry(kind.to_owned()).or_default().insert(name.to_owned(), added.clone());
        Ok(())
    }

    /// A Namespace by its name.
    pub fn namespace(&self, name: &str) -> Option<&Value> {
        self.cluster.get("v1")?.get("Namespace")?.get(name)
    }

    /// What `data` holds: nothing is there that no object is in.
    pub(crate) fn to_data(&self) -> Value {
        let mut inventory = Map::new();
        if !self.cluster.is_empty() {
            inventory.insert("cluster".to_owned(), json!(self.cluster));
        }
        if !self.namespaces.is_empty() {
            inventory.insert("namespace".to_owned(), json!(self.namespaces));
        }
        if inventory.is_empty() { json!({}) } else { json!({"inventory": inventory}) }
    }
}
