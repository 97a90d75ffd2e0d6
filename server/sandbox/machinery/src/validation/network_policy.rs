//! Network policies.

use super::kit::{Errors, cidr, has, list, number, port_number, refuse, supported_or_refuse, text};
use super::{meta, names};
use crate::field::FieldError;
use serde_json::Value;

pub(super) fn rules(errors: &mut Errors, policy: &Value) {
    let spec = &policy["spec"];
    meta::selector(errors, "spec.podSelector", &spec["podSelector"]);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in list(&spec[direction]).iter().enumerate() {
            let path = format!("spec.{direction}[{index}]");
            for (index, port) in list(&rule["ports"]).iter().enumerate() {
                self::port(errors, &format!("{path}.ports[{index}]"), port);
            }
            for (index, peer) in list(&rule[peers]).iter().enumerate() {
                self::peer(errors, &format!("{path}.{peers}[{index}]"), peer);
            }
        }
    }
    let types = list(&spec["policyTypes"]);
    if types.len() > 2 {
        let message = "may not specify more than two policyTypes";
        errors.push(FieldError::invalid("spec.policyTypes", &spec["policyTypes"], message));
        return;
    }
    for (index, kind) in types.iter().enumerate() {
        supported_or_refuse(errors, &format!("spec.policyTypes[{index}]"), text(kind), &["Ingress", "Egress"]);
    }
}

fn port(errors: &mut Errors, path: &str, port: &Value) {
    if let Some(protocol) = port["protocol"].as_str() {
        supported_or_refuse(errors, &format!("{path}.protocol"), protocol, &["TCP", "UDP", "SCTP"]);
    }
    let (first, last) = (&port["port"], &port["endPort"]);
    let last_path = format!("{path}.endPort");
    match first {
        Value::Null => {
            if has(last) {
                errors.push(FieldError::invalid(last_path, last, "may not be specified when `port` is not specified"));
            }
        }
        Value::String(name) => {
            if has(last) {
                errors.push(FieldError::invalid(last_path, last, "may not be specified when `port` is non-numeric"));
            }
            refuse(errors, &format!("{path}.port"), name, names::port_name(name));
        }
        first => {
            port_number(errors, &format!("{path}.port"), first);
            if has(last) {
                // Kubernetes shows the first port here, not the last.
                if number(last) < number(first) {
                    errors.push(FieldError::invalid(&last_path, first, "must be greater than or equal to `port`"));
                }
                port_number(errors, &last_path, last);
            }
        }
    }
}

fn peer(errors: &mut Errors, path: &str, peer: &Value) {
    let mut peers = 0;
    for selector in ["podSelector", "namespaceSelector"] {
        if has(&peer[selector]) {
            peers += 1;
            meta::selector(errors, &format!("{path}.{selector}"), &peer[selector]);
        }
    }
    let block = &peer["ipBlock"];
    if has(block) {
        peers += 1;
        ip_block(errors, &format!("{path}.ipBlock"), block);
    }
    if peers == 0 {
        errors.push(FieldError::required(path, "must specify a peer"));
    } else if peers > 1 && has(block) {
        errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
    }
}

fn ip_block(errors: &mut Errors, path: &str, block: &Value) {
    let range = text(&block["cidr"]);
    if range.is_empty() {
        errors.push(FieldError::required(format!("{path}.cidr"), ""));
        return;
    }
    let Some(whole) = cidr(errors, &format!("{path}.cidr"), range) else { return };
    for (index, except) in list(&block["except"]).iter().enumerate() {
        let path = format!("{path}.except[{index}]");
        let Some(part) = cidr(errors, &path, text(except)) else { continue };
        if !whole.contains(&part.addr()) || whole.prefix_len() >= part.prefix_len() {
            errors.push(FieldError::invalid(path, text(except), "must be a strict subset of `cidr`"));
        }
    }
}
