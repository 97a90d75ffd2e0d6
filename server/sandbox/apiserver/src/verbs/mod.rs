//! One verb, one file. Each takes a [`crate::call::Call`] and objects as values; HTTP and the in-process client share them.

pub mod create;
pub mod delete;
pub mod delete_collection;
pub mod get;
pub mod list;
pub mod patch;
pub mod update;
pub mod watch;
