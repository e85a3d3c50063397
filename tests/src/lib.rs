//! The kit of the tests: stores of both kinds, and small deployments to run the pipeline on.

pub mod kit;
pub mod memory;
pub mod postgres;
