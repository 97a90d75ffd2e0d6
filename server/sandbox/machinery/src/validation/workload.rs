//! Deployments, replica sets, stateful sets, daemon sets and their like.

use super::kit::{
    Errors, IMMUTABLE, SELECTOR_MISMATCH, at_most_100_percent, has, immutable, integer_or_percent, list, not_negative, number, refuse, text,
};
use super::{internal, meta, names, pod, volume_claim};
use crate::field::FieldError;
use crate::strategy::equal;
use serde_json::{Value, json};

pub(super) fn rules(errors: &mut Errors, kind: &str, new: &Value, old: Option<&Value>) {
    let spec = &new["spec"];
    match kind {
        "PodTemplate" => return pod::template(errors, "template", &new["template"]),
        "ControllerRevision" => {
            not_negative(errors, "revision", &new["revision"]);
            if !has(&new["data"]) {
                errors.push(FieldError::required("data", "data is mandatory"));
            }
            if let Some(old) = old {
                immutable(errors, "data", &new["data"], &old["data"]);
            }
            return;
        }
        "Deployment" => {
            replica_set(errors, "ReplicaSet", "deployment", spec);
            deployment(errors, spec);
        }
        "ReplicaSet" => replica_set(errors, "ReplicaSet", "deployment", spec),
        "DaemonSet" => {
            changed_selector(errors, spec, old);
            daemon_set(errors, spec);
        }
        "StatefulSet" => stateful_set(errors, spec, old),
        "ReplicationController" => {
            not_negative(errors, "spec.minReadySeconds", &spec["minReadySeconds"]);
            if super::kit::entries(&spec["selector"]).is_empty() {
                errors.push(FieldError::required("spec.selector", ""));
            }
            not_negative(errors, "spec.replicas", &spec["replicas"]);
            let selector = json!({"matchLabels": spec["selector"]});
            template(errors, spec, &selector, Some("ReplicationController"));
        }
        _ => return,
    }
    if matches!(kind, "Deployment" | "ReplicaSet") {
        changed_selector(errors, spec, old);
    }
    if let (Some(old), "StatefulSet") = (old, kind) {
        stateful_set_update(errors, spec, &old["spec"]);
    }
}

fn changed_selector(errors: &mut Errors, spec: &Value, old: Option<&Value>) {
    if old.is_some_and(|old| !equal(&spec["selector"], &old["spec"]["selector"])) {
        errors.push(FieldError::invalid("spec.selector", meta::shown_selector(&spec["selector"]), IMMUTABLE));
    }
}

/// The selector of a workload: there, well formed, and selecting something.
fn selector(errors: &mut Errors, spec: &Value, owner: &str) {
    let selector = &spec["selector"];
    if !has(selector) {
        errors.push(FieldError::required("spec.selector", ""));
        return;
    }
    meta::selector(errors, "spec.selector", selector);
    if meta::is_empty_selector(selector) {
        let message = format!("empty selector is invalid for {owner}");
        errors.push(FieldError::invalid("spec.selector", meta::shown_selector(selector), message));
    }
}

/// The template, which the selector must match. `owner` names the kind in messages; a template may then only restart always.
fn template(errors: &mut Errors, spec: &Value, selector: &Value, owner: Option<&str>) {
    let template = &spec["template"];
    let labels = &template["metadata"]["labels"];
    // A missing selector selects nothing, an empty one is not compared.
    let matches = if has(selector) {
        meta::matches(selector, labels).map(|matches| matches || meta::is_empty_selector(selector))
    } else {
        Some(false)
    };
    match matches {
        None => {
            // Stateful sets, which name no owner here, say no more than that.
            let message = if owner.is_some() { "invalid label selector" } else { "" };
            errors.push(FieldError::invalid("spec.selector", meta::shown_selector(selector), message));
            return;
        }
        Some(true) => {}
        Some(false) => errors.push(FieldError::invalid("spec.template.metadata.labels", labels, SELECTOR_MISMATCH)),
    }
    pod::template(errors, "spec.template", template);
    if let Some(owner) = owner {
        always_restarts(errors, template, owner);
    }
}

