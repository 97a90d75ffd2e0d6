//! `validate.cel`: expressions as Kubernetes' ValidatingAdmissionPolicy has them.

use crate::{context::Context, engine::Response, evidence::plural_of, subject::Subject};
use machinery::{
    cel::{Inputs, value::of_json},
    policy::Policy,
};
use serde_json::{Value, json};

pub fn rule(context: &mut Context<'_>, subject: &Subject<'_>, rule: &Value) -> Response {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    let empty = Value::Null;
    let cel = rule.pointer("/validate/cel").unwrap_or(&empty);
    let message = rule.pointer("/validate/message").and_then(Value::as_str).unwrap_or_default();
    let validations: Vec<Value> = cel.get("expressions").and_then(Value::as_array).into_iter().flatten().cloned().collect();
    let validations: Vec<Value> = validations
        .into_iter()
        .map(|mut validation| {
            let own = validation.get("message").and_then(Value::as_str).unwrap_or_default();
            if own.is_empty() {
                validation["message"] = json!(message);
            }
            validation
        })
        .collect();
    let conditions = rule.get("celPreconditions").cloned().unwrap_or_else(|| json!([]));
    let as_policy = |spec: Value| Policy::compile(&json!({ "spec": spec }));
    let preconditions = as_policy(json!({
        "matchConditions": [], "variables": cel.get("variables"), "paramKind": cel.get("paramKind"),
        "validations": conditions.as_array().into_iter().flatten().map(|c| json!({ "expression": c["expression"] })).collect::<Vec<_>>(),
    }));
    let policy = as_policy(json!({
        "matchConditions": [], "variables": cel.get("variables"), "validations": validations,
        "auditAnnotations": cel.get("auditAnnotations"), "paramKind": cel.get("paramKind"),
    }));
    let params = match parameters(context, subject, cel) {
        Ok(params) => params,
        Err(why) => return Response::error(format!("error in parameterized resource: {why}")),
    };
    for param in params {
        let inputs = inputs(subject, param.as_ref(), context);
        let met = preconditions.evaluate(&inputs);
        if let Some(denial) = met.denials.first() {
            // A condition that is false leaves the rule out; one that cannot be judged is an error.
            if denial.reason.is_empty() {
                return Response::error(denial.message.clone());
            }
            return Response::skip("cel preconditions not met");
        }
        if let Some(denial) = policy.evaluate(&inputs).denials.into_iter().next() {
            return Response::fail(denial.message);
        }
    }
    Response::pass(format!("Validation rule '{name}' passed."))
}

fn inputs(subject: &Subject<'_>, params: Option<&Value>, context: &Context<'_>) -> Inputs {
    let null = Value::Null;
    let object = subject.object().unwrap_or(&null);
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = json!({ "group": subject.kind.group, "version": subject.kind.version, "kind": subject.kind.kind });
    let resource = json!({ "group": subject.kind.group, "version": subject.kind.version, "resource": plural_of(&subject.kind.kind) });
    let namespace = if subject.kind.kind == "Namespace" { "" } else { text("/metadata/namespace") };
    let request = json!({
        "kind": kind, "resource": resource, "subResource": subject.kind.subresource, "requestKind": kind, "requestResource": resource,
        "name": text("/metadata/name"), "namespace": namespace, "operation": subject.operation.to_string(), "dryRun": false, "options": {},
        "userInfo": subject.user.as_ref().map_or(json!({}), |user| user.user_info.clone()),
    });
    let of_namespace = match namespace {
        "" => Value::Null,
        name => {
            let known = context.runtime.evidence.namespaces.get(name).cloned();
            known.unwrap_or_else(|| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }))
        }
    };
    let mut inputs = Inputs::default();
    inputs.set("object", of_json(subject.new.as_ref().unwrap_or(&null)));
    inputs.set("oldObject", of_json(subject.old.as_ref().unwrap_or(&null)));
    inputs.set("request", of_json(&request));
    inputs.set("params", of_json(params.unwrap_or(&null)));
    inputs.set("namespaceObject", of_json(&of_namespace));
    inputs
}

fn parameters(context: &Context<'_>, subject: &Subject<'_>, cel: &Value) -> Result<Vec<Option<Value>>, String> {
    let (Some(kind), Some(reference)) = (cel.get("paramKind").filter(|k| k.is_object()), cel.get("paramRef").filter(|r| r.is_object())) else {
        return Ok(vec![None]);
    };
    let own = subject.object().and_then(|o| o.pointer("/metadata/namespace")).and_then(Value::as_str).unwrap_or_default();
    let mut selector = json!({ "apiVersion": kind["apiVersion"], "kind": kind["kind"], "name": reference["name"], "selector": reference["selector"] });
    let given = reference.get("namespace").and_then(Value::as_str).unwrap_or(own);
    if crate::evidence::is_namespaced(kind["kind"].as_str().unwrap_or_default()) {
        selector["namespace"] = json!(given);
    }
    let found = crate::mutate::find_objects(&context.runtime.evidence.objects, &selector, None);
    if found.is_empty() && (reference.get("name").is_some() || reference["parameterNotFoundAction"] == "Deny") {
        return Err("no params found".to_owned());
    }
    Ok(found.into_iter().map(|object| Some(object.clone())).collect())
}
