//! Workloads, their revisions and autoscalers.

use super::Printer;
use super::column::{age, boolean, integer as number, name, text, wide};
use super::duration::{self, age as age_of, between, since};
use super::text::{at_most, condition, containers, count, integer, items, labels, or, scalar, selector, selector_or_none, str_of, truth};
use crate::object;
use jiff::Timestamp;
use serde_json::Value;

pub(super) fn printer(kind: &str) -> Option<Printer> {
    let printer = match kind {
        "Deployment" => Printer {
            columns: const {
                &[name(), text("Ready"), text("Up-to-date"), text("Available"), age(), wide("Containers"), wide("Images"), wide("Selector")]
            },
            cells: deployment,
        },
        "ReplicaSet" | "ReplicationController" => Printer {
            columns: const {
                &[
                    name(),
                    number("Desired"),
                    number("Current"),
                    number("Ready"),
                    age(),
                    wide("Containers"),
                    wide("Images"),
                    wide("Selector"),
                ]
            },
            cells: replica_set,
        },
        "StatefulSet" => {
            Printer { columns: const { &[name(), text("Ready"), age(), wide("Containers"), wide("Images")] }, cells: stateful_set }
        }
        "DaemonSet" => Printer {
            columns: const {
                &[
                    name(),
                    number("Desired"),
                    number("Current"),
                    number("Ready"),
                    number("Up-to-date"),
                    number("Available"),
                    text("Node Selector"),
                    age(),
                    wide("Containers"),
                    wide("Images"),
                    wide("Selector"),
                ]
            },
            cells: daemon_set,
        },
        "Job" => Printer {
            columns: const {
                &[
                    name(),
                    text("Status"),
                    text("Completions"),
                    text("Duration"),
                    age(),
                    wide("Containers"),
                    wide("Images"),
                    wide("Selector"),
                ]
            },
            cells: job,
        },
        "CronJob" => Printer {
            columns: const {
                &[
                    name(),
                    text("Schedule"),
                    text("Timezone"),
                    boolean("Suspend"),
                    number("Active"),
                    text("Last Schedule"),
                    age(),
                    wide("Containers"),
                    wide("Images"),
                    wide("Selector"),
                ]
            },
            cells: cron_job,
        },
        "PodTemplate" => {
            Printer { columns: const { &[name(), text("Containers"), text("Images"), text("Pod Labels")] }, cells: pod_template }
        }
        "ControllerRevision" => {
            Printer { columns: const { &[name(), text("Controller"), text("Revision"), age()] }, cells: controller_revision }
        }
        "HorizontalPodAutoscaler" => Printer {
            columns: const { &[name(), text("Reference"), text("Targets"), text("MinPods"), text("MaxPods"), text("Replicas"), age()] },
            cells: autoscaler,
        },
        "Scale" => Printer { columns: const { &[text("Name"), number("Desired"), number("Available"), age()] }, cells: scale },
        _ => return None,
    };
    Some(printer)
}

fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]["spec"]);
    vec![
        object::name(object).into(),
        format!("{}/{}", integer(&status["readyReplicas"]), integer(&spec["replicas"])).into(),
        integer(&status["updatedReplicas"]).into(),
        integer(&status["availableReplicas"]).into(),
        age_of(object, now),
        names,
        images,
        selector(&spec["selector"]).into(),
    ]
}

fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]["spec"]);
    let controller = object["kind"] == "ReplicationController";
    vec![
        object::name(object).into(),
        integer(&spec["replicas"]).into(),
        integer(&status["replicas"]).into(),
        integer(&status["readyReplicas"]).into(),
        age_of(object, now),
        names,
        images,
        if controller { labels(&spec["selector"]) } else { selector_or_none(&spec["selector"]) }.into(),
    ]
}

fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(&object["spec"]["template"]["spec"]);
    let ready = format!("{}/{}", integer(&object["status"]["readyReplicas"]), integer(&object["spec"]["replicas"]));
    vec![object::name(object).into(), ready.into(), age_of(object, now), names, images]
}

fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]["spec"]);
    vec![
        object::name(object).into(),
        integer(&status["desiredNumberScheduled"]).into(),
        integer(&status["currentNumberScheduled"]).into(),
        integer(&status["numberReady"]).into(),
        integer(&status["updatedNumberScheduled"]).into(),
        integer(&status["numberAvailable"]).into(),
        labels(&spec["template"]["spec"]["nodeSelector"]).into(),
        age_of(object, now),
        names,
        images,
        selector_or_none(&spec["selector"]).into(),
    ]
}

fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let succeeded = integer(&status["succeeded"]);
    let completions = match (spec["completions"].as_i64(), integer(&spec["parallelism"])) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let lasted = match (duration::parse(&status["startTime"]), duration::parse(&status["completionTime"])) {
        (None, _) => String::new(),
        (Some(start), end) => between(start, end.unwrap_or(now)),
    };
    let holds = |kind: &str| condition(&status["conditions"], kind) == Some("True");
    let state = if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if object::is_terminating(object) {
        "Terminating"
    } else {
        ["Suspended", "FailureTarget", "SuccessCriteriaMet"].into_iter().find(|kind| holds(kind)).unwrap_or("Running")
    };
    let [names, images] = containers(&spec["template"]["spec"]);
    vec![
        object::name(object).into(),
        state.into(),
        completions.into(),
        lasted.into(),
        age_of(object, now),
        names,
        images,
        selector_or_none(&spec["selector"]).into(),
    ]
}

fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let last = if status["lastScheduleTime"].is_null() { "<none>".to_owned() } else { since(&status["lastScheduleTime"], now) };
    let template = &spec["jobTemplate"]["spec"];
    let [names, images] = containers(&template["template"]["spec"]);
    vec![
        object::name(object).into(),
        str_of(&spec["schedule"]).into(),
        spec["timeZone"].as_str().unwrap_or("<none>").into(),
        truth(&spec["suspend"]).into(),
        count(&status["active"]).into(),
        last.into(),
        age_of(object, now),
        names,
        images,
        selector_or_none(&template["selector"]).into(),
    ]
}

fn pod_template(object: &Value, _now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(&object["template"]["spec"]);
    vec![object::name(object).into(), names, images, labels(&object["template"]["metadata"]["labels"]).into()]
}

fn controller_revision(object: &Value, now: Timestamp) -> Vec<Value> {
    let controller = match object::controller_of(object) {
        Some(owner) => {
            let group = str_of(&owner["apiVersion"]).split_once('/').map_or("", |(group, _)| group);
            let dot = if group.is_empty() { "" } else { "." };
            format!("{}{dot}{group}/{}", str_of(&owner["kind"]).to_lowercase(), str_of(&owner["name"]))
        }
        None => "<none>".to_owned(),
    };
    vec![object::name(object).into(), controller.into(), integer(&object["revision"]).into(), age_of(object, now)]
}

fn scale(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        object::name(object).into(),
        integer(&object["spec"]["replicas"]).into(),
        integer(&object["status"]["replicas"]).into(),
        age_of(object, now),
    ]
}

fn autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let target = &spec["scaleTargetRef"];
    vec![
        object::name(object).into(),
        format!("{}/{}", str_of(&target["kind"]), str_of(&target["name"])).into(),
        metrics(spec, status).into(),
        spec["minReplicas"].as_i64().map_or("<unset>".to_owned(), |n| n.to_string()).into(),
        integer(&spec["maxReplicas"]).into(),
        integer(&status["currentReplicas"]).into(),
        age_of(object, now),
    ]
}

fn metrics(spec: &Value, status: &Value) -> String {
    if let Some(target) = spec["targetCPUUtilizationPercentage"].as_i64() {
        let current = status["currentCPUUtilizationPercentage"].as_i64();
        return format!("cpu: {}/{target}%", current.map_or("<unknown>".to_owned(), |n| format!("{n}%")));
    }
    let list: Vec<_> =
        items(&spec["metrics"]).iter().enumerate().map(|(index, metric)| one_metric(metric, &status["currentMetrics"][index])).collect();
    at_most(&list, 2, ", ", "<none>")
}

fn one_metric(metric: &Value, current: &Value) -> String {
    let (field, named) = match str_of(&metric["type"]) {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let (target, current) = (&metric[field]["target"], &current[field]["current"]);
    let quantity = |value: &Value| or(&Value::String(scalar(value)), "<unknown>").to_owned();
    let average = !target["averageValue"].is_null();
    let text = if average {
        format!("{}/{}", quantity(&current["averageValue"]), scalar(&target["averageValue"]))
    } else if named {
        let percent = |value: &Value, instead: &str| value.as_i64().map_or(instead.to_owned(), |n| format!("{n}%"));
        format!("{}/{}", percent(&current["averageUtilization"], "<unknown>"), percent(&target["averageUtilization"], "<auto>"))
    } else {
        format!("{}/{}", quantity(&current["value"]), scalar(&target["value"]))
    };
    match (named, average && field != "pods") {
        (true, _) => format!("{}: {text}", str_of(&metric[field]["name"])),
        (false, true) => format!("{text} (avg)"),
        (false, false) => text,
    }
}
