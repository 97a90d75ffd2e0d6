//! One subresource, one file.

pub mod binding;
pub mod container;
pub mod eviction;
pub mod scale;
pub mod status;
pub mod token;
