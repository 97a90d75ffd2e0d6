//! The cluster's own API, asked in process: the same admission, validation and RBAC as for kubectl. Every answer is bounded in
//! time and size.

use crate::app::Applied;
use http::{Method, Request};
use http_body_util::{BodyExt, Limited};
use provision::{Body, Cluster, UserInfo};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
const LIMIT: usize = 16 * 1024 * 1024;

/// One user at one cluster.
#[derive(Debug, Clone)]
pub struct Caller<'a> {
    pub cluster: &'a dyn Cluster,
    pub user: UserInfo,
}

/// Why there is no answer to work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The API server said no; its message.
    #[error("{message}")]
    Refused { code: u16, message: String },
    #[error("the cluster did not answer in time")]
    TimedOut,
    #[error("the cluster's answer cannot be read: {0}")]
    Unreadable(String),
}

impl Caller<'_> {
    pub async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path, "application/json", Vec::new()).await
    }

    /// The raw bytes of a GET.
    pub async fn bytes(&self, path: &str) -> Result<bytes::Bytes, CallError> {
        self.raw(Method::GET, path, "application/json", Vec::new()).await
    }

    pub async fn call(&self, method: Method, path: &str, content_type: &str, body: Vec<u8>) -> Result<Value, CallError> {
        let bytes = self.raw(method, path, content_type, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| CallError::Unreadable(error.to_string()))
    }

    async fn raw(&self, method: Method, path: &str, content_type: &str, body: Vec<u8>) -> Result<bytes::Bytes, CallError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", "application/json")
            .header("content-type", content_type)
            .header("user-agent", "cordon")
            .body(Body::from(body))
            .map_err(|error| CallError::Unreadable(error.to_string()))?;
        let asked = async {
            let response = self.cluster.serve(self.user.clone(), request).await;
            let code = response.status();
            let body = Limited::new(response.into_body(), LIMIT).collect().await;
            let bytes = body.map_err(|error| CallError::Unreadable(error.to_string()))?.to_bytes();
            if code.is_success() {
                return Ok(bytes);
            }
            let status: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let message = status["message"].as_str().map_or_else(|| format!("HTTP status {code}"), str::to_owned);
            Err(CallError::Refused { code: code.as_u16(), message })
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(CallError::TimedOut))
    }
}

/// Where objects of one kind live.
#[derive(Debug, Clone)]
struct Place {
    prefix: String,
    plural: String,
    namespaced: bool,
}

/// Applies objects one after another by server-side apply. A problem with one does not stop the others.
pub async fn apply_all(caller: &Caller<'_>, manager: &str, default_namespace: &str, objects: Vec<Value>, dry_run: bool) -> Vec<Applied> {
    let mut places = HashMap::new();
    let mut results = Vec::with_capacity(objects.len());
    for object in objects {
        let name = describe(&object);
        results.push(match apply(caller, manager, default_namespace, object, dry_run, &mut places).await {
            Ok(action) => Applied { object: name, action: action.to_owned(), problem: None },
            Err(problem) => Applied { object: name, action: String::new(), problem: Some(problem) },
        });
    }
    results
}

async fn apply(
    caller: &Caller<'_>,
    manager: &str,
    default_namespace: &str,
    mut object: Value,
    dry_run: bool,
    places: &mut HashMap<(String, String), Place>,
) -> Result<&'static str, String> {
    use machinery::object::{api_version, kind, name, namespace, resource_version, uid};
    let (version, kind) = (api_version(&object).to_owned(), kind(&object).to_owned());
    if version.is_empty() || kind.is_empty() {
        return Err("apiVersion and kind must be set".to_owned());
    }
    if name(&object).is_empty() {
        return Err("metadata.name must be set".to_owned());
    }
    let key = (version, kind);
    if !places.contains_key(&key) {
        let found = find(caller, &key.0, &key.1).await?;
        places.insert(key.clone(), found);
    }
    let Some(place) = places.get(&key) else { return Err("no such kind".to_owned()) };
    if place.namespaced && namespace(&object).is_empty() {
        machinery::object::set_meta(&mut object, "namespace", default_namespace);
    }
    let scope = if place.namespaced { format!("/namespaces/{}", segment(namespace(&object))?) } else { String::new() };
    let path = format!("{}{scope}/{}/{}", place.prefix, place.plural, segment(name(&object))?);
    let before = match caller.get(&path).await {
        Ok(before) => Some(before),
        Err(CallError::Refused { code: 404, .. }) => None,
        // Who may not read may still be allowed to write; the API says so itself.
        Err(CallError::Refused { code: 403, .. }) => None,
        Err(error) => return Err(error.to_string()),
    };
    let dry = if dry_run { "&dryRun=All" } else { "" };
    let query = format!("{path}?fieldManager={manager}&force=true&fieldValidation=Strict{dry}");
    let body = serde_json::to_vec(&object).map_err(|error| error.to_string())?;
    let after = caller.call(Method::PATCH, &query, "application/apply-patch+yaml", body).await.map_err(|error| error.to_string())?;
    Ok(match before {
        Some(before) if uid(&before) == uid(&after) && resource_version(&before) == resource_version(&after) => "unchanged",
        Some(_) => "configured",
        None => "created",
    })
}

/// Where an object with a name lives, as `/api/v1/namespaces/ml`. `Err`: the cluster has no such kind, or that is no name.
pub(crate) async fn path_of(caller: &Caller<'_>, object: &Value) -> Result<String, String> {
    use machinery::object::{api_version, kind, name, namespace};
    let place = find(caller, api_version(object), kind(object)).await?;
    let scope = if place.namespaced { format!("/namespaces/{}", segment(namespace(object))?) } else { String::new() };
    Ok(format!("{}{scope}/{}/{}", place.prefix, place.plural, segment(name(object))?))
}

/// A path segment that cannot lead elsewhere.
fn segment(text: &str) -> Result<&str, String> {
    let fine =
        !text.is_empty() && text.len() <= 253 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'));
    if fine && text != "." && text != ".." { Ok(text) } else { Err(format!("{text:?} is no object name")) }
}

async fn find(caller: &Caller<'_>, version: &str, kind: &str) -> Result<Place, String> {
    let prefix = match version.split_once('/') {
        Some((group, version)) => format!("/apis/{}/{}", segment(group)?, segment(version)?),
        None => format!("/api/{}", segment(version)?),
    };
    let unknown = || format!("no matches for kind {kind:?} in version {version:?}");
    let list = match caller.get(&prefix).await {
        Ok(list) => list,
        Err(CallError::Refused { code: 404, .. }) => return Err(unknown()),
        Err(error) => return Err(error.to_string()),
    };
    let resources = list["resources"].as_array().ok_or_else(unknown)?;
    let found = resources
        .iter()
        .find(|resource| resource["kind"] == json!(kind) && resource["name"].as_str().is_some_and(|name| !name.contains('/')))
        .ok_or_else(unknown)?;
    let plural = found["name"].as_str().unwrap_or_default().to_owned();
    Ok(Place { prefix, plural, namespaced: found["namespaced"] == true })
}

/// `Deployment/ml/web`, as findings name objects.
pub fn describe(object: &Value) -> String {
    use machinery::object::{kind, name, namespace};
    let kind = if kind(object).is_empty() { "object" } else { kind(object) };
    match (namespace(object), name(object)) {
        ("", "") => kind.to_owned(),
        ("", name) => format!("{kind}/{name}"),
        (namespace, name) => format!("{kind}/{namespace}/{name}"),
    }
}
