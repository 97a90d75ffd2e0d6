//! Discovery over HTTP: which form a client gets.

use super::{
    entry::Incoming,
    negotiate::{Accepted, Encoding},
    respond,
    respond::Answer,
};
use http::{HeaderValue, header};
use machinery::{Scheme, discovery};
use serde_json::Value;

/// The clause that asks for aggregated discovery, and the media type that answers it.
fn aggregated(incoming: &Incoming) -> Option<&'static str> {
    let accept = incoming.request.headers().get_all(header::ACCEPT);
    for value in accept {
        for clause in value.to_str().unwrap_or_default().split(',') {
            let clause: String = clause.chars().filter(|c| !c.is_whitespace()).collect();
            let mut parts = clause.split(';');
            if parts.next() != Some("application/json") {
                continue;
            }
            let parts: Vec<_> = parts.collect();
            if !parts.contains(&"as=APIGroupDiscoveryList") || !parts.contains(&"g=apidiscovery.k8s.io") {
                return None;
            }
            if parts.contains(&"v=v2") {
                return Some("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
            }
        }
    }
    None
}

/// `/api` and `/apis`; nothing where the client takes only a form of discovery that is not served.
pub(super) fn roots(incoming: &Incoming, scheme: &Scheme, accepted: Accepted, legacy: bool) -> Option<Answer> {
    if let Some(kind) = aggregated(incoming) {
        let value = discovery::aggregated(scheme, legacy);
        let json = Accepted { encoding: Encoding::Json, ..accepted };
        let mut answer = respond::encode(200, json, &machinery::ordered::object(&value));
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
        return Some(answer);
    }
    if only_other_forms(incoming) {
        return None;
    }
    let value = if legacy {
        let host = incoming.request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        discovery::versions(host)
    } else {
        discovery::group_list(scheme)
    };
    Some(respond::encode(200, accepted, &machinery::ordered::object(&value)))
}

/// Whether every form that the client takes is one of aggregated discovery.
fn only_other_forms(incoming: &Incoming) -> bool {
    let values = incoming.request.headers().get_all(header::ACCEPT).iter();
    let clauses: Vec<&str> = values.flat_map(|value| value.to_str().unwrap_or_default().split(',')).collect();
    !clauses.is_empty() && clauses.iter().all(|clause| clause.contains("as=APIGroupDiscoveryList"))
}

/// `/api/v1`, `/apis/<group>`, `/apis/<group>/<version>`.
pub(super) fn group(scheme: &Scheme, path: &str, accepted: Accepted) -> Option<Answer> {
    let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
    let value: Value = match parts.as_slice() {
        ["api", version] => discovery::resource_list(scheme, "", version)?,
        ["apis", group] => discovery::group(scheme, group)?,
        ["apis", group, version] => discovery::resource_list(scheme, group, version)?,
        _ => return None,
    };
    Some(respond::encode(200, accepted, &machinery::ordered::object(&value)))
}

/// What `/` lists.
pub(super) fn paths(scheme: &Scheme) -> Vec<String> {
    let mut paths: Vec<String> =
        ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/", "/healthz", "/livez", "/metrics"]
            .iter()
            .chain(&["/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/readyz", "/version"])
            .map(|path| (*path).to_owned())
            .collect();
    for resource in scheme.resources().filter(|resource| !resource.group.is_empty()) {
        for path in [format!("/apis/{}", resource.group), format!("/apis/{}/{}", resource.group, resource.version)] {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths
}
