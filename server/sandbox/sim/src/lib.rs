//! The cluster behaves: controllers, scheduler, kubelet, GPUs, network, images.
//!
//! ```text
//! changes ──► Sim::step(now) ──► each Controller in turn, until nothing more happens ──► when to step again
//!                 │
//!                 └── kubelet ── network ── shell (exec) ── components (what a well-known image does)
//! ```
//!
//! It is stepped by hand and never sleeps: whoever drives it (the `sandbox` crate, or a test) says what time it is. It reads and
//! writes the cluster only through `apiserver::Client`. It enforces with the same engine crates that the checkers judge with.

pub mod bootstrap;
pub mod components;
pub mod controllers;
pub mod events;
pub mod kubelet;
pub mod network;
pub mod scheduler;
pub mod shell;
pub mod step;
#[cfg(test)]
mod testing;

pub use images::{ImageCatalogue, catalogue};
pub use step::{Context, Controller, Sim};
