//! Resource quotas and limit ranges.

use super::kit::{Errors, IMMUTABLE, entries, has, list, refuse, text};
use super::{internal, names, quantities};
use crate::field::FieldError;
use serde_json::Value;
use std::collections::BTreeSet;

const SCOPES: [&str; 7] =
    ["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass"];

pub(super) fn rules(errors: &mut Errors, kind: &str, new: &Value, old: Option<&Value>) {
    if kind == "LimitRange" {
        return limit_range(errors, &new["spec"]);
    }
    quota(errors, &new["spec"]);
    if let Some(old) = old {
        let scopes = |quota: &Value| list(&quota["spec"]["scopes"]).iter().map(text).map(str::to_owned).collect::<BTreeSet<_>>();
        if scopes(new) != scopes(old) {
            errors.push(FieldError::invalid("spec.scopes", &new["spec"]["scopes"], IMMUTABLE));
        }
    }
}

pub(super) fn status(errors: &mut Errors, quota: &Value) {
    for field in ["hard", "used"] {
        hard(errors, &format!("status.{field}"), &quota["status"][field]);
    }
}

fn hard(errors: &mut Errors, path: &str, resources: &Value) {
    for (name, quantity) in entries(resources) {
        let path = format!("{path}[{name}]");
        quantities::resource_name(errors, &path, name);
        if !name.contains('/') && !is_quota_resource(name) {
            errors.push(FieldError::invalid(&path, name.as_str(), "must be a standard resource for quota"));
        }
        quantities::value(errors, &path, name, quantity);
    }
}

fn is_quota_resource(name: &str) -> bool {
    matches!(
        name,
        "cpu"
            | "memory"
            | "ephemeral-storage"
            | "requests.cpu"
            | "requests.memory"
            | "requests.storage"
            | "requests.ephemeral-storage"
            | "limits.cpu"
            | "limits.memory"
            | "limits.ephemeral-storage"
            | "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "persistentvolumeclaims"
            | "configmaps"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || quantities::is_huge_page(name)
        || name.starts_with("requests.hugepages-")
}

/// Which scopes make sense for a resource.
fn scope_fits(scope: &str, resource: &str) -> bool {
    let compute = matches!(resource, "cpu" | "memory" | "limits.cpu" | "limits.memory" | "requests.cpu" | "requests.memory");
    match scope {
        "BestEffort" => resource == "pods",
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => resource == "pods" || compute,
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

fn quota(errors: &mut Errors, spec: &Value) {
    hard(errors, "spec.hard", &spec["hard"]);
    let limited: Vec<_> = entries(&spec["hard"]).into_iter().map(|(name, _)| name.as_str()).filter(|n| is_quota_resource(n)).collect();
    let scopes: Vec<_> = list(&spec["scopes"]).iter().map(text).collect();
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            errors.push(FieldError::invalid("spec.scopes", &spec["scopes"], "unsupported scope"));
        }
        for _ in limited.iter().filter(|resource| !scope_fits(scope, resource)) {
            errors.push(FieldError::invalid("spec.scopes", &spec["scopes"], "unsupported scope applied to resource"));
        }
    }
    conflicts(errors, "spec.scopes", &scopes, spec);
    if has(&spec["scopeSelector"]) {
        selector(errors, spec, &limited);
    }
}

fn conflicts(errors: &mut Errors, path: &str, scopes: &[&str], spec: &Value) {
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            errors.push(FieldError::invalid(path, &spec["scopes"], "conflicting scopes"));
        }
    }
}

fn selector(errors: &mut Errors, spec: &Value, limited: &[&str]) {
    let path = "spec.scopeSelector.matchExpressions";
    let mut scopes = Vec::new();
    for requirement in list(&spec["scopeSelector"]["matchExpressions"]) {
        let (scope, operator) = (text(&requirement["scopeName"]), text(&requirement["operator"]));
        let values = &requirement["values"];
        if !SCOPES.contains(&scope) {
            errors.push(FieldError::invalid(format!("{path}.scopeName"), scope, "unsupported scope"));
        }
        for _ in limited.iter().filter(|resource| !scope_fits(scope, resource)) {
            let shown = internal::shown("ScopeSelector", &spec["scopeSelector"]);
            errors.push(FieldError::invalid(path, shown, "unsupported scope applied to resource"));
        }
        let operator_path = format!("{path}.operator");
        if !matches!(scope, "PriorityClass" | "VolumeAttributesClass") && SCOPES.contains(&scope) && operator != "Exists" {
            let message = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, \
                           ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(FieldError::invalid(&operator_path, operator, message));
        }
        match operator {
            "In" | "NotIn" => {
                if list(values).is_empty() {
                    let message = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                    errors.push(FieldError::required(format!("{path}.values"), message));
                }
            }
            "Exists" | "DoesNotExist" => {
                if !list(values).is_empty() {
                    let message = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                    errors.push(FieldError::invalid(format!("{path}.values"), values, message));
                }
            }
            _ => errors.push(FieldError::invalid(&operator_path, operator, "not a valid selector operator")),
        }
        scopes.push(scope);
    }
    conflicts(errors, path, &scopes, spec);
}

