//! The network: names, HTTP in both directions.

pub mod client;
pub mod resolve;
pub mod server;
