//! `validate.cel` of a ClusterPolicy: expressions as ValidatingAdmissionPolicy has them, on the request that the rule sees.

use super::{
    admission::message,
    kinds::Kinds,
    library::Library,
    matching::rules,
    policy::{conditions, holds, program, run_of, text},
    request::Request,
};
use crate::{Evidence, Trigger, subject::Subject};
use machinery::cel::{Value as Cel, value::of_json};
use serde_json::{Value, json};

/// What the expressions say.
pub(crate) enum Outcome {
    Pass,
    /// A precondition does not hold.
    Skip,
    /// An expression is false, or cannot be judged.
    Fail(String),
}

/// `spec` has `matchConditions`, `variables` and `validations`.
pub(crate) fn judge(subject: &Subject<'_>, spec: &Value, params: Option<&Value>, evidence: &Evidence) -> Outcome {
    let kinds = Kinds::new(evidence);
    let Some(object) = subject.object() else { return Outcome::Pass };
    let trigger = Trigger {
        kind: subject.kind.clone(),
        object: object.clone(),
        namespace_labels: subject.namespace_labels.clone(),
        user: subject.user.clone().unwrap_or_default(),
    };
    let mut request = Request::new(&trigger, object, evidence, &kinds);
    request.operation = subject.operation;
    request.object = subject.new.clone().unwrap_or(Value::Null);
    request.old_object = subject.old.clone().unwrap_or(Value::Null);
    if request.namespace_object.is_null() && !request.namespace.is_empty() {
        request.namespace_object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": request.namespace } });
    }
    run(&request, spec, params, evidence, &kinds).unwrap_or_else(Outcome::Fail)
}

fn run(request: &Request, spec: &Value, params: Option<&Value>, evidence: &Evidence, kinds: &Kinds<'_>) -> Result<Outcome, String> {
    let library = Library::new(evidence, kinds, "");
    let mut run = run_of(&library, request, spec)?;
    if let Some(params) = params {
        run.set("params", of_json(params));
    }
    if !holds(&mut run, &conditions(&spec["matchConditions"], "celPreconditions")?)? {
        return Ok(Outcome::Skip);
    }
    for validation in rules(&spec["validations"]) {
        let source = text(validation, "expression");
        let failed = |error: String| format!("expression '{source}' resulted in error: {error}");
        match program(source).and_then(|program| run.run(&program)).map_err(failed)? {
            Cel::Bool(true) => {}
            Cel::Bool(false) => return Ok(Outcome::Fail(message(&mut run, validation))),
            _ => return Err(failed("it gives no bool".to_owned())),
        }
    }
    Ok(Outcome::Pass)
}
