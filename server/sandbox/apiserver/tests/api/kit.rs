//! A server in memory and requests against its router.

use apiserver::{Body, Client, Options, Server, UserInfo};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use machinery::clock::ManualClock;
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

pub struct Kit {
    pub server: Server,
    pub clock: Arc<ManualClock>,
    pub user: UserInfo,
}

pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Fails with the answer where the code is another one.
    #[track_caller]
    pub fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{}", self.text);
        self
    }
}

pub fn start() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

pub fn options(clock: &Arc<ManualClock>) -> Options {
    Options {
        clock: clock.clone(),
        seed: 7,
        token_secret: [7; 32],
        journal: None,
        issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
        certificate_authority: "no certificate".to_owned(),
    }
}

impl Kit {
    /// With the namespace `default` and its ServiceAccount.
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::at(start()));
        let server = Server::open(options(&clock)).unwrap();
        let kit = Self { server, clock, user: UserInfo::admin() };
        for name in ["default", "kube-system"] {
            kit.namespace(name);
        }
        kit
    }

    pub fn namespace(&self, name: &str) {
        self.client().create(machinery::gvr::NAMESPACES, json!({"metadata": {"name": name}})).unwrap();
        self.client().create(machinery::gvr::SERVICE_ACCOUNTS, json!({"metadata": {"name": "default", "namespace": name}})).unwrap();
    }

    pub fn client(&self) -> Client {
        self.server.client(UserInfo::admin(), "test")
    }

    /// The same server as another user.
    pub fn as_user(&self, name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().copied().chain(["system:authenticated"]).map(str::to_owned).collect();
        let user = UserInfo { name: name.to_owned(), groups, ..UserInfo::default() };
        Self { server: self.server.clone(), clock: self.clock.clone(), user }
    }

    pub async fn send(&self, mut request: Request<Body>) -> http::Response<Body> {
        request.extensions_mut().insert(self.user.clone());
        self.server.router().oneshot(request).await.unwrap()
    }

    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.send(request.body(body.into()).unwrap()).await;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { code: StatusCode::as_u16(&parts.status), headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.request("PUT", path, &[("content-type", "application/json")], body.to_string()).await
    }

    /// `kind`: `json`, `merge`, `strategic-merge`, or `apply`.
    pub async fn patch(&self, path: &str, kind: &str, body: Value) -> Answer {
        let media = if kind == "apply" { "application/apply-patch+yaml".to_owned() } else { format!("application/{kind}-patch+json") };
        self.request("PATCH", path, &[("content-type", &media)], body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path, &[], Body::empty()).await
    }
}
