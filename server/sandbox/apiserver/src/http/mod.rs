//! HTTP: from a request to a verb, and from its outcome to an answer.
//!
//! ```text
//! request ──► places (429) ──► impersonation ──► path ──► authorize ──► resource handlers | endpoints ──► negotiated answer
//! ```

mod body;
mod discovery;
mod endpoints;
mod entry;
mod inside;
mod log;
mod negotiate;
mod path;
mod port_forward;
mod protobuf;
mod proxy;
mod query;
mod resource;
mod respond;
mod session;
mod spdy;
mod stream;
mod subresource;

pub(crate) use inside::answer_inside;

use crate::server::Server;
use axum::{Router, body::Body, extract::Request};
use http::{HeaderMap, Response};
use machinery::ApiError;

pub(crate) fn router(server: Server) -> Router {
    Router::new().fallback(move |request: Request| entry::handle(server.clone(), request))
}

/// A request that does not get as far as a server, refused as one would refuse it.
pub fn refusal(error: &ApiError, headers: &HeaderMap, query: Option<&str>) -> Response<Body> {
    respond::error(error, negotiate::plain(headers, query::Query::parse(query).get("pretty")))
}
