//! The engine from outside: one file per topic.

mod constraints;
mod kit;
mod mutation;
mod native;
mod rego;
mod suites;
