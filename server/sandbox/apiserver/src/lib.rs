//! The Kubernetes API of one embedded cluster, over the pure semantics of `machinery`.
//!
//! ```text
//! HTTP ──router──► authorize (RBAC) ──► decode ──► admission ──► registry ──► journal (acknowledged means stored)
//!                                                                   │
//!            simulator ◄──Client (in process, synchronous)──────────┴──► watchers
//! ```
//!
//! It never simulates: who runs pods is handed in as [`NodeRuntime`]. Requests arrive authenticated, with a [`UserInfo`] in
//! their extensions; TLS, tokens of learners and audit belong to the gateway.

pub mod bootstrap;
pub mod client;
pub mod node;
pub mod server;
pub mod user;

pub use axum::{Router, body::Body};
pub use client::{Change, ChangeKind, Changes, Client};
pub use node::{ExecStreams, NodeRuntime};
pub use server::{Options, Server, Snapshot};
pub use user::UserInfo;
