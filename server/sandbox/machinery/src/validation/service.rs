//! Services. Whether an address or a node port is free is decided where they are allocated.

use super::kit::{Errors, cidr, has, ip, list, number, one_of, parse_ip, port, port_number, refuse, supported_or_refuse, text};
use super::{internal, meta, names};
use crate::field::FieldError;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

pub(super) fn rules(errors: &mut Errors, service: &Value, old: Option<&Value>) {
    let spec = &service["spec"];
    if let Some(old) = old {
        changed_addresses(errors, spec, &old["spec"]);
        changed_families(errors, spec, &old["spec"]);
        let balanced = |spec: &Value| spec["type"] == "LoadBalancer";
        if balanced(spec) && balanced(&old["spec"]) && spec["loadBalancerClass"] != old["spec"]["loadBalancerClass"] {
            errors.push(FieldError::invalid("spec.loadBalancerClass", &spec["loadBalancerClass"], "may not change once set"));
        }
        load_balancer_class(errors, spec);
        if checks_health(spec) && checks_health(&old["spec"]) && spec["healthCheckNodePort"] != old["spec"]["healthCheckNodePort"] {
            errors.push(FieldError::forbidden("spec.healthCheckNodePort", "field is immutable"));
        }
    }
    let kind = text(&spec["type"]);
    let headless = is_headless(spec);
    let all_ports = list(&spec["ports"]);
    if all_ports.is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let message = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid("spec.clusterIPs[0]", &spec["clusterIPs"][0], message));
        }
        "ExternalName" => external_name(errors, spec),
        _ => {}
    }
    let mut names_seen = BTreeSet::new();
    for (index, one) in all_ports.iter().enumerate() {
        service_port(errors, &format!("spec.ports[{index}]"), one, all_ports.len() > 1, &mut names_seen);
    }
    meta::labels(errors, "spec.selector", &spec["selector"]);
    one_of(errors, "spec.sessionAffinity", &spec["sessionAffinity"], &["ClientIP", "None"]);
    session_affinity(errors, spec);
    cluster_addresses(errors, spec);
    for (index, address) in list(&spec["externalIPs"]).iter().enumerate() {
        let path = format!("spec.externalIPs[{index}]");
        let before = errors.len();
        ip(errors, &path, text(address));
        if errors.len() == before {
            endpoint_ip(errors, &path, text(address));
        }
    }
    one_of(errors, "spec.type", &spec["type"], &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    repeated_ports(errors, kind, all_ports);
    source_ranges(errors, service, kind);
    if has(&spec["allocateLoadBalancerNodePorts"]) && kind != "LoadBalancer" {
        let message = "may only be used when `type` is 'LoadBalancer'";
        errors.push(FieldError::forbidden("spec.allocateLoadBalancerNodePorts", message));
    }
    load_balancer_class(errors, spec);
    traffic(errors, spec);
}

fn is_headless(spec: &Value) -> bool {
    list(&spec["clusterIPs"]).len() == 1 && spec["clusterIPs"][0] == "None"
}

fn is_external(spec: &Value) -> bool {
    match text(&spec["type"]) {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !list(&spec["externalIPs"]).is_empty(),
        _ => false,
    }
}

fn checks_health(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

fn external_name(errors: &mut Errors, spec: &Value) {
    for field in ["clusterIPs", "ipFamilies"] {
        if !list(&spec[field]).is_empty() {
            errors.push(FieldError::forbidden(format!("spec.{field}"), "may not be set for ExternalName services"));
        }
    }
    if has(&spec["ipFamilyPolicy"]) {
        errors.push(FieldError::forbidden("spec.ipFamilyPolicy", "may not be set for ExternalName services"));
    }
    let name = text(&spec["externalName"]);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        errors.push(FieldError::required("spec.externalName", ""));
    } else {
        refuse(errors, "spec.externalName", name, names::dns_subdomain(name));
    }
}

