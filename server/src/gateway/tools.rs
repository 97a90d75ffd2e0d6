//! What the gateway answers itself for tools in the learner's shell: `POST /cordon/v1/scan`.

use crate::app::{App, AppError};
use crate::gateway::access::{Access, Extension};
use crate::gateway::door::refuse;
use async_trait::async_trait;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use machinery::ApiError;
use provision::Body;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Debug)]
pub struct Tools(pub Arc<App>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanRequest {
    image: String,
}

#[async_trait]
impl Extension for Tools {
    async fn answer(&self, cluster: &str, access: &Access, path: &str, request: Request<Body>) -> Response<Body> {
        if !access.is_learner {
            return refuse(&ApiError::new(403, "Forbidden", "a ServiceAccount may not use the lab's tools"));
        }
        match (request.method(), path) {
            (&Method::POST, "/cordon/v1/scan") => self.scan(cluster, request).await,
            _ => refuse(&ApiError::new(404, "NotFound", "the server could not find the requested resource")),
        }
    }
}

impl Tools {
    async fn scan(&self, cluster: &str, request: Request<Body>) -> Response<Body> {
        let Ok(body) = Limited::new(request.into_body(), 4096).collect().await else {
            return refuse(&ApiError::new(413, "RequestEntityTooLarge", "the request is too large"));
        };
        let Ok(asked) = serde_json::from_slice::<ScanRequest>(&body.to_bytes()) else {
            return refuse(&ApiError::bad_request("expected {\"image\": \"…\"}"));
        };
        match self.0.scan_in_cluster(cluster, &asked.image).await {
            Ok(report) => {
                let mut response = Response::new(Body::from(report.to_string()));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(AppError::Invalid { message, .. }) => refuse(&ApiError::new(422, "Invalid", message)),
            Err(AppError::NotFound(what)) => refuse(&ApiError::new(404, "NotFound", format!("there is no such {what}"))),
            Err(AppError::Conflict(why) | AppError::Unavailable(why)) => refuse(&ApiError::new(409, "Conflict", why)),
            Err(error) => {
                tracing::error!(cluster.id = cluster, "{}", crate::app::error::chain(&error));
                refuse(&ApiError::internal("the scan failed; the reason is in the server's log"))
            }
        }
    }
}
