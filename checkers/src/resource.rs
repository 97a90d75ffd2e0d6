//! An object is there, or is not, and its fields are as they should be.
//!
//! Controls: `<control of the check>/exists`, `<control of the check>/<id of the field>`.

use crate::{
    evidence::Evidence,
    path,
    scope::{Scope, object_name},
    spec::{EVIDENCE_KINDS, Kind},
    verdict::{Finding, Verdict},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resource {
    /// First part of the findings' controls.
    pub control: String,
    pub api_version: String,
    pub kind: String,
    /// Empty: cluster-scoped, or any namespace.
    #[serde(default)]
    pub namespace: String,
    /// Empty: any object with the labels.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub expect: Existence,
    /// Every object found must satisfy all of them.
    #[serde(default)]
    pub fields: Vec<FieldCheck>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Existence {
    #[default]
    Present,
    Absent,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldCheck {
    /// Last part of the control.
    pub id: String,
    /// As `spec.template.spec.containers[name=serving].image`.
    pub path: String,
    pub is: Condition,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    Equal(Value),
    NotEqual(Value),
    OneOf(Vec<Value>),
    Present,
    Absent,
    /// A text that holds this one, or an array with this item.
    Contains(Value),
    StartsWith(String),
    AtLeast(i64),
    AtMost(i64),
}

impl Resource {
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let known = EVIDENCE_KINDS.iter().any(|(api, kind)| *api == self.api_version && *kind == self.kind);
        if known { Vec::new() } else { vec![Kind { api_version: self.api_version.clone(), kind: self.kind.clone() }] }
    }

    pub(crate) fn check(&self, evidence: &Evidence) -> Verdict {
        let scope = Scope { namespace: self.namespace.clone(), labels: self.labels.clone() };
        let found: Vec<&Value> = evidence
            .objects
            .iter()
            .filter(|o| o["kind"] == self.kind.as_str() && o["apiVersion"] == self.api_version.as_str())
            .filter(|o| self.namespace.is_empty() || o["metadata"]["namespace"] == self.namespace.as_str())
            .filter(|o| self.name.is_empty() || o["metadata"]["name"] == self.name.as_str())
            .filter(|o| scope.matches(o["metadata"]["labels"].as_object()))
            .collect();
        let what = [self.kind.as_str(), self.namespace.as_str(), self.name.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/");
        let control = |id: &str| format!("{}/{id}", self.control);
        if self.expect == Existence::Absent {
            let gone = |object: &&Value| Finding::new(control("exists"), object_name(object), "", "is there", "is gone");
            return Verdict::of(found.iter().map(gone).collect());
        }
        if found.is_empty() {
            let labels: Vec<_> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let expected = if labels.is_empty() { what.clone() } else { format!("{what} with {}", labels.join(",")) };
            return Verdict::of(vec![Finding::new(control("exists"), what, "", "not found", expected)]);
        }
        let mut findings = Vec::new();
        for object in found {
            for field in &self.fields {
                let value = path::get(object, &field.path);
                if !field.is.holds(value) {
                    let actual = value.map_or_else(|| "not set".to_owned(), path::words);
                    findings.push(Finding::new(control(&field.id), object_name(object), field.path.as_str(), actual, field.is.words()));
                }
            }
        }
        Verdict::of(findings)
    }
}

/// Text and number count as equal where they read the same: ports and parameters come as either.
fn same(actual: &Value, wanted: &Value) -> bool {
    actual == wanted || (!actual.is_object() && !actual.is_array() && path::words(actual) == path::words(wanted))
}

impl Condition {
    fn holds(&self, value: Option<&Value>) -> bool {
        let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        match (self, value) {
            (Self::Absent, value) => value.is_none(),
            (Self::NotEqual(wanted), value) => value.is_none_or(|value| !same(value, wanted)),
            (_, None) => false,
            (Self::Present, Some(_)) => true,
            (Self::Equal(wanted), Some(value)) => same(value, wanted),
            (Self::OneOf(wanted), Some(value)) => wanted.iter().any(|wanted| same(value, wanted)),
            (Self::Contains(wanted), Some(Value::Array(items))) => items.iter().any(|item| same(item, wanted)),
            (Self::Contains(wanted), Some(value)) => path::words(value).contains(&path::words(wanted)),
            (Self::StartsWith(text), Some(value)) => value.as_str().is_some_and(|value| value.starts_with(text.as_str())),
            (Self::AtLeast(least), Some(value)) => number(value).is_some_and(|value| value >= *least),
            (Self::AtMost(most), Some(value)) => number(value).is_some_and(|value| value <= *most),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Equal(value) => path::words(value),
            Self::NotEqual(value) => format!("anything but {}", path::words(value)),
            Self::OneOf(values) => format!("one of {}", values.iter().map(path::words).collect::<Vec<_>>().join(", ")),
            Self::Present => "set".to_owned(),
            Self::Absent => "not set".to_owned(),
            Self::Contains(value) => format!("with {}", path::words(value)),
            Self::StartsWith(text) => format!("begins with {text}"),
            Self::AtLeast(number) => format!("{number} or more"),
            Self::AtMost(number) => format!("{number} or less"),
        }
    }
}
