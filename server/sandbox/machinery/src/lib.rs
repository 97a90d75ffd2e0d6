//! Pure Kubernetes semantics.
//!
//! ```text
//! bytes ──strict──► Value ──defaults──► ──patch/apply──► ──validation──► stored by `apiserver`
//!                                                             │
//!                    Table ◄──table── Value ◄──selector────────┘
//! ```
//!
//! Everything here is a function of its arguments: no I/O, no async, no clock, no randomness of its own. An object is a
//! `serde_json::Value`; what is served is described by [`resource::Resource`]. This crate must never know HTTP, storage
//! or the simulator.

pub mod apply;
pub mod cel;
pub mod clock;
pub mod defaults;
pub mod discovery;
pub mod dump;
pub mod field;
pub mod gvr;
pub mod object;
pub mod openapi;
pub mod ordered;
pub mod patch;
pub mod policy;
pub mod quantity;
pub mod resource;
pub mod scheme;
pub mod selector;
pub mod status;
pub mod strategy;
pub mod strict;
pub mod table;
pub mod types;
pub mod validation;

pub use clock::Clock;
pub use field::{FieldError, FieldErrorKind};
pub use gvr::Gvr;
pub use resource::Resource;
pub use scheme::Scheme;
pub use status::ApiError;
