//! `serviceaccounts/token`: TokenRequest.

use crate::{
    call::Call,
    server::Server,
    token::{self, Bound},
};
use jiff::{SignedDuration, Timestamp};
use machinery::{ApiError, FieldError, clock::rfc3339, object};
use serde_json::{Value, json};

const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const DEFAULT: i64 = 3600;

/// Answers the TokenRequest with its token.
pub(crate) fn request(call: &Call, request: &Value) -> Result<Value, ApiError> {
    let spec = &request["spec"];
    check_type("expirationSeconds", "int64", &spec["expirationSeconds"], Value::is_i64)?;
    let texts = |list: &Value| list.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    check_type("audiences", "[]string", &spec["audiences"], texts)?;
    check_metadata(call, &request["metadata"])?;
    let account = call.server.stored("", "serviceaccounts", &call.namespace, &call.name).ok_or_else(|| call.not_found())?;
    let given = request["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty());
    if let Some(given) = given.filter(|given| *given != object::uid(&account)) {
        let why =
            format!("the UID in the token request ({given}) does not match the UID of the service account ({})", object::uid(&account));
        return Err(ApiError::conflict("authentication.k8s.io", "TokenRequest", &call.name, &why));
    }
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or(DEFAULT);
    let problem = match seconds {
        ..SHORTEST => Some("may not specify a duration less than 10 minutes"),
        SHORTEST..=LONGEST => None,
        _ => Some("may not specify a duration larger than 2^32 seconds"),
    };
    if let Some(problem) = problem {
        let error = FieldError::invalid("spec.expirationSeconds", &json!(seconds), problem);
        return Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", "", &[error]));
    }
    let mut audiences: Vec<String> =
        spec["audiences"].as_array().into_iter().flatten().filter_map(|audience| audience.as_str().map(str::to_owned)).collect();
    if audiences.is_empty() {
        audiences.push(token::default_audience(&call.server));
    }
    let reference = &spec["boundObjectRef"];
    let bound = if reference.is_object() { Some(bound(call, reference)?) } else { None };
    let token = token::issue(&call.server, &account, &audiences, seconds, bound.as_ref())?;
    let end = call.now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    let mut metadata = if request["metadata"].is_object() { request["metadata"].clone() } else { json!({}) };
    metadata["name"] = call.name.as_str().into();
    metadata["namespace"] = call.namespace.as_str().into();
    metadata["uid"] = object::uid(&account).into();
    metadata["creationTimestamp"] = rfc3339(call.now).into();
    Ok(json!({
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": metadata,
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
        "status": {"token": token, "expirationTimestamp": rfc3339(end)},
    }))
}

/// Fails with the words of the decoder for a field that is there and of another type.
fn check_type(field: &str, wanted: &str, value: &Value, fits: impl Fn(&Value) -> bool) -> Result<(), ApiError> {
    if value.is_null() || fits(value) {
        return Ok(());
    }
    let found = match value {
        Value::String(_) => "string".to_owned(),
        Value::Number(number) => format!("number {number}"),
        Value::Bool(_) => "bool".to_owned(),
        Value::Array(_) => "array".to_owned(),
        _ => "object".to_owned(),
    };
    Err(ApiError::bad_request(format!(
        "TokenRequest in version \"v1\" cannot be handled as a TokenRequest: json: cannot unmarshal {found} into Go struct field \
         TokenRequestSpec.spec.{field} of type {wanted}"
    )))
}

/// Name and namespace of the body, where it has them, are those of the URL.
fn check_metadata(call: &Call, metadata: &Value) -> Result<(), ApiError> {
    for (field, wanted, what) in [("name", &call.name, "name"), ("namespace", &call.namespace, "namespace")] {
        let given = metadata[field].as_str().unwrap_or_default();
        if !given.is_empty() && given != wanted {
            let detail = format!("must match the service account {what} if specified");
            let error = FieldError::invalid(format!("metadata.{field}"), &json!(given), &detail);
            return Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", &call.name, &[error]));
        }
    }
    Ok(())
}

fn bound(call: &Call, reference: &Value) -> Result<Bound, ApiError> {
    let text = |key: &str| reference[key].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let (kind, resource, namespace) = match (group, text("kind")) {
        ("", "Pod") => ("pod", "pods", call.namespace.as_str()),
        ("", "Secret") => ("secret", "secrets", call.namespace.as_str()),
        ("", "Node") => ("node", "nodes", ""),
        (group, kind) => {
            return Err(ApiError::bad_request(format!("cannot bind token to object of type {group}/{version}, Kind={kind}")));
        }
    };
    let name = text("name");
    let found = call.server.stored("", resource, namespace, name).ok_or_else(|| ApiError::not_found("", resource, name))?;
    if kind == "pod" && found["spec"]["serviceAccountName"] != call.name.as_str() {
        let words = format!("cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.", call.name);
        return Err(ApiError::bad_request(words));
    }
    let uid = text("uid");
    if !uid.is_empty() && uid != object::uid(&found) {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(ApiError::conflict("", text("kind"), name, &why));
    }
    Ok(match kind {
        "pod" => Bound::to_pod(&call.server, &found),
        kind => Bound { kind, name: name.to_owned(), uid: object::uid(&found).to_owned(), node: None },
    })
}

/// For the kubelet of the simulator: a token for a pod, as it would ask for one.
pub(crate) fn mint(server: &Server, pod: &Value, audience: &str, seconds: i64) -> Result<String, ApiError> {
    let name = pod["spec"]["serviceAccountName"].as_str().filter(|name| !name.is_empty()).unwrap_or("default");
    let account = account(server, object::namespace(pod), name)?;
    let audience = if audience.is_empty() { token::default_audience(server) } else { audience.to_owned() };
    token::issue(server, &account, &[audience], seconds, Some(&Bound::to_pod(server, pod)))
}

/// For the token controller of the simulator: the token that a Secret is to hold.
pub(crate) fn mint_legacy(server: &Server, namespace: &str, name: &str, secret: &str) -> Result<String, ApiError> {
    token::issue_legacy(server, &*account(server, namespace, name)?, secret)
}

fn account(server: &Server, namespace: &str, name: &str) -> Result<std::sync::Arc<Value>, ApiError> {
    server.stored("", "serviceaccounts", namespace, name).ok_or_else(|| ApiError::not_found("", "serviceaccounts", name))
}
