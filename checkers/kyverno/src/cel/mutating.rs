//! MutatingPolicy and NamespacedMutatingPolicy, and the mutations that MutatingAdmissionPolicy shares with them.

use super::{
    autogen,
    kinds::Kinds,
    library::Library,
    matching::{matches, rules},
    policy::{Exempt, Judge, annotations, conditions, exceptions, exempt, holds, invalid, program, run_of, text},
    request::{Request, text_at},
};
use crate::{Evidence, RuleResult, RuleType, Status, trigger::KindOf};
use machinery::cel::{
    Run,
    value::{of_json, to_json},
};
use serde_json::{Value, json};

/// Applies one policy; `object` is left as the policy mutates it.
pub(super) fn apply(policy: &Value, request: &Request, object: &mut Value, evidence: &Evidence, kinds: &Kinds<'_>) -> Vec<RuleResult> {
    let kind = if text(policy, "kind") == "NamespacedMutatingPolicy" { "NamespacedMutatingPolicy" } else { "MutatingPolicy" };
    let spec = &policy["spec"];
    let namespace = text_at(policy, "/metadata/namespace");
    if !namespace.is_empty() && namespace != request.namespace {
        return Vec::new();
    }
    let mut results = Vec::new();
    if spec.pointer("/evaluation/mutateExisting/enabled") == Some(&Value::Bool(true)) {
        results.extend(existing(policy, kind, request, evidence, kinds));
    }
    let generated = autogen::mutating(spec);
    for spec in std::iter::once(spec).chain(&generated) {
        let judge = Judge { policy, kind, rule_type: RuleType::Mutation, request };
        match matches(&spec["matchConstraints"], request) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                results.push(judge.result("match", Status::Error, format!("failed to execute matching: {error}")));
                continue;
            }
        }
        results.push(judge.mutated(spec, &spec["matchConditions"], object, evidence, kinds));
    }
    results
}

/// Targets of the evidence, or else its objects, that `targetMatchConstraints` take, or what their expression finds.
fn existing(policy: &Value, kind: &'static str, trigger: &Request, evidence: &Evidence, kinds: &Kinds<'_>) -> Vec<RuleResult> {
    let spec = &policy["spec"];
    if !matches(&spec["matchConstraints"], trigger).unwrap_or(false) {
        return Vec::new();
    }
    let expression = text(&spec["targetMatchConstraints"], "expression");
    if !expression.is_empty() {
        return found(policy, kind, trigger, expression, evidence, kinds);
    }
    let mut constraints = if rules(&spec["targetMatchConstraints"]["resourceRules"]).is_empty() {
        spec["matchConstraints"].clone()
    } else {
        spec["targetMatchConstraints"].clone()
    };
    // A target is not sent by anybody, so that no operation is asked for.
    for rule in constraints["resourceRules"].as_array_mut().into_iter().flatten() {
        rule["operations"] = json!(["*"]);
    }
    let mut results = Vec::new();
    let known = if evidence.targets.is_empty() { &evidence.objects } else { &evidence.targets };
    for target in known {
        let request = of_target(target, trigger, kinds);
        if matches(&constraints, &request).unwrap_or(false) {
            results.push(on_target(policy, kind, &request, evidence, kinds));
        }
    }
    results
}

/// What an expression finds: an object, or a list of them.
fn found(
    policy: &Value,
    kind: &'static str,
    trigger: &Request,
    expression: &str,
    evidence: &Evidence,
    kinds: &Kinds<'_>,
) -> Vec<RuleResult> {
    let library = Library::new(evidence, kinds, text_at(policy, "/metadata/namespace"));
    let targets = run_of(&library, trigger, &policy["spec"]).and_then(|mut run| Ok(to_json(&run.run(&program(expression)?)?)));
    let targets = match targets {
        Ok(Value::Array(targets)) => targets,
        Ok(Value::Null) => Vec::new(),
        Ok(list) if list["items"].is_array() => rules(&list["items"]).to_vec(),
        Ok(target) => vec![target],
        Err(error) => {
            let judge = Judge { policy, kind, rule_type: RuleType::Mutation, request: trigger };
            return vec![judge.result("", Status::Error, format!("failed to evaluate policy: {error}"))];
        }
    };
    targets.iter().map(|target| on_target(policy, kind, &of_target(target, trigger, kinds), evidence, kinds)).collect()
}

/// The trigger's request, about a target.
fn of_target(target: &Value, trigger: &Request, kinds: &Kinds<'_>) -> Request {
    let kind = KindOf::of(target);
    Request {
        resource: kinds.resource_of(&kind),
        name: text_at(target, "/metadata/name").to_owned(),
        namespace: super::kinds::namespace_of(&kind, target),
        kind,
        object: target.clone(),
        old_object: Value::Null,
        ..trigger.clone()
    }
}

