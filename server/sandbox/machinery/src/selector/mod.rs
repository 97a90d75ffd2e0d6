//! Label and field selectors.

mod fields;
mod names;
mod parser;

pub use fields::FieldSelector;
pub use names::{label_value_errors, qualified_name_errors, subdomain_errors};

use crate::status::ApiError;
use serde_json::{Map, Value};
use std::fmt;

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
    /// `?labelSelector=`; errors as the API server words them (k8s.io/apimachinery/pkg/labels).
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let mut requirements = parser::parse(text).map_err(ApiError::bad_request)?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
    }

    /// A `metav1.LabelSelector` (`matchLabels`, `matchExpressions`). `{}` matches everything; a null one matches nothing,
    /// which the caller must decide on before.
    pub fn from_object(selector: &Value) -> Result<Self, ApiError> {
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let values = vec![value.as_str().unwrap_or_default().to_owned()];
            requirements.push(Requirement { key: key.clone(), operator: Operator::In, values });
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let operator = match expression["operator"].as_str().unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(ApiError::bad_request(format!("{other:?} is not a valid label selector operator"))),
            };
            let values = expression["values"].as_array().into_iter().flatten().filter_map(|v| Some(v.as_str()?.to_owned())).collect();
            requirements.push(Requirement { key: expression["key"].as_str().unwrap_or_default().to_owned(), operator, values });
        }
        for requirement in &requirements {
            let errors = requirement.errors();
            if !errors.is_empty() {
                return Err(ApiError::bad_request(parser::aggregate(&errors)));
            }
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
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

    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.and_then(|labels| labels.get(&requirement.key)).and_then(Value::as_str);
            requirement.matches(value)
        })
    }
}

impl Requirement {
    /// Judges the label's value; `None` where the label is not there.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|v| v == value);
        match (self.operator, value) {
            (Operator::In, value) => value.is_some_and(listed),
            (Operator::NotIn, value) => !value.is_some_and(listed),
            (Operator::Exists, value) => value.is_some(),
            (Operator::DoesNotExist, value) => value.is_none(),
            (Operator::GreaterThan | Operator::LessThan, value) => {
                let number = value.and_then(|v| v.parse::<i64>().ok());
                let bound = self.values.first().and_then(|v| v.parse::<i64>().ok());
                let (Some(number), Some(bound)) = (number, bound) else { return false };
                if self.operator == Operator::GreaterThan { number > bound } else { number < bound }
            }
        }
    }

    /// What the API server has against this requirement, in its words.
    fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let quoted = || format!("[{}]", self.values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(","));
        let key = qualified_name_errors(&self.key);
        if !key.is_empty() {
            errors.push(format!("key: Invalid value: {:?}: {}", self.key, key.join("; ")));
        }
        match self.operator {
            Operator::In | Operator::NotIn if self.values.is_empty() => {
                errors.push(format!("values: Invalid value: {}: for 'in', 'notin' operators, values set can't be empty", quoted()));
            }
            Operator::Exists | Operator::DoesNotExist if !self.values.is_empty() => {
                errors.push(format!("values: Invalid value: {}: values set must be empty for exists and does not exist", quoted()));
            }
            Operator::GreaterThan | Operator::LessThan => {
                for (at, value) in self.values.iter().enumerate().filter(|(_, v)| v.parse::<i64>().is_err()) {
                    errors.push(format!("values[{at}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"));
                }
            }
            _ => {}
        }
        for (at, value) in self.values.iter().enumerate() {
            let wrong = label_value_errors(value);
            if !wrong.is_empty() {
                errors.push(format!("values[{at}][{}]: Invalid value: {value:?}: {}", self.key, wrong.join("; ")));
            }
        }
        errors
    }
}

impl fmt::Display for LabelSelector {
    /// As `kubectl describe` prints it: `a=b,c in (d,e),!f`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Requirement { key, operator, values }) in self.requirements.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            let joined = values.join(",");
            match (operator, values.len()) {
                (Operator::In, 1) => write!(f, "{key}={joined}")?,
                (Operator::NotIn, 1) => write!(f, "{key}!={joined}")?,
                (Operator::In, _) => write!(f, "{key} in ({joined})")?,
                (Operator::NotIn, _) => write!(f, "{key} notin ({joined})")?,
                (Operator::Exists, _) => f.write_str(key)?,
                (Operator::DoesNotExist, _) => write!(f, "!{key}")?,
                (Operator::GreaterThan, _) => write!(f, "{key}>{joined}")?,
                (Operator::LessThan, _) => write!(f, "{key}<{joined}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn matching() {
        let labels = json!({"app": "web", "tier": "front", "size": "12", "empty": ""});
        let labels = labels.as_object();
        for (text, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app=web,tier=back", false),
            ("app!=web", false),
            ("nope!=web", true),
            ("app in (web, db)", true),
            ("app in (db,cache)", false),
            ("app notin (db)", true),
            ("nope notin (db)", true),
            ("app", true),
            ("nope", false),
            ("!nope", true),
            ("!app", false),
            ("size>11", true),
            ("size>12", false),
            ("size<13", true),
            ("app>1", false),
            ("nope<1", false),
            ("empty=", true),
            ("empty in ()", true),
            ("empty in (,x)", true),
            ("app!=,app in (web,,db)", true),
            ("in in (in)", false),
            (" app = web , tier ", true),
        ] {
            let selector = LabelSelector::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(selector.matches(labels), expected, "{text}");
        }
        assert!(!LabelSelector::parse("app").expect("parsed").matches(None));
        assert!(LabelSelector::parse("!app").expect("parsed").matches(None));
    }

    #[test]
    fn objects() {
        let labels = json!({"app": "web"});
        for (object, expected) in [
            (json!({}), Ok(true)),
            (json!({"matchLabels": {"app": "web"}}), Ok(true)),
            (json!({"matchLabels": {"app": "db"}}), Ok(false)),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}), Ok(true)),
            (json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), Ok(false)),
            (json!({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["web"]}]}), Ok(true)),
            (json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}), Ok(true)),
            (json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}), Ok(false)),
            (json!({"matchExpressions": [{"key": "app", "operator": "Near"}]}), Err("\"Near\" is not a valid label selector operator")),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "In"}]}),
                Err("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"),
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["a"]}]}),
                Err("values: Invalid value: [\"a\"]: values set must be empty for exists and does not exist"),
            ),
        ] {
            let outcome = LabelSelector::from_object(&object).map(|s| s.matches(labels.as_object())).map_err(|e| e.message);
            assert_eq!(outcome, expected.map_err(str::to_owned), "{object}");
        }
    }

    #[test]
    fn printed() {
        for (text, expected) in
            [("b=2, a==1", "a=1,b=2"), ("x in (c,b)", "x in (b,c)"), ("!y,z!=1,w>3", "w>3,!y,z!=1"), ("q notin (b,a),r", "q notin (a,b),r")]
        {
            assert_eq!(LabelSelector::parse(text).expect(text).to_string(), expected);
        }
    }
}
