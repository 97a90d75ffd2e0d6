//! The embedded Kubernetes: facade of machinery, apiserver and sim.
//!
//! ```text
//! Sandbox ──► Cluster ──┬── apiserver::Server   (the API, durable)
//!                       ├── sim::Sim            (the behaviour)
//!                       └── driver              (steps the sim when something changed or a time has come)
//! ```
//!
//! The only room here that knows tokio timers and the system's clock is the driver; everything below it is stepped.

mod cluster;
mod disk;
mod driver;
mod files;
mod gone;
mod options;
mod probe;
mod sandbox;
mod template;

pub use apiserver::{Body, Client, Router, Server, UserInfo, refusal};
pub use cluster::Cluster;
pub use files::is_snapshot_name;
pub use machinery::ApiError;
pub use options::{Options, SandboxError, Time};
pub use probe::{Probe, ProbeOutcome};
pub use sandbox::{Listed, Sandbox};
pub use sim::{
    ImageCatalogue,
    bootstrap::{ClusterSpec, NodeSpec},
};
