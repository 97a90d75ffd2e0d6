//! The pages: server-rendered, with little script, under a strict policy.
//!
//! ```text
//! request ──► middleware (headers, nonce, visitor) ──► pages/<page>.rs ──► app ──► template ──► page, update or JSON
//! ```
//!
//! Knows HTTP and nothing of SQL or engines. Every change comes as a POST with a token bound to the visitor's cookie.

pub mod assets;
pub mod cluster_view;
pub mod cookies;
pub mod csrf;
pub mod error;
pub mod markdown;
pub mod middleware;
pub mod page;
pub mod pages;
pub mod update;
