//! Name resolution of a pod.

use super::super::kit::{Errors, has, ip, list, refuse, text};
use super::super::names;
use super::Context;
use crate::field::FieldError;
use serde_json::Value;

pub(super) fn config(errors: &mut Errors, context: &Context<'_>) {
    let path = format!("{}.dnsConfig", context.path);
    let config = &context.spec["dnsConfig"];
    let nameservers = list(&config["nameservers"]);
    if context.spec["dnsPolicy"] == "None" {
        if !has(config) {
            errors.push(FieldError::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
            return;
        }
        if nameservers.is_empty() {
            let message = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(FieldError::required(format!("{path}.nameservers"), message));
            return;
        }
    }
    if nameservers.len() > 3 {
        let message = "must not have more than 3 nameservers";
        errors.push(FieldError::invalid(format!("{path}.nameservers"), &config["nameservers"], message));
    }
    for (index, nameserver) in nameservers.iter().enumerate() {
        ip(errors, &format!("{path}.nameservers[{index}]"), text(nameserver));
    }
    let searches: Vec<_> = list(&config["searches"]).iter().map(text).collect();
    let searches_path = format!("{path}.searches");
    if searches.len() > 32 {
        errors.push(FieldError::invalid(&searches_path, &config["searches"], "must not have more than 32 search paths"));
    }
    if searches.join(" ").len() > 2048 {
        let message = "must not have more than 2048 characters (including spaces) in the search list";
        errors.push(FieldError::invalid(&searches_path, &config["searches"], message));
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| **search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        refuse(errors, &format!("{searches_path}[{index}]"), search, names::dns_subdomain_with_underscore(search));
    }
    for (index, option) in list(&config["options"]).iter().enumerate() {
        if text(&option["name"]).is_empty() {
            errors.push(FieldError::required(format!("{path}.options[{index}]"), "must not be empty"));
        }
    }
}

pub(super) fn host_aliases(errors: &mut Errors, path: &str, aliases: &Value) {
    for (index, alias) in list(aliases).iter().enumerate() {
        ip(errors, &format!("{path}[{index}].ip"), text(&alias["ip"]));
        for (n, name) in list(&alias["hostnames"]).iter().enumerate() {
            let name = text(name);
            refuse(errors, &format!("{path}[{index}].hostnames[{n}]"), name, names::dns_subdomain(name));
        }
    }
}
