//! Who asks: the session's user, or a visitor of whom only a cookie is known. Also the place where an error becomes a page.

use super::security::Nonce;
use crate::{
    app::{Role, SignedIn, User},
    state::edge,
    web::{
        Site,
        cookies::{self, Cookies},
        csrf, error,
        error::WebError,
        page::{Frame, FrameUser, Notice},
        update,
    },
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// Lives in the request's extensions.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub user: Option<User>,
    /// The session's token, where there is one.
    pub session: Option<String>,
    /// What form tokens are bound to.
    pub secret: String,
    pub csrf: String,
    nonce: String,
    notice: Option<Notice>,
    may_register: bool,
    guests: bool,
}

impl Visitor {
    pub fn frame(&self, here: &'static str) -> Frame {
        Frame {
            nonce: self.nonce.clone(),
            csrf: self.csrf.clone(),
            user: self.user.as_ref().map(|user| FrameUser {
                name: user.display_name.clone(),
                guest: user.is_guest(),
                admin: user.role == Role::Admin,
            }),
            here,
            notice: self.notice.clone(),
            may_register: self.may_register,
            guest_will_start: self.user.is_none() && self.guests,
        }
    }
}

/// The cookie of somebody who is signed in from now on: a fresh token, so that one planted before is worth nothing.
pub fn session_cookie(cookies: Cookies, signed_in: &SignedIn, now: jiff::Timestamp) -> String {
    cookies.set(cookies.session_name(), signed_in.session.reveal(), (signed_in.expires_at.as_second() - now.as_second()).max(0))
}

pub async fn visitor(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    if let Some(refusal) = wrong_host(&site, &headers) {
        return refusal;
    }
    let all: String = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join("; ");
    let token = cookies::read(&all, site.cookies.session_name()).filter(|token| token.len() < 200);
    let (user, mut failed) = match token {
        Some(token) => match site.app.session(token).await {
            Ok(user) => (user, None),
            Err(error) => (None, Some(WebError::from(error))),
        },
        None => (None, None),
    };
    let session = token.filter(|_| user.is_some()).map(str::to_owned);
    let visit = cookies::read(&all, site.cookies.visit_name()).filter(|value| value.len() == 32).map(str::to_owned);
    let fresh = (session.is_none() && visit.is_none()).then(|| edge::id(&*site.app.random));
    let secret = session.clone().or(visit).or(fresh.clone()).unwrap_or_default();
    let notice = update::take_notice(&all);
    let had_notice = notice.is_some();
    let visitor = Visitor {
        user,
        session,
        csrf: site.app.csrf(&secret),
        secret,
        nonce: request.extensions().get::<Nonce>().map(|nonce| nonce.0.clone()).unwrap_or_default(),
        notice,
        may_register: site.app.settings().registration,
        guests: site.app.settings().guests,
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) && !csrf::same_site(&headers, &site.authority) {
        failed = Some(WebError::Forbidden("this came from another site".into()));
    }
    let path = request.uri().path().to_owned();
    request.extensions_mut().insert(visitor.clone());
    let mut answer = match failed {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    };
    if let Some(problem) = answer.extensions_mut().remove::<Arc<WebError>>() {
        // What a person tells the operator, and what the operator looks for in the log.
        let mut request_id = None;
        if let WebError::Internal(cause) = &*problem {
            let id = edge::id(&*site.app.random);
            tracing::error!(path, request.id = id, "{}", crate::app::error::chain(&**cause));
            request_id = Some(id);
        }
        let kept = answer.headers().get(header::RETRY_AFTER).cloned();
        answer = error::render(&problem, visitor.frame(""), &headers, request_id);
        if let Some(kept) = kept {
            answer.headers_mut().insert(header::RETRY_AFTER, kept);
        }
    }
    let mut add = |cookie: String| {
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            answer.headers_mut().append(header::SET_COOKIE, value);
        }
    };
    if let Some(fresh) = fresh {
        add(site.cookies.set(site.cookies.visit_name(), &fresh, 86_400));
    }
    let is_page =
        |answer: &Response| answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if had_notice && is_page(&answer) {
        answer.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(update::FORGET_NOTICE));
    }
    answer
}

/// A name that is neither ours nor an address nor this machine was pointed here by somebody else (DNS rebinding).
fn wrong_host(site: &Site, headers: &HeaderMap) -> Option<Response> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok())?;
    if csrf::host_is_ours(host, &site.authority) {
        return None;
    }
    let text = format!("This server answers as {}. Its name is set by public_url in the configuration.\n", site.app.settings().public_url);
    Some((StatusCode::MISDIRECTED_REQUEST, text).into_response())
}
