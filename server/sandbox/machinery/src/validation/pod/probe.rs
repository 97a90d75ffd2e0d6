//! Probes and lifecycle hooks.

use super::super::kit::{Errors, has, list, not_negative, number, port, refuse, required, supported_or_refuse, text};
use super::super::names;
use super::Context;
use crate::field::FieldError;
use serde_json::Value;

pub(super) fn lifecycle_and_probes(errors: &mut Errors, context: &Context<'_>, path: &str, container: &Value) {
    let lifecycle = &container["lifecycle"];
    for hook in ["postStart", "preStop"] {
        if has(&lifecycle[hook]) {
            let path = format!("{path}.lifecycle.{hook}");
            handler(errors, context, &path, &lifecycle[hook], &["exec", "httpGet", "tcpSocket", "sleep"]);
        }
    }
    for (field, alone) in [("livenessProbe", true), ("readinessProbe", false), ("startupProbe", true)] {
        let value = &container[field];
        if has(value) {
            let path = format!("{path}.{field}");
            probe(errors, context, &path, value);
            if alone && number(&value["successThreshold"]) != 1 {
                let path = format!("{path}.successThreshold");
                errors.push(FieldError::invalid(path, number(&value["successThreshold"]), "must be 1"));
            }
            if !alone && has(&value["terminationGracePeriodSeconds"]) {
                let path = format!("{path}.terminationGracePeriodSeconds");
                errors.push(FieldError::invalid(path, &value["terminationGracePeriodSeconds"], "must not be set for readinessProbes"));
            }
        }
    }
}

fn probe(errors: &mut Errors, context: &Context<'_>, path: &str, probe: &Value) {
    handler(errors, context, path, probe, &["exec", "httpGet", "tcpSocket", "grpc"]);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        not_negative(errors, &format!("{path}.{field}"), &probe[field]);
    }
    if let Some(seconds) = probe["terminationGracePeriodSeconds"].as_i64().filter(|s| *s <= 0) {
        let path = format!("{path}.terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(path, seconds, "must be greater than 0"));
    }
}

/// Exactly one of these kinds of handler.
fn handler(errors: &mut Errors, context: &Context<'_>, path: &str, value: &Value, kinds: &[&str]) {
    let mut found = false;
    for kind in kinds {
        let action = &value[*kind];
        if !has(action) {
            continue;
        }
        let path = format!("{path}.{kind}");
        if found {
            errors.push(FieldError::forbidden(path, "may not specify more than 1 handler type"));
            continue;
        }
        found = true;
        match *kind {
            "exec" => {
                if list(&action["command"]).is_empty() {
                    errors.push(FieldError::required(format!("{path}.command"), ""));
                }
            }
            "httpGet" => http_get(errors, &path, action),
            "sleep" => sleep(errors, context, &path, action),
            _ => port(errors, &format!("{path}.port"), &action["port"]),
        }
    }
    if !found {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}

fn http_get(errors: &mut Errors, path: &str, action: &Value) {
    required(errors, &format!("{path}.path"), &action["path"]);
    port(errors, &format!("{path}.port"), &action["port"]);
    supported_or_refuse(errors, &format!("{path}.scheme"), text(&action["scheme"]), &["HTTP", "HTTPS"]);
    for header in list(&action["httpHeaders"]) {
        let name = text(&header["name"]);
        refuse(errors, &format!("{path}.httpHeaders"), name, names::http_header(name));
    }
}

fn sleep(errors: &mut Errors, context: &Context<'_>, path: &str, action: &Value) {
    let seconds = number(&action["seconds"]);
    if let Some(grace) = context.grace_period
        && !(0..=grace).contains(&seconds)
    {
        let message = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(FieldError::invalid(path, seconds, message));
    }
}
