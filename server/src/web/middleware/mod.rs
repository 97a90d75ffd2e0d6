//! What stands around every page: headers, visitors, limits.

pub mod security;
