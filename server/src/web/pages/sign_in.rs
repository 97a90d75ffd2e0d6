//! GET and POST /sign-in, POST /sign-out.

use crate::app::AppError;
use crate::web::{
    Site,
    error::WebError,
    extract::{Fields, Peer, Query},
    middleware::visitor::{Visitor, session_cookie},
    page::{Frame, page, page_with},
};
use askama::Template;
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use serde::Deserialize;

#[derive(Debug, Template)]
#[template(path = "pages/sign_in.html")]
pub struct SignInPage {
    pub frame: Frame,
    pub problem: Option<String>,
    pub login: String,
    pub next: String,
}

/// A path on this server to go to after signing in; anything else is the catalogue.
pub fn safe_next(next: &str) -> &str {
    let local = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']) && next.len() < 512;
    if local { next } else { "/" }
}

#[derive(Debug, Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

pub async fn form(visitor: Visitor, Query(Next { next }): Query<Next>) -> Result<Response, WebError> {
    page(&SignInPage { frame: visitor.frame("sign-in"), problem: None, login: String::new(), next: safe_next(&next).to_owned() })
}

/// A fresh session for whoever knows the password; a guest's work comes along.
pub async fn sign_in(State(site): State<Site>, visitor: Visitor, Peer(peer): Peer, fields: Fields) -> Result<Response, WebError> {
    let next = safe_next(fields.get("next")).to_owned();
    match site.app.sign_in(&peer, visitor.user.as_ref(), fields.get("login"), fields.get("password")).await {
        Ok(signed_in) => {
            // The session before, if there was one, ends here.
            if let Some(old) = &visitor.session {
                site.app.sign_out(old).await?;
            }
            let cookies = AppendHeaders([(header::SET_COOKIE, session_cookie(site.cookies, &signed_in, site.app.now()))]);
            Ok((cookies, Redirect::to(&next)).into_response())
        }
        Err(error @ (AppError::Invalid { .. } | AppError::TooMany { .. })) => {
            let problem = Some(sentence(&error.to_string()));
            let login = fields.get("login").chars().take(64).collect();
            let page = SignInPage { frame: visitor.frame("sign-in"), problem, login, next };
            match error {
                AppError::TooMany { seconds } => {
                    let mut answer = page_with(StatusCode::TOO_MANY_REQUESTS, &page)?;
                    answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                    Ok(answer)
                }
                _ => page_with(StatusCode::UNPROCESSABLE_ENTITY, &page),
            }
        }
        Err(error) => Err(error.into()),
    }
}

pub async fn sign_out(State(site): State<Site>, visitor: Visitor, _fields: Fields) -> Result<Response, WebError> {
    if let Some(session) = &visitor.session {
        site.app.sign_out(session).await?;
    }
    let cookies = AppendHeaders([(header::SET_COOKIE, site.cookies.forget(site.cookies.session_name()))]);
    Ok((cookies, Redirect::to("/")).into_response())
}

/// Words of the application as a sentence.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let mut sentence: String = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AWKWARD, frame, judge};
    use super::*;

    #[test]
    fn renders() {
        for problem in [None, Some(AWKWARD.to_owned())] {
            judge(&SignInPage { frame: frame(), problem, login: AWKWARD.to_owned(), next: AWKWARD.to_owned() }.render().unwrap());
        }
    }

    #[test]
    fn stays_on_this_server() {
        for (next, expected) in [
            ("/attempts/1", "/attempts/1"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil", "/"),
            ("", "/"),
            ("/a\r\nb", "/"),
        ] {
            assert_eq!(safe_next(next), expected);
        }
    }
}
