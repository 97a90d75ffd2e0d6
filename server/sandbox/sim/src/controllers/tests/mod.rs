//! Controllers and scheduler together, stepped by hand against a real API server.

mod batch;
mod collection;
mod rollouts;
mod scheduling;
mod services;
mod sets;
