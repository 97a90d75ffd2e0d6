//! What is known beside policies and objects: everything that a rule may ask for.

use crate::trigger::{KindOf, UserInfo};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// Answers to what rules ask a cluster, a registry or the clock.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub now: Timestamp,
    /// Who sends every request.
    pub user: UserInfo,
    /// Namespaces that are known, by name.
    pub namespaces: BTreeMap<String, Value>,
    /// Objects of the cluster: what API calls, ConfigMaps, `resource.Get(…)` and clones find.
    pub objects: Vec<Value>,
    /// Objects that `mutate.targets` find.
    pub targets: Vec<Value>,
    /// What a registry says of images: `image` (the reference), `config`, `manifest`, `digest`, and what is signed and attested.
    pub images: Vec<Value>,
    /// Answers to HTTP calls: `urlPath` or `url`, `method`, `response`.
    pub http: Vec<Value>,
    /// Values of global context entries by name.
    pub global: BTreeMap<String, Value>,
    /// `PolicyException` objects of both groups.
    pub exceptions: Vec<Value>,
    /// Which kinds are subresources of which: `subresource` and `parentResource` with `group`, `version`, `kind`, `name`.
    pub subresources: Vec<Value>,
}

impl Evidence {
    pub fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let labels = self.namespaces.get(namespace).and_then(|n| n.pointer("/metadata/labels")).and_then(Value::as_object);
        labels.into_iter().flatten().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    }

    /// `Pod` with the subresource `exec` for a `PodExecOptions` that is declared so.
    pub fn parent_of(&self, kind: KindOf) -> KindOf {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        for entry in &self.subresources {
            let (Some(sub), Some(parent)) = (entry.get("subresource"), entry.get("parentResource")) else { continue };
            if (text(sub, "group"), text(sub, "version"), text(sub, "kind"))
                == (kind.group.clone(), kind.version.clone(), kind.kind.clone())
            {
                let subresource = text(sub, "name").split_once('/').map(|(_, name)| name.to_owned()).unwrap_or_default();
                return KindOf { group: text(parent, "group"), version: text(parent, "version"), kind: text(parent, "kind"), subresource };
            }
        }
        kind
    }
}
