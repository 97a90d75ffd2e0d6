//! What is known beside policies and objects: everything that a rule may ask for.

mod answers;
mod read;

pub use answers::{Answer, is_namespaced};

use crate::trigger::{KindOf, UserInfo};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Answers to what rules ask a cluster, a registry or the clock.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub now: Timestamp,
    /// Where `random(…)` begins.
    pub seed: u64,
    /// Who sends every request; `None` where nothing is said of it.
    pub user: Option<UserInfo>,
    /// Namespaces that are known, by name.
    pub namespaces: BTreeMap<String, Value>,
    /// Objects of the cluster: what API calls, ConfigMaps, `resource.Get(…)` and clones find.
    pub objects: Vec<Value>,
    /// Objects that `mutate.targets` find.
    pub targets: Vec<Value>,
    /// What a registry says of images: `image` (the reference), `config`, `manifest`, `digest`, and what is signed and attested.
    pub images: Vec<Value>,
    /// Answers to HTTP calls: `urlPath` or `url`, `method`, `response`. A call is a `GET` where no method is named; an empty one stands
    /// for all of them. With a `statusCode` the response is what Kyverno's tests mock: expressions see both, as `body` and `statusCode`.
    pub http: Vec<Value>,
    /// Values of global context entries by name.
    pub global: BTreeMap<String, Value>,
    /// `PolicyException` objects of both groups.
    pub exceptions: Vec<Value>,
    /// Which kinds are subresources of which: `subresource` and `parentResource` with `group`, `version`, `kind`, `name`.
    pub subresources: Vec<Value>,
    /// Values of variables, for what nothing else answers.
    pub values: Values,
}

/// The values files of Kyverno's command line: variables by their path.
#[derive(Debug, Clone, Default)]
pub struct Values {
    pub global: Map<String, Value>,
    pub policies: Vec<PolicyValues>,
}

#[derive(Debug, Clone, Default)]
pub struct PolicyValues {
    pub name: String,
    /// Values by the name of the object.
    pub resources: Vec<(String, Map<String, Value>)>,
    /// Values by the name of the rule.
    pub rules: Vec<(String, Map<String, Value>)>,
}

impl Values {
    /// What is set before a policy looks at an object. `request.operation` is `CREATE` where nothing else is said.
    pub fn of_resource(&self, policy: &str, resource: &str) -> Map<String, Value> {
        let mut values = self.global.clone();
        for policy in self.policies.iter().filter(|p| p.name == policy) {
            for (_, of_resource) in policy.resources.iter().filter(|(name, _)| name == resource) {
                values.extend(of_resource.clone());
            }
        }
        values.entry("request.operation").or_insert_with(|| Value::from("CREATE"));
        values
    }

    /// What is set for a rule. Rules that are generated from it share its values.
    pub fn of_rule(&self, policy: &str, rule: &str) -> Option<&Map<String, Value>> {
        let is = |name: &str| {
            rule == name || rule.strip_prefix("autogen-").is_some_and(|r| r == name || r.strip_prefix("cronjob-") == Some(name))
        };
        self.policies.iter().filter(|p| p.name == policy).flat_map(|p| &p.rules).find(|(name, _)| is(name)).map(|(_, values)| values)
    }
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
            if text(sub, "group") == kind.group && text(sub, "version") == kind.version && text(sub, "kind") == kind.kind {
                let subresource = text(sub, "name").split_once('/').map(|(_, name)| name.to_owned()).unwrap_or_default();
                return KindOf { group: text(parent, "group"), version: text(parent, "version"), kind: text(parent, "kind"), subresource };
            }
        }
        kind
    }
}
