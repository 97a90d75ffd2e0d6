//! Label and field selectors.

use crate::{resource::Resource, status::ApiError};
use serde_json::{Map, Value};

/// `a=b,c!=d,e in (f,g),!h`, or a `LabelSelector` object. The empty selector matches everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl LabelSelector {
    /// `?labelSelector=`; errors as the API server words them.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let _ = text;
        Ok(Self::default())
    }

    /// A `metav1.LabelSelector` (`matchLabels`, `matchExpressions`). `{}` matches everything; a null one matches nothing,
    /// which the caller must decide on before.
    pub fn from_object(selector: &Value) -> Result<Self, ApiError> {
        let _ = selector;
        Ok(Self::default())
    }

    /// A plain map, as a Service's `spec.selector`.
    pub fn from_map(map: &Map<String, Value>) -> Self {
        let requirements = map
            .iter()
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.as_str().unwrap_or_default().to_owned()],
            })
            .collect();
        Self { requirements }
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let _ = labels;
        true
    }
}

/// `metadata.name=a,spec.nodeName!=b`, with the fields that the resource supports.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FieldSelector {
    terms: Vec<(String, bool, String)>,
}

impl FieldSelector {
    pub fn parse(resource: &Resource, text: &str) -> Result<Self, ApiError> {
        let _ = (resource, text);
        Ok(Self::default())
    }

    pub fn matches(&self, object: &Value) -> bool {
        let _ = object;
        self.terms.is_empty()
    }
}
