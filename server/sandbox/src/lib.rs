//! The embedded Kubernetes: facade of machinery, apiserver and sim.
//!
//! ```text
//! Sandbox ──► Cluster ──┬── apiserver::Server   (the API, durable)
//!                       ├── sim::Sim            (the behaviour)
//!                       └── driver              (steps the sim when something changed or a time has come)
//! ```
//!
//! The only room here that knows tokio timers and the system's clock is the driver; everything below it is stepped.

pub use apiserver::{Body, Router, UserInfo};
