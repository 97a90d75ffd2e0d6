//! What stands around every page: headers, visitors.

pub mod security;
pub mod visitor;
