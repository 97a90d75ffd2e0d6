//! Endpoints and endpoint slices.

use super::kit::{Errors, immutable, ip, list, one_of, parse_ip, port_number, refuse, text};
use super::names;
use super::service::{PROTOCOLS, endpoint_ip};
use crate::field::FieldError;
use serde_json::Value;

pub(super) fn endpoints(errors: &mut Errors, object: &Value) {
    for (index, subset) in list(&object["subsets"]).iter().enumerate() {
        let path = format!("subsets[{index}]");
        if list(&subset["addresses"]).is_empty() && list(&subset["notReadyAddresses"]).is_empty() {
            errors.push(FieldError::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for field in ["addresses", "notReadyAddresses"] {
            for (index, address) in list(&subset[field]).iter().enumerate() {
                let path = format!("{path}.{field}[{index}]");
                ip(errors, &format!("{path}.ip"), text(&address["ip"]));
                let host = text(&address["hostname"]);
                if !host.is_empty() {
                    refuse(errors, &format!("{path}.hostname"), host, names::dns_label(host));
                }
                if let Some(node) = address["nodeName"].as_str() {
                    refuse(errors, &format!("{path}.nodeName"), node, names::dns_subdomain(node));
                }
                endpoint_ip(errors, &format!("{path}.ip"), text(&address["ip"]));
            }
        }
        let ports = list(&subset["ports"]);
        for (index, port) in ports.iter().enumerate() {
            let path = format!("{path}.ports[{index}]");
            let name = text(&port["name"]);
            if !name.is_empty() {
                refuse(errors, &format!("{path}.name"), name, names::dns_label(name));
            } else if ports.len() > 1 {
                errors.push(FieldError::required(format!("{path}.name"), ""));
            }
            port_number(errors, &format!("{path}.port"), &port["port"]);
            one_of(errors, &format!("{path}.protocol"), &port["protocol"], &PROTOCOLS);
        }
    }
}

pub(super) fn slice(errors: &mut Errors, new: &Value, old: Option<&Value>) {
    one_of(errors, "addressType", &new["addressType"], &["FQDN", "IPv4", "IPv6"]);
    let ports = list(&new["ports"]);
    if ports.len() > 20_000 {
        errors.push(FieldError::too_many("ports", ports.len(), 20_000));
    } else {
        for (index, port) in ports.iter().enumerate() {
            let path = format!("ports[{index}]");
            let name = text(&port["name"]);
            if !name.is_empty() {
                refuse(errors, &format!("{path}.name"), name, names::dns_label(name));
            }
            if ports[..index].iter().any(|other| text(&other["name"]) == name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
            one_of(errors, &format!("{path}.protocol"), &port["protocol"], &PROTOCOLS);
            if let Some(protocol) = port["appProtocol"].as_str() {
                refuse(errors, &format!("{path}.appProtocol"), protocol, names::qualified_name(protocol));
            }
        }
    }
    if old.is_none_or(|old| old["endpoints"] != new["endpoints"]) {
        slice_endpoints(errors, new);
    }
    if let Some(old) = old {
        immutable(errors, "addressType", &new["addressType"], &old["addressType"]);
    }
}

fn slice_endpoints(errors: &mut Errors, slice: &Value) {
    let all = list(&slice["endpoints"]);
    if all.len() > 1000 {
        errors.push(FieldError::too_many("endpoints", all.len(), 1000));
        return;
    }
    for (index, endpoint) in all.iter().enumerate() {
        let path = format!("endpoints[{index}]");
        let addresses = list(&endpoint["addresses"]);
        let addresses_path = format!("{path}.addresses");
        if addresses.is_empty() {
            errors.push(FieldError::required(&addresses_path, "must contain at least 1 address"));
        } else if addresses.len() > 100 {
            errors.push(FieldError::too_many(&addresses_path, addresses.len(), 100));
        }
        for (index, address) in addresses.iter().enumerate() {
            let address = text(address);
            let path = format!("{addresses_path}[{index}]");
            match text(&slice["addressType"]) {
                family @ ("IPv4" | "IPv6") => {
                    let Some(parsed) = parse_ip(address) else {
                        ip(errors, &path, address);
                        continue;
                    };
                    if parsed.is_ipv4() != (family == "IPv4") {
                        errors.push(FieldError::invalid(&addresses_path, address, format!("must be an {family} address")));
                    }
                    endpoint_ip(errors, &path, address);
                }
                "FQDN" => {
                    let name = address.strip_suffix('.').unwrap_or(address);
                    let messages = names::dns_subdomain(name);
                    if name.is_empty() {
                        errors.push(FieldError::required(path, ""));
                    } else if !messages.is_empty() {
                        errors.push(FieldError::invalid(path, name, messages.join(",")));
                    } else if !name.contains('.') {
                        let message = "should be a domain with at least two segments separated by dots";
                        errors.push(FieldError::invalid(path, name, message));
                    }
                }
                _ => {}
            }
        }
        if let Some(node) = endpoint["nodeName"].as_str() {
            refuse(errors, &format!("{path}.nodeName"), node, names::dns_subdomain(node));
        }
        if let Some(host) = endpoint["hostname"].as_str() {
            refuse(errors, &format!("{path}.hostname"), host, names::dns_label(host));
        }
        for (index, zone) in list(&endpoint["hints"]["forZones"]).iter().enumerate() {
            let name = text(&zone["name"]);
            refuse(errors, &format!("{path}.hints.forZones[{index}].name"), name, names::label_value(name));
        }
    }
}
