//! The API server of one cluster, reached over TLS with the certificate of its highest administrator, which never leaves this process.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sandbox::{Body, UserInfo};
use serde::Deserialize;
use serde_json::Value;
use std::{fmt, sync::Arc, time::Duration};

/// Answers of the API that the engine itself reads are not longer.
const LIMIT: usize = 32 << 20;
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("the cluster's kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    #[error("the cluster's API server does not answer: {0}")]
    Unreachable(String),
    #[error("{message}")]
    Refused { code: u16, message: String },
}

impl ApiError {
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// A client of one cluster.
#[derive(Clone)]
pub struct Api {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    authority: String,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// What kubeadm writes of a kubeconfig.
#[derive(Deserialize)]
struct Kubeconfig {
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    cluster: ClusterEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    certificate_authority_data: String,
}

#[derive(Deserialize)]
struct NamedUser {
    user: UserEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UserEntry {
    client_certificate_data: String,
    client_key_data: String,
}

impl Api {
    /// A client for the API server behind a port of this machine, with the credentials of a kubeconfig.
    pub fn new(kubeconfig: &str, port: u16) -> Result<Self, ApiError> {
        let wrong = |why: &dyn fmt::Display| ApiError::Kubeconfig(why.to_string());
        let parsed: Kubeconfig = serde_saphyr::from_str(kubeconfig).map_err(|error| wrong(&error))?;
        let cluster = parsed.clusters.first().ok_or_else(|| wrong(&"it names no cluster"))?;
        let user = parsed.users.first().ok_or_else(|| wrong(&"it names no user"))?;
        let decode = |text: &str| BASE64_STANDARD.decode(text.trim()).map_err(|error| wrong(&error));
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&decode(&cluster.cluster.certificate_authority_data)?) {
            roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
        }
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&decode(&user.user.client_certificate_data)?).collect();
        let key = PrivateKeyDer::from_pem_slice(&decode(&user.user.client_key_data)?).map_err(|error| wrong(&error))?;
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.map_err(|error| wrong(&error))?, key)
            .map_err(|error| wrong(&error))?;
        // HTTP/1.1: exec and port-forward upgrade a connection of their own.
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(30)).build(connector);
        Ok(Self { client, authority: format!("127.0.0.1:{port}") })
    }

    /// Sends a request as it is, but for its address.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, ApiError> {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::builder()
            .scheme("https")
            .authority(self.authority.as_str())
            .path_and_query(path)
            .build()
            .map_err(|error| ApiError::Unreachable(error.to_string()))?;
        *request.version_mut() = http::Version::HTTP_11;
        request.headers_mut().remove(header::HOST);
        let answer = self.client.request(request).await.map_err(|error| ApiError::Unreachable(chain(&error)))?;
        Ok(answer.map(Body::new))
    }

    /// A question of the engine itself, bounded in time and size.
    pub async fn call(&self, method: Method, path: &str, content_type: &str, body: Vec<u8>) -> Result<Value, ApiError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, content_type)
            .header(header::USER_AGENT, "cordon")
            .body(Body::from(body))
            .map_err(|error| ApiError::Unreachable(error.to_string()))?;
        let asked = async {
            let response = self.send(request).await?;
            let code = response.status();
            let collected = Limited::new(response.into_body(), LIMIT).collect().await;
            let bytes = collected.map_err(|error| ApiError::Unreachable(error.to_string()))?.to_bytes();
            if code.is_success() {
                // Health checks answer in plain text.
                return Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null));
            }
            let status: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let message = status["message"].as_str().map_or_else(|| format!("HTTP status {code}"), str::to_owned);
            Err(ApiError::Refused { code: code.as_u16(), message })
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(ApiError::Unreachable("no answer in time".to_owned())))
    }

    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.call(Method::GET, path, "application/json", Vec::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call(Method::POST, path, "application/json", body.to_string().into_bytes()).await
    }

    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Value, ApiError> {
        self.call(Method::PATCH, path, "application/merge-patch+json", patch.to_string().into_bytes()).await
    }

    /// Repeats `look` until it finds something. Refusals and silence count as "not yet"; without an end of its own.
    pub async fn until<T>(&self, path: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        loop {
            if let Some(found) = self.get(path).await.ok().and_then(|answer| look(&answer)) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Lists and watches until `done` says so of what is there; without an end of its own.
    pub async fn watch_until(&self, path: &str, done: impl Fn(&[Value]) -> bool) {
        loop {
            if let Ok(list) = self.get(path).await {
                let mut items = list["items"].as_array().cloned().unwrap_or_default();
                if done(&items) {
                    return;
                }
                let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
                if self.follow(path, version, &mut items, &done).await {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// `false`: the watch ended before `done`.
    async fn follow(&self, path: &str, version: &str, items: &mut Vec<Value>, done: &impl Fn(&[Value]) -> bool) -> bool {
        let uri = format!("{path}?watch=true&resourceVersion={version}&timeoutSeconds=60");
        let Ok(request) = Request::get(uri).header(header::ACCEPT, "application/json").body(Body::empty()) else { return false };
        let Ok(response) = self.send(request).await else { return false };
        let mut body = response.into_body();
        let mut buffer = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            buffer.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let Ok(event) = serde_json::from_slice::<Value>(&line) else { return false };
                let object = &event["object"];
                items.retain(|item| item["metadata"]["uid"] != object["metadata"]["uid"]);
                match event["type"].as_str() {
                    Some("ADDED" | "MODIFIED") => items.push(object.clone()),
                    Some("DELETED") => {}
                    _ => return false,
                }
                if done(items) {
                    return true;
                }
            }
        }
        false
    }

    /// Forwards somebody's request, in their name. Upgrades pass through.
    pub async fn forward(&self, user: &UserInfo, mut request: Request<Body>) -> Result<Response<Body>, ApiError> {
        impersonate(user, request.headers_mut());
        let upgraded = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
        let upgrading = request.headers().contains_key(header::UPGRADE);
        if !upgrading {
            request.headers_mut().remove(header::CONNECTION);
        }
        let mut response = self.send(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(client) = upgraded
        {
            let server = hyper::upgrade::on(&mut response);
            tokio::spawn(async move {
                if let (Ok(client), Ok(server)) = (client.await, server.await) {
                    let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(server)).await;
                }
            });
        } else if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().remove(header::CONNECTION);
        }
        Ok(response)
    }
}

/// Says who asks, and nothing that the asker wrote there themselves.
fn impersonate(user: &UserInfo, headers: &mut http::HeaderMap) {
    let own: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    for name in own {
        headers.remove(name);
    }
    headers.remove(header::AUTHORIZATION);
    let mut add = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    };
    add("impersonate-user", &user.name);
    if !user.uid.is_empty() {
        add("impersonate-uid", &user.uid);
    }
    for group in &user.groups {
        add("impersonate-group", group);
    }
    for (key, values) in &user.extra {
        let escaped: String = key.bytes().map(escape).collect();
        for value in values {
            add(&format!("impersonate-extra-{escaped}"), value);
        }
    }
}

/// Keys of `extra` may hold what header names may not: percent-encoded, as the API server expects.
fn escape(byte: u8) -> String {
    if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_') {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
