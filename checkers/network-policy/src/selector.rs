//! Label selectors.

use serde_json::Value;
use std::collections::BTreeMap;

/// All requirements must hold; none at all matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    pub requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    In,
    /// True of an object that lacks the label.
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// A `metav1.LabelSelector`. `Err` holds field and complaint.
    pub(crate) fn read(value: &Value, path: &str) -> Result<Self, (String, String)> {
        let error = |field: String, message: &str| Err((field, message.to_owned()));
        let Some(fields) = value.as_object() else { return error(path.to_owned(), "must be an object") };
        let mut requirements = Vec::new();
        match fields.get("matchLabels") {
            None | Some(Value::Null) => {}
            Some(Value::Object(labels)) => {
                for (key, value) in labels {
                    let Some(value) = value.as_str() else { return error(format!("{path}.matchLabels[{key}]"), "must be a string") };
                    requirements.push(Requirement { key: key.clone(), operator: Operator::In, values: vec![value.to_owned()] });
                }
            }
            Some(_) => return error(format!("{path}.matchLabels"), "must be an object"),
        }
        let expressions = match fields.get("matchExpressions") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(items)) => items.as_slice(),
            Some(_) => return error(format!("{path}.matchExpressions"), "must be an array"),
        };
        for (index, expression) in expressions.iter().enumerate() {
            let path = format!("{path}.matchExpressions[{index}]");
            let operator = match expression["operator"].as_str() {
                Some("In") => Operator::In,
                Some("NotIn") => Operator::NotIn,
                Some("Exists") => Operator::Exists,
                Some("DoesNotExist") => Operator::DoesNotExist,
                _ => return error(format!("{path}.operator"), "not a valid selector operator"),
            };
            let values: Option<Vec<String>> = match &expression["values"] {
                Value::Null => Some(Vec::new()),
                Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
                _ => None,
            };
            let Some(mut values) = values else { return error(format!("{path}.values"), "must be an array of strings") };
            values.sort_unstable();
            let Some(key) = expression["key"].as_str() else { return error(format!("{path}.key"), "must be a string") };
            requirements.push(Requirement { key: key.to_owned(), operator, values });
        }
        requirements.sort_unstable();
        Ok(Self { requirements })
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels.get(&requirement.key).map(String::as_str)))
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let among = || value.is_some_and(|value| self.values.iter().any(|v| v == value));
        match self.operator {
            Operator::In => among(),
            Operator::NotIn => !among(),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}
