//! The stages of the pipeline, one file each, in flow order.

pub mod process;
