//! Our own extractors: parse once at the border.

use super::{Site, error::WebError, middleware::visitor::Visitor};
use crate::app::User;
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, Method, request::Parts},
};
use std::{collections::BTreeMap, error::Error, time::Duration};

/// A form is small; files have their own limit.
const FORM_LIMIT: usize = 64 << 10;
/// How long the body of a form, or of a file, may be on its way.
const FORM_PATIENCE: Duration = Duration::from_secs(30);
const FILE_PATIENCE: Duration = Duration::from_secs(120);

/// axum's own, but what does not fit is answered by an error page of this site.
#[derive(Debug, Clone, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(WebError))]
pub struct Path<T>(pub T);

#[derive(Debug, Clone, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(WebError))]
pub struct Query<T>(pub T);

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
                Err(WebError::SignIn(page_of(&parts.method, uri.path())))
            }
        }
    }
}

/// The page to come back to: a form's own address is none, but that of the page it stands on is.
fn page_of(method: &Method, path: &str) -> String {
    if matches!(*method, Method::GET | Method::HEAD) {
        return path.to_owned();
    }
    let depth = if path.starts_with("/attempts/") || path.starts_with("/admin/") { 2 } else { 1 };
    path.split('/').skip(1).take(depth).fold(String::new(), |page, part| page + "/" + part)
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
        let bytes = body(request.into_body(), FORM_LIMIT, FORM_PATIENCE).await?;
        let fields: BTreeMap<String, String> = url::form_urlencoded::parse(&bytes).into_owned().collect();
        let given = fields.get("csrf").map_or("", String::as_str);
        check(site, &visitor, given)?;
        Ok(Self(fields))
    }
}

/// A form that somebody who is signed in sent, by the page's script or without it.
#[derive(Debug)]
pub struct Form {
    pub user: User,
    pub visitor: Visitor,
    pub headers: HeaderMap,
    pub fields: Fields,
}

impl FromRequest<Site> for Form {
    type Rejection = WebError;

    async fn from_request(request: Request, site: &Site) -> Result<Self, WebError> {
        let (mut parts, body) = request.into_parts();
        let SignedInUser { user, visitor } = SignedInUser::from_request_parts(&mut parts, site).await?;
        let headers = parts.headers.clone();
        let fields = Fields::from_request(Request::from_parts(parts, body), site).await?;
        Ok(Self { user, visitor, headers, fields })
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
        Ok(Self(body(request.into_body(), crate::app::apply::LIMIT, FILE_PATIENCE).await?))
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

async fn body(body: Body, limit: usize, patience: Duration) -> Result<Vec<u8>, WebError> {
    let read = tokio::time::timeout(patience, axum::body::to_bytes(body, limit)).await.map_err(|_| WebError::TooSlow)?;
    read.map(Vec::from).map_err(|error| {
        if error.source().is_some_and(<dyn Error>::is::<http_body_util::LengthLimitError>) {
            WebError::TooLarge(limit)
        } else {
            WebError::BadRequest("the connection broke before everything had arrived".to_owned())
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use futures::{StreamExt, stream};

    #[test]
    fn a_form_leads_back_to_its_page() {
        for (method, path, expected) in [
            (Method::GET, "/attempts/1/result", "/attempts/1/result"),
            (Method::POST, "/attempts/1/check", "/attempts/1"),
            (Method::POST, "/attempts/1/hints/a", "/attempts/1"),
            (Method::POST, "/admin/users/1", "/admin/users"),
            (Method::POST, "/account/password", "/account"),
        ] {
            assert_eq!(page_of(&method, path), expected, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn a_body_is_read_within_limits() {
        let chunks = |count: usize| stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(b"four"))).take(count);
        let broken = chunks(1).chain(stream::iter([Err(std::io::Error::other("gone"))]));
        let slow = chunks(1).chain(stream::pending());
        for (sent, patience, expected) in [
            (Body::from_stream(chunks(2)), FORM_PATIENCE, Ok(8)),
            (Body::from_stream(chunks(3)), FORM_PATIENCE, Err("larger than")),
            (Body::from(vec![b'x'; 11]), FORM_PATIENCE, Err("larger than")),
            (Body::from_stream(broken), FORM_PATIENCE, Err("connection broke")),
            (Body::from_stream(slow), Duration::from_millis(20), Err("too long")),
        ] {
            match (body(sent, 10, patience).await, expected) {
                (Ok(bytes), Ok(length)) => assert_eq!(bytes.len(), length),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (other, expected) => panic!("{other:?} is not {expected:?}"),
            }
        }
    }
}
