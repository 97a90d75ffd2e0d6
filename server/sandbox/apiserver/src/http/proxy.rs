//! `pods/proxy` and `services/proxy`: the API server fetches from a pod's port on behalf of the client.

use super::{entry::Incoming, resource::body_of, respond::Answer, session};
use crate::call::Call;
use axum::body::Body;
use bytes::Bytes;
use http::{Response, header};
use machinery::{ApiError, object};
use serde_json::Value;
use std::sync::Arc;

/// `[scheme:]name[:port]`
fn split(name: &str) -> (&str, &str) {
    let mut parts = name.split(':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_scheme), Some(name), Some(port)) => (name, port),
        (Some(name), Some(port), None) => (name, port),
        (Some(name), None, None) => (name, ""),
        _ => ("", ""),
    }
}

pub(super) async fn serve(incoming: Incoming, call: &Call) -> Result<Answer, ApiError> {
    let (name, port) = split(&incoming.path.name);
    let (pod, port) = if call.is("", "services") { of_service(call, name, port)? } else { of_pod(call, name, port)? };
    let runtime = call.server.node_runtime().ok_or_else(session::no_runtime)?;
    let rest = format!("/{}", incoming.path.rest);
    let uri = match incoming.request.uri().query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest,
    };
    let mut request = http::Request::builder().method(incoming.request.method().clone()).uri(uri);
    for (key, value) in incoming.request.headers() {
        // Credentials of the API are none of the pod's business.
        if !matches!(*key, header::AUTHORIZATION | header::COOKIE | header::HOST | header::CONNECTION | header::UPGRADE) {
            request = request.header(key, value);
        }
    }
    let (_, bytes) = body_of(incoming).await?;
    let request = request.body(bytes).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let answer: Response<Bytes> = runtime.proxy(pod, port, request).await?;
    Ok(answer.map(Body::from))
}

fn of_pod(call: &Call, name: &str, port: &str) -> Result<(Arc<Value>, u16), ApiError> {
    let mut call = call.clone();
    name.clone_into(&mut call.name);
    let pod = call.server.stored("", "pods", &call.namespace, name).ok_or_else(|| call.not_found())?;
    if let Ok(number) = port.parse() {
        return Ok((pod, number));
    }
    // Without a number: the first container port, or the one of that name.
    let ports = pod["spec"]["containers"].as_array().into_iter().flatten().flat_map(|c| c["ports"].as_array().into_iter().flatten());
    let number = ports
        .filter(|candidate| port.is_empty() || candidate["name"] == port)
        .find_map(|candidate| u16::try_from(candidate["containerPort"].as_u64()?).ok());
    let number = if number.is_none() && port.is_empty() { Some(80) } else { number };
    let number = number.ok_or_else(|| ApiError::bad_request(format!("invalid pod request {name:?}: no port {port:?}")))?;
    Ok((pod, number))
}

/// A ready endpoint of the Service, chosen at random.
fn of_service(call: &Call, name: &str, port: &str) -> Result<(Arc<Value>, u16), ApiError> {
    let state = call.server.state();
    let service = state.get("", "services", &call.namespace, name).ok_or_else(|| ApiError::not_found("", "services", name))?;
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let wanted = ports.iter().find(|candidate| {
        candidate["name"] == port
            || candidate["port"].as_u64().is_some_and(|number| number.to_string() == port)
            || (port.is_empty() && ports.len() == 1)
    });
    let missing = || {
        ApiError::new(503, "ServiceUnavailable", {
            let asked = if port.is_empty() { name.to_owned() } else { format!("{name}:{port}") };
            format!("no endpoints available for service {asked:?}")
        })
    };
    let wanted = wanted.ok_or_else(missing)?;
    let mut found = Vec::new();
    for slice in state.list("discovery.k8s.io", "endpointslices", Some(&call.namespace)) {
        if object::labels(&slice).is_none_or(|labels| labels.get("kubernetes.io/service-name").and_then(Value::as_str) != Some(name)) {
            continue;
        }
        let number = slice["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|p| p["name"].as_str().unwrap_or_default() == wanted["name"].as_str().unwrap_or_default());
        let Some(number) = number.and_then(|p| u16::try_from(p["port"].as_u64()?).ok()) else { continue };
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            if endpoint["conditions"]["ready"] == false {
                continue;
            }
            let pod = endpoint["targetRef"]["name"].as_str().and_then(|pod| state.get("", "pods", &call.namespace, pod));
            found.extend(pod.map(|pod| (pod.clone(), number)));
        }
    }
    let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Err(missing());
    }
    let chosen = call.server.random_below(count) as usize;
    found.into_iter().nth(chosen).ok_or_else(missing)
}
