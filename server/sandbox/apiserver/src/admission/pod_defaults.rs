//! What several small plug-ins fill into a new pod: Priority, DefaultTolerationSeconds, RuntimeClass.

use crate::{call::Call, store::Transaction};
use machinery::{ApiError, object};
use serde_json::{Value, json};

/// Priority: the number behind `priorityClassName`, or the default class.
pub(crate) fn priority(call: &Call, transaction: &Transaction, pod: &mut Value) -> Result<(), ApiError> {
    let class = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let found = if class.is_empty() {
        let classes = transaction.state.list("scheduling.k8s.io", "priorityclasses", None);
        // Of several defaults the lowest wins.
        classes.filter(|class| class["globalDefault"] == true).min_by_key(|class| class["value"].as_i64())
    } else {
        transaction.state.get("scheduling.k8s.io", "priorityclasses", "", &class)
    };
    let (name, value, policy) = match (found, class.as_str()) {
        (Some(found), _) => (
            object::name(&found).to_owned(),
            found["value"].as_i64().unwrap_or(0),
            found["preemptionPolicy"].as_str().unwrap_or("PreemptLowerPriority").to_owned(),
        ),
        (None, "") => (String::new(), 0, "PreemptLowerPriority".to_owned()),
        (None, "system-node-critical") => (class, 2_000_001_000, "PreemptLowerPriority".to_owned()),
        (None, "system-cluster-critical") => (class, 2_000_000_000, "PreemptLowerPriority".to_owned()),
        (None, missing) => {
            return Err(call.forbidden(super::called(pod), &format!("no PriorityClass with name {missing} was found")));
        }
    };
    if pod["spec"]["priority"].as_i64().is_some_and(|given| given != value) {
        let why = format!(
            "the integer value of priority ({}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name",
            pod["spec"]["priority"]
        );
        return Err(call.forbidden(super::called(pod), &why));
    }
    if !name.is_empty() {
        pod["spec"]["priorityClassName"] = name.into();
    }
    pod["spec"]["priority"] = value.into();
    let given = pod["spec"]["preemptionPolicy"].as_str();
    if given.is_some_and(|given| given != policy) {
        let why = format!(
            "the string value of PreemptionPolicy ({}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name",
            given.unwrap_or_default()
        );
        return Err(call.forbidden(super::called(pod), &why));
    }
    pod["spec"]["preemptionPolicy"] = policy.into();
    Ok(())
}

/// DefaultTolerationSeconds: five minutes on a node that is not ready or not reachable.
pub(crate) fn tolerations(pod: &mut Value) {
    let held = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let tolerated = |key: &str| {
        held.iter().any(|toleration| {
            let own = toleration["key"].as_str().unwrap_or_default();
            let effect = toleration["effect"].as_str().unwrap_or_default();
            (own == key || own.is_empty()) && matches!(effect, "" | "NoExecute")
        })
    };
    let mut list = held.clone();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if !tolerated(key) {
            list.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
    if list.len() > held.len() {
        pod["spec"]["tolerations"] = list.into();
    }
}

/// RuntimeClass: overhead and scheduling constraints of the class.
pub(crate) fn runtime_class(call: &Call, transaction: &Transaction, pod: &mut Value) -> Result<(), ApiError> {
    let Some(name) = pod["spec"]["runtimeClassName"].as_str().filter(|name| !name.is_empty()) else { return Ok(()) };
    let Some(class) = transaction.state.get("node.k8s.io", "runtimeclasses", "", name) else {
        return Err(call.forbidden(super::called(pod), &format!("pod rejected: RuntimeClass {name:?} not found")));
    };
    let overhead = &class["overhead"]["podFixed"];
    if overhead.is_object() {
        if pod["spec"]["overhead"].is_object() && pod["spec"]["overhead"] != *overhead {
            let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
            return Err(call.forbidden(super::called(pod), why));
        }
        pod["spec"]["overhead"] = overhead.clone();
    }
    for (key, value) in class["scheduling"]["nodeSelector"].as_object().into_iter().flatten() {
        let held = &pod["spec"]["nodeSelector"][key];
        if held.is_string() && held != value {
            let why = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                value.as_str().unwrap_or_default(),
                held.as_str().unwrap_or_default()
            );
            return Err(call.forbidden(super::called(pod), &why));
        }
        if !pod["spec"]["nodeSelector"].is_object() {
            pod["spec"]["nodeSelector"] = json!({});
        }
        pod["spec"]["nodeSelector"][key] = value.clone();
    }
    let more = class["scheduling"]["tolerations"].as_array().cloned().unwrap_or_default();
    if !more.is_empty() {
        let mut list = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
        list.extend(more.into_iter().filter(|toleration| !list.contains(toleration)).collect::<Vec<_>>());
        pod["spec"]["tolerations"] = list.into();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_are_added_where_none_covers() {
        let count = |held: Value| {
            let mut pod = json!({"spec": {"tolerations": held}});
            tolerations(&mut pod);
            pod["spec"]["tolerations"].as_array().map_or(0, Vec::len)
        };
        assert_eq!(count(json!([])), 2);
        assert_eq!(count(json!([{"operator": "Exists"}])), 1);
        assert_eq!(count(json!([{"operator": "Exists", "effect": "NoSchedule"}])), 3);
        assert_eq!(count(json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}])), 2);
    }
}
