//! The whole hub, one test binary: one build links everything once.

mod explain;
mod garbage;
mod invariants;
mod process;
mod sync;
mod wecom;
