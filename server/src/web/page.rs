//! What every page carries, and how a template becomes an answer.

use super::{assets, error::WebError};
use askama::Template;
use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// The frame around a page.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// This answer's nonce for scripts and styles.
    pub nonce: String,
    /// This visitor's token for forms.
    pub csrf: String,
    pub user: Option<FrameUser>,
    /// Which entry of the navigation this page is.
    pub here: &'static str,
    pub notice: Option<Notice>,
    pub may_register: bool,
    /// Nobody is signed in, and starting a lab makes a guest.
    pub guest_will_start: bool,
}

#[derive(Debug, Clone, Default)]
pub struct FrameUser {
    pub name: String,
    pub guest: bool,
    pub admin: bool,
}

/// A sentence on top of a page; `tone` is `good`, `warn`, `bad` or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub tone: &'static str,
    pub text: String,
}

impl Frame {
    /// For templates: the address of a bundled file.
    pub fn asset(&self, name: &str) -> String {
        assets::href(name)
    }
}

/// A file to keep. As much a visitor's own as a page.
pub fn download(name: &'static str, kind: &'static str, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, text).into_response()
}

/// A rendered page. It carries a visitor's own data: nothing may keep it.
pub fn page(template: &impl Template) -> Result<Response, WebError> {
    page_with(StatusCode::OK, template)
}

pub fn page_with(status: StatusCode, template: &impl Template) -> Result<Response, WebError> {
    let html = template.render()?;
    Ok((status, [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], html).into_response())
}