fn service_port<'a>(errors: &mut Errors, path: &str, one: &'a Value, needs_name: bool, seen: &mut BTreeSet<&'a str>) {
    let name = text(&one["name"]);
    if !name.is_empty() {
        refuse(errors, &format!("{path}.name"), name, names::dns_label(name));
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
    } else if needs_name {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    port_number(errors, &format!("{path}.port"), &one["port"]);
    one_of(errors, &format!("{path}.protocol"), &one["protocol"], &PROTOCOLS);
    port(errors, &format!("{path}.targetPort"), &one["targetPort"]);
    if let Some(protocol) = one["appProtocol"].as_str() {
        refuse(errors, &format!("{path}.appProtocol"), protocol, names::qualified_name(protocol));
    }
}

fn session_affinity(errors: &mut Errors, spec: &Value) {
    let config = &spec["sessionAffinityConfig"];
    let path = "spec.sessionAffinityConfig";
    match text(&spec["sessionAffinity"]) {
        "ClientIP" => {
            let timeout = &config["clientIP"]["timeoutSeconds"];
            if !has(timeout) {
                errors.push(FieldError::required(path, "when session affinity type is ClientIP"));
            } else if !(1..=86_400).contains(&number(timeout)) {
                let message = "must be greater than 0 and less than 86400";
                errors.push(FieldError::invalid(format!("{path}.clientIP.timeoutSeconds"), timeout, message));
            }
        }
        "None" if has(config) => {
            errors.push(FieldError::forbidden(path, "must not be set when session affinity is None"));
        }
        _ => {}
    }
}

pub(super) fn cluster_addresses(errors: &mut Errors, spec: &Value) {
    if spec["type"] == "ExternalName" {
        return;
    }
    let path = "spec.clusterIPs";
    let (one, all) = (text(&spec["clusterIP"]), list(&spec["clusterIPs"]));
    match (one, all) {
        ("", []) => {}
        ("", _) => {
            errors.push(FieldError::invalid(path, &spec["clusterIPs"], "must be empty when `clusterIP` is not specified"));
        }
        (_, []) => errors.push(FieldError::required(path, "")),
        (one, all) if text(&all[0]) != one => {
            errors.push(FieldError::invalid(path, &spec["clusterIPs"], "first value must match `clusterIP`"));
        }
        _ => {}
    }
    let families = list(&spec["ipFamilies"]);
    for (index, family) in families.iter().enumerate() {
        let path = format!("spec.ipFamilies[{index}]");
        supported_or_refuse(errors, &path, text(family), &["IPv4", "IPv6"]);
        if families[..index].contains(family) {
            errors.push(FieldError::duplicate(path, family));
        }
    }
    if let Some(policy) = spec["ipFamilyPolicy"].as_str() {
        let supported = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        supported_or_refuse(errors, "spec.ipFamilyPolicy", policy, &supported);
    }
    let before = errors.len();
    for (index, address) in all.iter().enumerate() {
        if index == 0 && address == "None" {
            if all.len() > 1 {
                errors.push(FieldError::invalid(path, &spec["clusterIPs"], "'None' must be the first and only value"));
            }
            continue;
        }
        ip(errors, &format!("{path}[{index}]"), text(address));
    }
    if all.len() > 2 {
        errors.push(FieldError::invalid(path, &spec["clusterIPs"], "may only hold up to 2 values"));
    }
    if errors.len() > before {
        return;
    }
    let is_v6 = |address: &Value| parse_ip(text(address)).is_some_and(|a| a.is_ipv6());
    if all.len() == 2 && is_v6(&all[0]) == is_v6(&all[1]) {
        let message = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(path, &spec["clusterIPs"], message));
    }
    if is_headless(spec) {
        return;
    }
    for (index, (address, family)) in all.iter().zip(families).enumerate() {
        let wanted = text(family);
        if (wanted == "IPv4" && is_v6(address)) || (wanted == "IPv6" && !is_v6(address)) {
            let message = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
            errors.push(FieldError::invalid(format!("{path}[{index}]"), text(address), message));
        }
    }
}

