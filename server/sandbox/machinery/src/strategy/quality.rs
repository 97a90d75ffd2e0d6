//! Quality of service (k8s.io/kubernetes/pkg/apis/core/v1/helper/qos).

use crate::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeMap;

type Amounts = BTreeMap<&'static str, i128>;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn quality_of_service(pod: &Value) -> &'static str {
    let spec = &pod["spec"];
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    let mut guaranteed = true;
    let mut read = |resources: &Value, needs_limits: bool| {
        add(&mut requests, &resources["requests"]);
        let mut own = Amounts::new();
        add(&mut own, &resources["limits"]);
        if needs_limits && own.len() < 2 {
            guaranteed = false;
        }
        add(&mut limits, &resources["limits"]);
    };
    if spec["resources"].is_object() {
        let limited = spec["resources"]["limits"].as_object().is_some_and(|l| !l.is_empty());
        read(&spec["resources"], limited);
    } else {
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array().into_iter().flatten() {
                read(&container["resources"], true);
            }
        }
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if guaranteed && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn add(amounts: &mut Amounts, list: &Value) {
    for name in ["cpu", "memory"] {
        let nano = match &list[name] {
            Value::String(text) => Quantity::parse(text).map_or(0, |q| q.nano),
            Value::Number(number) => Quantity::parse(&number.to_string()).map_or(0, |q| q.nano),
            _ => 0,
        };
        if nano > 0 {
            let sum = amounts.entry(name).or_default();
            *sum = sum.saturating_add(nano);
        }
    }
}
