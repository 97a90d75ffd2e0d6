//! The Kubernetes API of one embedded cluster, over the pure semantics of `machinery`.
//!
//! ```text
//! HTTP ──router──► authorize (RBAC) ──► decode ──► admission ──► registry ──► journal (acknowledged means stored)
//!                                                                   │
//!            simulator ◄──Client (in process, synchronous)──────────┴──► watchers
//! ```
//!
//! It never simulates: who runs pods is handed in as [`NodeRuntime`]. Requests arrive authenticated, with a [`UserInfo`] in
//! their extensions; TLS, tokens of learners and audit belong to the gateway. Only pods, which come from inside
//! ([`Server::answer_inside`]), are asked for their token here.

mod admission;
pub mod bootstrap;
mod call;
pub mod client;
mod convert;
mod crd;
mod effects;
mod http;
pub mod node;
mod rbac;
mod reviews;
pub mod server;
mod service_address;
mod store;
mod subresources;
mod token;
pub mod user;
mod verbs;

pub use axum::{Router, body::Body};
pub use client::{Change, ChangeKind, Changes, Client};
pub use http::refusal;
pub use node::{ExecStreams, NodeRuntime};
pub use server::{Limits, Options, Server, Snapshot};
pub use store::Stored;
pub use user::UserInfo;
