//! `serviceaccounts/token`: TokenRequest.

use crate::{
    call::Call,
    server::Server,
    token::{self, Bound, Issue},
};
use jiff::Timestamp;
use machinery::{ApiError, FieldError, clock::rfc3339, object};
use serde_json::{Value, json};

const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const DEFAULT: i64 = 3600;

/// Answers the TokenRequest with its token.
pub(crate) fn request(call: &Call, request: &Value) -> Result<Value, ApiError> {
    let state = call.server.state();
    let account = state.get("", "serviceaccounts", &call.namespace, &call.name).ok_or_else(|| call.not_found())?;
    let spec = &request["spec"];
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or(DEFAULT);
    let mut errors = Vec::new();
    if seconds < SHORTEST {
        errors.push(FieldError::invalid("spec.expirationSeconds", &json!(seconds), "may not specify a duration less than 10 minutes"));
    } else if seconds > LONGEST {
        errors.push(FieldError::invalid("spec.expirationSeconds", &json!(seconds), "may not specify a duration larger than 2^32 seconds"));
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", "", &errors));
    }
    let mut audiences: Vec<String> =
        spec["audiences"].as_array().into_iter().flatten().filter_map(|audience| audience.as_str().map(str::to_owned)).collect();
    if audiences.is_empty() {
        audiences.push(token::default_audience(&call.server));
    }
    let reference = &spec["boundObjectRef"];
    let bound = if reference.is_object() { Some(bound(call, &state, reference)?) } else { None };
    let issue = Issue {
        namespace: &call.namespace,
        service_account: &call.name,
        service_account_uid: object::uid(account),
        audiences: &audiences,
        seconds,
        bound: bound.as_ref(),
        node: None,
    };
    let (token, end) = token::issue(&call.server, &issue)?;
    let mut answer = request.clone();
    answer["kind"] = "TokenRequest".into();
    answer["apiVersion"] = "authentication.k8s.io/v1".into();
    answer["metadata"] = json!({"name": call.name, "namespace": call.namespace, "creationTimestamp": rfc3339(call.now)});
    answer["spec"] = json!({"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": spec["boundObjectRef"]});
    let end = Timestamp::from_second(end).map(rfc3339).unwrap_or_default();
    answer["status"] = json!({"token": token, "expirationTimestamp": end});
    Ok(answer)
}

fn bound(call: &Call, state: &crate::store::State, reference: &Value) -> Result<Bound, ApiError> {
    let name = reference["name"].as_str().unwrap_or_default();
    let (kind, resource, namespace) = match (reference["kind"].as_str(), reference["apiVersion"].as_str()) {
        (Some("Pod"), Some("v1")) => ("pod", "pods", call.namespace.as_str()),
        (Some("Secret"), Some("v1")) => ("secret", "secrets", call.namespace.as_str()),
        (Some("Node"), Some("v1")) => ("node", "nodes", ""),
        (kind, version) => {
            let words = format!(
                "cannot bind token for serviceaccount {:?} to object of type {}, Kind={}",
                call.name,
                version.unwrap_or_default(),
                kind.unwrap_or_default()
            );
            return Err(ApiError::bad_request(words));
        }
    };
    let found = state.get("", resource, namespace, name).ok_or_else(|| ApiError::not_found("", resource, name))?;
    let uid = reference["uid"].as_str().filter(|uid| !uid.is_empty());
    if let Some(uid) = uid.filter(|uid| *uid != object::uid(found)) {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(ApiError::conflict("", resource, name, &why));
    }
    if kind == "pod" && found["spec"]["serviceAccountName"] != call.name.as_str() {
        let words = format!("cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.", call.name);
        return Err(ApiError::bad_request(words));
    }
    Ok(Bound { kind, name: name.to_owned(), uid: object::uid(found).to_owned() })
}

/// For the kubelet of the simulator: a token without a request.
pub(crate) fn mint(server: &Server, namespace: &str, name: &str, pod: Option<&Value>, seconds: i64) -> Result<String, ApiError> {
    let account = server.stored("", "serviceaccounts", namespace, name).ok_or_else(|| ApiError::not_found("", "serviceaccounts", name))?;
    let audiences = [token::default_audience(server)];
    let bound = pod.map(|pod| Bound { kind: "pod", name: object::name(pod).to_owned(), uid: object::uid(pod).to_owned() });
    let issue = Issue {
        namespace,
        service_account: name,
        service_account_uid: object::uid(&account),
        audiences: &audiences,
        seconds,
        bound: bound.as_ref(),
        node: None,
    };
    token::issue(server, &issue).map(|(token, _)| token)
}
