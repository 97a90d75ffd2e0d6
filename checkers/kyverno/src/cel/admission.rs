//! ValidatingAdmissionPolicy and MutatingAdmissionPolicy of Kubernetes, with their bindings, as Kyverno judges them: a policy without a
//! binding counts too.

use super::{
    kinds::Kinds,
    library::Library,
    matching::{matches, rules},
    mutating::patched,
    policy::{Judge, conditions, invalid, program, run_of, text},
    request::{Request, text_at},
};
use crate::{Evidence, RuleResult, RuleType, Status};
use machinery::{
    cel::{Run, Value as Cel, value::of_json},
    selector::LabelSelector,
};
use serde_json::{Value, json};

/// How match conditions came out.
enum Met {
    Yes,
    No,
    Failed(String),
}

/// Any that is false decides; a failure counts as the failure policy says.
fn met(run: &mut Run<'_>, spec: &Value) -> Met {
    let conditions = match conditions(&spec["matchConditions"], "spec.matchConditions") {
        Ok(conditions) => conditions,
        Err(error) => return Met::Failed(error),
    };
    match super::policy::holds(run, &conditions) {
        Ok(true) => Met::Yes,
        Ok(false) => Met::No,
        Err(_) if text(spec, "failurePolicy") == "Ignore" => Met::No,
        Err(error) => Met::Failed(error),
    }
}

/// One evaluation of a policy: with the parameters of one binding that takes the request, or without any.
fn occasions(policy: &Value, bindings: &[&Value], request: &Request, evidence: &Evidence) -> Vec<Option<Value>> {
    let mut constraints = policy["spec"]["matchConstraints"].clone();
    // Kyverno does not ask a policy that is bound for its operations, so that one without any counts.
    for rule in constraints["resourceRules"].as_array_mut().into_iter().flatten() {
        if rules(&rule["operations"]).is_empty() {
            rule["operations"] = json!(["*"]);
        }
    }
    if !matches(&constraints, request).unwrap_or(false) {
        return Vec::new();
    }
    let name = text_at(policy, "/metadata/name");
    let own: Vec<_> = bindings.iter().filter(|binding| text(&binding["spec"], "policyName") == name).collect();
    if own.is_empty() {
        return vec![None];
    }
    let takes = |binding: &&&&Value| {
        let constraints = &binding["spec"]["matchResources"];
        !constraints.is_object() || matches(constraints, request).unwrap_or(false)
    };
    let params = |binding: &&Value| {
        let reference = &binding["spec"]["paramRef"];
        reference.is_object().then(|| parameters(&policy["spec"]["paramKind"], reference, evidence))
    };
    own.iter().filter(takes).map(|binding| params(binding)).collect()
}

/// The object that a reference names; a list where it has a selector, null where there is none.
fn parameters(kind: &Value, reference: &Value, evidence: &Evidence) -> Value {
    let of_kind = |object: &&Value| !kind.is_object() || (object["apiVersion"] == kind["apiVersion"] && object["kind"] == kind["kind"]);
    let candidates = evidence.objects.iter().filter(of_kind);
    if reference["selector"].is_object() {
        let Ok(selector) = LabelSelector::from_object(&reference["selector"]) else { return Value::Null };
        let items: Vec<_> =
            candidates.filter(|object| selector.matches(object.pointer("/metadata/labels").and_then(Value::as_object))).cloned().collect();
        return match items.as_slice() {
            [] => Value::Null,
            [one] => one.clone(),
            _ => json!({ "items": items }),
        };
    }
    let (name, namespace) = (text(reference, "name"), text(reference, "namespace"));
    let named = |object: &&Value| {
        text_at(object, "/metadata/name") == name && (namespace.is_empty() || text_at(object, "/metadata/namespace") == namespace)
    };
    candidates.into_iter().find(named).cloned().unwrap_or(Value::Null)
}

