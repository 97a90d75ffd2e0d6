//! LimitRanger: defaults for containers, and minima and maxima (plugin/pkg/admission/limitranger).

use crate::{
    call::{Call, Operation},
    store::Transaction,
};
use machinery::{ApiError, object, quantity::Quantity};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

fn ranges(transaction: &Transaction, namespace: &str) -> Vec<Arc<Value>> {
    transaction.state.list("", "limitranges", Some(namespace)).collect()
}

fn items<'a>(range: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    range["spec"]["limits"].as_array().into_iter().flatten().filter(move |item| item["type"] == kind)
}

/// Before validation: what a container does not say.
pub(crate) fn mutate(call: &Call, transaction: &Transaction, operation: Operation, pod: &mut Value) {
    if operation != Operation::Create || !call.is("", "pods") {
        return;
    }
    let (mut limits, mut requests) = (Map::new(), Map::new());
    for range in ranges(transaction, object::namespace(pod)) {
        for item in items(&range, "Container") {
            limits.extend(item["default"].as_object().cloned().unwrap_or_default());
            requests.extend(item["defaultRequest"].as_object().cloned().unwrap_or_default());
        }
    }
    if limits.is_empty() && requests.is_empty() {
        return;
    }
    let mut notes = Vec::new();
    for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            let set_requests = merge(container, "requests", &requests);
            let set_limits = merge(container, "limits", &limits);
            for (set, kind) in [(set_requests, "request"), (set_limits, "limit")] {
                if !set.is_empty() {
                    notes.push(format!("{} {kind} for {what} {name}", set.join(", ")));
                }
            }
        }
    }
    if notes.is_empty() {
        return;
    }
    if !pod["metadata"]["annotations"].is_object() {
        object::set_meta(pod, "annotations", json!({}));
    }
    pod["metadata"]["annotations"][ANNOTATION] = format!("LimitRanger plugin set: {}", notes.join("; ")).into();
}

fn merge(container: &mut Value, field: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let mut set = Vec::new();
    for (name, value) in defaults {
        if !container["resources"].is_object() {
            container["resources"] = json!({});
        }
        if !container["resources"][field].is_object() {
            container["resources"][field] = json!({});
        }
        if container["resources"][field][name].is_null() {
            container["resources"][field][name] = value.clone();
            set.push(name.clone());
        }
    }
    set.sort();
    set
}

type Amounts = BTreeMap<String, Quantity>;

fn amounts(resources: &Value) -> Amounts {
    let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
    resources
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), Quantity::parse(&text(value)).ok()?)))
        .collect()
}

/// After validation: everything that a pod or claim asks for lies within the ranges.
pub(crate) fn validate(call: &Call, transaction: &Transaction, operation: Operation, new: Option<&Value>) -> Result<(), ApiError> {
    let Some(new) = new else { return Ok(()) };
    let mut errors = Vec::new();
    if call.is("", "persistentvolumeclaims") && operation != Operation::Delete && call.subresource.is_empty() {
        for range in ranges(transaction, object::namespace(new)) {
            for item in items(&range, "PersistentVolumeClaim") {
                let requests = amounts(&new["spec"]["resources"]["requests"]);
                check(item, "PersistentVolumeClaim", &requests, &Amounts::new(), &mut errors);
            }
        }
    } else if call.is("", "pods") && operation == Operation::Create && call.subresource.is_empty() {
        for range in ranges(transaction, object::namespace(new)) {
            for item in items(&range, "Container") {
                for container in
                    ["containers", "initContainers"].iter().flat_map(|list| new["spec"][*list].as_array().into_iter().flatten())
                {
                    let resources = &container["resources"];
                    check(item, "Container", &amounts(&resources["requests"]), &amounts(&resources["limits"]), &mut errors);
                }
            }
            for item in items(&range, "Pod") {
                let (requests, limits) = pod_amounts(new);
                check(item, "Pod", &requests, &limits, &mut errors);
            }
        }
    }
    let words = match errors.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    Err(call.forbidden(object::name(new), &words))
}

/// What a pod needs: its containers together, or the largest init container if that is more.
pub(super) fn pod_amounts(pod: &Value) -> (Amounts, Amounts) {
    let total = |field: &str| {
        let mut sum = Amounts::new();
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            for (name, quantity) in amounts(&container["resources"][field]) {
                sum.entry(name).and_modify(|held| held.nano = held.nano.saturating_add(quantity.nano)).or_insert(quantity);
            }
        }
        for container in pod["spec"]["initContainers"].as_array().into_iter().flatten() {
            let sidecar = container["restartPolicy"] == "Always";
            for (name, quantity) in amounts(&container["resources"][field]) {
                sum.entry(name)
                    .and_modify(|held| {
                        held.nano = if sidecar { held.nano.saturating_add(quantity.nano) } else { held.nano.max(quantity.nano) }
                    })
                    .or_insert(quantity);
            }
        }
        sum
    };
    (total("requests"), total("limits"))
}

fn check(item: &Value, kind: &str, requests: &Amounts, limits: &Amounts, errors: &mut Vec<String>) {
    for (name, minimum) in amounts(&item["min"]) {
        match (requests.get(&name), limits.get(&name)) {
            (None, _) => errors.push(format!("minimum {name} usage per {kind} is {minimum}.  No request is specified")),
            (Some(request), _) if request.nano < minimum.nano => {
                errors.push(format!("minimum {name} usage per {kind} is {minimum}, but request is {request}"));
            }
            (_, Some(limit)) if limit.nano < minimum.nano => {
                errors.push(format!("minimum {name} usage per {kind} is {minimum}, but limit is {limit}"));
            }
            _ => {}
        }
    }
    for (name, maximum) in amounts(&item["max"]) {
        if kind == "PersistentVolumeClaim" {
            if let Some(request) = requests.get(&name).filter(|request| request.nano > maximum.nano) {
                errors.push(format!("maximum {name} usage per {kind} is {maximum}, but request is {request}"));
            }
            continue;
        }
        match (limits.get(&name), requests.get(&name)) {
            (None, _) => errors.push(format!("maximum {name} usage per {kind} is {maximum}.  No limit is specified")),
            (Some(limit), _) if limit.nano > maximum.nano => {
                errors.push(format!("maximum {name} usage per {kind} is {maximum}, but limit is {limit}"));
            }
            (_, Some(request)) if request.nano > maximum.nano => {
                errors.push(format!("maximum {name} usage per {kind} is {maximum}, but request is {request}"));
            }
            _ => {}
        }
    }
    for (name, ratio) in amounts(&item["maxLimitRequestRatio"]) {
        let (Some(limit), Some(request)) = (limits.get(&name), requests.get(&name)) else {
            let missing = if requests.contains_key(&name) { "limit" } else { "request" };
            errors
                .push(format!("{name} max limit to request ratio per {kind} is {ratio}, but no {missing} is specified or {missing} is 0."));
            continue;
        };
        if request.nano > 0 && limit.nano > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a ratio is printed with six digits")]
            let (observed, most) = (limit.nano as f64 / request.nano as f64, ratio.nano as f64 / 1e9);
            if observed > most {
                errors.push(format!("{name} max limit to request ratio per {kind} is {ratio}, but provided ratio is {observed:.6}"));
            }
        }
    }
}
