//! Jobs and cron jobs.

use super::kit::{Errors, IMMUTABLE, has, immutable, list, not_negative, number, one_of, refuse, supported_or_refuse, text};
use super::{internal, meta, names, pod, schedule};
use crate::field::{FieldError, go_quote};
use crate::strategy::equal;
use serde_json::{Value, json};

pub(super) fn rules(errors: &mut Errors, kind: &str, new: &Value, old: Option<&Value>) {
    match kind {
        "Job" => job(errors, new, old),
        "CronJob" => cron_job(errors, new, old),
        _ => {}
    }
}

fn job(errors: &mut Errors, job: &Value, old: Option<&Value>) {
    let spec = &job["spec"];
    generated_selector(errors, job);
    job_spec(errors, "spec", spec);
    let selector = &spec["selector"];
    if has(selector) {
        meta::selector(errors, "spec.selector", selector);
        if !meta::is_empty_selector(selector) && meta::matches(selector, &spec["template"]["metadata"]["labels"]) == Some(false) {
            let labels = &spec["template"]["metadata"]["labels"];
            errors.push(FieldError::invalid("spec.template.metadata.labels", labels, super::kit::SELECTOR_MISMATCH));
        }
    } else {
        errors.push(FieldError::required("spec.selector", ""));
    }
    match old {
        Some(old) => update(errors, spec, &old["spec"], old),
        None => {
            let completions = number(&spec["completions"]);
            if spec["completionMode"] == "Indexed" && completions > 0 {
                let name = text(&job["metadata"]["name"]);
                let last = format!("{name}-{}", completions - 1);
                if !names::dns_label(&last).is_empty() {
                    let message = format!("will not able to create pod with invalid DNS label: {last}");
                    errors.push(FieldError::invalid("metadata.name", name, message));
                }
            }
        }
    }
}

