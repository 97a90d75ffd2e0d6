//! The way of one request through the gateway.

use crate::gateway::access::{Access, Admission, Extension, Refusal};
use crate::gateway::audit::{AuditRow, AuditSink};
use crate::gateway::request::{self, RequestInfo};
use crate::gateway::rest;
use crate::gateway::token;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use machinery::{ApiError, Clock};
use provision::Body;
use serde::Deserialize;
use std::{convert::Infallible, num::NonZeroU32, sync::Arc, time::Duration};

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests a second that one token may make on the average.
    pub requests_per_second: NonZeroU32,
    /// And at once: `kubectl` asks for dozens of things when it starts.
    pub burst: NonZeroU32,
    /// Bytes of a request's body; the API server's own limit is 3 MiB.
    pub body: usize,
    /// How long a body may stand still.
    pub body_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const fn positive(number: u32) -> NonZeroU32 {
            match NonZeroU32::new(number) {
                Some(number) => number,
                None => NonZeroU32::MIN,
            }
        }
        Self { requests_per_second: positive(100), burst: positive(600), body: 3 * 1024 * 1024, body_pause: Duration::from_secs(20) }
    }
}

/// The gateway without its listener; `answer` is all that a test needs.
#[derive(Debug)]
pub struct Gateway {
    admission: Arc<dyn Admission>,
    audit: Arc<dyn AuditSink>,
    extension: Option<Arc<dyn Extension>>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    rate: DefaultKeyedRateLimiter<String>,
}

impl Gateway {
    pub fn new(
        admission: Arc<dyn Admission>,
        audit: Arc<dyn AuditSink>,
        extension: Option<Arc<dyn Extension>>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Arc<Self> {
        let rate = RateLimiter::keyed(Quota::per_second(limits.requests_per_second).allow_burst(limits.burst));
        Arc::new(Self { admission, audit, extension, clock, limits, rate })
    }

    /// The gateway as a service for [`crate::gateway::listener::serve`].
    pub fn service(
        self: &Arc<Self>,
    ) -> impl tower::Service<
        Request<Body>,
        Response = Response<Body>,
        Error = Infallible,
        Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static {
        let gateway = self.clone();
        tower::service_fn(move |request| {
            let gateway = gateway.clone();
            async move { Ok(gateway.answer(request).await) }
        })
    }

    /// Forgets tokens that have been quiet, so that the limiter does not grow for ever. Called now and then.
    pub fn tidy(&self) {
        self.rate.retain_recent();
        self.rate.shrink_to_fit();
    }

    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (request, rest) = rest::keep(request, self.limits.body_pause);
        let response = self.decide(request).await;
        if let Some(rest) = rest {
            rest.drain().await;
        }
        response
    }

    async fn decide(&self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if path == "/healthz" {
            return Response::new(Body::from("ok"));
        }
        let token = token::bearer(request.headers());
        let home = match token {
            Some(token) if !path.starts_with("/clusters/") => self.admission.home(token).await,
            _ => None,
        };
        let Some((cluster, rest)) = home.as_deref().map(|home| (home, &*path)).or_else(|| request::split_prefix(&path)) else {
            return refuse(&ApiError::new(404, "NotFound", "the server could not find the requested resource"));
        };
        let began = self.clock.now();
        let info = request::describe(request.method(), rest, request.uri().query());
        let admitted = match token {
            Some(token) => self.admission.admit(cluster, token).await,
            None => self.admission.stranger(cluster).await.ok_or(Refusal::Unauthorized),
        };
        let access = match admitted {
            Ok(access) => access,
            Err(refusal) => {
                let response = provision::refusal(&refusal_status(&refusal, cluster), request.headers(), request.uri().query());
                // A stranger's requests are no part of anybody's trail; they are only worth a line in the log.
                tracing::debug!(cluster.id = cluster, code = response.status().as_u16(), "refused: {refusal}");
                return response;
            }
        };
        if self.rate.check_key(&access.token_id).is_err() {
            let response = refuse(&ApiError::new(429, "TooManyRequests", "too many requests with this token, please try again later"));
            self.write_down(began, cluster, &access, info, response.status());
            return response;
        }
        let created = *request.method() == Method::POST && info.name.is_empty() && !info.resource.starts_with('/');
        let response = match self.prepare(request, rest) {
            Ok(request) => match &self.extension {
                Some(extension) if rest.starts_with("/cordon/") => extension.answer(cluster, &access, rest, request).await,
                _ => access.cluster.serve(access.user.clone(), request).await,
            },
            Err(error) => refuse(&error),
        };
        let (response, name) =
            if created && response.status() == StatusCode::CREATED { with_name(response).await } else { (response, String::new()) };
        let info = if info.name.is_empty() { RequestInfo { name, ..info } } else { info };
        self.write_down(began, cluster, &access, info, response.status());
        response
    }