fn limit_range(errors: &mut Errors, spec: &Value) {
    let mut seen = BTreeSet::new();
    for (index, limit) in list(&spec["limits"]).iter().enumerate() {
        let path = format!("spec.limits[{index}]");
        let kind = text(&limit["type"]);
        let kind_path = format!("{path}.type");
        let messages = names::qualified_name(kind);
        if !messages.is_empty() {
            refuse(errors, &kind_path, kind, messages);
        } else if !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
            errors.push(FieldError::invalid(&kind_path, kind, "must be a standard limit type or fully qualified"));
        }
        if !seen.insert(kind) {
            errors.push(FieldError::duplicate(&kind_path, kind));
        }
        let mut resources = BTreeSet::new();
        for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            let all = entries(&limit[list]);
            if kind == "Pod" && list.starts_with("default") {
                if !all.is_empty() {
                    errors.push(FieldError::forbidden(format!("{path}.{list}"), "may not be specified when `type` is 'Pod'"));
                }
                continue;
            }
            for (name, _) in all {
                let path = format!("{path}.{list}[{name}]");
                if matches!(kind, "Pod" | "Container") {
                    quantities::container_resource_name(errors, &path, name);
                } else {
                    quantities::resource_name(errors, &path, name);
                }
                resources.insert(name.as_str());
            }
        }
        if kind == "PersistentVolumeClaim" && !has(&limit["min"]["storage"]) && !has(&limit["max"]["storage"]) {
            let message = "either minimum or maximum storage value is required, but neither was provided";
            errors.push(FieldError::required(format!("{path}.limits"), message));
        }
        for name in resources {
            amounts(errors, &path, limit, name, kind);
        }
    }
}

/// How the amounts of one resource in a limit range relate.
fn amounts(errors: &mut Errors, path: &str, limit: &Value, name: &str, kind: &str) {
    let of = |list: &str| quantities::parse(&limit[list][name]);
    let (min, max, ratio) = (of("min"), of("max"), of("maxLimitRequestRatio"));
    let (default, request) = if kind == "Pod" { (None, None) } else { (of("default"), of("defaultRequest")) };
    let mut refuse = |list: &str, shown: crate::quantity::Quantity, message: String| {
        errors.push(FieldError::invalid(format!("{path}.{list}[{name}]"), shown.to_string(), message));
    };
    if let (Some(min), Some(max)) = (min, max)
        && min.nano > max.nano
    {
        refuse("min", min, format!("min value {min} is greater than max value {max}"));
    }
    if let (Some(request), Some(min)) = (request, min)
        && min.nano > request.nano
    {
        refuse("defaultRequest", request, format!("min value {min} is greater than default request value {request}"));
    }
    if let (Some(request), Some(max)) = (request, max)
        && request.nano > max.nano
    {
        refuse("defaultRequest", request, format!("default request value {request} is greater than max value {max}"));
    }
    if let (Some(request), Some(default)) = (request, default)
        && request.nano > default.nano
    {
        refuse("defaultRequest", request, format!("default request value {request} is greater than default limit value {default}"));
    }
    if let (Some(default), Some(min)) = (default, min)
        && min.nano > default.nano
    {
        refuse("default", min, format!("min value {min} is greater than default value {default}"));
    }
    if let (Some(default), Some(max)) = (default, max)
        && default.nano > max.nano
    {
        refuse("default", max, format!("default value {default} is greater than max value {max}"));
    }
    if let Some(ratio) = ratio {
        if ratio.nano < 1_000_000_000 {
            refuse("maxLimitRequestRatio", ratio, format!("ratio {ratio} is less than 1"));
        }
        if let (Some(min), Some(max)) = (min, max)
            && min.nano > 0
        {
            #[expect(clippy::cast_precision_loss, reason = "Go computes and prints this in floating point too")]
            let (most, wanted) = (max.nano as f64 / min.nano as f64, ratio.nano as f64 / 1e9);
            if wanted > most {
                refuse("maxLimitRequestRatio", ratio, format!("ratio {ratio} is greater than max/min = {most:.6}"));
            }
        }
    }
    if let (Some(request), Some(default)) = (request, default)
        && request.nano != default.nano
        && (quantities::is_extended(name) || quantities::is_huge_page(name))
    {
        refuse("defaultRequest", request, format!("default value {default} must equal to defaultRequest value {request} in {name}"));
    }
}
