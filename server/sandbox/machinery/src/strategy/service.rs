//! Services that change their type lose what only the old type needed, unless the same update sets it.

use serde_json::{Value, json};

pub(super) fn drop_stale(new: &mut Value, old: &Value) {
    let kind = |service: &Value| service["spec"]["type"].as_str().unwrap_or_default().to_owned();
    let (now, before) = (kind(new), kind(old));
    let same = |new: &Value, field: &str| new["spec"][field] == old["spec"][field];
    let has_node_ports = |kind: &str| matches!(kind, "NodePort" | "LoadBalancer");

    // Whoever changes only the one address means the first of the list too.
    let one = new["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    if !one.is_empty()
        && !same(new, "clusterIP")
        && same(new, "clusterIPs")
        && let Some(first) = new.pointer_mut("/spec/clusterIPs/0")
    {
        *first = one.into();
    }
    // A client that sends neither keeps what was allocated.
    if now != "ExternalName" && before != "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            let unset = new["spec"][field].is_null() || new["spec"][field] == "";
            if unset && !old["spec"][field].is_null() {
                new["spec"][field] = old["spec"][field].clone();
            }
        }
        if new["spec"]["clusterIPs"].as_array().is_some_and(Vec::is_empty) {
            new["spec"]["clusterIPs"] = old["spec"]["clusterIPs"].clone();
        }
    }
    if has_node_ports(&now) {
        keep_node_ports(new, old);
    }
    if before != "ExternalName" && now == "ExternalName" {
        if same(new, "clusterIP") && same(new, "clusterIPs") {
            remove(new, "clusterIP");
            remove(new, "clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if same(new, field) {
                remove(new, field);
            }
        }
    }
    if has_node_ports(&before) && !has_node_ports(&now) && no_new_node_ports(new, old) {
        for port in ports(new).filter_map(Value::as_object_mut) {
            port.remove("nodePort");
        }
    }
    let checks_health = |kind: &str, service: &Value| kind == "LoadBalancer" && service["spec"]["externalTrafficPolicy"] == "Local";
    if checks_health(&before, old) && !checks_health(&now, new) && same(new, "healthCheckNodePort") {
        remove(new, "healthCheckNodePort");
    }
    if before == "LoadBalancer" && now != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if same(new, field) {
                remove(new, field);
            }
        }
    }
    let external = |kind: &str, service: &Value| {
        has_node_ports(kind) || (kind == "ClusterIP" && service["spec"]["externalIPs"].as_array().is_some_and(|list| !list.is_empty()))
    };
    if external(&before, old) && !external(&now, new) && same(new, "externalTrafficPolicy") {
        remove(new, "externalTrafficPolicy");
    }
    if now != "LoadBalancer" && new["status"].is_object() {
        new["status"]["loadBalancer"] = json!({});
    }
}

/// Ports without a node port get the one that the same port had before.
fn keep_node_ports(new: &mut Value, old: &Value) {
    let before = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in ports(new).filter(|port| port.is_object()) {
        let unset = port["nodePort"].is_null() || port["nodePort"] == 0;
        let known = before.iter().find(|b| b["port"] == port["port"] && b["protocol"] == port["protocol"]).map(|b| &b["nodePort"]);
        if unset && let Some(number) = known.filter(|n| n.is_number()) {
            port["nodePort"] = number.clone();
        }
    }
}

fn no_new_node_ports(new: &Value, old: &Value) -> bool {
    let all = |service: &Value| -> Vec<i64> {
        service["spec"]["ports"].as_array().into_iter().flatten().filter_map(|port| port["nodePort"].as_i64()).filter(|p| *p != 0).collect()
    };
    let before = all(old);
    all(new).iter().all(|port| before.contains(port))
}

fn ports(service: &mut Value) -> impl Iterator<Item = &mut Value> {
    service.get_mut("spec").and_then(|spec| spec.get_mut("ports")).and_then(Value::as_array_mut).into_iter().flatten()
}

fn remove(service: &mut Value, field: &str) {
    if let Some(spec) = service["spec"].as_object_mut() {
        spec.remove(field);
    }
}
