//! One subresource, one file.

pub mod binding;
pub mod status;
pub mod token;
