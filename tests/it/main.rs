//! The whole hub, one test binary: one build links everything once.

mod garbage;
mod invariants;
mod process;
mod sync;
mod wecom;
