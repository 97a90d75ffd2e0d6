//! What the labs' images are.
//!
//! ```text
//! content/images/*.yaml ──► catalogue ──┬──► sim        the embedded cluster runs them as simulated processes
//!                                       └──► archive ──► containers of a real cluster, where the program of `program/` runs
//!                           behaviour   what both answer, log and refuse: one truth for two clusters
//! ```
//!
//! It must never do I/O, read a clock, or call what is simulated real: every image carries `cordon.dev/simulated`.

pub mod archive;
pub mod behaviour;
pub mod catalogue;
pub mod description;
pub mod gpu;

pub use catalogue::ImageCatalogue;

/// The label of everything that is simulated: nodes, images, answers.
pub const SIMULATED: &str = "cordon.dev/simulated";
