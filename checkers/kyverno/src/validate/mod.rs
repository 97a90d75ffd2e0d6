//! `validate`: what a rule demands of an object.

mod assert;
mod cel;
pub mod pod_security;

use crate::{
    condition,
    context::Context,
    engine::{Response, load_context},
    exceptions,
    matching::{nobody, rule_matches},
    overlay,
    result::Status,
    subject::Subject,
    text::join_non_empty,
    trigger::Operation,
    variables,
};
use serde_json::Value;

/// What the rule says; nothing where it has nothing to say of this request.
pub fn rule(context: &mut Context<'_>, subject: &mut Subject<'_>, rule: &Value) -> Option<Response> {
    let validate = rule.get("validate")?;
    let given = |name: &str| validate.get(name).is_some_and(|value| !value.is_null());
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    if given("podSecurity") && !given("assert") && !given("manifests") {
        return pod_security::rule(context, subject, rule);
    }
    let excepted = exceptions::matching(context, subject, name);
    if !excepted.is_empty() {
        return Some(Response::excepted(&excepted));
    }
    if given("assert") {
        return Some(assert::rule(context, subject, rule));
    }
    if given("manifests") {
        return Some(Response::error("signatures of manifests are not verified here: nothing of the evidence says who signed an object"));
    }
    if given("cel") {
        return Some(cel::rule(context, subject, rule));
    }
    block(context, subject, rule, &Block::of_rule(validate, rule.get("preconditions")), 0)
}

/// What a rule and the loops in it share.
struct Block<'a> {
    fields: &'a Value,
    context: Option<&'a Value>,
    preconditions: Option<&'a Value>,
}

impl<'a> Block<'a> {
    fn of_rule(validate: &'a Value, preconditions: Option<&'a Value>) -> Self {
        Self { fields: validate, context: None, preconditions }
    }

    fn of_loop(each: &'a Value) -> Self {
        Self { fields: each, context: each.get("context"), preconditions: each.get("preconditions") }
    }

    fn part(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }
}

/// Loops in loops end here.
const DEEPEST: usize = 16;

fn block(context: &mut Context<'_>, subject: &mut Subject<'_>, rule: &Value, of: &Block<'_>, nesting: usize) -> Option<Response> {
    if nesting > DEEPEST {
        return Some(Response::error("loops are nested too deeply"));
    }
    load_context(context, subject, rule, of.context);
    match condition::hold(context, of.preconditions) {
        Err(error) => return Some(Response::error(format!("failed to evaluate preconditions: {error}"))),
        Ok((true, _)) => {}
        Ok((false, message)) => return Some(Response::skip(join_non_empty(&["preconditions not met", &message], "; "))),
    }
    let response = if let Some(denied) = of.part("deny") {
        Some(deny(context, rule, denied))
    } else if let Some(pattern) = of.part("pattern").or_else(|| of.part("anyPattern")) {
        match variables::substitute(context, pattern) {
            Err(error) => return Some(Response::error(format!("variable substitution failed: {error}"))),
            Ok(pattern) => patterns(context, subject, rule, &pattern, of.part("pattern").is_some()),
        }
    } else if let Some(loops) = of.part("foreach").and_then(Value::as_array) {
        foreach(context, subject, rule, loops, nesting)
    } else {
        None
    };
    if nesting == 0 && response.as_ref().is_some_and(|response| response.status == Status::Fail) && tolerates_existing(subject, rule) {
        let before = of_old_object(context, subject, rule, |context, subject| block(context, subject, rule, of, nesting));
        if before.is_some_and(|before| before.status == Status::Fail) {
            return Some(Response::skip("skipping the rule evaluation as pre-existing violations are allowed"));
        }
    }
    response
}

