//! ValidatingAdmissionPolicy: which policies a request meets, with which parameters, and what their verdict comes to.

use super::request::Request;
use crate::{
    call::{Call, Operation},
    convert,
    store::{State, Transaction},
};
use machinery::{
    ApiError, object,
    policy::{Denial, Policy},
    selector::LabelSelector,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};

const GROUP: &str = "admissionregistration.k8s.io";
const POLICIES: &str = "validatingadmissionpolicies";
const BINDINGS: &str = "validatingadmissionpolicybindings";
/// Value of an audit annotation, in bytes.
const LONGEST_ANNOTATION: usize = 10 * 1024;

/// Compiled policies, by uid and resource version.
#[derive(Debug, Default)]
pub(crate) struct Compiled(Mutex<HashMap<String, Arc<Policy>>>);

impl Compiled {
    pub(super) fn get(&self, policy: &Value, known: usize) -> Arc<Policy> {
        let key = format!("{}/{}", object::uid(policy), policy["metadata"]["generation"]);
        let mut held = self.0.lock();
        if let Some(compiled) = held.get(&key) {
            return compiled.clone();
        }
        // Each version of a policy leaves one behind; few enough to throw all away now and then.
        if held.len() > known * 4 + 16 {
            held.clear();
        }
        let compiled = Arc::new(Policy::compile(policy));
        held.insert(key, compiled.clone());
        compiled
    }
}

pub(crate) fn validate(
    call: &mut Call,
    transaction: &Transaction,
    operation: Operation,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let state = &transaction.state;
    let known = state.count(GROUP, POLICIES);
    // The policies themselves are never judged by policies.
    if known == 0 || call.resource.group == GROUP {
        return Ok(());
    }
    let mut denied = None;
    let mut warnings = Vec::new();
    {
        let request = Request::new(call, state, operation, new, old);
        for policy in state.list(GROUP, POLICIES, None) {
            if !request.meets(&policy["spec"]["matchConstraints"]) {
                continue;
            }
            let compiled = call.server.policies().get(&policy, known);
            let bindings = state.list(GROUP, BINDINGS, None);
            for binding in bindings.filter(|binding| binding["spec"]["policyName"] == policy["metadata"]["name"]) {
                let scope = &binding["spec"]["matchResources"];
                if scope.is_object() && !request.meets_binding(scope) {
                    continue;
                }
                let names = format!("ValidatingAdmissionPolicy '{}' with binding '{}'", object::name(&policy), object::name(&binding));
                let mut refuse = |denial: Denial| {
                    denied.get_or_insert((format!("{names} denied request: {}", denial.message), denial.reason));
                };
                let params = match parameters(call, state, &policy, &binding) {
                    Ok(params) => params,
                    Err(_) if compiled.ignore_failures => continue,
                    Err((what, why)) => {
                        refuse(Denial { index: 0, message: format!("failed to configure {what}: {why}"), reason: String::new() });
                        continue;
                    }
                };
                for param in params {
                    let verdict = compiled.evaluate(&request.inputs(param.as_deref()));
                    for (key, value) in &verdict.annotations {
                        let end = (0..=value.len().min(LONGEST_ANNOTATION)).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
                        tracing::info!(annotation = %format!("{}/{key}", object::name(&policy)), value = &value[..end], "audit annotation");
                    }
                    let actions = binding["spec"]["validationActions"].as_array().map(Vec::as_slice).unwrap_or_default();
                    for denial in verdict.denials {
                        for action in actions {
                            match action.as_str() {
                                Some("Deny") => refuse(denial.clone()),
                                Some("Warn") => {
                                    warnings.push(format!("Validation failed for {names}: {}", denial.message));
                                }
                                _ => {
                                    tracing::info!(policy = %names, index = denial.index, message = %denial.message, "audited validation failure")
                                }
                            }
                        }
                    }
                    for message in verdict.failures {
                        refuse(Denial { index: 0, message, reason: String::new() });
                    }
                }
            }
        }
    }
    call.warn(warnings);
    match denied {
        None => Ok(()),
        Some((message, reason)) => Err(refusal(call, new.or(old), &message, &reason)),
    }
}

/// The answer to a request that is refused.
fn refusal(call: &Call, object: Option<&Value>, message: &str, reason: &str) -> ApiError {
    let name = object.map(object::name).filter(|name| !name.is_empty()).unwrap_or(&call.name);
    let mut error = call.forbidden(name, message);
    (error.code, error.reason) = match reason {
        "Forbidden" => (403, "Forbidden"),
        "Unauthorized" => (401, "Unauthorized"),
        "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
        _ => (422, "Invalid"),
    };
    error.details["causes"] = json!([{"message": message}]);
    error
}

/// Objects that a policy is judged with, or what is wrong (`policy` or `binding`) and why.
fn parameters(call: &Call, state: &State, policy: &Value, binding: &Value) -> Result<Vec<Option<Arc<Value>>>, (&'static str, String)> {
    let (kind, reference) = (&policy["spec"]["paramKind"], &binding["spec"]["paramRef"]);
    if !kind.is_object() {
        return Ok(vec![None]);
    }
    let (version, name) = (kind["apiVersion"].as_str().unwrap_or_default(), kind["kind"].as_str().unwrap_or_default());
    let scheme = call.server.scheme();
    let Some(resource) = scheme.for_kind(version, name) else {
        let why = format!("failed to find resource referenced by paramKind: '{version}, Kind={name}'");
        return Err(("policy", why));
    };
    if !reference.is_object() {
        return Ok(vec![None]);
    }
    let given = reference["namespace"].as_str().unwrap_or_default();
    let namespace = match (resource.namespaced, given, call.namespace.as_str()) {
        (false, "", _) => "",
        (false, _, _) => return Err(("binding", "paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned())),
        (true, "", "") => {
            return Err(("binding", "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned()));
        }
        (true, "", own) => own,
        (true, given, _) => given,
    };
    let group = crate::call::storage_group(resource);
    let served = |object: Arc<Value>| Some(convert::served(resource, object));
    let found: Vec<_> = match reference["name"].as_str().filter(|name| !name.is_empty()) {
        Some(name) => state.get(group, &resource.plural, namespace, name).map(served).into_iter().collect(),
        None => {
            let selector = LabelSelector::from_object(&reference["selector"]).map_err(|error| ("binding", error.message))?;
            let all = state.list(group, &resource.plural, Some(namespace));
            all.filter(|object| selector.matches(object::labels(object))).map(served).collect()
        }
    };
    if found.is_empty() && reference["parameterNotFoundAction"] == "Deny" {
        return Err(("binding", "no params found for policy binding with `Deny` parameterNotFoundAction".to_owned()));
    }
    Ok(found)
}
