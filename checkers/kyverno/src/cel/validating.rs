//! ValidatingPolicy and NamespacedValidatingPolicy.

use super::{
    autogen,
    kinds::Kinds,
    library::Library,
    matching::{matches, rules},
    policy::{Exempt, Judge, annotations, conditions, exceptions, exempt, holds, invalid, program, run_of, text},
    request::{Request, text_at},
};
use crate::{Evidence, RuleResult, RuleType, Status};
use machinery::cel::{Run, Value as Cel, value::printed};
use serde_json::Value;

/// The results of one policy: none where its constraints do not take the request.
pub(super) fn apply(policy: &Value, request: &Request, evidence: &Evidence, kinds: &Kinds<'_>) -> Vec<RuleResult> {
    let kind = if text(policy, "kind") == "NamespacedValidatingPolicy" { "NamespacedValidatingPolicy" } else { "ValidatingPolicy" };
    let judge = Judge { policy, kind, rule_type: RuleType::Validation, request };
    let spec = &policy["spec"];
    let namespace = text_at(policy, "/metadata/namespace");
    if !namespace.is_empty() && namespace != request.namespace {
        return Vec::new();
    }
    match text(&spec["evaluation"], "mode") {
        "" | "Kubernetes" => {}
        "JSON" => return judge.judged(spec, evidence, kinds),
        // Requests to Envoy and HTTP servers are no objects.
        _ => return Vec::new(),
    }
    let mut results = Vec::new();
    let generated = autogen::validating(spec);
    for spec in std::iter::once(spec).chain(&generated) {
        if !spec["matchConstraints"].is_object() {
            continue;
        }
        match matches(&spec["matchConstraints"], request) {
            Ok(true) => results.extend(judge.judged(spec, evidence, kinds)),
            Ok(false) => {}
            Err(error) => results.push(judge.result("match", Status::Error, format!("failed to execute matching: {error}"))),
        }
    }
    results
}

impl Judge<'_> {
    fn judged(&self, spec: &Value, evidence: &Evidence, kinds: &Kinds<'_>) -> Vec<RuleResult> {
        match self.validate(spec, evidence, kinds) {
            Ok(result) => vec![result],
            Err(error) => vec![self.result("evaluation", Status::Error, format!("failed to load context: {error}"))],
        }
    }

    fn validate(&self, spec: &Value, evidence: &Evidence, kinds: &Kinds<'_>) -> Result<RuleResult, String> {
        let library = Library::new(evidence, kinds, text_at(self.policy, "/metadata/namespace"));
        let mut run = run_of(&library, self.request, spec)?;
        match exempt(&mut run, &exceptions(evidence, self.kind, self.policy))? {
            Exempt::Whole { exceptions, pass } => return Ok(self.exempted(exceptions, pass)),
            Exempt::Part(allowed) => run.set("exceptions", allowed),
        }
        let conditions = conditions(&spec["matchConditions"], "spec.matchConditions")?;
        match holds(&mut run, &conditions) {
            Ok(true) => {}
            Ok(false) => return Ok(self.result("", Status::Skip, "skip")),
            Err(_) if text(spec, "failurePolicy") == "Ignore" => return Ok(self.result("", Status::Skip, "skip")),
            Err(error) => return Err(error),
        }
        for (index, validation) in rules(&spec["validations"]).iter().enumerate() {
            let program =
                program(text(validation, "expression")).map_err(|error| invalid("spec.validations", index, "expression", &error))?;
            match run.run(&program) {
                Ok(Cel::Bool(true)) => {}
                Ok(Cel::Bool(false)) => {
                    let message = message(&mut run, validation, index);
                    return Ok(match annotations(&mut run, spec) {
                        Ok(_) => self.result("", Status::Fail, message),
                        Err(error) => self.result("", Status::Error, format!("error: {error}")),
                    });
                }
                Ok(other) => {
                    let error = format!("unexpected type {}, expected bool", printed(&other));
                    return Ok(self.result("", Status::Error, format!("error: {error}")));
                }
                Err(error) => return Ok(self.result("", Status::Error, format!("error: {error}"))),
            }
        }
        annotations(&mut run, spec)?;
        Ok(self.result("", Status::Pass, "success"))
    }
}

pub(super) fn message(run: &mut Run<'_>, validation: &Value, index: usize) -> String {
    let message = match text(validation, "messageExpression") {
        "" => text(validation, "message").to_owned(),
        expression => match program(expression).and_then(|program| run.run(&program)) {
            Ok(Cel::String(message)) => message.to_string(),
            Ok(other) => format!("failed to convert message expression to string: {}", printed(&other)),
            Err(error) => format!("failed to evaluate message expression: {error}"),
        },
    };
    if message.is_empty() { format!("CEL expression validation failed at index {index}") } else { message }
}
