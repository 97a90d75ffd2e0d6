//! What the running server holds, and the only place where it touches the system's clock and randomness.

pub mod edge;
pub mod files;
pub mod programs;
pub mod server;

pub use self::server::Server;
pub use edge::{Random, SystemClock, SystemRandom};
