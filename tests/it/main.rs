//! The whole hub, one test binary: one build links everything once.

mod invariants;
mod process;
mod sync;
mod wecom;
