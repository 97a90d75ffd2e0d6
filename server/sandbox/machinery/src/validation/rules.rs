//! `x-kubernetes-validations`: the rules that a schema states in CEL, compiled once for a definition and run over each object.

use super::kit::{Errors, list, text};
use crate::{
    cel::{
        self, Bounds, Expression, Kubernetes, Run, Value as Cel,
        cost::{BUDGET, OUT_OF_BUDGET, OVER_LIMIT},
        kind::{self, BOOL, Kind, STRING},
        value,
    },
    field::FieldError,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const MAX_DEPTH: usize = 64;
/// What one rule may cost, times how often it may be run.
const MOST_OF_RULE: u64 = 10_000_000;
/// What all rules of a schema may cost together.
const MOST_OF_SCHEMA: u64 = 100_000_000;
/// Longest message of a `messageExpression`, in bytes.
const LONGEST_MESSAGE: usize = 5 * 1024;
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
        let mut checking = Checking { run: Run::new(&Kubernetes, Arc::default(), BUDGET), errors };
        // A bound that was met has left its own error.
        let _ = self.visit(&mut checking, "", new, old);
    }

    fn visit(&self, checking: &mut Checking<'_>, path: &str, new: &Value, old: Option<&Value>) -> Result<(), OutOfBudget> {
        if new.is_null() {
            return Ok(());
        }
        let old = old.filter(|old| !old.is_null());
        if !self.rules.is_empty() {
            self.run(checking, path, new, old)?;
        }
        match new {
            Value::Object(fields) => {
                for (name, held) in fields {
                    let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    let before = old.map(|old| &old[name]);
                    if let Some(below) = self.properties.get(name) {
                        below.visit(checking, &at, held, before)?;
                    } else if let Some(below) = &self.additional {
                        below.visit(checking, &format!("{path}[{name}]"), held, before)?;
                    }
                }
            }
            Value::Array(held) => {
                let Some(below) = &self.items else { return Ok(()) };
                for (index, item) in held.iter().enumerate() {
                    let same = |other: &&Value| !self.keys.is_empty() && self.keys.iter().all(|key| other[key] == item[key]);
                    let before = old.and_then(Value::as_array).and_then(|old| old.iter().find(same));
                    below.visit(checking, &format!("{path}[{index}]"), item, before)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn run(&self, checking: &mut Checking<'_>, path: &str, new: &Value, old: Option<&Value>) -> Result<(), OutOfBudget> {
        checking.run.set("self", value::of_kind(new, &self.kind));
        let old = old.map(|old| value::of_kind(old, &self.kind));
        let kind = json!(self.name);
        let invalid = |message: String| FieldError::invalid(path, &kind, message);
        for rule in &self.rules {
            let expression = match &rule.expression {
                Ok(expression) => expression,
                Err(error) => {
                    checking.errors.push(invalid(format!("rule compile error: {error}")));
                    continue;
                }
            };
            if rule.transition && old.is_none() && !rule.optional {
                continue;
            }
            match (rule.optional, old.clone()) {
                (true, Some(old)) => checking.run.set("oldSelf", value::some(old)),
                (true, None) => checking.run.set("oldSelf", value::none()),
                (false, Some(old)) => checking.run.set("oldSelf", old),
                (false, None) => checking.run.unset("oldSelf"),
            }
            let said = if rule.source_is_message() { &rule.source } else { &rule.message };
            match checking.run.run(&expression.program) {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => {
                    let at = if rule.field.is_empty() || path.is_empty() {
                        format!("{path}{}", rule.field)
                    } else {
                        format!("{path}.{}", rule.field)
                    };
                    let message = match rule.said(&mut checking.run) {
                        Ok(message) => message,
                        Err(error) => {
                            checking.errors.push(FieldError::invalid(at, &kind, error));
                            return Err(OutOfBudget);
                        }
                    };
                    checking.errors.push(match rule.reason.as_str() {
                        "FieldValueForbidden" => FieldError::forbidden(at, message),
                        "FieldValueRequired" => FieldError::required(at, message),
                        "FieldValueDuplicate" => FieldError::duplicate(at, &kind),
                        _ => FieldError::invalid(at, &kind, message),
                    });
                }
                Err(error) if error == OUT_OF_BUDGET => {
                    checking.errors.push(invalid(error));
                    return Err(OutOfBudget);
                }
                Err(error) if error == OVER_LIMIT => {
                    let why = "no further validation rules will be run due to call cost exceeds limit for rule";
                    checking.errors.push(invalid(format!("'{error}': {why}: {said}")));
                    return Err(OutOfBudget);
                }
                Err(error) if error.starts_with("no such overload") => {
                    let why = "call arguments did not match a supported operator, function or macro signature for rule";
                    checking.errors.push(invalid(format!("'{error}': {why}: {said}")));
                }
                Err(error) => checking.errors.push(invalid(format!("{error} evaluating rule: {said}"))),
            }
        }
        Ok(())
    }
}

/// The rules of one object share a budget.
struct Checking<'a> {
    run: Run<'static>,
    errors: &'a mut Errors,
}

/// No further rules are run.
struct OutOfBudget;

impl Rule {
    /// What is said where the rule does not hold; an error where it would cost too much to say it.
    fn said(&self, run: &mut Run<'_>) -> Result<String, String> {
        let Some(expression) = &self.message_expression else { return Ok(self.message.clone()) };
        match run.run(&expression.program) {
            Ok(Cel::String(said)) => {
                let said = said.trim();
                let fits = !said.is_empty() && said.len() <= LONGEST_MESSAGE && !said.contains('\n');
                Ok(if fits { said.to_owned() } else { self.message.clone() })
            }
            Err(error) if error == OUT_OF_BUDGET => {
                Err("messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run"
                    .to_owned())
            }
            Err(error) if error == OVER_LIMIT => {
                let why = "no further validation rules will be run due to call cost exceeds limit for messageExpression";
                Err(format!("{why}: {:?}", expression.source))
            }
            _ => Ok(self.message.clone()),
        }
    }

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
    let transition = expression.as_ref().is_ok_and(|expression| expression.program.mentions("oldSelf"));
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

/// The form of the rules of a schema that is being defined.
pub(super) fn define(errors: &mut Errors, path: &str, schema: &Value) {
    for (index, rule) in list(&schema["x-kubernetes-validations"]).iter().enumerate() {
        let path = format!("{path}.x-kubernetes-validations[{index}]");
        let (source, message) = (text(&rule["rule"]), text(&rule["message"]));
        let one_line = |text: &str| !text.trim().contains(['\n', '\r']);
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
    }
}

/// What all rules of a schema may cost.
#[derive(Debug, Default)]
pub(super) struct Costs {
    total: u64,
    /// Those that make a difference, the most expensive ones first.
    most_expensive: Vec<(u64, String)>,
}

impl Costs {
    fn add(&mut self, path: String, cost: u64) {
        self.total = self.total.saturating_add(cost);
        if cost >= MOST_OF_SCHEMA / 100 {
            self.most_expensive.push((cost, path));
            self.most_expensive.sort_by(|(a, _), (b, _)| b.cmp(a));
            self.most_expensive.truncate(4);
        }
    }

    /// What is said where the rules of the schema at `path` may cost too much together.
    pub fn check(self, errors: &mut Errors, path: &str) {
        if self.total <= MOST_OF_SCHEMA {
            return;
        }
        for (_, path) in self.most_expensive {
            let message = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            errors.push(FieldError::forbidden(path, message));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.push(FieldError::forbidden(path, too_expensive(what, self.total, MOST_OF_SCHEMA)));
    }
}

fn too_expensive(what: &str, cost: u64, most: u64) -> String {
    let factor = cost as f64 / most as f64;
    let factor = match factor {
        _ if factor > 100.0 => "more than 100x".to_owned(),
        // One digit would read as if it fitted.
        _ if factor < 1.5 => format!("{factor:.6}x"),
        _ => format!("{factor:.1}x"),
    };
    let hint = "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared";
    format!("{what} exceeds budget by factor of {factor} ({hint})")
}

/// Where a part of a schema lies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub path: String,
    /// How often such a value may be there, where that is bounded.
    pub often: Option<u64>,
    /// The list whose items cannot be told from those before, so that the part has no old value.
    pub apart: Option<String>,
}

/// Compiles the rules of a schema that has no mistakes otherwise.
pub(super) fn compile(errors: &mut Errors, place: &Place, schema: &Value, root: bool, costs: &mut Costs) {
    let rules = list(&schema["x-kubernetes-validations"]);
    if rules.is_empty() {
        return;
    }
    let kind = kind::of_schema(schema, root);
    let bounds = Bounds::of_schema(schema, root || schema["x-kubernetes-embedded-resource"] == true).unwrap_or_default();
    let often = place.often.unwrap_or_else(|| bounds.most_often());
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{}.x-kubernetes-validations[{index}]", place.path);
        let variables = variables(&kind, rule["optionalOldSelf"] == true);
        let shown = json!({
            "Rule": text(&rule["rule"]), "Message": text(&rule["message"]), "MessageExpression": text(&rule["messageExpression"]),
            "Reason": rule["reason"], "FieldPath": text(&rule["fieldPath"]), "OptionalOldSelf": rule["optionalOldSelf"],
        });
        let mut compile = |field: &str, wanted: &Kind, word: &str, what: &str, often: u64, mistake: &str| {
            let path = format!("{path}.{field}");
            match cel::compile_bounded(text(&rule[field]), &variables, &bounds) {
                Err(error) => errors.push(FieldError::invalid(path, &shown, format!("{word}compilation failed: {error}"))),
                Ok((expression, _)) if expression.kind.to_string() != wanted.to_string() => {
                    errors.push(FieldError::invalid(path, &shown, mistake));
                }
                Ok((expression, cost)) => {
                    let cost = cost.saturating_mul(often);
                    if cost > MOST_OF_RULE {
                        errors.push(FieldError::forbidden(path.clone(), too_expensive(what, cost, MOST_OF_RULE)));
                    }
                    costs.add(path, cost);
                    return Some(expression);
                }
            }
            None
        };
        let compiled = compile("rule", &BOOL, "", "estimated rule cost", often, "cel expression must evaluate to a bool");
        if compiled.is_some() && !text(&rule["messageExpression"]).is_empty() {
            let mistake = "messageExpression must evaluate to a string";
            compile("messageExpression", &STRING, "messageExpression ", "estimated messageExpression cost", 1, mistake);
        }
        let compares = compiled.is_some_and(|expression| expression.program.mentions("oldSelf"));
        if let (true, Some(list)) = (compares, &place.apart) {
            let message = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {list}");
            errors.push(FieldError::invalid(format!("{path}.rule"), &rule["rule"], message));
        }
        if !compares && !rule["optionalOldSelf"].is_null() {
            let message = "may not be set if oldSelf is not used in rule";
            errors.push(FieldError::invalid(format!("{path}.optionalOldSelf"), &rule["optionalOldSelf"], message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_whose_rules_cost_too_much_are_refused() {
        let item = json!({"type": "string", "x-kubernetes-validations": [{"rule": "self.matches('a')"}]});
        let schema = |list: Value| json!({"type": "object", "properties": {"l": list}});
        let unbounded = schema(json!({"type": "array", "items": item}));
        let bounded = schema(json!({"type": "array", "maxItems": 10, "items": {
            "type": "string", "maxLength": 10, "x-kubernetes-validations": [
                {"rule": "self.matches('a')"}, {"rule": "self == oldSelf"}, {"rule": "true", "optionalOldSelf": true},
            ],
        }}));
        let hint =
            "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
        let rule = "spec.properties[l].items.x-kubernetes-validations";
        for (schema, said) in [
            (
                unbounded,
                vec![
                    format!("{rule}[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x {hint}"),
                    format!(
                        "{rule}[0].rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
                    ),
                    format!(
                        "spec: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x {hint}"
                    ),
                ],
            ),
            (
                bounded,
                vec![
                    format!(
                        "{rule}[1].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within spec.properties[l]"
                    ),
                    format!("{rule}[2].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"),
                ],
            ),
        ] {
            let (mut errors, mut costs) = (Errors::new(), Costs::default());
            let place = Place { path: "spec".to_owned(), often: Some(1), apart: None };
            super::super::custom::compiled(&mut errors, &place, &schema, 0, &mut costs);
            costs.check(&mut errors, "spec");
            let got: Vec<_> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(got, said);
        }
    }

    #[test]
    fn objects_are_held_against_rules() {
        let rule = |rule: &str, optional: bool| {
            let mut rule = json!({"rule": rule, "message": "no"});
            if optional {
                rule["optionalOldSelf"] = true.into();
            }
            let spec = json!({"type": "object", "properties": {
                "n": {"type": "integer"}, "l": {"type": "array", "items": {"type": "integer"}},
            }, "x-kubernetes-validations": [rule]});
            Rules::compile(&json!({"type": "object", "properties": {"spec": spec}})).expect("rules")
        };
        let new = json!({"spec": {"n": 1, "l": (0..400).collect::<Vec<_>>()}});
        let old = json!({"spec": {"n": 2}});
        let over = "operation cancelled: actual cost limit exceeded";
        for (source, optional, old, said) in [
            ("self.n == 1", false, None, None),
            ("self.n == 2", false, None, Some("spec: Invalid value: \"object\": no".to_owned())),
            ("self.n == oldSelf.n", false, None, None),
            ("self.n == oldSelf.n", false, Some(&old), Some("spec: Invalid value: \"object\": no".to_owned())),
            ("oldSelf.hasValue()", true, None, Some("spec: Invalid value: \"object\": no".to_owned())),
            ("oldSelf.value().n == 2", true, Some(&old), None),
            (
                "self.l.all(a, self.l.all(b, self.l.all(c, a + b + c >= 0)))",
                false,
                None,
                Some(format!(
                    "spec: Invalid value: \"object\": '{over}': no further validation rules will be run due to call cost exceeds limit for rule: no"
                )),
            ),
        ] {
            let mut errors = Errors::new();
            rule(source, optional).check(&mut errors, &new, old);
            let got: Vec<_> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(got, said.into_iter().collect::<Vec<_>>(), "{source}");
        }
    }
}
