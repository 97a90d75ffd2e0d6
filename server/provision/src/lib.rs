//! Engines behind one contract.
//!
//! ```text
//! app ──► Provisioner ──► Cluster ──► its Kubernetes API, snapshots, probes
//!            │
//!            ├── sandbox   the embedded Kubernetes
//!            ├── kind      real kind clusters through the Docker API
//!            └── host      virtual clusters on an existing Kubernetes
//! ```
//!
//! A lab, its checkers, the terminal and the score know only these traits. What an engine cannot do stands in its
//! [`Capabilities`]. This crate knows nothing of accounts, attempts or HTTP pages.

pub mod contract;
pub mod gpu;
pub mod host;
pub mod kind;
pub mod sandbox;

pub use contract::*;
pub use sandbox::SandboxProvisioner;
