//! The stages of the pipeline, one file each, in flow order.

pub mod intake;
pub mod plan;
pub mod process;
pub mod pull;
pub mod push;
