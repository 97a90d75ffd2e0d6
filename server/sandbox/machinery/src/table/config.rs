//! Namespaces, configuration, identities, events and quotas.

use super::Printer;
use super::column::{age, name, named_wide, text, wide};
use super::duration::{age as age_of, since};
use super::text::{count, integer, items, scalar, str_of};
use crate::object;
use jiff::Timestamp;
use serde_json::Value;

pub(super) fn printer(group: &str, kind: &str) -> Option<Printer> {
    let printer = match (group, kind) {
        ("", "Namespace") => Printer { columns: const { &[name(), text("Status"), age()] }, cells: namespace },
        ("", "ConfigMap") => Printer { columns: const { &[name(), text("Data"), age()] }, cells: config_map },
        ("", "Secret") => Printer { columns: const { &[name(), text("Type"), text("Data"), age()] }, cells: secret },
        ("", "ServiceAccount") => Printer { columns: const { &[name(), text("Secrets"), age()] }, cells: service_account },
        ("", "ResourceQuota") => Printer { columns: const { &[name(), text("Request"), text("Limit"), age()] }, cells: quota },
        ("", "ComponentStatus") => {
            Printer { columns: const { &[name(), text("Status"), text("Message"), text("Error")] }, cells: component_status }
        }
        ("" | "events.k8s.io", "Event") => Printer {
            columns: const {
                &[
                    text("Last Seen"),
                    text("Type"),
                    text("Reason"),
                    text("Object"),
                    wide("Subobject"),
                    wide("Source"),
                    text("Message"),
                    wide("First Seen"),
                    wide("Count"),
                    named_wide("Name"),
                ]
            },
            cells: event,
        },
        _ => return None,
    };
    Some(printer)
}

fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), str_of(&object["status"]["phase"]).into(), age_of(object, now)]
}

fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), (count(&object["data"]) + count(&object["binaryData"])).into(), age_of(object, now)]
}

fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), str_of(&object["type"]).into(), count(&object["data"]).into(), age_of(object, now)]
}

fn service_account(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), count(&object["secrets"]).into(), age_of(object, now)]
}

fn quota(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let mut hard: Vec<_> = status["hard"].as_object().into_iter().flatten().collect();
    hard.sort_by_key(|(resource, _)| *resource);
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, most) in hard {
        let used = match &status["used"][resource] {
            Value::Null => "0".to_owned(),
            used => scalar(used),
        };
        let line = format!("{resource}: {used}/{}", scalar(most));
        if resource.starts_with("limits.") { limits.push(line) } else { requests.push(line) }
    }
    vec![object::name(object).into(), requests.join(", ").into(), limits.join(", ").into(), age_of(object, now)]
}

fn component_status(object: &Value, _now: Timestamp) -> Vec<Value> {
    let healthy = items(&object["conditions"]).iter().find(|c| c["type"] == "Healthy");
    let status = match healthy {
        Some(condition) if condition["status"] == "True" => "Healthy",
        Some(_) => "Unhealthy",
        None => "Unknown",
    };
    let field = |field: &str| healthy.map_or("", |c| str_of(&c[field])).into();
    vec![object::name(object).into(), status.into(), field("message"), field("error")]
}

/// Reads both `v1` and `events.k8s.io/v1`, which spell the same event differently.
fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let either = |old: &str, new: &str| if event[old].is_null() { &event[new] } else { &event[old] };
    let about = either("involvedObject", "regarding");
    let source = either("source", "deprecatedSource");
    let (first, last) = (either("firstTimestamp", "deprecatedFirstTimestamp"), either("lastTimestamp", "deprecatedLastTimestamp"));

    let first = if first.is_null() { since(&event["eventTime"], now) } else { since(first, now) };
    let mut last = if last.is_null() { first.clone() } else { since(last, now) };
    let mut times = integer(either("count", "deprecatedCount"));
    if event["series"].is_object() {
        last = since(&event["series"]["lastObservedTime"], now);
        times = integer(&event["series"]["count"]);
    } else if times == 0 {
        times = 1;
    }

    let kind = str_of(&about["kind"]).to_lowercase();
    let target = match str_of(&about["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let first_of = |a: &Value, b: &Value| if str_of(a).is_empty() { str_of(b).to_owned() } else { str_of(a).to_owned() };
    let component = first_of(&source["component"], either("reportingComponent", "reportingController"));
    let instance = first_of(&source["host"], &event["reportingInstance"]);
    let reporter = if instance.is_empty() { component } else { format!("{component}, {instance}") };
    vec![
        last.into(),
        str_of(&event["type"]).into(),
        str_of(&event["reason"]).into(),
        target.into(),
        str_of(&about["fieldPath"]).into(),
        reporter.into(),
        str_of(either("message", "note")).trim().into(),
        first.into(),
        times.into(),
        object::name(event).into(),
    ]
}
