//! Archives of images for real clusters, made without Docker: an OCI image layout that `docker load` reads too.
//!
//! ```text
//! catalogue, program ──► layer with the program (one for all) ─┐
//!                        layer of each image's own files ──────┴─► configuration, manifest of each tag ──► index.json, blobs, one tar
//! ```
//!
//! The same input makes the same bytes: no clock, no compression, everything in order. `index.json` stands first, so that what an
//! archive holds is known without reading it whole.

mod layer;
mod read;
mod suitable;
mod write;

pub use read::{Contents, Named, contents, select};
pub use suitable::unsuitable;
pub use write::write;

#[cfg(test)]
mod tests;
