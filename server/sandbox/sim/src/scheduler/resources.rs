//! What a pod asks for and what a node has left.

use super::state::{NodeInfo, Refusal};
use crate::controllers::common::items;
use machinery::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeMap;

/// Resource name to amount in nanounits.
pub type Amounts = BTreeMap<String, i128>;

pub fn amounts(list: &Value) -> Amounts {
    let Some(list) = list.as_object() else { return Amounts::new() };
    list.iter().filter_map(|(name, amount)| Some((name.clone(), parse(amount)?))).collect()
}

fn parse(amount: &Value) -> Option<i128> {
    match amount {
        Value::String(text) => Quantity::parse(text).ok().map(|quantity| quantity.nano),
        Value::Number(number) => number.as_i64().map(|number| i128::from(number) * 1_000_000_000),
        _ => None,
    }
}

pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *sum.entry(name.clone()).or_default() += amount;
    }
}

fn raise(to: &mut Amounts, at_least: &Amounts) {
    for (name, amount) in at_least {
        let present = to.entry(name.clone()).or_default();
        *present = (*present).max(*amount);
    }
}

/// The pod's effective requests: all containers together with the restartable init containers, or the greediest moment of
/// initialization if that is more; then what the pod as a whole asks for, and the overhead of its runtime class.
pub fn requests(pod: &Value) -> Amounts {
    let spec = &pod["spec"];
    let of = |container: &Value| amounts(&container["resources"]["requests"]);
    let mut sum = Amounts::new();
    for container in items(&spec["containers"]) {
        add(&mut sum, &of(container));
    }
    let (mut sidecars, mut during_init) = (Amounts::new(), Amounts::new());
    for container in items(&spec["initContainers"]) {
        if container["restartPolicy"] == "Always" {
            add(&mut sidecars, &of(container));
            raise(&mut during_init, &sidecars);
        } else {
            let mut moment = of(container);
            add(&mut moment, &sidecars);
            raise(&mut during_init, &moment);
        }
    }
    add(&mut sum, &sidecars);
    raise(&mut sum, &during_init);
    for (name, amount) in amounts(&spec["resources"]["requests"]) {
        sum.insert(name, amount);
    }
    add(&mut sum, &amounts(&spec["overhead"]));
    sum
}

pub fn filter(node: &NodeInfo, pod: &Value) -> Result<(), Refusal> {
    let mut reasons = Vec::new();
    let mut resolvable = true;
    let allowed = node.allocatable.get("pods").copied().unwrap_or(0) / 1_000_000_000;
    if i128::try_from(node.pods.len()).unwrap_or(i128::MAX) + 1 > allowed {
        reasons.push("Too many pods".to_owned());
    }
    let wanted = requests(pod);
    // The order of the real plug-in: the three of every node, then the others.
    let order = |name: &str| match name {
        "cpu" => 0,
        "memory" => 1,
        "ephemeral-storage" => 2,
        _ => 3,
    };
    let mut names: Vec<_> = wanted.iter().filter(|(_, amount)| **amount > 0).collect();
    names.sort_by_key(|(name, _)| (order(name), (*name).clone()));
    for (name, amount) in names {
        let has = node.allocatable.get(name).copied().unwrap_or(0);
        let used = node.requested.get(name).copied().unwrap_or(0);
        if *amount > has - used {
            reasons.push(format!("Insufficient {name}"));
            resolvable &= *amount <= has;
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(Refusal { reasons, resolvable }) }
}

/// Free share of cpu and memory in 0..=100 after the pod would be placed, and how even the two are.
pub fn least_allocated_and_balance(node: &NodeInfo, pod: &Value) -> (i64, i64) {
    let wanted = requests(pod);
    let mut shares = Vec::new();
    for (name, unset) in [("cpu", 100_000_000), ("memory", 200 * 1024 * 1024 * 1_000_000_000_i128)] {
        let has = node.allocatable.get(name).copied().unwrap_or(0);
        if has <= 0 {
            continue;
        }
        let asked = wanted.get(name).copied().filter(|amount| *amount > 0).unwrap_or(unset);
        let used = node.requested.get(name).copied().unwrap_or(0) + asked;
        shares.push(((has - used).max(0) as f64) / has as f64);
    }
    if shares.is_empty() {
        return (0, 0);
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    let deviation = (shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / shares.len() as f64).sqrt();
    ((mean * 100.0) as i64, ((1.0 - deviation) * 100.0) as i64)
}
