//! The small honest shell inside a pod: one command, one file.
//!
//! ```text
//! kubectl exec ──► Process (credentials, environment, streams) ──► commands::run ──► sh, ls, wget, … or a component
//!                      │
//!                      └── Machine: files, processes, sockets, time — what this container sees
//! ```
//!
//! It speaks POSIX's shell language and words its answers as busybox 1.37 does. It never reads the host: files are trees in memory,
//! connections are judged by [`crate::network`], time is the simulator's. Steps, output and memory are bounded.

mod arithmetic;
mod builtins;
pub mod commands;
mod expand;
pub mod filesystem;
mod glob;
mod interpreter;
mod lexer;
pub mod machine;
mod parser;
pub mod process;
mod procfs;
pub mod streams;
mod syntax;
pub mod terminal;

pub use interpreter::Shell;
pub use machine::Machine;
pub use process::Process;

#[cfg(test)]
mod tests;
