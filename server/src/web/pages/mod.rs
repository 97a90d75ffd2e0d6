//! One page, one file: what it shows, its handler, its template rendered with sample data in a test.

pub mod account;
pub mod catalogue;
pub mod intro;
pub mod lab;
pub mod register;
pub mod result;
pub mod sign_in;
pub mod startup;
pub mod task;
pub mod users;

#[cfg(test)]
pub(crate) mod sample;