fn on_target(policy: &Value, kind: &'static str, request: &Request, evidence: &Evidence, kinds: &Kinds<'_>) -> RuleResult {
    let judge = Judge { policy, kind, rule_type: RuleType::Mutation, request };
    let spec = &policy["spec"];
    let mut object = request.object.clone();
    let mut result = judge.mutated(spec, &spec["targetMatchConditions"], &mut object, evidence, kinds);
    if result.status == Status::Pass {
        result.patched = None;
        result.targets = vec![object];
    }
    result
}

impl Judge<'_> {
    fn mutated(&self, spec: &Value, conditions: &Value, object: &mut Value, evidence: &Evidence, kinds: &Kinds<'_>) -> RuleResult {
        match self.mutate(spec, conditions, object, evidence, kinds) {
            Ok(result) => result,
            Err(error) => self.result("evaluation", Status::Error, format!("failed to evaluate policy: {error}")),
        }
    }

    fn mutate(
        &self,
        spec: &Value,
        match_conditions: &Value,
        object: &mut Value,
        evidence: &Evidence,
        kinds: &Kinds<'_>,
    ) -> Result<RuleResult, String> {
        let library = Library::new(evidence, kinds, text_at(self.policy, "/metadata/namespace"));
        let mut run = run_of(&library, self.request, spec)?;
        match exempt(&mut run, &exceptions(evidence, self.kind, self.policy))? {
            Exempt::Whole { exceptions, pass } => return Ok(self.exempted(exceptions, pass)),
            Exempt::Part(allowed) => run.set("exceptions", allowed),
        }
        let conditions = conditions(match_conditions, "spec.matchConditions")?;
        if !holds(&mut run, &conditions)? {
            return Ok(self.result("", Status::Skip, "skip"));
        }
        let patched = patched(&mut run, &spec["mutations"], self.request.subject(), &self.request.kind)?;
        annotations(&mut run, spec)?;
        *object = patched.clone();
        Ok(RuleResult { patched: Some(patched), ..self.result("", Status::Pass, "success") })
    }
}

/// The object after all mutations; each sees what those before it have made.
pub(super) fn patched(run: &mut Run<'_>, mutations: &Value, object: &Value, kind: &KindOf) -> Result<Value, String> {
    let mut object = object.clone();
    for (index, mutation) in rules(mutations).iter().enumerate() {
        let (field, is_patch) = match text(mutation, "patchType") {
            "JSONPatch" => ("jsonPatch", true),
            _ => ("applyConfiguration", false),
        };
        if !mutation[field].is_object() {
            continue;
        }
        let path = format!("spec.mutations[{index}].{field}");
        let program = program(text(&mutation[field], "expression")).map_err(|error| invalid(&path, index, "expression", &error))?;
        let made = to_json(&run.run(&program)?);
        object = if is_patch { json_patched(&object, &made)? } else { merged(&object, &made, kind)? };
        run.set("object", of_json(&object));
    }
    Ok(object)
}

/// A patch whose `test` fails leaves the object as it is.
fn json_patched(object: &Value, patch: &Value) -> Result<Value, String> {
    let Value::Array(operations) = patch else {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".to_owned());
    };
    let mut operations = operations.clone();
    // What is not used is not written: an empty `from` and `value` of a removal.
    for operation in operations.iter_mut().filter_map(Value::as_object_mut) {
        if operation.get("from") == Some(&json!("")) {
            operation.remove("from");
        }
    }
    let patch = Value::Array(operations);
    match machinery::patch::json(object, &patch) {
        Ok(patched) => Ok(patched),
        Err(_) if test_fails(object, &patch) => Ok(object.clone()),
        Err(error) => Err(format!("JSON Patch: {}", error.message)),
    }
}

/// Whether the operations before one that tests apply, and the test then fails.
fn test_fails(object: &Value, patch: &Value) -> bool {
    let mut object = object.clone();
    for operation in rules(patch) {
        match machinery::patch::json(&object, &json!([operation])) {
            Ok(next) => object = next,
            Err(_) => return operation["op"] == "test",
        }
    }
    false
}

/// What a configuration adds to an object: maps grow, lists with keys are merged by them, other lists are replaced.
fn merged(object: &Value, configuration: &Value, kind: &KindOf) -> Result<Value, String> {
    if !configuration.is_object() {
        return Err("unsupported return type from ApplyConfiguration expression".to_owned());
    }
    match Kinds::built_in(kind) {
        Some(resource) => machinery::patch::strategic(resource, object, configuration)
            .map_err(|error| format!("error applying patch: failed to merge patch: {}", error.message)),
        None => Ok(machinery::patch::merge(object, configuration)),
    }
}
