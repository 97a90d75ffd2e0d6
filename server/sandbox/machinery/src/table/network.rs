//! Services, endpoints, ingresses and network policies.

use super::Printer;
use super::column::{age, name, text, wide};
use super::duration::age as age_of;
use super::text::{at_most, integer, items, labels, none_if_empty, or, selector_or_none, str_of};
use crate::object;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn printer(group: &str, kind: &str) -> Option<Printer> {
    let printer = match (group, kind) {
        ("", "Service") => Printer {
            columns: const { &[name(), text("Type"), text("Cluster-IP"), text("External-IP"), text("Port(s)"), age(), wide("Selector")] },
            cells: service,
        },
        ("", "Endpoints") => Printer { columns: const { &[name(), text("Endpoints"), age()] }, cells: endpoints },
        ("discovery.k8s.io", "EndpointSlice") => {
            Printer { columns: const { &[name(), text("AddressType"), text("Ports"), text("Endpoints"), age()] }, cells: endpoint_slice }
        }
        ("networking.k8s.io", "Ingress") => {
            Printer { columns: const { &[name(), text("Class"), text("Hosts"), text("Address"), text("Ports"), age()] }, cells: ingress }
        }
        ("networking.k8s.io", "IngressClass") => {
            Printer { columns: const { &[name(), text("Controller"), text("Parameters"), age()] }, cells: ingress_class }
        }
        ("networking.k8s.io", "NetworkPolicy") => {
            Printer { columns: const { &[name(), text("Pod-Selector"), age()] }, cells: network_policy }
        }
        ("networking.k8s.io", "ServiceCIDR") => Printer { columns: const { &[name(), text("CIDRs"), age()] }, cells: service_cidr },
        // The API server computes the age but names no column for it.
        ("networking.k8s.io", "IPAddress") => Printer { columns: const { &[name(), text("ParentRef")] }, cells: ip_address },
        _ => return None,
    };
    Some(printer)
}

fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let ports: Vec<_> = items(&spec["ports"])
        .iter()
        .map(|port| {
            let (number, protocol) = (integer(&port["port"]), str_of(&port["protocol"]));
            match integer(&port["nodePort"]) {
                0 => format!("{number}/{protocol}"),
                node => format!("{number}:{node}/{protocol}"),
            }
        })
        .collect();
    vec![
        object::name(object).into(),
        str_of(&spec["type"]).into(),
        spec["clusterIPs"][0].as_str().unwrap_or("<none>").into(),
        external_address(object).into(),
        none_if_empty(ports.join(",")).into(),
        age_of(object, now),
        labels(&spec["selector"]).into(),
    ]
}

fn external_address(object: &Value) -> String {
    let spec = &object["spec"];
    let mut addresses: Vec<_> = items(&spec["externalIPs"]).iter().map(|a| str_of(a).to_owned()).collect();
    match str_of(&spec["type"]) {
        "ClusterIP" | "NodePort" => none_if_empty(addresses.join(",")),
        "LoadBalancer" => {
            let mut all = load_balancer(object);
            all.append(&mut addresses);
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => str_of(&spec["externalName"]).to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// Addresses that a load balancer was given, in order.
fn load_balancer(object: &Value) -> Vec<String> {
    let ingress = items(&object["status"]["loadBalancer"]["ingress"]);
    let found: BTreeSet<_> = ingress.iter().map(|i| or(&i["ip"], str_of(&i["hostname"]))).filter(|a| !a.is_empty()).collect();
    found.into_iter().map(str::to_owned).collect()
}

fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut list = Vec::new();
    for subset in items(&object["subsets"]) {
        let addresses = items(&subset["addresses"]).iter().map(|a| str_of(&a["ip"]));
        let ports = items(&subset["ports"]);
        if ports.is_empty() {
            list.extend(addresses.clone().map(str::to_owned));
        }
        for port in ports {
            let port = integer(&port["port"]);
            list.extend(addresses.clone().map(|ip| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }));
        }
    }
    let empty = if items(&object["subsets"]).is_empty() { "<none>" } else { "" };
    vec![object::name(object).into(), at_most(&list, 3, ",", empty).into(), age_of(object, now)]
}

fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<_> = items(&object["ports"])
        .iter()
        .map(|port| port["port"].as_i64().map_or_else(|| port["name"].as_str().unwrap_or("*").to_owned(), |n| n.to_string()))
        .collect();
    let addresses: Vec<_> = items(&object["endpoints"]).iter().flat_map(|e| items(&e["addresses"])).map(|a| str_of(a).to_owned()).collect();
    vec![
        object::name(object).into(),
        str_of(&object["addressType"]).into(),
        unset_if_empty(at_most(&ports, 3, ",", "")).into(),
        unset_if_empty(at_most(&addresses, 3, ",", "")).into(),
        age_of(object, now),
    ]
}

fn unset_if_empty(text: String) -> String {
    if text.is_empty() { "<unset>".to_owned() } else { text }
}

fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        object::name(object).into(),
        spec["ingressClassName"].as_str().unwrap_or("<none>").into(),
        hosts(items(&spec["rules"])).into(),
        load_balancer(object).join(",").into(),
        if items(&spec["tls"]).is_empty() { "80" } else { "80, 443" }.into(),
        age_of(object, now),
    ]
}

fn hosts(rules: &[Value]) -> String {
    let (mut list, mut more) = (Vec::new(), false);
    for rule in rules {
        more = more || list.len() == 3;
        let host = str_of(&rule["host"]);
        if !more && !host.is_empty() {
            list.push(host);
        }
    }
    match (list.is_empty(), more) {
        (true, _) => "*".to_owned(),
        (false, true) => format!("{} + {} more...", list.join(","), rules.len() - 3),
        (false, false) => list.join(","),
    }
}

fn ingress_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, parameters) = (&object["spec"], &object["spec"]["parameters"]);
    let text = if parameters.is_object() {
        let group = parameters["apiGroup"].as_str().map_or(String::new(), |group| format!(".{group}"));
        format!("{}{group}/{}", str_of(&parameters["kind"]), str_of(&parameters["name"]))
    } else {
        "<none>".to_owned()
    };
    vec![object::name(object).into(), str_of(&spec["controller"]).into(), text.into(), age_of(object, now)]
}

fn network_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object::name(object).into(), selector_or_none(&object["spec"]["podSelector"]).into(), age_of(object, now)]
}

fn service_cidr(object: &Value, now: Timestamp) -> Vec<Value> {
    let cidrs = items(&object["spec"]["cidrs"]).iter().map(str_of).collect::<Vec<_>>().join(",");
    vec![object::name(object).into(), cidrs.into(), age_of(object, now)]
}

fn ip_address(object: &Value, now: Timestamp) -> Vec<Value> {
    let parent = &object["spec"]["parentRef"];
    let text = if parent.is_object() {
        let group = str_of(&parent["group"]);
        let dot = if group.is_empty() { "" } else { "." };
        let mut text = format!("{}{dot}{group}", str_of(&parent["resource"])).to_lowercase();
        for part in [&parent["namespace"], &parent["name"]] {
            if !str_of(part).is_empty() {
                text = format!("{text}/{}", str_of(part));
            }
        }
        text
    } else {
        "<none>".to_owned()
    };
    vec![object::name(object).into(), text.into(), age_of(object, now)]
}