fn repeated_ports(errors: &mut Errors, kind: &str, ports: &[Value]) {
    for (index, port) in ports.iter().enumerate() {
        if kind == "ClusterIP" && number(&port["nodePort"]) != 0 {
            let path = format!("spec.ports[{index}].nodePort");
            errors.push(FieldError::forbidden(path, "may not be used when `type` is 'ClusterIP'"));
        }
    }
    let same = |a: &Value, b: &Value, field: &str| a["protocol"] == b["protocol"] && a[field] == b[field];
    for (index, port) in ports.iter().enumerate().filter(|(_, port)| number(&port["nodePort"]) != 0) {
        if ports[..index].iter().any(|other| same(other, port, "nodePort")) {
            errors.push(FieldError::duplicate(format!("spec.ports[{index}].nodePort"), &port["nodePort"]));
        }
    }
    for (index, port) in ports.iter().enumerate() {
        if ports[..index].iter().any(|other| same(other, port, "port")) {
            let key = json!({"protocol": port["protocol"], "port": port["port"]});
            errors.push(FieldError::duplicate(format!("spec.ports[{index}]"), internal::shown("ServicePort", &key)));
        }
    }
}

fn source_ranges(errors: &mut Errors, service: &Value, kind: &str) {
    let ranges = list(&service["spec"]["loadBalancerSourceRanges"]);
    let key = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let message = "may only be used when `type` is 'LoadBalancer'";
    if !ranges.is_empty() {
        // Spelled with a capital, as Kubernetes spells it.
        let path = "spec.LoadBalancerSourceRanges";
        if kind != "LoadBalancer" {
            errors.push(FieldError::forbidden(path, message));
        }
        for (index, range) in ranges.iter().enumerate() {
            cidr(errors, &format!("{path}[{index}]"), text(range).trim());
        }
    } else if let Some(annotation) = crate::object::annotation(service, key) {
        let path = format!("metadata.annotations[{key}]");
        if kind != "LoadBalancer" {
            errors.push(FieldError::forbidden(&path, message));
        }
        for range in annotation.trim().split(',').filter(|range| !range.is_empty()) {
            cidr(errors, &path, range.trim());
        }
    }
}

