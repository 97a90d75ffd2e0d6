//! Conditions: `preconditions`, `deny.conditions` and those of exceptions and cleanup policies.

mod operator;

pub use operator::{DEPRECATED, OPERATORS};

use crate::{
    context::{Context, QueryError},
    text::join_non_empty,
    variables::substitute,
};
use serde_json::Value;

/// Whether the conditions hold, and what they say of it. Nothing holds always.
pub fn hold(context: &mut Context<'_>, conditions: Option<&Value>) -> Result<(bool, String), QueryError> {
    match conditions {
        None | Some(Value::Null) => Ok((true, String::new())),
        // A list without `any` and `all` is the old form: everything in it has to hold.
        Some(Value::Array(list)) => all(context, list),
        Some(Value::Object(map)) => any_all(context, map.get("any"), map.get("all")),
        Some(_) => Err(QueryError::Failed("invalid preconditions".to_owned())),
    }
}

/// A list of blocks with `any` and `all`, all of which have to hold, as attestations have them.
pub fn blocks_hold(context: &mut Context<'_>, blocks: Option<&Value>) -> Result<(bool, String), QueryError> {
    let mut messages = Vec::new();
    for block in blocks.and_then(Value::as_array).into_iter().flatten() {
        let (holds, message) = hold(context, Some(block))?;
        if !holds {
            return Ok((false, message));
        }
        messages.push(message);
    }
    Ok((true, joined(&messages, ";")))
}

fn joined(messages: &[String], separator: &str) -> String {
    join_non_empty(&messages.iter().map(String::as_str).collect::<Vec<_>>(), separator)
}

fn all(context: &mut Context<'_>, list: &[Value]) -> Result<(bool, String), QueryError> {
    let mut messages = Vec::new();
    for condition in list {
        let (holds, message) = evaluate(context, condition)?;
        if !holds {
            return Ok((false, message));
        }
        messages.push(message);
    }
    Ok((true, joined(&messages, ";")))
}

fn any_all(context: &mut Context<'_>, any: Option<&Value>, all: Option<&Value>) -> Result<(bool, String), QueryError> {
    let (mut of_true, mut of_false) = (Vec::new(), Vec::new());
    let mut holds_any = true;
    if let Some(any) = any.and_then(Value::as_array) {
        holds_any = false;
        for condition in any {
            let (holds, message) = evaluate(context, condition)?;
            if holds {
                holds_any = true;
                of_true.push(message);
                break;
            }
            of_false.push(message);
        }
    }
    let mut holds_all = true;
    for condition in all.and_then(Value::as_array).into_iter().flatten() {
        let (holds, message) = evaluate(context, condition)?;
        if !holds {
            holds_all = false;
            of_false.push(message);
            break;
        }
        of_true.push(message);
    }
    let holds = holds_any && holds_all;
    Ok((holds, joined(if holds { &of_true } else { &of_false }, "; ")))
}

fn evaluate(context: &mut Context<'_>, condition: &Value) -> Result<(bool, String), QueryError> {
    let null = Value::Null;
    let mut side = |name: &str| {
        substitute(context, condition.get(name).unwrap_or(&null)).map_err(|error| match error {
            QueryError::NotFound(why) => QueryError::NotFound(format!("failed to substitute variables in condition {name}: {why}")),
            QueryError::Failed(why) => QueryError::Failed(format!("failed to substitute variables in condition {name}: {why}")),
        })
    };
    let (key, value) = (side("key")?, side("value")?);
    let name = condition.get("operator").and_then(Value::as_str).unwrap_or_default();
    let holds = operator::evaluate(name, &key, &value)
        .ok_or_else(|| QueryError::Failed(format!("failed to create handler for condition operator: {name}")))?;
    Ok((holds, condition.get("message").and_then(Value::as_str).unwrap_or_default().to_owned()))
}
