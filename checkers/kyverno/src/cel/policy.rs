//! What the kinds of policies have in common: match conditions, variables, audit annotations, exceptions.

use super::{
    library::Library,
    matching::rules,
    request::{Request, text_at},
};
use crate::{Evidence, RuleResult, RuleType, Status};
use machinery::cel::{
    Program, Run, Value as Cel, Variables,
    cost::BUDGET,
    value::{key, list, map, printed, string},
};
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// How many parsed expressions each thread keeps.
const KEPT: usize = 256;

/// A named condition.
#[derive(Debug)]
pub(super) struct Condition {
    pub program: Program,
}

/// A parsed expression; the same ones come again for every object.
pub(super) fn program(source: &str) -> Result<Program, String> {
    thread_local! {
        static PROGRAMS: RefCell<HashMap<String, Program>> = RefCell::default();
    }
    if let Some(known) = PROGRAMS.with_borrow(|programs| programs.get(source).cloned()) {
        return Ok(known);
    }
    let program = Program::parse(source)?;
    PROGRAMS.with_borrow_mut(|programs| {
        if programs.len() >= KEPT {
            programs.clear();
        }
        programs.insert(source.to_owned(), program.clone());
    });
    Ok(program)
}

pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The conditions of a list; the message names the field of one that does not parse.
pub(super) fn conditions(value: &Value, path: &str) -> Result<Vec<Condition>, String> {
    let mut compiled = Vec::new();
    for (index, condition) in rules(value).iter().enumerate() {
        let program = program(text(condition, "expression")).map_err(|error| invalid(path, index, "expression", &error))?;
        compiled.push(Condition { program });
    }
    Ok(compiled)
}

pub(super) fn invalid(path: &str, index: usize, field: &str, error: &str) -> String {
    format!("{path}[{index}].{field}: Invalid value: {error}")
}

fn variables(spec: &Value) -> Result<Variables, String> {
    let mut compiled = Variables::new();
    for (index, variable) in rules(&spec["variables"]).iter().enumerate() {
        let program = program(text(variable, "expression")).map_err(|error| invalid("spec.variables", index, "expression", &error))?;
        compiled.insert(text(variable, "name").to_owned(), program);
    }
    Ok(compiled)
}

/// All conditions hold; one that is false decides before one that fails.
pub(super) fn holds(run: &mut Run<'_>, conditions: &[Condition]) -> Result<bool, String> {
    let mut failures = Vec::new();
    for condition in conditions {
        match run.run(&condition.program) {
            Ok(Cel::Bool(true)) => {}
            Ok(Cel::Bool(false)) => return Ok(false),
            Ok(other) => failures.push(format!("unexpected type {}, expected bool", printed(&other))),
            Err(error) => failures.push(error),
        }
    }
    if failures.is_empty() { Ok(true) } else { Err(failures.join("; ")) }
}

/// `auditAnnotations`; empty ones are left out.
pub(super) fn annotations(run: &mut Run<'_>, spec: &Value) -> Result<BTreeMap<String, String>, String> {
    let mut written = BTreeMap::new();
    for (index, annotation) in rules(&spec["auditAnnotations"]).iter().enumerate() {
        let name = text(annotation, "key");
        let program = program(text(annotation, "valueExpression"))
            .map_err(|error| invalid("spec.auditAnnotations", index, "valueExpression", &error))?;
        match run.run(&program) {
            Ok(Cel::String(value)) if value.is_empty() => {}
            Ok(Cel::String(value)) => drop(written.insert(name.to_owned(), value.to_string())),
            Ok(Cel::Null) => {}
            Ok(_) => return Err(format!("failed to convert auditAnnotation '{name}' expression: not a string")),
            Err(error) => return Err(format!("failed to evaluate auditAnnotation '{name}': {error}")),
        }
    }
    Ok(written)
}

/// A policy's name and namespace, as results show them.
pub(super) fn policy_name(policy: &Value) -> String {
    match text_at(policy, "/metadata/namespace") {
        "" => text_at(policy, "/metadata/name").to_owned(),
        namespace => format!("{namespace}/{}", text_at(policy, "/metadata/name")),
    }
}

