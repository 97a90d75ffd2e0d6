//! What is no resource: version, health, discovery, OpenAPI, metrics.

use super::{
    discovery,
    entry::Incoming,
    negotiate::{self, Accepted},
    resource::unknown,
    respond,
    respond::Answer,
};
use machinery::{ApiError, openapi};
use serde_json::{Value, json};

/// Paths that everybody may read: `system:public-info-viewer`.
pub(super) fn is_public(path: &str) -> bool {
    matches!(path, "/healthz" | "/livez" | "/readyz" | "/version" | "/version/")
}

/// Checks that `?verbose` lists.
const CHECKS: &[&str] = &["ping", "log", "etcd", "poststarthook/start-apiextensions-controllers", "poststarthook/rbac/bootstrap-roles"];

pub(super) fn serve(incoming: Incoming) -> Answer {
    let headers = incoming.request.headers();
    if !matches!(*incoming.request.method(), http::Method::GET | http::Method::HEAD) {
        return respond::error(&method_not_allowed(), negotiate::plain(headers, incoming.query.get("pretty")));
    }
    let negotiated = negotiate::accepted(headers, incoming.query.get("pretty"), false);
    // Texts are answered whatever the client says it takes.
    let accepted = negotiated.as_ref().map_or_else(|_| negotiate::plain(headers, incoming.query.get("pretty")), |accepted| *accepted);
    let path = incoming.path.path.trim_end_matches('/');
    let scheme = incoming.server.scheme();
    match path {
        "/version" => respond::encode(200, Accepted { pretty: true, ..accepted }, &version()),
        "/healthz" | "/livez" | "/readyz" => health(&incoming, &path[1..]),
        "/api" | "/apis" => match (discovery::roots(&incoming, &scheme, accepted, path == "/api"), negotiated) {
            (Some(answer), _) => answer,
            (None, Err(error)) => respond::error(&error, accepted),
            (None, Ok(_)) => not_found(),
        },
        "/openapi/v3" => respond::encode(200, accepted, &openapi::index(&scheme)),
        "/openapi/v2" => open_api_two(&incoming, accepted),
        "/.well-known/openid-configuration" => cacheable("application/json", open_id(&incoming)),
        "/openid/v1/jwks" => match incoming.server.token_key() {
            Ok(key) => cacheable("application/jwk-set+json", key.published()),
            Err(error) => respond::error(&error, accepted),
        },
        "/metrics" => respond::bare(200, "text/plain; version=0.0.4; charset=utf-8", metrics(&incoming)),
        "" => respond::encode(200, accepted, &json!({"paths": discovery::paths(&scheme)})),
        _ => {
            if let Some(document) = path.strip_prefix("/openapi/v3/") {
                return open_api(&incoming, document);
            }
            for check in ["/healthz/", "/livez/", "/readyz/"] {
                if path.strip_prefix(check).is_some_and(|name| CHECKS.contains(&name)) {
                    return respond::bare(200, "text/plain; charset=utf-8", "ok");
                }
            }
            discovery::group(&scheme, path, accepted).unwrap_or_else(|| match path.split('/').collect::<Vec<_>>().as_slice() {
                // Below what is served an answer is a Status, elsewhere a line of text.
                ["", "api", ..] => respond::error(&unknown(), accepted),
                ["", "apis", group, _, ..] if scheme.is_builtin(group) => respond::error(&unknown(), accepted),
                _ => not_found(),
            })
        }
    }
}

pub(super) fn not_found() -> Answer {
    respond::bare(404, "text/plain; charset=utf-8", "404 page not found\n")
}

pub(super) fn method_not_allowed() -> ApiError {
    let mut error = ApiError::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
    error.details = json!({});
    error
}

/// The version whose behaviour this server follows; `cordon` marks that it is none of Kubernetes' own builds.
fn version() -> Value {
    json!({
        "major": "1", "minor": "34",
        "emulationMajor": "1", "emulationMinor": "34", "minCompatibilityMajor": "1", "minCompatibilityMinor": "33",
        "gitVersion": "v1.34.4", "gitCommit": "", "gitTreeState": "clean", "buildDate": "2026-02-10T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
    })
}

fn health(incoming: &Incoming, name: &str) -> Answer {
    let excluded: Vec<_> = incoming.query.all("exclude").collect();
    if incoming.query.get("verbose").is_none() {
        return respond::bare(200, "text/plain; charset=utf-8", "ok");
    }
    let mut text = String::new();
    for check in CHECKS {
        let state = if excluded.contains(check) { "excluded: ok" } else { "ok" };
        text.push_str(&format!("[+]{check} {state}\n"));
    }
    text.push_str(&format!("{name} check passed\n"));
    respond::bare(200, "text/plain; charset=utf-8", text)
}

/// The keys are the issuer's wherever it is; they are read at the address that the `kubernetes` Service leads to.
fn open_id(incoming: &Incoming) -> String {
    let issuer = &incoming.server.options().issuer;
    let slice = incoming.server.stored("discovery.k8s.io", "endpointslices", "default", "kubernetes");
    let address = slice.as_ref().and_then(|slice| slice["endpoints"][0]["addresses"][0].as_str());
    let port = slice.as_ref().and_then(|slice| slice["ports"][0]["port"].as_u64());
    let keys = match (address, port) {
        (Some(address), Some(port)) => format!("https://{address}:{port}"),
        _ => issuer.clone(),
    };
    format!(
        r#"{{"issuer":"{issuer}","jwks_uri":"{keys}/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"]}}"#
    )
}

/// Who checks tokens elsewhere may keep this for an hour.
fn cacheable(kind: &'static str, text: String) -> Answer {
    let mut answer = respond::bare(200, kind, text);
    answer.headers_mut().insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("public, max-age=3600"));
    answer
}

/// `apiserver_storage_objects`, the one family that costs nothing to know.
fn metrics(incoming: &Incoming) -> String {
    let state = incoming.server.state();
    let mut text = String::from(
        "# HELP apiserver_storage_objects [STABLE] Number of stored objects at the time of last check split by kind.\n\
         # TYPE apiserver_storage_objects gauge\n",
    );
    for (group, resource) in state.resources() {
        let name = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        text.push_str(&format!("apiserver_storage_objects{{resource=\"{name}\"}} {}\n", state.count(group, resource)));
    }
    text
}

fn open_api(incoming: &Incoming, path: &str) -> Answer {
    let scheme = incoming.server.scheme();
    let Some(document) = openapi::document_bytes(&scheme, path) else {
        let mut answer = respond::bare(404, "text/plain", "");
        answer.headers_mut().remove(http::header::CONTENT_TYPE);
        return answer;
    };
    let mut answer = respond::bare(200, "application/json", bytes::Bytes::from_owner(document.body.clone()));
    if let Ok(value) = http::HeaderValue::from_str(&format!("\"{}\"", document.hash)) {
        answer.headers_mut().insert(http::header::ETAG, value);
    }
    // A client that names the hash that it got from the index may keep the document for good.
    if incoming.query.get("hash").is_some_and(|hash| hash == document.hash) {
        answer.headers_mut().insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("public, immutable"));
    }
    answer
}

fn open_api_two(incoming: &Incoming, accepted: Accepted) -> Answer {
    let accept = incoming.request.headers().get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.starts_with("application/com.github.proto-openapi.spec.v2") {
        return respond::bare(
            200,
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
            openapi::version_two_binary(&incoming.server.scheme()),
        );
    }
    respond::encode(200, Accepted { pretty: false, ..accepted }, &openapi::version_two(&incoming.server.scheme()))
}