    /// The request as the cluster gets it: without prefix and credentials, its body bounded in size.
    fn prepare(&self, request: Request<Body>, rest: &str) -> Result<Request<Body>, ApiError> {
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
        if announced > self.limits.body as u64 {
            let message = format!("Request entity too large: limit is {}", self.limits.body);
            return Err(ApiError::new(413, "RequestEntityTooLarge", message));
        }
        let uri = request::without_prefix(request.uri(), rest).ok_or_else(|| ApiError::bad_request("the request's path cannot be read"))?;
        let (mut parts, body) = request.into_parts();
        parts.uri = uri;
        parts.headers.remove(header::AUTHORIZATION);
        parts.headers.remove(header::COOKIE);
        let upgrade = parts.headers.contains_key(header::UPGRADE);
        let body = if upgrade { body } else { Body::new(Limited::new(body, self.limits.body)) };
        Ok(Request::from_parts(parts, body))
    }

    fn write_down(&self, began: Timestamp, cluster: &str, access: &Access, info: RequestInfo, code: StatusCode) {
        let milliseconds = self.clock.now().as_millisecond().saturating_sub(began.as_millisecond()).max(0);
        let RequestInfo { verb, group, resource, namespace, name } = info;
        self.audit.record(AuditRow {
            at: began,
            cluster: cluster.to_owned(),
            token_id: access.token_id.clone(),
            user: access.user.name.clone(),
            verb,
            group,
            resource,
            namespace,
            name,
            code: code.as_u16(),
            milliseconds,
        });
    }
}

fn refusal_status(refusal: &Refusal, cluster: &str) -> ApiError {
    match refusal {
        Refusal::Unauthorized => ApiError::new(401, "Unauthorized", "Unauthorized"),
        Refusal::Forbidden => ApiError::new(403, "Forbidden", format!("cluster {cluster:?} is forbidden: {refusal}")),
        Refusal::Over(why) => ApiError::new(403, "Forbidden", why.clone()),
        Refusal::Unavailable(why) => ApiError::new(503, "ServiceUnavailable", why.clone()),
    }
}

/// A `Status` as the API server would send it to a program.
pub fn refuse(error: &ApiError) -> Response<Body> {
    provision::refusal(error, &HeaderMap::new(), None)
}

/// The name of a created object stands in the answer only. A small answer is read for it and passed on unchanged.
async fn with_name(response: Response<Body>) -> (Response<Body>, String) {
    #[derive(Deserialize)]
    struct Created {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(default)]
        name: String,
    }
    use hyper::body::Body as _;
    let small = response.body().size_hint().exact().is_some_and(|size| size <= 256 * 1024);
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if !small || !json {
        return (response, String::new());
    }
    let (parts, body) = response.into_parts();
    match body.collect().await {
        Ok(collected) => {
            let bytes = collected.to_bytes();
            let name = serde_json::from_slice::<Created>(&bytes).map(|created| created.metadata.name).unwrap_or_default();
            (Response::from_parts(parts, Body::from(bytes)), name)
        }
        Err(_) => (refuse(&ApiError::internal("the answer was cut off")), String::new()),
    }
}
