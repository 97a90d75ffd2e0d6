//! ClusterCleanupPolicy and CleanupPolicy: which objects are deleted when the schedule comes round.

use crate::{
    condition,
    context::Context,
    engine::{Response, load_context},
    matching::{Use, filter_matches},
    subject::Subject,
};
use serde_json::{Value, json};

/// Pass where the object would be deleted, fail where a condition keeps it, nothing where the policy is not about it.
pub fn policy(context: &mut Context<'_>, subject: &Subject<'_>) -> Option<Response> {
    let object = subject.object()?.clone();
    let empty = Value::Null;
    let matches = |name: &str| {
        let block = subject.policy.spec(name).unwrap_or(&empty);
        filter_matches(block, &object, subject, Use::Cleanup)
    };
    if !matches("match") || subject.policy.spec("exclude").is_some() && matches("exclude") {
        return None;
    }
    context.checkpoint();
    context.set_target(&object);
    load_context(context, subject, &json!({}), subject.policy.spec("context"));
    let held = condition::hold(context, subject.policy.spec("conditions"));
    context.restore();
    Some(match held {
        Err(error) => Response::error(format!("failed to evaluate conditions: {error}")),
        Ok((true, _)) => Response::pass("resource matched"),
        Ok((false, _)) => Response::fail("resource did not match"),
    })
}