/// An update of an object that broke the rule before may break it still, where the rule is enforced.
fn tolerates_existing(subject: &Subject<'_>, rule: &Value) -> bool {
    let validate = rule.get("validate");
    let action = validate.and_then(|v| v.get("failureAction")).or_else(|| subject.policy.spec("validationFailureAction"));
    let enforced = matches!(action.and_then(Value::as_str), Some("Enforce" | "enforce"));
    let allowed = validate.and_then(|v| v.get("allowExistingViolations")).and_then(Value::as_bool).unwrap_or(true);
    enforced && allowed && subject.updates()
}

/// What the rule says of the old object, as if it were created now by nobody in particular.
fn of_old_object<'a>(
    context: &mut Context<'a>,
    subject: &mut Subject<'_>,
    rule: &Value,
    judge: impl FnOnce(&mut Context<'a>, &mut Subject<'_>) -> Option<Response>,
) -> Option<Response> {
    if subject.operation != Operation::Update {
        return None;
    }
    let old = subject.old.clone()?;
    let mut before = subject.clone();
    before.new = Some(old.clone());
    before.old = None;
    before.operation = Operation::Create;
    context.checkpoint();
    context.set_object(&old);
    context.set_old_object(&Value::Null);
    context.set_operation(Operation::Create);
    let mut as_nobody = before.clone();
    as_nobody.user = Some(nobody());
    let met = rule_matches(rule, &old, &as_nobody) && condition::hold(context, rule.get("preconditions")).is_ok_and(|(holds, _)| holds);
    let response = if met { judge(context, &mut before) } else { Some(Response::skip("resource not matched")) };
    context.set_operation(Operation::Update);
    context.restore();
    response
}

fn deny(context: &mut Context<'_>, rule: &Value, deny: &Value) -> Response {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    match condition::hold(context, deny.get("conditions")) {
        Err(error) => Response::error(format!("failed to check deny conditions: {error}")),
        Ok((false, _)) => Response::pass(format!("validation rule '{name}' passed.")),
        Ok((true, message)) => {
            let of_rule = message_of(rule);
            if of_rule.is_empty() && message.is_empty() {
                return Response::fail(format!("validation error: rule {name} failed"));
            }
            let text = join_non_empty(&[of_rule, &message], "; ");
            Response::fail(variables::substitute_text(context, &text).unwrap_or(message))
        }
    }
}

fn message_of(rule: &Value) -> &str {
    rule.pointer("/validate/message").and_then(Value::as_str).unwrap_or_default()
}

fn patterns(context: &mut Context<'_>, subject: &Subject<'_>, rule: &Value, pattern: &Value, single: bool) -> Option<Response> {
    let object = match &subject.element {
        Some(element) => element,
        None if subject.deletes() => return None,
        None => subject.new.as_ref()?,
    };
    Some(if single { one_pattern(context, rule, object, pattern) } else { any_pattern(context, rule, object, pattern) })
}

fn one_pattern(context: &mut Context<'_>, rule: &Value, object: &Value, pattern: &Value) -> Response {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    match overlay::matches(object, pattern) {
        Ok(()) => Response::pass(format!("validation rule '{name}' passed.")),
        Err(mismatch) if mismatch.skip => Response::skip(mismatch.message),
        Err(mismatch) => {
            let place = match mismatch.path.as_str() {
                "" => format!("rule {name} execution error: {}", mismatch.message),
                path => format!("rule {name} failed at path {path}"),
            };
            let message = match written_message(context, rule) {
                None => format!("validation error: {place}"),
                Some(Ok(text)) => format!("validation error: {text}{} {place}", if text.ends_with('.') { "" } else { "." }),
                Some(Err(_)) => {
                    format!("validation error: variables substitution error in rule {name} execution error: {}", mismatch.message)
                }
            };
            if mismatch.path.is_empty() { Response::error(message) } else { Response::fail(message) }
        }
    }
}

fn written_message(context: &mut Context<'_>, rule: &Value) -> Option<Result<String, crate::context::QueryError>> {
    let message = message_of(rule);
    (!message.is_empty()).then(|| variables::substitute_text(context, message))
}