/// One policy on one request: its results are made here.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    pub policy: &'a Value,
    pub kind: &'static str,
    pub rule_type: RuleType,
    pub request: &'a Request,
}

impl Judge<'_> {
    pub fn result(&self, rule: &str, status: Status, message: impl Into<String>) -> RuleResult {
        RuleResult::new(self.kind, &policy_name(self.policy), rule, self.rule_type, self.request.subject(), status, message)
    }
}

/// What exceptions say of a request.
#[derive(Debug)]
pub(super) enum Exempt {
    /// The policy does not apply; the exceptions as `namespace/name`, and whether it is a pass.
    Whole { exceptions: Vec<String>, pass: bool },
    /// The policy applies and sees what is allowed: `exceptions.allowedImages`, `exceptions.allowedValues`.
    Part(Cel),
}

/// Exceptions of this group that name the policy.
pub(super) fn exceptions<'a>(evidence: &'a Evidence, kind: &str, policy: &Value) -> Vec<&'a Value> {
    let names = |exception: &&Value| {
        text(exception, "apiVersion").starts_with("policies.kyverno.io/")
            && rules(&exception["spec"]["policyRefs"])
                .iter()
                .any(|reference| text(reference, "name") == text_at(policy, "/metadata/name") && text(reference, "kind") == kind)
    };
    evidence.exceptions.iter().filter(names).collect()
}

pub(super) fn exempt(run: &mut Run<'_>, exceptions: &[&Value]) -> Result<Exempt, String> {
    let (mut matched, mut whole) = (Vec::new(), false);
    let (mut images, mut values) = (Vec::new(), Vec::new());
    for exception in exceptions {
        let spec = &exception["spec"];
        let conditions = conditions(&spec["matchConditions"], "spec.matchConditions");
        match conditions.and_then(|conditions| holds(run, &conditions)) {
            Ok(true) => {}
            Ok(false) => continue,
            // What is granted already is not taken back by an exception that is broken.
            Err(_) if whole => continue,
            Err(error) => return Err(error),
        }
        matched.push(*exception);
        if rules(&spec["images"]).is_empty() && rules(&spec["allowedValues"]).is_empty() {
            whole = true;
        } else if !whole {
            images.extend(rules(&spec["images"]).iter().filter_map(Value::as_str).map(string));
            values.extend(rules(&spec["allowedValues"]).iter().filter_map(Value::as_str).map(string));
        }
    }
    if !whole {
        let fields = [(key("allowedImages"), list(images)), (key("allowedValues"), list(values))];
        return Ok(Exempt::Part(map(fields.into_iter().collect())));
    }
    let priority = |exception: &&Value| {
        let label = exception.pointer("/metadata/labels/polex.kyverno.io~1priority").and_then(Value::as_str);
        label.and_then(|label| label.parse::<i64>().ok()).unwrap_or(0).max(0)
    };
    let highest = matched.iter().map(priority).max().unwrap_or(0);
    let decisive = matched.iter().find(|exception| priority(exception) == highest);
    let pass = decisive.is_some_and(|exception| text(&exception["spec"], "reportResult") == "pass");
    Ok(Exempt::Whole { exceptions: matched.into_iter().map(policy_name).collect(), pass })
}

impl Judge<'_> {
    /// The result of a policy that exceptions have lifted.
    pub fn exempted(&self, exceptions: Vec<String>, pass: bool) -> RuleResult {
        let (status, word) = if pass { (Status::Pass, "passed") } else { (Status::Skip, "skipped") };
        let message = format!("rule is {word} due to policy exception: {}", exceptions.join(", "));
        RuleResult { exceptions, ..self.result("exception", status, message) }
    }
}

/// A run with the request's variables and the policy's own.
pub(super) fn run_of<'a>(library: &'a Library<'a>, request: &Request, spec: &Value) -> Result<Run<'a>, String> {
    let mut run = Run::new(library, Arc::new(variables(spec)?), BUDGET);
    for (name, value) in request.inputs() {
        run.set(name, value);
    }
    Ok(run)
}
