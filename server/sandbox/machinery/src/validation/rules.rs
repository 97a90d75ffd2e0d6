//! `x-kubernetes-validations`: the rules that a schema states in CEL, compiled once for a definition and run over each object.

use super::kit::{Errors, list, text};
use crate::{
    cel::{
        self, Expression, Inputs, OUT_OF_BUDGET, Value as Cel,
        kind::{self, BOOL, Kind, STRING},
        value,
    },
    field::FieldError,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const MAX_DEPTH: usize = 64;
/// Said in place of the rules' own verdicts where an object is already known to be wrong.
const UNCHECKED: &str =
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

#[derive(Debug)]
struct Rule {
    expression: Result<Expression, String>,
    message_expression: Option<Expression>,
    /// What is said where the rule does not hold.
    message: String,
    source: String,
    reason: String,
    field: String,
    /// The rule compares with the value before.
    transition: bool,
    optional: bool,
}

/// The rules of one part of a schema and of what lies below it.
#[derive(Debug)]
pub struct Rules {
    kind: Kind,
    /// `type` of the schema, which messages show in place of the value.
    name: String,
    rules: Vec<Rule>,
    properties: BTreeMap<String, Rules>,
    items: Option<Box<Rules>>,
    additional: Option<Box<Rules>>,
    /// Keys of a list that is a map: its items are compared with those of the same keys.
    keys: Vec<String>,
}

impl Rules {
    /// The rules of a whole object's schema; `None` where it has none.
    pub fn compile(schema: &Value) -> Option<Self> {
        Self::node(schema, true, 0)
    }

    fn node(schema: &Value, root: bool, depth: usize) -> Option<Self> {
        if depth > MAX_DEPTH || !schema.is_object() {
            return None;
        }
        let below = |schema: &Value| Self::node(schema, false, depth + 1);
        let kind = kind::of_schema(schema, root);
        let rules: Vec<_> = list(&schema["x-kubernetes-validations"]).iter().map(|rule| self::rule(rule, &kind)).collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        let properties: BTreeMap<_, _> = properties.filter_map(|(name, part)| Some((name.clone(), below(part)?))).collect();
        let items = below(&schema["items"]).map(Box::new);
        let additional = below(&schema["additionalProperties"]).map(Box::new);
        if rules.is_empty() && properties.is_empty() && items.is_none() && additional.is_none() {
            return None;
        }
        let keys = list(&schema["x-kubernetes-list-map-keys"]).iter().map(|key| text(key).to_owned()).collect();
        Some(Self { kind, name: text(&schema["type"]).to_owned(), rules, properties, items, additional, keys })
    }

    /// Adds what the rules find wrong, or that they were not asked.
    pub(super) fn check(&self, errors: &mut Errors, new: &Value, old: Option<&Value>) {
        use crate::field::FieldErrorKind as E;
        if errors.iter().any(|error| matches!(error.kind, E::Required | E::TooLong | E::TooMany | E::TypeInvalid | E::NotSupported)) {
            errors.push(FieldError::invalid("<nil>", &Value::Null, UNCHECKED));
            return;
        }
        self.visit(errors, "", new, old);
    }

    fn visit(&self, errors: &mut Errors, path: &str, new: &Value, old: Option<&Value>) {
        if new.is_null() {
            return;
        }
        let old = old.filter(|old| !old.is_null());
        if !self.rules.is_empty() {
            self.run(errors, path, new, old);
        }
        match new {
            Value::Object(fields) => {
                for (name, held) in fields {
                    let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    let before = old.map(|old| &old[name]);
                    if let Some(below) = self.properties.get(name) {
                        below.visit(errors, &at, held, before);
                    } else if let Some(below) = &self.additional {
                        below.visit(errors, &format!("{path}[{name}]"), held, before);
                    }
                }
            }
            Value::Array(held) => {
                let Some(below) = &self.items else { return };
                for (index, item) in held.iter().enumerate() {
                    let same = |other: &&Value| !self.keys.is_empty() && self.keys.iter().all(|key| other[key] == item[key]);
                    let before = old.and_then(Value::as_array).and_then(|old| old.iter().find(same));
                    below.visit(errors, &format!("{path}[{index}]"), item, before);
                }
            }
            _ => {}
        }
    }

    fn run(&self, errors: &mut Errors, path: &str, new: &Value, old: Option<&Value>) {
        let mut inputs = Inputs::default();
        inputs.set("self", value::of_kind(new, &self.kind));
        if let Some(old) = old {
            inputs.set("oldSelf", value::of_kind(old, &self.kind));
        }
        let kind = json!(self.name);
        for rule in &self.rules {
            let expression = match &rule.expression {
                Ok(expression) => expression,
                Err(error) => {
                    errors.push(FieldError::invalid(path, &kind, format!("rule compile error: {error}")));
                    continue;
                }
            };
            if rule.transition && old.is_none() && !rule.optional {
                continue;
            }
            let said = if rule.source_is_message() { &rule.source } else { &rule.message };
            match inputs.run(expression, &[]) {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => {
                    let message = rule.message_expression.as_ref().and_then(|expression| match inputs.run(expression, &[]) {
                        Ok(Cel::String(said)) => Some(said.trim().to_owned()),
                        _ => None,
                    });
                    let message = message.filter(|said| !said.is_empty() && !said.contains('\n')).unwrap_or_else(|| rule.message.clone());
                    let at = if rule.field.is_empty() || path.is_empty() {
                        format!("{path}{}", rule.field)
                    } else {
                        format!("{path}.{}", rule.field)
                    };
                    errors.push(match rule.reason.as_str() {
                        "FieldValueForbidden" => FieldError::forbidden(at, message),
                        "FieldValueRequired" => FieldError::required(at, message),
                        "FieldValueDuplicate" => FieldError::duplicate(at, &kind),
                        _ => FieldError::invalid(at, &kind, message),
                    });
                }
                Err(error) if error == OUT_OF_BUDGET => {
                    errors.push(FieldError::invalid(path, &kind, error));
                    return;
                }
                Err(error) if error.starts_with("no such overload") => {
                    let message = format!(
                        "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {said}"
                    );
                    errors.push(FieldError::invalid(path, &kind, message));
                }
                Err(error) => errors.push(FieldError::invalid(path, &kind, format!("{error} evaluating rule: {said}"))),
            }
        }
    }
}

impl Rule {
    fn source_is_message(&self) -> bool {
        self.message == format!("failed rule: {}", self.source)
    }
}

fn variables(of: &Kind, optional: bool) -> BTreeMap<String, Kind> {
    let old = if optional { Kind::Optional(Box::new(of.clone())) } else { of.clone() };
    [("self".to_owned(), of.clone()), ("oldSelf".to_owned(), old)].into()
}

fn rule(rule: &Value, of: &Kind) -> Rule {
    let source = text(&rule["rule"]).trim().to_owned();
    let message = text(&rule["message"]).trim();
    let message = if message.is_empty() { format!("failed rule: {source}") } else { message.to_owned() };
    let optional = rule["optionalOldSelf"] == true;
    let variables = variables(of, optional);
    let expression = cel::compile(&source, &variables);
    let transition = expression.as_ref().is_ok_and(|expression| expression.mentions("oldSelf"));
    let message_expression = rule["messageExpression"].as_str().and_then(|source| cel::compile(source, &variables).ok());
    Rule {
        expression,
        message_expression,
        message,
        source,
        reason: text(&rule["reason"]).to_owned(),
        field: text(&rule["fieldPath"]).trim_start_matches('.').to_owned(),
        transition,
        optional,
    }
}

/// The rules of a schema that is being defined; `sound` where the schema itself has no mistakes.
pub(super) fn define(errors: &mut Errors, path: &str, schema: &Value, root: bool, sound: bool) {
    let rules = list(&schema["x-kubernetes-validations"]);
    if rules.is_empty() {
        return;
    }
    let kind = kind::of_schema(schema, root);
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}.x-kubernetes-validations[{index}]");
        let (source, message) = (text(&rule["rule"]), text(&rule["message"]));
        let one_line = |text: &str| !text.trim().contains(['\n', '\r']);
        if !sound {
            if source.trim().is_empty() {
                errors.push(FieldError::required(format!("{path}.rule"), "rule is not specified"));
            } else if !message.is_empty() && message.trim().is_empty() {
                errors.push(FieldError::invalid(format!("{path}.message"), message, "must be non-empty if specified"));
            } else if !one_line(message) {
                errors.push(FieldError::invalid(format!("{path}.message"), message, "must not contain line breaks"));
            } else if !one_line(source) && message.trim().is_empty() {
                errors.push(FieldError::required(format!("{path}.message"), "message must be specified if rule contains line breaks"));
            }
            if rule["messageExpression"].as_str().is_some_and(|source| !source.is_empty() && source.trim().is_empty()) {
                let message = "messageExpression must be non-empty if specified";
                errors.push(FieldError::required(format!("{path}.messageExpression"), message));
            }
            if let Some(reason) = rule["reason"].as_str() {
                let reasons = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
                super::kit::supported_or_refuse(errors, &format!("{path}.reason"), reason, &reasons);
            }
            continue;
        }
        let variables = variables(&kind, rule["optionalOldSelf"] == true);
        let shown = json!({
            "Rule": source, "Message": message, "MessageExpression": text(&rule["messageExpression"]),
            "Reason": rule["reason"], "FieldPath": text(&rule["fieldPath"]), "OptionalOldSelf": rule["optionalOldSelf"],
        });
        match cel::compile(source, &variables) {
            Err(error) => errors.push(FieldError::invalid(format!("{path}.rule"), &shown, format!("compilation failed: {error}"))),
            Ok(expression) if expression.kind.to_string() != BOOL.to_string() => {
                errors.push(FieldError::invalid(format!("{path}.rule"), &shown, "cel expression must evaluate to a bool"));
            }
            Ok(_) => {}
        }
        let Some(source) = rule["messageExpression"].as_str().filter(|source| !source.is_empty()) else { continue };
        match cel::compile(source, &variables) {
            Err(error) => {
                let message = format!("messageExpression compilation failed: {error}");
                errors.push(FieldError::invalid(format!("{path}.messageExpression"), &shown, message));
            }
            Ok(expression) if expression.kind.to_string() != STRING.to_string() => {
                let message = "messageExpression must evaluate to a string";
                errors.push(FieldError::invalid(format!("{path}.messageExpression"), &shown, message));
            }
            Ok(_) => {}
        }
    }
}
