//! What the API server allots to a Service: cluster IP and node ports.

use crate::{call::Call, store::Transaction};
use machinery::{ApiError, FieldError, clock::rfc3339, object, validation};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
};

/// Service network, as kubeadm's default.
const NETWORK: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const SIZE: u32 = 1 << 16;
/// Addresses below are kept for Services that ask for one (`10.96.0.1`, `10.96.0.10`): KEP-3070.
const RESERVED: u32 = 256;
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

/// Fills in and checks `spec.clusterIP(s)`, `spec.ports[].nodePort` and the health-check port.
pub(crate) fn allocate(call: &Call, transaction: &Transaction, new: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    let name = object::name(new).to_owned();
    let own = (object::namespace(new).to_owned(), name.clone());
    let (addresses, ports) = taken(transaction, &own);
    cluster_ip(call, new, old, &addresses, &name)?;
    node_ports(call, new, old, &ports, &name)
}

/// Keeps the `IPAddress` object of a Service (KEP-1880), which another Service cannot take while it stands.
pub(crate) fn record(call: &Call, transaction: &mut Transaction, service: &Value) {
    const KIND: (&str, &str) = ("networking.k8s.io", "ipaddresses");
    let (namespace, name) = (object::namespace(service), object::name(service));
    let parent = json!({"resource": "services", "namespace": namespace, "name": name});
    let stored = transaction.state.get("", "services", namespace, name);
    let wanted =
        stored.as_ref().and_then(|service| service["spec"]["clusterIP"].as_str()).filter(|address| address.parse::<Ipv4Addr>().is_ok());
    let wanted = wanted.map(str::to_owned);
    let before = service["spec"]["clusterIP"].as_str().filter(|address| stored.is_none() || wanted.as_deref() != Some(*address));
    if let Some(before) = before {
        transaction.remove(KIND.0, KIND.1, "", before);
    }
    let Some(address) = wanted.filter(|address| !transaction.state.has(KIND.0, KIND.1, "", address)) else { return };
    transaction.put(
        KIND.0,
        KIND.1,
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
            "metadata": {
                "name": address, "uid": call.server.new_uid(), "creationTimestamp": rfc3339(call.now),
                "labels": {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"},
            },
            "spec": {"parentRef": parent},
        }),
    );
}

fn taken(transaction: &Transaction, own: &(String, String)) -> (BTreeSet<String>, BTreeSet<(u16, String)>) {
    let (mut addresses, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for service in transaction.state.list("", "services", None) {
        if object::namespace(&service) == own.0 && object::name(&service) == own.1 {
            continue;
        }
        if let Some(address) = service["spec"]["clusterIP"].as_str() {
            addresses.insert(address.to_owned());
        }
        for port in service["spec"]["ports"].as_array().into_iter().flatten() {
            if let Some(number) = port["nodePort"].as_u64().and_then(|number| u16::try_from(number).ok()) {
                ports.insert((number, protocol(port)));
            }
        }
    }
    (addresses, ports)
}

fn protocol(port: &Value) -> String {
    port["protocol"].as_str().unwrap_or("TCP").to_owned()
}

fn cluster_ip(call: &Call, new: &mut Value, old: Option<&Value>, taken: &BTreeSet<String>, name: &str) -> Result<(), ApiError> {
    let spec = &mut new["spec"];
    if spec["type"] == "ExternalName" {
        // What the Service had of an address goes with its type; what somebody asks for now is refused.
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            let held = old.is_some_and(|old| old["spec"][field] == spec[field]);
            let empty = spec[field] == "" || spec[field].as_array().is_some_and(Vec::is_empty);
            if let Some(spec) = spec.as_object_mut().filter(|_| held || empty) {
                spec.remove(field);
            }
        }
        if spec["clusterIP"].is_string() && spec["clusterIPs"].is_null() {
            spec["clusterIPs"] = json!([spec["clusterIP"]]);
        }
        return Ok(());
    }
    agree(spec, old.map(|old| &old["spec"]));
    let mut asked = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
    // A change of an address that is set is for validation to refuse.
    let held = old.and_then(|old| old["spec"]["clusterIP"].as_str()).is_some_and(|held| !held.is_empty());
    let errors = validation::service_addresses(new);
    if !errors.is_empty() {
        return Err(call.invalid(name, &errors));
    }
    let spec = &mut new["spec"];
    families(call, spec, old, &asked, name)?;
    if asked != "None" && !held {
        asked = if asked.is_empty() {
            free_address(call, taken).ok_or_else(|| ApiError::internal("failed to allocate a serviceIP: range is full"))?
        } else {
            check_address(&asked, taken).map_err(|detail| {
                let detail = format!("failed to allocate IP {asked}: {detail}");
                call.invalid(name, &[FieldError::invalid("spec.clusterIPs", &json!([asked]), detail)])
            })?;
            asked
        };
    }
    spec["clusterIP"] = asked.as_str().into();
    spec["clusterIPs"] = json!([asked]);
    Ok(())
}

