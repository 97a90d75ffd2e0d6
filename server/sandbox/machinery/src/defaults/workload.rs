//! Deployments, replica sets, stateful sets, daemon sets, jobs and cron jobs.

use super::{each, empty, missing, object_at, part, pod, unset};
use serde_json::{Value, json};

pub(super) fn set(kind: &str, object: &mut Value) {
    match kind {
        "PodTemplate" => return pod::template(object),
        "ControllerRevision" => return,
        _ => {}
    }
    let mut labels = None;
    if let Some(spec) = part(object, "spec") {
        match kind {
            "CronJob" => cron_job(spec),
            "Job" => {
                job_template(spec);
                job(spec);
                labels = spec["template"]["metadata"]["labels"].as_object().cloned();
            }
            _ => {
                pod::template(spec);
                match kind {
                    "Deployment" => deployment(spec),
                    "StatefulSet" => stateful_set(spec),
                    "DaemonSet" => daemon_set(spec),
                    "ReplicaSet" => missing(spec, "replicas", 1),
                    "ReplicationController" => {
                        missing(spec, "replicas", 1);
                        labels = spec["template"]["metadata"]["labels"].as_object().cloned();
                        if let Some(labels) = &labels
                            && spec["selector"].as_object().is_none_or(serde_json::Map::is_empty)
                        {
                            spec["selector"] = labels.clone().into();
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    if let Some(labels) = labels
        && object["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty)
    {
        object["metadata"]["labels"] = labels.into();
    }
    status(kind, object);
}

/// The counters of a status that Go always prints.
fn status(kind: &str, object: &mut Value) {
    let Some(status) = part(object, "status") else { return };
    let always: &[&str] = match kind {
        "ReplicaSet" | "ReplicationController" => &["replicas"],
        "StatefulSet" => &["replicas", "availableReplicas"],
        "DaemonSet" => &["currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"],
        _ => &[],
    };
    for counter in always {
        missing(status, counter, 0);
    }
}

fn deployment(spec: &mut Value) {
    missing(spec, "replicas", 1);
    if let Some(strategy) = part(spec, "strategy") {
        unset(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate"
            && let Some(update) = part(strategy, "rollingUpdate")
        {
            missing(update, "maxUnavailable", "25%");
            missing(update, "maxSurge", "25%");
        }
    }
    missing(spec, "revisionHistoryLimit", 10);
    missing(spec, "progressDeadlineSeconds", 600);
}

fn stateful_set(spec: &mut Value) {
    unset(spec, "podManagementPolicy", "OrderedReady");
    missing(spec, "serviceName", "");
    super::omit_empty(spec, &["serviceName"]);
    if let Some(strategy) = part(spec, "updateStrategy") {
        if strategy["type"].as_str().unwrap_or_default().is_empty() {
            strategy["type"] = "RollingUpdate".into();
            missing(strategy, "rollingUpdate", empty());
        }
        if strategy["type"] == "RollingUpdate"
            && let Some(update) = object_at(strategy, "rollingUpdate")
        {
            missing(update, "partition", 0);
        }
    }
    if let Some(retention) = part(spec, "persistentVolumeClaimRetentionPolicy") {
        unset(retention, "whenDeleted", "Retain");
        unset(retention, "whenScaled", "Retain");
    }
    missing(spec, "replicas", 1);
    missing(spec, "revisionHistoryLimit", 10);
    for claim in each(spec, "volumeClaimTemplates") {
        pod::claim_template(claim);
    }
}

fn daemon_set(spec: &mut Value) {
    if let Some(strategy) = part(spec, "updateStrategy") {
        unset(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate"
            && let Some(update) = part(strategy, "rollingUpdate")
        {
            missing(update, "maxUnavailable", 1);
            missing(update, "maxSurge", 0);
        }
    }
    missing(spec, "revisionHistoryLimit", 10);
}

fn job(spec: &mut Value) {
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        missing(spec, "completions", 1);
    }
    missing(spec, "parallelism", 1);
    let retries = if spec["backoffLimitPerIndex"].is_null() { 6 } else { i32::MAX };
    missing(spec, "backoffLimit", retries);
    missing(spec, "completionMode", "NonIndexed");
    missing(spec, "suspend", false);
    let replacement = if spec["podFailurePolicy"].is_null() { "TerminatingOrFailed" } else { "Failed" };
    missing(spec, "podReplacementPolicy", replacement);
    missing(spec, "manualSelector", false);
}

/// What a job's spec gets even inside a cron job.
fn job_template(spec: &mut Value) {
    pod::template(spec);
    if let Some(policy) = object_at(spec, "podFailurePolicy") {
        for rule in each(policy, "rules") {
            for pattern in each(rule, "onPodConditions") {
                unset(pattern, "status", "True");
            }
        }
    }
}

fn cron_job(spec: &mut Value) {
    unset(spec, "concurrencyPolicy", "Allow");
    missing(spec, "suspend", false);
    missing(spec, "successfulJobsHistoryLimit", 3);
    missing(spec, "failedJobsHistoryLimit", 1);
    if let Some(template) = part(spec, "jobTemplate") {
        missing(template, "metadata", json!({}));
        if let Some(spec) = part(template, "spec") {
            job_template(spec);
        }
    }
}
