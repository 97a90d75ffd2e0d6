//! `validate.cel`: expressions as Kubernetes' ValidatingAdmissionPolicy has them.

use crate::{
    cel::{Outcome, judge},
    context::Context,
    engine::Response,
    subject::Subject,
};
use serde_json::{Value, json};

pub fn rule(context: &mut Context<'_>, subject: &Subject<'_>, rule: &Value) -> Response {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    let empty = Value::Null;
    let cel = rule.pointer("/validate/cel").unwrap_or(&empty);
    let message = rule.pointer("/validate/message").and_then(Value::as_str).unwrap_or_default();
    let mut validations: Vec<Value> = cel.get("expressions").and_then(Value::as_array).cloned().unwrap_or_default();
    for validation in validations.iter_mut().filter(|validation| validation.is_object()) {
        if validation.get("message").and_then(Value::as_str).unwrap_or_default().is_empty() {
            validation["message"] = json!(message);
        }
    }
    let spec = json!({ "matchConditions": rule.get("celPreconditions"), "variables": cel.get("variables"), "validations": validations });
    let params = match parameters(context, subject, cel) {
        Ok(params) => params,
        Err(why) => return Response::error(format!("error in parameterized resource: {why}")),
    };
    for param in params {
        match judge(subject, &spec, param.as_ref(), context.runtime.evidence) {
            Outcome::Pass => {}
            Outcome::Skip => return Response::skip("cel preconditions not met"),
            Outcome::Fail(why) => return Response::fail(why),
        }
    }
    Response::pass(format!("Validation rule '{name}' passed."))
}

fn parameters(context: &Context<'_>, subject: &Subject<'_>, cel: &Value) -> Result<Vec<Option<Value>>, String> {
    let (Some(kind), Some(reference)) = (cel.get("paramKind").filter(|k| k.is_object()), cel.get("paramRef").filter(|r| r.is_object()))
    else {
        return Ok(vec![None]);
    };
    let own = subject.object().and_then(|o| o.pointer("/metadata/namespace")).and_then(Value::as_str).unwrap_or_default();
    let mut selector =
        json!({ "apiVersion": kind["apiVersion"], "kind": kind["kind"], "name": reference["name"], "selector": reference["selector"] });
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
