//! `podFailurePolicy` and `successPolicy`.

use super::{Counts, End, indexes};
use crate::controllers::common::{int, items, text};
use machinery::object;
use serde_json::Value;
use std::sync::Arc;

/// The first rule that speaks of this failed pod.
fn rule<'a>(job: &'a Value, pod: &Value) -> Option<(usize, &'a Value)> {
    items(&job["spec"]["podFailurePolicy"]["rules"]).iter().enumerate().find(|(_, rule)| {
        let on_exit = &rule["onExitCodes"];
        if on_exit.is_object() {
            return exit_codes(on_exit, pod).is_some();
        }
        items(&rule["onPodConditions"]).iter().any(|pattern| {
            items(&pod["status"]["conditions"]).iter().any(|condition| {
                condition["type"] == pattern["type"] && text(&condition["status"]) == pattern["status"].as_str().unwrap_or("True")
            })
        })
    })
}

/// The container and exit code that the requirement matches.
fn exit_codes<'a>(requirement: &Value, pod: &'a Value) -> Option<(&'a str, i64)> {
    let statuses = items(&pod["status"]["containerStatuses"]).iter().chain(items(&pod["status"]["initContainerStatuses"]));
    let listed = |code: i64| items(&requirement["values"]).iter().any(|value| value.as_i64() == Some(code));
    statuses
        .filter(|status| requirement["containerName"].as_str().is_none_or(|name| status["name"] == name))
        .filter_map(|status| Some((text(&status["name"]), status["state"]["terminated"]["exitCode"].as_i64()?)))
        .find(|(_, code)| *code != 0 && (listed(*code) == (requirement["operator"] == "In")))
}

/// A failure that the policy ignores does not count.
pub fn counts_as_failure(job: &Value, pod: &Value) -> bool {
    rule(job, pod).is_none_or(|(_, rule)| rule["action"] != "Ignore")
}

/// A pod whose failure fails the whole Job.
pub fn failed_job(job: &Value, pods: &[Arc<Value>]) -> Option<End> {
    pods.iter().filter(|pod| pod["status"]["phase"] == "Failed").find_map(|pod| {
        let (index, rule) = rule(job, pod).filter(|(_, rule)| rule["action"] == "FailJob")?;
        let pod_name = format!("{}/{}", object::namespace(pod), object::name(pod));
        let message = match exit_codes(&rule["onExitCodes"], pod).filter(|_| rule["onExitCodes"].is_object()) {
            Some((container, code)) => {
                format!("Container {container} for pod {pod_name} failed with exit code {code} matching FailJob rule at index {index}")
            }
            None => {
                let kind = text(&rule["onPodConditions"][0]["type"]);
                format!("Pod {pod_name} has condition {kind} matching FailJob rule at index {index}")
            }
        };
        Some(End::failed("PodFailurePolicy", message))
    })
}

/// A rule of the success policy that the completed indexes meet.
pub fn success_policy(job: &Value, counts: &Counts) -> Option<End> {
    let rules = items(&job["spec"]["successPolicy"]["rules"]);
    let met = rules.iter().position(|rule| match rule["succeededIndexes"].as_str() {
        Some(listed) => {
            let listed = indexes::parse(listed);
            let done = listed.intersection(&counts.completed).count();
            match rule["succeededCount"].as_i64() {
                Some(count) => done as i64 >= count,
                None => done == listed.len(),
            }
        }
        None => counts.completed.len() as i64 >= int(&rule["succeededCount"], i64::MAX),
    })?;
    Some(End::complete("SuccessPolicy", format!("Matched rules at index {met}")))
}
