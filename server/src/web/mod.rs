//! The pages: server-rendered, with little script, under a strict policy.
//!
//! ```text
//! request ──► middleware (headers, nonce, visitor) ──► pages/<page>.rs ──► app ──► template ──► page, update or JSON
//! ```
//!
//! Knows HTTP and nothing of SQL or engines. Every change comes as a POST with a token bound to the visitor's cookie.

pub mod api;
pub mod assets;
pub mod cluster_view;
pub mod content;
pub mod cookies;
pub mod csrf;
pub mod error;
pub mod extract;
pub mod live;
pub mod markdown;
pub mod middleware;
pub mod page;
pub mod pages;
pub mod routes;
pub mod terminal;
pub mod update;

#[cfg(test)]
mod tests;

pub use content::{Content, LabContent, LabText, NoContent, Solution};
pub use routes::router;

use crate::app::App;
use cookies::Cookies;
use std::sync::Arc;

/// What every handler holds. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Site {
    pub app: Arc<App>,
    pub content: Arc<dyn Content>,
    pub cookies: Cookies,
    /// Host and port of `public_url`.
    pub authority: Arc<str>,
}

impl Site {
    /// `https`: browsers reach the pages by HTTPS, here or at a proxy, so cookies are `Secure`.
    pub fn new(app: Arc<App>, content: Arc<dyn Content>, https: bool) -> Self {
        let public_url = app.settings().public_url.clone();
        let rest = public_url.split_once("://").map_or(public_url.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or("").to_owned();
        Self { cookies: Cookies { secure: https }, app, content, authority: authority.into() }
    }
}