/// Fills in whichever of `clusterIP` and `clusterIPs` a client left out, from the other one and from what the Service had.
fn agree(spec: &mut Value, old: Option<&Value>) {
    let one = |spec: &Value| spec["clusterIP"].as_str().unwrap_or_default().to_owned();
    let many = |spec: &Value| spec["clusterIPs"].as_array().cloned().unwrap_or_default();
    let (mut address, mut addresses) = (one(spec), many(spec));
    let (before, all_before) = old.map_or_else(Default::default, |old| (one(old), many(old)));
    if old.is_some_and(|old| old["type"] != "ExternalName") {
        if address.is_empty() {
            address.clone_from(&before);
        }
        if addresses.is_empty() {
            addresses.clone_from(&all_before);
        }
    }
    if address != before && addresses == all_before {
        addresses = if address.is_empty() { Vec::new() } else { vec![address.as_str().into()] };
    }
    if !address.is_empty() || spec["clusterIP"].is_string() {
        spec["clusterIP"] = address.into();
    }
    if !addresses.is_empty() || spec["clusterIPs"].is_array() {
        spec["clusterIPs"] = addresses.into();
    }
}

/// `ipFamilies` and `ipFamilyPolicy` of a cluster that speaks IPv4 only.
fn families(call: &Call, spec: &mut Value, old: Option<&Value>, asked: &str, name: &str) -> Result<(), ApiError> {
    let everyone = asked == "None" && spec["selector"].as_object().is_none_or(serde_json::Map::is_empty);
    if spec["ipFamilyPolicy"].is_null() {
        let before = old.map(|old| old["spec"]["ipFamilyPolicy"].clone()).filter(|policy| !policy.is_null());
        // A headless Service without a selector may point at endpoints of both families.
        spec["ipFamilyPolicy"] = before.unwrap_or_else(|| if everyone { "RequireDualStack" } else { "SingleStack" }.into());
    }
    let mut errors = Vec::new();
    if asked.parse::<Ipv6Addr>().is_ok() && spec["ipFamilies"][0].is_null() {
        errors.push(FieldError::invalid("spec.clusterIPs[0]", &json!([asked]), "IPv6 is not configured on this cluster"));
    }
    if everyone {
        if spec["ipFamilies"].as_array().is_none_or(Vec::is_empty) {
            let single = spec["ipFamilyPolicy"] == "SingleStack";
            spec["ipFamilies"] = if single { json!(["IPv4"]) } else { json!(["IPv4", "IPv6"]) };
        }
        return Ok(());
    }
    if spec["ipFamilyPolicy"] == "RequireDualStack" {
        let message = "this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid("spec.ipFamilyPolicy", &spec["ipFamilyPolicy"], message));
    }
    for (index, family) in spec["ipFamilies"].as_array().into_iter().flatten().enumerate().filter(|(_, family)| **family == "IPv6") {
        errors.push(FieldError::invalid(format!("spec.ipFamilies[{index}]"), family, "not configured on this cluster"));
    }
    if !errors.is_empty() {
        return Err(call.invalid(name, &errors));
    }
    if spec["ipFamilies"].as_array().is_none_or(Vec::is_empty) {
        spec["ipFamilies"] = json!(["IPv4"]);
    }
    Ok(())
}