fn load_balancer_class(errors: &mut Errors, spec: &Value) {
    let Some(class) = spec["loadBalancerClass"].as_str() else { return };
    if spec["type"] == "LoadBalancer" {
        refuse(errors, "spec.loadBalancerClass", class, names::qualified_name(class));
    } else {
        errors.push(FieldError::forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'"));
    }
}

fn traffic(errors: &mut Errors, spec: &Value) {
    let policy = text(&spec["externalTrafficPolicy"]);
    if is_external(spec) {
        one_of(errors, "spec.externalTrafficPolicy", &spec["externalTrafficPolicy"], &["Cluster", "Local"]);
    } else if !policy.is_empty() {
        errors.push(FieldError::invalid("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services"));
    }
    let health = &spec["healthCheckNodePort"];
    if checks_health(spec) {
        if number(health) == 0 {
            errors.push(FieldError::required("spec.healthCheckNodePort", ""));
        } else {
            port_number(errors, "spec.healthCheckNodePort", health);
        }
    } else if number(health) != 0 {
        let message = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(FieldError::invalid("spec.healthCheckNodePort", health, message));
    }
    match spec["internalTrafficPolicy"].as_str() {
        Some(policy) => supported_or_refuse(errors, "spec.internalTrafficPolicy", policy, &["Cluster", "Local"]),
        None if matches!(text(&spec["type"]), "NodePort" | "LoadBalancer" | "ClusterIP") => {
            errors.push(FieldError::required("spec.internalTrafficPolicy", ""));
        }
        None => {}
    }
    if let Some(distribution) = spec["trafficDistribution"].as_str() {
        let supported = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        supported_or_refuse(errors, "spec.trafficDistribution", distribution, &supported);
    }
}

/// Addresses, once given, stay; a second one may come and go.
fn changed_addresses(errors: &mut Errors, spec: &Value, old: &Value) {
    if spec["type"] == "ExternalName" || old["type"] == "ExternalName" || (is_headless(spec) && is_headless(old)) {
        return;
    }
    let (now, before) = (list(&spec["clusterIPs"]), list(&old["clusterIPs"]));
    let shown = &spec["clusterIPs"];
    if now.len() == before.len() {
        for (index, _) in now.iter().zip(before).enumerate().filter(|(_, (a, b))| a != b) {
            errors.push(FieldError::invalid(format!("spec.clusterIPs[{index}]"), shown, "may not change once set"));
        }
        return;
    }
    if now.is_empty() {
        errors.push(FieldError::invalid("spec.clusterIPs[0]", shown, "primary clusterIP can not be unset"));
    } else if before.first().is_some_and(|first| *first != now[0]) {
        errors.push(FieldError::invalid("spec.clusterIPs[0]", shown, "may not change once set"));
    }
    if now.len() == 1 && before.len() > 1 && spec["ipFamilyPolicy"] != "SingleStack" {
        let message = "must be set to 'SingleStack' when releasing the secondary clusterIP";
        errors.push(FieldError::invalid("spec.ipFamilyPolicy", &spec["ipFamilyPolicy"], message));
    }
}

fn changed_families(errors: &mut Errors, spec: &Value, old: &Value) {
    if spec["type"] == "ExternalName" || old["type"] == "ExternalName" || is_headless(spec) || is_headless(old) {
        return;
    }
    let (now, before) = (list(&spec["ipFamilies"]), list(&old["ipFamilies"]));
    let changed = match (now.first(), before.first()) {
        _ if now.len() == before.len() => now != before,
        (Some(now), Some(before)) => now != before,
        _ => false,
    };
    if changed {
        errors.push(FieldError::invalid("spec.ipFamilies[0]", &spec["ipFamilies"], "may not change once set"));
    }
    if now.len() == 1 && before.len() > 1 && spec["ipFamilyPolicy"] != "SingleStack" {
        let message = "must be set to 'SingleStack' when releasing the secondary ipFamily";
        errors.push(FieldError::invalid("spec.ipFamilyPolicy", &spec["ipFamilyPolicy"], message));
    }
}

/// Addresses that traffic can be sent to from other machines.
pub(super) fn endpoint_ip(errors: &mut Errors, path: &str, address: &str) {
    let Some(parsed) = parse_ip(address) else {
        errors.push(FieldError::invalid(path, address, "must be a valid IP address"));
        return;
    };
    let (link_local, link_local_multicast) = match parsed {
        std::net::IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        std::net::IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    if parsed.is_unspecified() {
        errors.push(FieldError::invalid(path, address, format!("may not be unspecified ({address})")));
    }
    if parsed.is_loopback() {
        errors.push(FieldError::invalid(path, address, "may not be in the loopback range (127.0.0.0/8, ::1/128)"));
    }
    if link_local {
        errors.push(FieldError::invalid(path, address, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"));
    }
    if link_local_multicast {
        let message = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
        errors.push(FieldError::invalid(path, address, message));
    }
}

pub(super) fn status(errors: &mut Errors, service: &Value) {
    let ingress = &service["status"]["loadBalancer"]["ingress"];
    if service["spec"]["type"] != "LoadBalancer" && !list(ingress).is_empty() {
        let message = "may only be used when `spec.type` is 'LoadBalancer'";
        errors.push(FieldError::forbidden("status.loadBalancer.ingress", message));
        return;
    }
    for (index, one) in list(ingress).iter().enumerate() {
        let path = format!("status.loadBalancer.ingress[{index}]");
        let (address, host) = (text(&one["ip"]), text(&one["hostname"]));
        if !address.is_empty() {
            ip(errors, &format!("{path}.ip"), address);
        }
        if !host.is_empty() {
            refuse(errors, &format!("{path}.hostname"), host, names::dns_subdomain(host));
            if parse_ip(host).is_some() {
                let message = "must be a DNS name, not an IP address";
                errors.push(FieldError::invalid(format!("{path}.hostname"), host, message));
            }
        }
    }
}
