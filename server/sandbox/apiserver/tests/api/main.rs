//! The API over its router and its in-process client.

mod access;
mod admission;
mod crud;
mod custom;
mod durability;
mod kit;
mod limits;
mod session;
mod token;
mod watch;
mod webhook;