fn check_address(asked: &str, taken: &BTreeSet<String>) -> Result<(), String> {
    let mismatch = "the provided network does not match the current range";
    let Ok(address) = asked.parse::<Ipv4Addr>() else { return Err(mismatch.to_owned()) };
    let offset = address.to_bits().wrapping_sub(NETWORK);
    if offset >= SIZE {
        return Err(mismatch.to_owned());
    }
    if offset == 0 || offset == SIZE - 1 {
        return Err("provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/16".to_owned());
    }
    if taken.contains(asked) {
        return Err("provided IP is already allocated".to_owned());
    }
    Ok(())
}

fn free_address(call: &Call, taken: &BTreeSet<String>) -> Option<String> {
    let start = call.server.random_below(SIZE - RESERVED - 1);
    (0..SIZE - RESERVED - 1)
        .map(|step| Ipv4Addr::from_bits(NETWORK + RESERVED + (start + step) % (SIZE - RESERVED - 1)).to_string())
        .chain((1..RESERVED).map(|offset| Ipv4Addr::from_bits(NETWORK + offset).to_string()))
        .find(|address| !taken.contains(address))
}

fn node_ports(call: &Call, new: &mut Value, old: Option<&Value>, taken: &BTreeSet<(u16, String)>, name: &str) -> Result<(), ApiError> {
    let wants = match new["spec"]["type"].as_str() {
        Some("NodePort") => true,
        Some("LoadBalancer") => new["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    };
    let mut taken = taken.clone();
    let Some(ports) = new["spec"]["ports"].as_array_mut() else { return Ok(()) };
    if !wants {
        // Ports that the update did not name anew go back with the type.
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            let kept = old.is_some_and(|old| {
                old["spec"]["ports"].as_array().into_iter().flatten().any(|before| Some(&before["nodePort"]) == port.get("nodePort"))
            });
            if kept || port.get("nodePort") == Some(&json!(0)) {
                port.remove("nodePort");
            }
        }
        return Ok(());
    }
    for (index, port) in ports.iter_mut().enumerate() {
        let protocol = protocol(port);
        let mut asked = port["nodePort"].as_u64().unwrap_or(0);
        if asked == 0 {
            // The same port of the Service keeps the node port that it has.
            let before = old
                .into_iter()
                .flat_map(|old| old["spec"]["ports"].as_array().into_iter().flatten())
                .find(|before| before["port"] == port["port"] && before["protocol"].as_str().unwrap_or("TCP") == protocol);
            asked = before.and_then(|before| before["nodePort"].as_u64()).unwrap_or(0);
        }
        let number = match u16::try_from(asked).ok().filter(|number| *number > 0) {
            Some(number) => {
                let problem = if !NODE_PORTS.contains(&number) {
                    Some("provided port is not in the valid range. The range of valid ports is 30000-32767")
                } else if taken.contains(&(number, protocol.clone())) {
                    Some("provided port is already allocated")
                } else {
                    None
                };
                if let Some(problem) = problem {
                    let error = FieldError::invalid(format!("spec.ports[{index}].nodePort"), &json!(number), problem);
                    return Err(call.invalid(name, &[error]));
                }
                number
            }
            None => {
                let count = u32::from(NODE_PORTS.end() - NODE_PORTS.start()) + 1;
                let start = call.server.random_below(count);
                (0..count)
                    .filter_map(|step| u16::try_from((start + step) % count).ok())
                    .map(|offset| NODE_PORTS.start() + offset)
                    .find(|number| !taken.iter().any(|(held, _)| held == number))
                    .ok_or_else(|| ApiError::internal("failed to allocate a nodePort: range is full"))?
            }
        };
        taken.insert((number, protocol));
        port["nodePort"] = number.into();
    }
    Ok(())
}
