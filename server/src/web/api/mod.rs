//! What scripts of the pages ask for as data: files, schemas.

pub mod files;
pub mod openapi;
