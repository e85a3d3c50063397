//! The whole hub, one test binary: one build links everything once.

mod absence;
mod batches;
mod email;
mod explain;
mod flow;
mod garbage;
mod invariants;
mod process;
mod readme;
mod shopify;
mod sync;
mod webhook;
mod wecom;
