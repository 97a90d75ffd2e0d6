//! The API over its router and its in-process client.

mod crud;
mod kit;
mod watch;