fn any_pattern(context: &mut Context<'_>, rule: &Value, object: &Value, patterns: &Value) -> Response {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    let Some(patterns) = patterns.as_array() else {
        return Response::error("failed to deserialize anyPattern, expected type array");
    };
    let (mut failed, mut skipped) = (Vec::new(), Vec::new());
    for (i, pattern) in patterns.iter().enumerate() {
        match overlay::matches(object, pattern) {
            Ok(()) => return Response::pass(format!("validation rule '{name}' anyPattern[{i}] passed.")),
            Err(mismatch) if mismatch.skip => skipped.push(format!("rule {name}[{i}] skipped: {}", mismatch.message)),
            Err(mismatch) if mismatch.path.is_empty() => failed.push(format!("rule {name}[{i}] failed: {}", mismatch.message)),
            Err(mismatch) => failed.push(format!("rule {name}[{i}] failed at path {}", mismatch.path)),
        }
    }
    if failed.is_empty() {
        return if skipped.is_empty() { Response::pass(message_of(rule)) } else { Response::skip(skipped.join(" ")) };
    }
    let failed = failed.join(" ");
    Response::fail(match written_message(context, rule) {
        None => format!("validation error: {failed}"),
        Some(Ok(text)) => format!("validation error: {text}{} {failed}", if text.ends_with('.') { "" } else { "." }),
        Some(Err(_)) => format!("validation error: variables substitution error in rule {name} execution error: {failed}"),
    })
}

/// The elements of a list that a query gives; what is no list is one element.
pub fn elements_of(context: &mut Context<'_>, list: &str) -> Result<Vec<Value>, crate::context::QueryError> {
    Ok(match context.query(list)? {
        Value::Array(items) => items,
        other => vec![other],
    })
}

fn foreach(context: &mut Context<'_>, subject: &mut Subject<'_>, rule: &Value, loops: &[Value], nesting: usize) -> Option<Response> {
    let mut applied = 0;
    for each in loops {
        let list = each.get("list").and_then(Value::as_str).unwrap_or_default();
        // A list that cannot be had is an optional field that is not there.
        let Ok(elements) = elements_of(context, list) else { continue };
        let outer = subject.element.clone();
        context.checkpoint();
        let (response, count) = over_elements(context, subject, rule, each, &elements, nesting);
        context.restore();
        subject.element = outer;
        match response {
            Some(response) if response.status != Status::Pass => return Some(response),
            _ => applied += count,
        }
    }
    (applied > 0).then(|| Response::pass("rule passed"))
}

fn over_elements(
    context: &mut Context<'_>,
    subject: &mut Subject<'_>,
    rule: &Value,
    each: &Value,
    elements: &[Value],
    nesting: usize,
) -> (Option<Response>, usize) {
    let scope = each.get("elementScope").and_then(Value::as_bool);
    let outer = subject.element.clone();
    let mut applied = 0;
    for (i, element) in elements.iter().enumerate().filter(|(_, element)| !element.is_null()) {
        if let Err(error) = context.runtime.step() {
            return (Some(Response::error(error.to_string())), applied);
        }
        context.reset();
        context.set_element(element, i, nesting);
        if scope == Some(true) && !element.is_object() {
            let message =
                format!("failed to process foreach: cannot use elementScope=true foreach rules for elements that are not maps: {element}");
            return (Some(Response::error(message)), applied);
        }
        subject.element = if scope.unwrap_or(element.is_object()) { Some(element.clone()) } else { outer.clone() };
        let Some(response) = block(context, subject, rule, &Block::of_loop(each), nesting + 1) else { continue };
        match response.status {
            Status::Skip => {}
            Status::Pass => applied += 1,
            Status::Error if i + 1 < elements.len() => {}
            status => return (Some(Response::new(status, format!("validation failure: {}", response.message))), applied),
        }
    }
    (None, applied)
}
