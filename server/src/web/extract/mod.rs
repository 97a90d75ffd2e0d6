//! Our own extractors: parse once at the border.

use super::{Site, error::WebError, middleware::visitor::Visitor};
use crate::app::User;
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use std::collections::BTreeMap;

/// A form is small; files have their own limit.
const FORM_LIMIT: usize = 64 << 10;

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, WebError> {
        parts.extensions.get::<Visitor>().cloned().ok_or_else(|| WebError::internal("no visitor in the request"))
    }
}

/// Somebody who is signed in, guest or not; everybody else is sent to sign in and comes back.
#[derive(Debug, Clone)]
pub struct SignedInUser {
    pub user: User,
    pub visitor: Visitor,
}

impl<S: Sync> FromRequestParts<S> for SignedInUser {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        match visitor.user.clone() {
            Some(user) => Ok(Self { user, visitor }),
            None => {
                // Within a nested router the request's own address is shortened.
                let uri = parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |original| &original.0);
                Err(WebError::SignIn(uri.path().to_owned()))
            }
        }
    }
}

/// The fields of a form whose token was this visitor's own.
#[derive(Debug, Clone, Default)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Empty where the form has no such field.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl FromRequest<Site> for Fields {
    type Rejection = WebError;

    async fn from_request(request: Request, site: &Site) -> Result<Self, WebError> {
        let visitor = visitor_of(&request)?;
        let bytes = body(request.into_body(), FORM_LIMIT).await?;
        let fields: BTreeMap<String, String> = url::form_urlencoded::parse(&bytes).into_owned().collect();
        let given = fields.get("csrf").map_or("", String::as_str);
        check(site, &visitor, given)?;
        Ok(Self(fields))
    }
}

/// A file's content, sent by the editor with the token in a header.
#[derive(Debug)]
pub struct Upload(pub Vec<u8>);

impl FromRequest<Site> for Upload {
    type Rejection = WebError;

    async fn from_request(request: Request, site: &Site) -> Result<Self, WebError> {
        let visitor = visitor_of(&request)?;
        let given = request.headers().get("x-csrf-token").and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
        check(site, &visitor, &given)?;
        Ok(Self(body(request.into_body(), crate::app::apply::LIMIT).await?))
    }
}

fn visitor_of(request: &Request) -> Result<Visitor, WebError> {
    request.extensions().get::<Visitor>().cloned().ok_or_else(|| WebError::internal("no visitor in the request"))
}

fn check(site: &Site, visitor: &Visitor, given: &str) -> Result<(), WebError> {
    if !visitor.secret.is_empty() && site.app.csrf_fits(&visitor.secret, given) {
        return Ok(());
    }
    Err(WebError::Forbidden("this form is too old, or you signed in or out meanwhile; go back, reload the page and try again".into()))
}

async fn body(body: Body, limit: usize) -> Result<Vec<u8>, WebError> {
    axum::body::to_bytes(body, limit)
        .await
        .map(|bytes| bytes.to_vec())
        .map_err(|_| WebError::BadRequest(format!("this is more than {} KiB, or the connection broke", limit >> 10)))
}

/// Where a request comes from, for limits on guesses.
#[derive(Debug, Clone)]
pub struct Peer(pub String);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<crate::gateway::listener::Peer>();
        Ok(Self(address.map_or_else(|| "unknown".to_owned(), |peer| peer.0.ip().to_string())))
    }
}