fn always_restarts(errors: &mut Errors, template: &Value, owner: &str) {
    let policy = text(&template["spec"]["restartPolicy"]);
    if policy != "Always" {
        errors.push(FieldError::not_supported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
    if has(&template["spec"]["activeDeadlineSeconds"]) {
        let message = format!("activeDeadlineSeconds in {owner} is not Supported");
        errors.push(FieldError::forbidden("spec.template.spec.activeDeadlineSeconds", message));
    }
}

fn replica_set(errors: &mut Errors, owner: &str, named: &str, spec: &Value) {
    not_negative(errors, "spec.replicas", &spec["replicas"]);
    if !has(&spec["strategy"]) {
        not_negative(errors, "spec.minReadySeconds", &spec["minReadySeconds"]);
    }
    selector(errors, spec, named);
    template(errors, spec, &spec["selector"], Some(owner));
}

/// `0`, `0%`, and text that is no percentage.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(percent) if names::percent(percent).is_empty() => percent.trim_matches(['0', '%']).is_empty(),
        Value::String(text) => text.parse::<i64>().unwrap_or(0) == 0,
        other => number(other) == 0,
    }
}

fn deployment(errors: &mut Errors, spec: &Value) {
    let strategy = &spec["strategy"];
    let rolling = &strategy["rollingUpdate"];
    let path = "spec.strategy.rollingUpdate";
    match text(&strategy["type"]) {
        "Recreate" => {
            if has(rolling) {
                errors.push(FieldError::forbidden(path, "may not be specified when strategy `type` is 'Recreate'"));
            }
        }
        "RollingUpdate" => {
            let unavailable = format!("{path}.maxUnavailable");
            integer_or_percent(errors, &unavailable, &rolling["maxUnavailable"]);
            integer_or_percent(errors, &format!("{path}.maxSurge"), &rolling["maxSurge"]);
            if is_zero(&rolling["maxUnavailable"]) && is_zero(&rolling["maxSurge"]) {
                let message = "may not be 0 when `maxSurge` is 0";
                errors.push(FieldError::invalid(&unavailable, &rolling["maxUnavailable"], message));
            }
            at_most_100_percent(errors, &unavailable, &rolling["maxUnavailable"]);
        }
        _ => {
            let shown = internal::shown("DeploymentStrategy", strategy);
            errors.push(FieldError::not_supported("spec.strategy", shown, &["Recreate", "RollingUpdate"]));
        }
    }
    not_negative(errors, "spec.minReadySeconds", &spec["minReadySeconds"]);
    not_negative(errors, "spec.revisionHistoryLimit", &spec["revisionHistoryLimit"]);
    let deadline = &spec["progressDeadlineSeconds"];
    if has(deadline) {
        not_negative(errors, "spec.progressDeadlineSeconds", deadline);
        if number(deadline) <= number(&spec["minReadySeconds"]) {
            errors.push(FieldError::invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"));
        }
    }
}

fn daemon_set(errors: &mut Errors, spec: &Value) {
    let (selector, labels) = (&spec["selector"], &spec["template"]["metadata"]["labels"]);
    if has(selector) {
        meta::selector(errors, "spec.selector", selector);
    }
    if !has(selector) || meta::matches(selector, labels) == Some(false) {
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, SELECTOR_MISMATCH));
    }
    if has(selector) && meta::is_empty_selector(selector) {
        let message = "empty selector is invalid for daemonset";
        errors.push(FieldError::invalid("spec.selector", meta::shown_selector(selector), message));
    }
    pod::template(errors, "spec.template", &spec["template"]);
    always_restarts(errors, &spec["template"], "DaemonSet");
    not_negative(errors, "spec.minReadySeconds", &spec["minReadySeconds"]);
    let strategy = &spec["updateStrategy"];
    match text(&strategy["type"]) {
        "OnDelete" => {}
        "RollingUpdate" => daemon_set_rolling(errors, &strategy["rollingUpdate"]),
        _ => {
            let shown = internal::shown("DaemonSetUpdateStrategy", strategy);
            errors.push(FieldError::not_supported("spec.updateStrategy", shown, &["RollingUpdate", "OnDelete"]));
        }
    }
    not_negative(errors, "spec.revisionHistoryLimit", &spec["revisionHistoryLimit"]);
}

