//! The one door to every cluster's Kubernetes API.
//!
//! ```text
//! TLS ──► path prefix /clusters/<id>/… ──► bearer token ──► may they? ──► rate limit ──► Cluster::serve ──► audit row
//! ```
//!
//! It knows tokens only by their hash, forwards no credentials, and writes no bodies to the audit trail. WebSocket upgrades
//! pass through. It never looks at SQL or at pages: who may enter is asked of an [`Admission`].

pub mod access;
pub mod audit;
pub mod door;
pub mod listener;
pub mod request;
pub mod rest;
pub mod tls;
pub mod token;
pub mod tools;

pub use access::{Access, Admission, Extension, Refusal};
pub use audit::{AuditRow, AuditSink};
pub use door::{Gateway, Limits};
pub use tls::Tls;
