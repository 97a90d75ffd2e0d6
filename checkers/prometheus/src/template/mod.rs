//! Templates of labels and annotations: Go's `text/template` as far as Prometheus' documentation shows it, with its functions.
//!
//! ```text
//! text ──parse──► Nodes ──expand──► text
//!                            ▲
//!              labels, value, external labels and URL, and `query` over the same series as the rule
//! ```
//!
//! Steps and output are bounded, so that no template runs for ever.

mod expand;
mod format;
mod functions;
mod parse;
mod value;

pub use expand::{Data, VARIABLES, expand};
pub use parse::check;
pub use value::Val;
