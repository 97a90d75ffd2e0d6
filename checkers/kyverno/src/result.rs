//! What a rule says of an object.

use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// The words of Kyverno's policy reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Pass,
    Fail,
    Warn,
    Error,
    Skip,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Skip => "skip",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RuleType {
    Mutation,
    Validation,
    Generation,
    ImageVerify,
    Deletion,
}

/// One rule on one object. A rule that does not match the object has none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleResult {
    /// `name`, or `namespace/name` of a policy in a namespace.
    pub policy: String,
    /// The kind of the policy.
    pub kind: &'static str,
    /// `autogen-X` for what stands for rule X on the controllers of pods; empty for the policies that have no rules.
    pub rule: String,
    /// Kyverno's own name of the rule, where it is another: `autogen-cronjob-X`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_rule: Option<String>,
    pub rule_type: RuleType,
    /// `namespace/Kind/name`, without the namespace where there is none. Of a rule that changes other objects: the other object.
    pub resource: String,
    #[serde(rename = "result")]
    pub status: Status,
    pub message: String,
    /// The object after all mutations up to this rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patched: Option<Value>,
    /// Other objects that the rule changed (`mutate.targets`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generated: Vec<Value>,
    /// The exceptions that made it a skip, as `namespace/name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<String>,
}

impl RuleResult {
    pub fn new(
        kind: &'static str,
        policy: &str,
        rule: &str,
        rule_type: RuleType,
        resource: &Value,
        status: Status,
        message: impl Into<String>,
    ) -> Self {
        Self {
            policy: policy.to_owned(),
            kind,
            rule: rule.to_owned(),
            generated_rule: None,
            rule_type,
            resource: resource_id(resource),
            status,
            message: message.into(),
            patched: None,
            targets: Vec::new(),
            generated: Vec::new(),
            exceptions: Vec::new(),
        }
    }
}

/// `namespace/Kind/name`.
fn resource_id(resource: &Value) -> String {
    let text = |pointer: &str| resource.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = match text("/metadata/name") {
        "" => text("/metadata/generateName"),
        name => name,
    };
    match text("/metadata/namespace") {
        "" => format!("{}/{name}", text("/kind")),
        namespace => format!("{namespace}/{}/{name}", text("/kind")),
    }
}
