//! Services, endpoints, ingresses and network policies. Addresses are the API server's to allocate.

use super::{each, missing, object_at, omit_empty, part, unset};
use serde_json::{Value, json};

pub(super) fn set(kind: &str, object: &mut Value) {
    match kind {
        "Service" => service(object),
        "Endpoints" => {
            for subset in each(object, "subsets") {
                for port in each(subset, "ports") {
                    unset(port, "protocol", "TCP");
                }
            }
        }
        "EndpointSlice" => endpoint_slice(object),
        "NetworkPolicy" => {
            if let Some(spec) = part(object, "spec") {
                network_policy(spec);
            }
        }
        "Ingress" => {
            part(object, "spec");
            if let Some(status) = part(object, "status") {
                part(status, "loadBalancer");
            }
        }
        "IngressClass" => {
            if let Some(parameters) = part(object, "spec").and_then(|spec| object_at(spec, "parameters")) {
                missing(parameters, "scope", "Cluster");
            }
        }
        "ServiceCIDR" => {
            part(object, "spec");
            part(object, "status");
        }
        _ => {}
    }
}

fn service(object: &mut Value) {
    if let Some(spec) = part(object, "spec") {
        unset(spec, "sessionAffinity", "None");
        unset(spec, "type", "ClusterIP");
        if spec["sessionAffinity"] == "None" {
            spec["sessionAffinityConfig"] = Value::Null;
            super::drop_nulls(spec);
        }
        if spec["sessionAffinity"] == "ClientIP" && spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_null() {
            spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 10_800}});
        }
        for port in each(spec, "ports") {
            unset(port, "protocol", "TCP");
            let number = port["port"].clone();
            unset(port, "targetPort", if number.is_null() { 0.into() } else { number });
            omit_empty(port, &["name", "nodePort"]);
        }
        // The one address and the list of addresses say the same.
        let (one, many) = (spec["clusterIP"].as_str().unwrap_or_default().to_owned(), spec["clusterIPs"].as_array());
        if !one.is_empty() && many.is_none_or(Vec::is_empty) {
            spec["clusterIPs"] = json!([one]);
        }
        let kind = spec["type"].as_str().unwrap_or_default().to_owned();
        let balanced = kind == "LoadBalancer";
        let external = spec["externalIPs"].as_array().is_some_and(|list| !list.is_empty());
        if balanced || kind == "NodePort" || (kind == "ClusterIP" && external) {
            unset(spec, "externalTrafficPolicy", "Cluster");
        }
        if kind != "ExternalName" && (balanced || kind == "NodePort" || kind == "ClusterIP") {
            missing(spec, "internalTrafficPolicy", "Cluster");
        }
        if balanced {
            missing(spec, "allocateLoadBalancerNodePorts", true);
        }
        omit_empty(
            spec,
            &[
                "ports",
                "selector",
                "clusterIP",
                "clusterIPs",
                "externalIPs",
                "loadBalancerIP",
                "loadBalancerSourceRanges",
                "externalName",
                "externalTrafficPolicy",
                "healthCheckNodePort",
                "publishNotReadyAddresses",
                "ipFamilies",
            ],
        );
    }
    let balanced = object["spec"]["type"] == "LoadBalancer";
    if let Some(balancer) = part(object, "status").and_then(|status| part(status, "loadBalancer"))
        && balanced
    {
        for ingress in each(balancer, "ingress") {
            if ingress["ip"].as_str().is_some_and(|ip| !ip.is_empty()) {
                missing(ingress, "ipMode", "VIP");
            }
        }
    }
}

fn endpoint_slice(object: &mut Value) {
    for port in each(object, "ports") {
        missing(port, "name", "");
        missing(port, "protocol", "TCP");
    }
    for endpoint in each(object, "endpoints") {
        part(endpoint, "conditions");
    }
    for list in ["endpoints", "ports"] {
        if object[list].as_array().is_none_or(Vec::is_empty) {
            object[list] = Value::Null;
        }
    }
}

fn network_policy(spec: &mut Value) {
    part(spec, "podSelector");
    for direction in ["ingress", "egress"] {
        for rule in each(spec, direction) {
            for port in each(rule, "ports") {
                missing(port, "protocol", "TCP");
            }
            omit_empty(rule, &["ports", "from", "to"]);
        }
    }
    let egress = spec["egress"].as_array().is_some_and(|list| !list.is_empty());
    unset(spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    omit_empty(spec, &["ingress", "egress"]);
}
