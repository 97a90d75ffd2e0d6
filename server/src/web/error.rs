//! One error value; it answers as a page, as an update for the script, or as JSON, by what the request accepts.

use super::{page::Frame, update};
use crate::app::AppError;
use askama::Template;
use axum::{
    Json,
    extract::rejection::{PathRejection, QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::borrow::Cow;

#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("there is no such page")]
    NotFound,
    /// A part of a page that is there: a file, a task.
    #[error("there is no such {0}")]
    NoSuch(&'static str),
    /// Must sign in first; carries where to go after.
    #[error("sign in first")]
    SignIn(String),
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    /// The visitor can mend it; the words say how.
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    Conflict(String),
    #[error("too many tries; wait {0} seconds")]
    TooMany(u64),
    /// More bytes than this.
    #[error("this is larger than {} KiB", .0 >> 10)]
    TooLarge(usize),
    #[error("this took too long to arrive")]
    TooSlow,
    #[error("{0}")]
    Unavailable(String),
    /// Ours. The cause goes to the log, not to the page.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl WebError {
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::NoSuch(_) => StatusCode::NOT_FOUND,
            Self::SignIn(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::NotFound => "There is no such page",
            Self::NoSuch(_) => "It is not there",
            Self::SignIn(_) => "Sign in first",
            Self::Forbidden(_) => "Not allowed",
            Self::BadRequest(_) => "That did not work",
            Self::Conflict(_) => "That is not possible now",
            Self::TooMany(_) => "Too many tries",
            Self::TooLarge(_) => "Too large",
            Self::TooSlow => "Too slow",
            Self::Unavailable(_) => "Not available now",
            Self::Internal(_) => "Something went wrong here",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::NotFound => "The address may be old, or mistyped. Your attempts are on your account page.".to_owned(),
            Self::Internal(_) => "It is our fault, and it is in the server's log. Your work is kept; try again.".to_owned(),
            error => {
                let mut text = error.to_string();
                if let Some(first) = text.get(..1) {
                    text = first.to_uppercase() + &text[1..];
                }
                if !text.ends_with(['.', '!', '?']) {
                    text.push('.');
                }
                text
            }
        }
    }
}

impl From<AppError> for WebError {
    fn from(error: AppError) -> Self {
        match error {
            AppError::NotFound(part @ ("file" | "task" | "hint" | "snapshot" | "resource")) => Self::NoSuch(part),
            AppError::NotFound(_) => Self::NotFound,
            AppError::Forbidden(words) => Self::Forbidden(words.into()),
            AppError::Invalid { message, .. } => Self::BadRequest(message),
            AppError::Conflict(words) => Self::Conflict(words),
            AppError::TooMany { seconds } => Self::TooMany(seconds),
            AppError::Unavailable(words) => Self::Unavailable(words),
            error @ AppError::Internal { .. } => Self::internal(error),
        }
    }
}

/// An address with a part that cannot be read leads nowhere.
impl From<PathRejection> for WebError {
    fn from(_: PathRejection) -> Self {
        Self::NotFound
    }
}

impl From<QueryRejection> for WebError {
    fn from(error: QueryRejection) -> Self {
        Self::BadRequest(format!("what follows the ? in this address cannot be read: {}", error.body_text()))
    }
}

impl From<askama::Error> for WebError {
    fn from(error: askama::Error) -> Self {
        Self::internal(error)
    }
}

/// Rendered by the outermost layer, which knows the visitor and what they accept.
impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        let mut answer = self.status().into_response();
        if let Self::TooMany(seconds) = &self {
            answer.headers_mut().insert(header::RETRY_AFTER, (*seconds).into());
        }
        answer.extensions_mut().insert(std::sync::Arc::new(self));
        answer
    }
}

#[derive(Debug, Template)]
#[template(path = "pages/error.html")]
pub struct ErrorPage {
    pub frame: Frame,
    pub status: u16,
    pub title: &'static str,
    pub text: String,
    pub request_id: Option<String>,
}

/// The error as the visitor asked for it.
pub fn render(error: &WebError, frame: Frame, accept: &HeaderMap, request_id: Option<String>) -> Response {
    let accepts = |kind: &str| accept.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(kind));
    if update::wants_update(accept) {
        let update = match error {
            WebError::SignIn(next) => update::Update::go(format!("/sign-in?next={}", percent(next))),
            error => update::Update::default().say("bad", error.text()),
        };
        return (error.status(), [(header::CONTENT_TYPE, update::MEDIA_TYPE)], Json(update).into_response().into_body()).into_response();
    }
    if let WebError::SignIn(next) = error
        && accepts("text/html")
    {
        return axum::response::Redirect::to(&format!("/sign-in?next={}", percent(next))).into_response();
    }
    if accepts("application/json") && !accepts("text/html") {
        return (error.status(), Json(serde_json::json!({"error": error.text()}))).into_response();
    }
    let page = ErrorPage { frame, status: error.status().as_u16(), title: error.title(), text: error.text(), request_id };
    match page.render() {
        Ok(html) => (error.status(), [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], html)
            .into_response(),
        Err(_) => (error.status(), error.text()).into_response(),
    }
}

fn percent(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
