//! Security headers, and a nonce per answer for the few scripts and styles that a page has.

use crate::state::edge::{Random, bytes};
use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use std::sync::Arc;

/// This answer's nonce, in the request's extensions.
#[derive(Debug, Clone)]
pub struct Nonce(pub String);

#[derive(Debug, Clone)]
pub struct Security {
    pub random: Arc<dyn Random>,
    /// Served by HTTPS: browsers are told to stay with it.
    pub https: bool,
}

pub async fn security(State(security): State<Security>, mut request: Request, next: Next) -> Response {
    let nonce = STANDARD_NO_PAD.encode(bytes::<16>(&*security.random));
    request.extensions_mut().insert(Nonce(nonce.clone()));
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_SECURITY_POLICY, &policy(&nonce));
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()");
    if security.https {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    answer
}

/// Nothing from anywhere but this server; scripts and styles only with this answer's nonce, or loaded by such a script.
fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
    )
}
