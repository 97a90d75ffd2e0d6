//! The API over its router and its in-process client.

mod access;
mod admission;
mod crud;
mod custom;
mod kit;
mod session;
mod token;
mod watch;
