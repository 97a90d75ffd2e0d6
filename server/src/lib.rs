//! The web application and the `cordon` binary.
//!
//! ```text
//! browser ──► web ──► app (use-cases) ──► provision ──► a cluster of the learner's own
//!                      │   │                               ▲
//!                      │   └── store                       │
//! kubectl ──► gateway ─┴───────────────────────────────────┘
//! ```
//!
//! `app` knows nothing of HTTP; `web` and `gateway` know nothing of SQL. The system's clock, randomness and environment are
//! touched in `cli`, `config` and `state` only.

pub mod app;
pub mod cli;
pub mod config;
pub mod gateway;
pub mod state;
pub mod telemetry;
pub mod web;
