//! The request that policies judge: an object, what it was before, who sends it.

use crate::evidence::Evidence;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    #[default]
    Create,
    Update,
    Delete,
    Connect,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        })
    }
}

/// Who sends the request: `request.userInfo`, and the roles that are bound to them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UserInfo {
    pub roles: Vec<String>,
    pub cluster_roles: Vec<String>,
    /// `username`, `groups`, `uid`, `extra`: authentication.k8s.io/v1.
    pub user_info: Value,
}

impl UserInfo {
    pub fn username(&self) -> &str {
        self.user_info.get("username").and_then(Value::as_str).unwrap_or_default()
    }

    pub fn groups(&self) -> Vec<&str> {
        self.user_info.get("groups").and_then(Value::as_array).map(|g| g.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }
}

/// Group, version and kind of what a request is about, with the subresource, if it is about one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KindOf {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub subresource: String,
}

impl KindOf {
    pub fn of(object: &Value) -> Self {
        let api_version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned(), subresource: String::new() }
    }
}

#[derive(Debug, Clone)]
pub struct Trigger {
    pub kind: KindOf,
    pub object: Value,
    pub namespace_labels: BTreeMap<String, String>,
    pub user: UserInfo,
}

impl Trigger {
    pub fn of(object: &Value, evidence: &Evidence) -> Self {
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        Self {
            kind: evidence.parent_of(KindOf::of(object)),
            object: object.clone(),
            namespace_labels: evidence.namespace_labels(namespace),
            user: evidence.user.clone().unwrap_or_default(),
        }
    }
}