/// The labels by which a job finds its pods must be its own.
fn generated_selector(errors: &mut Errors, job: &Value) {
    let spec = &job["spec"];
    if spec["manualSelector"] == true || !has(&spec["selector"]) {
        return;
    }
    let (name, uid) = (text(&job["metadata"]["name"]), text(&job["metadata"]["uid"]));
    if uid.is_empty() {
        errors.push(FieldError::required("metadata.uid", ""));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let expected =
        [("controller-uid", uid), ("job-name", name), ("batch.kubernetes.io/controller-uid", uid), ("batch.kubernetes.io/job-name", name)];
    for (key, value) in expected {
        let path = format!("spec.template.metadata.labels[{key}]");
        match labels[key].as_str() {
            None => errors.push(FieldError::required(path, format!("must be '{value}'"))),
            Some(actual) if actual != value => errors.push(FieldError::invalid(path, labels, format!("must be '{value}'"))),
            Some(_) => {}
        }
    }
    let expected: serde_json::Map<String, Value> = expected.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    if meta::matches(&spec["selector"], &Value::Object(expected)) == Some(false) {
        let shown = meta::shown_selector(&spec["selector"]);
        errors.push(FieldError::invalid("spec.selector", shown, "`selector` not auto-generated"));
    }
}

fn job_spec(errors: &mut Errors, path: &str, spec: &Value) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        not_negative(errors, &format!("{path}.{field}"), &spec[field]);
    }
    if has(&spec["maxFailedIndexes"]) && !has(&spec["backoffLimitPerIndex"]) {
        errors.push(FieldError::required(format!("{path}.backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
    }
    let indexed = spec["completionMode"] == "Indexed";
    if let Some(mode) = spec["completionMode"].as_str() {
        supported_or_refuse(errors, &format!("{path}.completionMode"), mode, &["NonIndexed", "Indexed"]);
    }
    if indexed {
        if !has(&spec["completions"]) {
            errors.push(FieldError::required(format!("{path}.completions"), "when completion mode is Indexed"));
        }
        let parallelism = number(&spec["parallelism"]);
        if parallelism > 100_000 {
            let message = "must be less than or equal to 100000 when completion mode is Indexed";
            errors.push(FieldError::invalid(format!("{path}.parallelism"), parallelism, message));
        }
        let failed = number(&spec["maxFailedIndexes"]);
        if has(&spec["completions"]) && failed > number(&spec["completions"]) {
            let message = "must be less than or equal to completions";
            errors.push(FieldError::invalid(format!("{path}.maxFailedIndexes"), failed, message));
        }
    } else if matches!(text(&spec["completionMode"]), "" | "NonIndexed") {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if has(&spec[field]) {
                errors.push(FieldError::invalid(format!("{path}.{field}"), &spec[field], "requires indexed completion mode"));
            }
        }
    }
    failure_policy(errors, &format!("{path}.podFailurePolicy"), spec);
    if has(&spec["successPolicy"]) && !indexed {
        let shown = internal::shown("SuccessPolicy", &spec["successPolicy"]);
        errors.push(FieldError::invalid(format!("{path}.successPolicy"), shown, "requires indexed completion mode"));
    }
    if let Some(policy) = spec["podReplacementPolicy"].as_str() {
        let supported: &[&str] = if has(&spec["podFailurePolicy"]) { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        supported_or_refuse(errors, &format!("{path}.podReplacementPolicy"), policy, supported);
    }
    let template = format!("{path}.template");
    pod::template(errors, &template, &spec["template"]);
    let restart_path = format!("{template}.spec.restartPolicy");
    match text(&spec["template"]["spec"]["restartPolicy"]) {
        "" | "Always" => errors.push(FieldError::required(restart_path, "valid values: \"OnFailure\", \"Never\"")),
        "Never" => {}
        "OnFailure" => {
            if has(&spec["podFailurePolicy"]) {
                let message = "only \"Never\" is supported when podFailurePolicy is specified";
                errors.push(FieldError::invalid(restart_path, "OnFailure", message));
            }
        }
        other => errors.push(FieldError::not_supported(restart_path, other, &["OnFailure", "Never"])),
    }
}

fn failure_policy(errors: &mut Errors, path: &str, spec: &Value) {
    let rules = list(&spec["podFailurePolicy"]["rules"]);
    let path = format!("{path}.rules");
    if rules.len() > 20 {
        errors.push(FieldError::too_many(&path, rules.len(), 20));
    }
    let pod = &spec["template"]["spec"];
    let containers: Vec<_> = list(&pod["containers"]).iter().chain(list(&pod["initContainers"])).map(|c| text(&c["name"])).collect();
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let actions = ["Count", "FailIndex", "FailJob", "Ignore"];
        match text(&rule["action"]) {
            "" => {
                let quoted: Vec<_> = actions.iter().map(|a| go_quote(a)).collect();
                errors.push(FieldError::required(format!("{path}.action"), format!("valid values: [{}]", quoted.join(" "))));
            }
            "FailIndex" if !has(&spec["backoffLimitPerIndex"]) => {
                let message = "requires the backoffLimitPerIndex to be set";
                errors.push(FieldError::invalid(format!("{path}.action"), "FailIndex", message));
            }
            action => supported_or_refuse(errors, &format!("{path}.action"), action, &actions),
        }
        let (codes, conditions) = (&rule["onExitCodes"], list(&rule["onPodConditions"]));
        if has(codes) {
            exit_codes(errors, &format!("{path}.onExitCodes"), codes, &containers);
        }
        for (index, condition) in conditions.iter().enumerate() {
            let path = format!("{path}.onPodConditions[{index}]");
            let kind = text(&condition["type"]);
            refuse(errors, &format!("{path}.type"), kind, names::qualified_name(kind));
            one_of(errors, &format!("{path}.status"), &condition["status"], &["False", "True", "Unknown"]);
        }
        let message = match (has(codes), conditions.is_empty()) {
            (true, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (false, true) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        let mut error = FieldError::invalid(path, "", message);
        error.value = None;
        errors.push(error);
    }
}

/// As many as one rule may name.
const MAX_EXIT_CODES: usize = 255;

fn exit_codes(errors: &mut Errors, path: &str, codes: &Value, containers: &[&str]) {
    one_of(errors, &format!("{path}.operator"), &codes["operator"], &["In", "NotIn"]);
    if let Some(name) = codes["containerName"].as_str().filter(|name| !containers.contains(name)) {
        errors.push(FieldError::invalid(
            format!("{path}.containerName"),
            name,
            "must be one of the container or initContainer names in the pod template",
        ));
    }
    let values = list(&codes["values"]);
    let values_path = format!("{path}.values");
    if values.is_empty() {
        errors.push(FieldError::invalid(values_path, &codes["values"], "at least one value is required"));
        return;
    }
    if values.len() > MAX_EXIT_CODES {
        errors.push(FieldError::too_many(values_path, values.len(), MAX_EXIT_CODES));
        return;
    }
    for (index, value) in values.iter().enumerate() {
        if codes["operator"] == "In" && number(value) == 0 {
            errors.push(FieldError::invalid(format!("{values_path}[{index}]"), 0, "must not be 0 for the In operator"));
        }
        if values[..index].contains(value) {
            errors.push(FieldError::duplicate(format!("{values_path}[{index}]"), value));
        }
    }
    if !values.is_sorted_by(|before, after| number(before) <= number(after)) {
        errors.push(FieldError::invalid(values_path, &codes["values"], "must be ordered"));
    }
}

fn update(errors: &mut Errors, spec: &Value, before: &Value, old: &Value) {
    if spec["completionMode"] == "Indexed" {
        let changed = has(&spec["completions"]) && spec["completions"] != before["completions"];
        if changed && spec["completions"] != spec["parallelism"] {
            let message = "can only be modified in tandem with spec.parallelism";
            errors.push(FieldError::invalid("spec.completions", &spec["completions"], message));
        }
    } else {
        immutable(errors, "spec.completions", &spec["completions"], &before["completions"]);
    }
    if !equal(&spec["selector"], &before["selector"]) {
        errors.push(FieldError::invalid("spec.selector", meta::shown_selector(&spec["selector"]), IMMUTABLE));
    }
    let mut template = before["template"].clone();
    // A suspended job that never started may still be told where to run.
    if before["suspend"] == true && !has(&old["status"]["startTime"]) {
        let new = &spec["template"];
        for field in ["nodeSelector", "tolerations", "schedulingGates"] {
            template["spec"][field] = new["spec"][field].clone();
        }
        template["metadata"] = new["metadata"].clone();
        if has(&new["spec"]["affinity"]) || has(&template["spec"]["affinity"]) {
            let mut affinity = if template["spec"]["affinity"].is_object() { template["spec"]["affinity"].clone() } else { json!({}) };
            affinity["nodeAffinity"] = new["spec"]["affinity"]["nodeAffinity"].clone();
            template["spec"]["affinity"] = affinity;
        }
    }
    if !equal(&spec["template"], &template) {
        errors.push(FieldError::invalid("spec.template", internal::shown("PodTemplateSpec", &spec["template"]), IMMUTABLE));
    }
    immutable(errors, "spec.completionMode", &spec["completionMode"], &before["completionMode"]);
    for (field, kind) in
        [("podFailurePolicy", "PodFailurePolicy"), ("backoffLimitPerIndex", ""), ("managedBy", ""), ("successPolicy", "SuccessPolicy")]
    {
        if !equal(&spec[field], &before[field]) {
            errors.push(FieldError::invalid(format!("spec.{field}"), internal::shown(kind, &spec[field]), IMMUTABLE));
        }
    }
}

pub(super) fn status(errors: &mut Errors, job: &Value) {
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        not_negative(errors, &format!("status.{field}"), &job["status"][field]);
    }
}

fn cron_job(errors: &mut Errors, object: &Value, old: Option<&Value>) {
    let spec = &object["spec"];
    let expression = text(&spec["schedule"]);
    if expression.is_empty() {
        errors.push(FieldError::required("spec.schedule", ""));
    } else {
        if let Err(message) = schedule::parse(expression) {
            errors.push(FieldError::invalid("spec.schedule", expression, message));
        }
        let had_zone = old.is_some_and(|old| text(&old["spec"]["schedule"]).contains("TZ"));
        if expression.contains("TZ") {
            let message = if had_zone {
                "cannot use both timeZone field and TZ or CRON_TZ in schedule"
            } else {
                "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            };
            if !had_zone || has(&spec["timeZone"]) {
                errors.push(FieldError::invalid("spec.schedule", expression, message));
            }
        }
    }
    not_negative(errors, "spec.startingDeadlineSeconds", &spec["startingDeadlineSeconds"]);
    if old.is_none_or(|old| old["spec"]["timeZone"] != spec["timeZone"]) {
        time_zone(errors, &spec["timeZone"]);
    }
    one_of(errors, "spec.concurrencyPolicy", &spec["concurrencyPolicy"], &["Allow", "Forbid", "Replace"]);
    let template = &spec["jobTemplate"]["spec"];
    job_spec(errors, "spec.jobTemplate.spec", template);
    if has(&template["selector"]) {
        let shown = meta::shown_selector(&template["selector"]);
        errors.push(FieldError::invalid("spec.jobTemplate.spec.selector", shown, "`selector` will be auto-generated"));
    }
    if template["manualSelector"] == true {
        errors.push(FieldError::not_supported("spec.jobTemplate.spec.manualSelector", true, &["nil", "false"]));
    }
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        not_negative(errors, &format!("spec.{field}"), &spec[field]);
    }
    let name = text(&object["metadata"]["name"]);
    if old.is_none() && name.len() > 52 {
        errors.push(FieldError::invalid("metadata.name", name, "must be no more than 52 characters"));
    }
}

fn time_zone(errors: &mut Errors, zone: &Value) {
    let Some(zone) = zone.as_str() else { return };
    let path = "spec.timeZone";
    if zone.is_empty() {
        errors.push(FieldError::invalid(path, zone, "timeZone must be nil or non-empty string"));
        return;
    }
    let odd = |part: &str| {
        let plain = !part.is_empty()
            && part.len() <= 14
            && part
                .bytes()
                .enumerate()
                .all(|(i, b)| b.is_ascii_alphabetic() || b"._-".contains(&b) || (i > 0 && (b.is_ascii_digit() || b == b'+')));
        part == "." || part == ".." || part.starts_with('-') || !plain
    };
    if zone.split('/').any(odd) {
        errors.push(FieldError::invalid(path, zone, format!("unknown time zone {zone}")));
        return;
    }
    if zone.eq_ignore_ascii_case("local") {
        let message = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(FieldError::invalid(path, zone, message));
    } else if jiff::tz::TimeZone::get(zone).is_err() {
        errors.push(FieldError::invalid(path, zone, format!("unknown time zone {zone}")));
    }
}