pub(super) fn validate(policy: &Value, bindings: &[&Value], request: &Request, evidence: &Evidence, kinds: &Kinds<'_>) -> Vec<RuleResult> {
    let judge = Judge { policy, kind: "ValidatingAdmissionPolicy", rule_type: RuleType::Validation, request };
    // The last binding's result stands, as in Kyverno.
    let mut last = None;
    for params in occasions(policy, bindings, request, evidence) {
        let name = text_at(policy, "/metadata/name");
        last = Some(match judge.validated(params, evidence, kinds) {
            Ok(Some(message)) => judge.result(name, Status::Fail, message),
            Ok(None) => judge.result(name, Status::Pass, ""),
            Err(Met::Failed(error)) => judge.result(name, Status::Error, error),
            Err(_) => judge.result(name, Status::Skip, "match conditions aren't met"),
        });
    }
    last.into_iter().collect()
}

impl Judge<'_> {
    /// A run that knows the request and its parameters, where the policy's conditions are met.
    fn begun<'a>(&self, library: &'a Library<'a>, params: Option<&Value>) -> Result<Run<'a>, Met> {
        let spec = &self.policy["spec"];
        let mut run = run_of(library, self.request, spec).map_err(Met::Failed)?;
        if let Some(params) = params {
            run.set("params", of_json(params));
        }
        match met(&mut run, spec) {
            Met::Yes => Ok(run),
            other => Err(other),
        }
    }

    /// Why the request is denied, or nothing.
    fn validated(&self, params: Option<Value>, evidence: &Evidence, kinds: &Kinds<'_>) -> Result<Option<String>, Met> {
        let spec = &self.policy["spec"];
        let library = Library::new(evidence, kinds, "");
        let mut run = self.begun(&library, params.as_ref())?;
        for (index, validation) in rules(&spec["validations"]).iter().enumerate() {
            let program = program(text(validation, "expression"))
                .map_err(|error| Met::Failed(invalid("spec.validations", index, "expression", &error)))?;
            match run.run(&program) {
                Ok(Cel::Bool(true)) => {}
                Ok(Cel::Bool(false)) => return Ok(Some(message(&mut run, validation))),
                Ok(_) => return Err(Met::Failed("expression must evaluate to bool".to_owned())),
                Err(error) => {
                    let source = text(validation, "expression");
                    return Err(Met::Failed(format!("expression '{source}' resulted in error: {error}")));
                }
            }
        }
        Ok(None)
    }
}

pub(super) fn message(run: &mut Run<'_>, validation: &Value) -> String {
    let expression = text(validation, "messageExpression");
    let made = program(expression).and_then(|program| run.run(&program));
    if let (false, Ok(Cel::String(message))) = (expression.is_empty(), made) {
        let message = message.trim();
        if !message.is_empty() && !message.contains('\n') {
            return message.to_owned();
        }
    }
    match text(validation, "message") {
        "" => format!("failed expression: {}", text(validation, "expression").trim()),
        message => message.trim().to_owned(),
    }
}

pub(super) fn mutate(
    policy: &Value,
    bindings: &[&Value],
    request: &Request,
    object: &mut Value,
    evidence: &Evidence,
    kinds: &Kinds<'_>,
) -> Vec<RuleResult> {
    let name = text_at(policy, "/metadata/name");
    let mut last = None;
    let mut request = request.clone();
    for params in occasions(policy, bindings, &request, evidence) {
        let judge = Judge { policy, kind: "MutatingAdmissionPolicy", rule_type: RuleType::Mutation, request: &request };
        let outcome = judge.admitted(params, evidence, kinds);
        last = match outcome {
            Ok(patched) => {
                let result =
                    RuleResult { patched: Some(patched.clone()), ..judge.result(name, Status::Pass, "mutation is successfully applied") };
                *object = patched.clone();
                request.object = patched;
                Some(result)
            }
            Err(Met::Failed(error)) => Some(judge.result(name, Status::Error, error)),
            Err(_) => Some(judge.result(name, Status::Skip, "match conditions aren't met")),
        };
    }
    last.into_iter().collect()
}

impl Judge<'_> {
    fn admitted(&self, params: Option<Value>, evidence: &Evidence, kinds: &Kinds<'_>) -> Result<Value, Met> {
        let spec = &self.policy["spec"];
        let library = Library::new(evidence, kinds, "");
        let mut run = self.begun(&library, params.as_ref())?;
        patched(&mut run, &spec["mutations"], self.request.subject(), &self.request.kind).map_err(Met::Failed)
    }
}
