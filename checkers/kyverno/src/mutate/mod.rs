//! `mutate`: what a rule makes of an object, or of others.

mod json_patch;
mod merge;
mod strategic;
mod targets;

use crate::{
    condition,
    context::{Context, QueryError},
    engine::{Response, load_context},
    exceptions,
    result::Status,
    subject::Subject,
    validate::elements_of,
    variables,
};
use serde_json::{Value, json};

pub use targets::find as find_objects;

/// What comes of one patch.
enum Outcome {
    Patched(Value),
    /// The patch changes nothing.
    Unchanged,
}

/// Applies the rule; the new object of the subject is left as the rule leaves it.
pub fn rule(context: &mut Context<'_>, subject: &mut Subject<'_>, rule: &Value) -> Vec<Response> {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    let excepted = exceptions::matching(context, subject, name);
    if !excepted.is_empty() {
        return vec![Response::excepted(&excepted)];
    }
    if rule.pointer("/mutate/targets").is_some_and(|targets| !targets.is_null()) {
        return targets::rule(context, subject, rule);
    }
    // What is deleted is not changed any more.
    let Some(object) = subject.new.clone() else { return Vec::new() };
    let response = match on_object(context, subject, rule, &object) {
        Ok(Outcome::Patched(patched)) => {
            let response = Response::pass(mutated(&patched));
            subject.new = Some(patched);
            response
        }
        Ok(Outcome::Unchanged) => Response::skip("no patches applied"),
        Err(error) => Response::error(error.to_string()),
    };
    vec![response]
}

fn mutated(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    match text("/metadata/namespace") {
        "" => format!("mutated {kind}/{name}"),
        namespace => format!("mutated {kind}/{name} in namespace {namespace}"),
    }
}

fn on_object(context: &mut Context<'_>, subject: &Subject<'_>, rule: &Value, object: &Value) -> Result<Outcome, QueryError> {
    let empty = Value::Null;
    let mutate = rule.get("mutate").unwrap_or(&empty);
    if let Some(loops) = mutate.get("foreach").and_then(Value::as_array) {
        return foreach(context, subject, rule, loops, object, 0);
    }
    // The whole rule is substituted, so that references and `@` see the same paths as in Kyverno.
    let mut fields = mutate.clone();
    if let Some(fields) = fields.as_object_mut() {
        fields.remove("targets");
    }
    let mutate = variables::substitute_at(context, &fields, "/mutate").map_err(|error| failed("variable substitution failed", &error))?;
    patch(&mutate, object)
}

fn failed(what: &str, error: &QueryError) -> QueryError {
    QueryError::Failed(format!("{what}: {error}"))
}

fn patch(fields: &Value, object: &Value) -> Result<Outcome, QueryError> {
    let patched = if let Some(overlay) = fields.get("patchStrategicMerge").filter(|patch| !patch.is_null()) {
        strategic::apply(overlay, object)
    } else if let Some(patches) = fields.get("patchesJson6902").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        json_patch::apply(patches, object)
    } else {
        return Err(QueryError::Failed("empty mutate rule".to_owned()));
    };
    let patched = patched.map_err(|why| QueryError::Failed(format!("failed to patch resource: {why}")))?;
    Ok(if patched == *object { Outcome::Unchanged } else { Outcome::Patched(patched) })
}

/// Loops in loops end here.
const DEEPEST: usize = 16;

fn foreach(
    context: &mut Context<'_>,
    subject: &Subject<'_>,
    rule: &Value,
    loops: &[Value],
    object: &Value,
    nesting: usize,
) -> Result<Outcome, QueryError> {
    if nesting > DEEPEST {
        return Err(QueryError::Failed("loops are nested too deeply".to_owned()));
    }
    let mut object = object.clone();
    let mut changed = false;
    for each in loops {
        let list = each.get("list").and_then(Value::as_str).unwrap_or_default();
        let elements = elements_of(context, list).map_err(|error| failed(&format!("failed to evaluate list {list}"), &error))?;
        context.checkpoint();
        let result = over_elements(context, subject, rule, each, elements, &object, nesting);
        context.restore();
        if let Outcome::Patched(patched) = result.map_err(|error| failed("failed to mutate elements", &error))? {
            context.set_object(&patched);
            object = patched;
            changed = true;
        }
    }
    Ok(if changed { Outcome::Patched(object) } else { Outcome::Unchanged })
}

fn over_elements(
    context: &mut Context<'_>,
    subject: &Subject<'_>,
    rule: &Value,
    each: &Value,
    elements: Vec<Value>,
    object: &Value,
    nesting: usize,
) -> Result<Outcome, QueryError> {
    let strategic = each.get("patchStrategicMerge").is_some_and(|patch| !patch.is_null());
    // Patches of lists put elements in front, so that the last goes first.
    let descending = each.get("order").and_then(Value::as_str).map_or(strategic, |order| order == "Descending");
    let mut elements: Vec<(usize, Value)> = elements.into_iter().enumerate().collect();
    if descending {
        elements.reverse();
    }
    let mut patched = object.clone();
    for (i, element) in elements.into_iter().filter(|(_, element)| !element.is_null()) {
        context.runtime.step()?;
        context.reset();
        context.set_element(&element, i, nesting);
        load_context(context, subject, rule, each.get("context"));
        let (met, _) = condition::hold(context, each.get("preconditions"))
            .map_err(|error| failed(&format!("failed to evaluate mutate.foreach[{i}].preconditions"), &error))?;
        if !met {
            continue;
        }
        let outcome = match each.get("foreach").and_then(Value::as_array).filter(|loops| !loops.is_empty()) {
            Some(loops) => foreach(context, subject, rule, loops, &patched, nesting + 1)?,
            None => {
                let patches =
                    json!({ "patchStrategicMerge": each.get("patchStrategicMerge"), "patchesJson6902": each.get("patchesJson6902") });
                let patches = variables::substitute(context, &patches).map_err(|error| failed("variable substitution failed", &error))?;
                patch(&patches, &patched)?
            }
        };
        if let Outcome::Patched(object) = outcome {
            patched = object;
        }
    }
    Ok(if patched == *object { Outcome::Unchanged } else { Outcome::Patched(patched) })
}

/// The status of a patch that was made on another object.
fn of_target(result: Result<Outcome, QueryError>) -> Response {
    match result {
        Ok(Outcome::Patched(patched)) => {
            let mut response = Response::pass(mutated(&patched));
            response.target = Some(patched);
            response
        }
        Ok(Outcome::Unchanged) => Response::skip("no patches applied"),
        Err(error) => Response::new(Status::Error, error.to_string()),
    }
}
