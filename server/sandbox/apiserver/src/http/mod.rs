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
use axum::{Router, extract::Request};

pub(crate) fn router(server: Server) -> Router {
    Router::new().fallback(move |request: Request| entry::handle(server.clone(), request))
}
