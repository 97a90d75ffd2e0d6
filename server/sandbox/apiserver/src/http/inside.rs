//! The API server's own port, as pods reach it: it authenticates by itself, and answers each request whole.

use super::{negotiate, negotiate::Accepted, query::Query, respond};
use crate::{server::Server, user::UserInfo};
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Limited};
use machinery::ApiError;
use tower::ServiceExt as _;

/// Bytes of an answer. A pod that lists more than this is told so.
const LARGEST: usize = 8 << 20;

pub(crate) async fn answer_inside(server: &Server, request: Request<Bytes>) -> Response<Bytes> {
    let query = Query::parse(request.uri().query());
    let accepted = negotiate::accepted(request.headers(), query.get("pretty"), false).unwrap_or(Accepted::JSON);
    let answer = match prepare(server, request, &query) {
        Ok(request) => match super::router(server.clone()).oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        },
        Err(error) => respond::error(&error, accepted),
    };
    let (parts, body) = answer.into_parts();
    match Limited::new(body, LARGEST).collect().await {
        Ok(body) => Response::from_parts(parts, body.to_bytes()),
        Err(_) => {
            let too_long = ApiError::internal("the answer is longer than a simulated connection takes (cordon.dev/simulated)");
            respond::error(&too_long, accepted).map(|_| Bytes::from(too_long.to_status().to_string()))
        }
    }
}

fn prepare(server: &Server, request: Request<Bytes>, query: &Query) -> Result<Request<Body>, ApiError> {
    let (mut parts, body) = request.into_parts();
    let user = who(server, parts.headers.get(header::AUTHORIZATION))?;
    parts.headers.remove(header::AUTHORIZATION);
    let watches = query.flag("watch") || parts.uri.path().split('/').nth(3) == Some("watch");
    if watches || query.flag("follow") || parts.headers.contains_key(header::UPGRADE) {
        let why = "watches and sessions from inside a pod are not simulated by Cordon (cordon.dev/simulated)";
        return Err(ApiError::new(501, "NotImplemented", why));
    }
    parts.extensions.insert(user);
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// As the bearer token and anonymous authenticators decide: a token that does not hold is no token at all.
fn who(server: &Server, authorization: Option<&http::HeaderValue>) -> Result<UserInfo, ApiError> {
    let value = authorization.and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => token.split(' ').next().unwrap_or_default(),
        _ => return Ok(UserInfo::anonymous()),
    };
    if token.is_empty() {
        return Ok(UserInfo::anonymous());
    }
    server.authenticate(token).ok_or_else(|| ApiError::new(401, "Unauthorized", "Unauthorized"))
}