fn daemon_set_rolling(errors: &mut Errors, rolling: &Value) {
    let path = "spec.updateStrategy.rollingUpdate";
    if !has(rolling) {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
    let (unavailable_path, surge_path) = (format!("{path}.maxUnavailable"), format!("{path}.maxSurge"));
    integer_or_percent(errors, &unavailable_path, unavailable);
    at_most_100_percent(errors, &unavailable_path, unavailable);
    integer_or_percent(errors, &surge_path, surge);
    at_most_100_percent(errors, &surge_path, surge);
    match (is_zero(unavailable), is_zero(surge)) {
        (false, false) => {
            errors.push(FieldError::invalid(surge_path, surge, "may not be set when maxUnavailable is non-zero"));
        }
        (true, true) => errors.push(FieldError::required(unavailable_path, "cannot be 0 when maxSurge is 0")),
        _ => {}
    }
}

fn stateful_set(errors: &mut Errors, spec: &Value, old: Option<&Value>) {
    match text(&spec["podManagementPolicy"]) {
        "" => errors.push(FieldError::required("spec.podManagementPolicy", "")),
        "OrderedReady" | "Parallel" => {}
        other => {
            errors.push(FieldError::invalid("spec.podManagementPolicy", other, "must be 'OrderedReady' or 'Parallel'"));
        }
    }
    let strategy = &spec["updateStrategy"];
    let rolling = &strategy["rollingUpdate"];
    let path = "spec.updateStrategy.rollingUpdate";
    match text(&strategy["type"]) {
        "OnDelete" => {
            if has(rolling) {
                let shown = internal::shown("RollingUpdateStatefulSetStrategy", rolling);
                errors.push(FieldError::invalid(path, shown, "only allowed for updateStrategy 'RollingUpdate'"));
            }
        }
        "RollingUpdate" => {
            not_negative(errors, &format!("{path}.partition"), &rolling["partition"]);
            if has(&rolling["maxUnavailable"]) {
                let path = format!("{path}.maxUnavailable");
                integer_or_percent(errors, &path, &rolling["maxUnavailable"]);
                if is_zero(&rolling["maxUnavailable"]) {
                    errors.push(FieldError::invalid(&path, &rolling["maxUnavailable"], "cannot be 0"));
                }
                at_most_100_percent(errors, &path, &rolling["maxUnavailable"]);
            }
        }
        _ => {
            let shown = internal::shown("StatefulSetUpdateStrategy", strategy);
            errors.push(FieldError::invalid("spec.updateStrategy", shown, "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
    for field in ["whenDeleted", "whenScaled"] {
        let policy = &spec["persistentVolumeClaimRetentionPolicy"];
        if has(policy) {
            let path = format!("spec.persistentVolumeClaimRetentionPolicy.{field}");
            super::kit::supported_or_refuse(errors, &path, text(&policy[field]), &["Retain", "Delete"]);
        }
    }
    if old.is_none() {
        for (index, claim) in list(&spec["volumeClaimTemplates"]).iter().enumerate() {
            volume_claim::claim_spec(errors, &format!("spec.volumeClaimTemplates[{index}].spec"), &claim["spec"]);
        }
        let service = text(&spec["serviceName"]);
        if !service.is_empty() {
            refuse(errors, "spec.serviceName", service, names::dns_label(service));
        }
    }
    not_negative(errors, "spec.replicas", &spec["replicas"]);
    not_negative(errors, "spec.minReadySeconds", &spec["minReadySeconds"]);
    not_negative(errors, "spec.ordinals.start", &spec["ordinals"]["start"]);
    selector(errors, spec, "statefulset");
    // Claims stand for volumes of the same names.
    let mut with_claims = spec.clone();
    let pod = &mut with_claims["template"]["spec"];
    if let Some(map) = pod.as_object_mut() {
        map.remove("hostname");
        map.remove("subdomain");
        let claims: Vec<_> = list(&spec["volumeClaimTemplates"]).iter().map(|c| c["metadata"]["name"].clone()).collect();
        if !claims.is_empty() {
            let mut volumes: Vec<_> =
                claims.iter().map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}})).collect();
            volumes.extend(list(&spec["template"]["spec"]["volumes"]).iter().filter(|v| !claims.contains(&v["name"])).cloned());
            map.insert("volumes".to_owned(), volumes.into());
        }
    }
    template(errors, &with_claims, &spec["selector"], None);
    always_restarts(errors, &spec["template"], "StatefulSet");
}

fn stateful_set_update(errors: &mut Errors, spec: &Value, before: &Value) {
    let rest = |spec: &Value| {
        let mut rest = spec.clone();
        if let Some(map) = rest.as_object_mut() {
            for field in [
                "replicas",
                "template",
                "updateStrategy",
                "minReadySeconds",
                "ordinals",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
            ] {
                map.remove(field);
            }
        }
        rest
    };
    if !equal(&rest(spec), &rest(before)) {
        let message = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
                       'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(FieldError::forbidden("spec", message));
    }
}

pub(super) fn status(errors: &mut Errors, kind: &str, new: &Value, old: &Value) {
    let status = &new["status"];
    let (counters, bounded, below): (&[&str], &[&str], &str) = match kind {
        "Deployment" => (
            &[
                "observedGeneration",
                "replicas",
                "updatedReplicas",
                "readyReplicas",
                "availableReplicas",
                "unavailableReplicas",
                "collisionCount",
            ],
            &["updatedReplicas", "readyReplicas", "availableReplicas"],
            "cannot be greater than readyReplicas",
        ),
        "ReplicaSet" | "ReplicationController" => (
            &["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"],
            &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
            "cannot be greater than readyReplicas",
        ),
        "StatefulSet" => (
            &[
                "replicas",
                "readyReplicas",
                "currentReplicas",
                "updatedReplicas",
                "availableReplicas",
                "observedGeneration",
                "collisionCount",
            ],
            &["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"],
            "cannot be greater than status.readyReplicas",
        ),
        "DaemonSet" => (
            &[
                "currentNumberScheduled",
                "numberMisscheduled",
                "desiredNumberScheduled",
                "numberReady",
                "observedGeneration",
                "updatedNumberScheduled",
                "numberAvailable",
                "numberUnavailable",
                "collisionCount",
            ],
            &[],
            "",
        ),
        _ => return,
    };
    for counter in counters {
        not_negative(errors, &format!("status.{counter}"), &status[*counter]);
    }
    for counter in bounded {
        if number(&status[*counter]) > number(&status["replicas"]) {
            let message = "cannot be greater than status.replicas";
            errors.push(FieldError::invalid(format!("status.{counter}"), number(&status[*counter]), message));
        }
    }
    if !below.is_empty() && number(&status["availableReplicas"]) > number(&status["readyReplicas"]) {
        errors.push(FieldError::invalid("status.availableReplicas", number(&status["availableReplicas"]), below));
    }
    if number(&status["collisionCount"]) < number(&old["status"]["collisionCount"]) {
        errors.push(FieldError::invalid("status.collisionCount", number(&status["collisionCount"]), "cannot be decremented"));
    }
}
