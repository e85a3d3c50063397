//! What happened, and what must happen next? Durability: the connector contract, the stages, the store.
//!
//! A record travels through the modules in this order. A [`connector`] speaks one system's language; [`manifest`]
//! describes it, [`catalog`] loads all manifests and mapping files and checks them together. A [`connection`] is one
//! configured account, and a [`link`] ties one of its records to a golden record. In [`pipeline`], `pull` and `intake`
//! fill the inbox; `process` maps, matches and merges what arrived and writes the change log; `plan` turns changes
//! into deliveries; `automate` does what rules want of them; `push` carries deliveries out; `reconcile` compares all the time what systems show with what is held; `index`
//! makes customers findable by name. [`store`] holds the only SQL of the workspace, [`secrets`] the secret values, [`seal`]
//! keeps them at rest, [`quota`] spaces the calls, [`clock`] is the time and [`offset`] how far a system's is from it,
//! [`engine`] is what all stages need, a [`node`] one of several processes that share a store, [`explain`] answers who and why, [`conflict`] what two systems said differently,
//! [`drift`] what a system changed in the form of its records, [`automation`] what rules did and would have done,
//! [`rehearsal`] says what records would lead to, [`retry`] runs what a
//! person has mended, [`retention`] lets go of what is old, [`replay`] reads what is kept through today's rules, and a [`proposal`] is a replay that is planned
//! first and can be undone. At the points of
//! [`crash`] a test ends the process.

pub mod automation;
pub mod catalog;
pub mod clock;
pub mod conflict;
pub mod connection;
pub mod connector;
pub mod crash;
pub mod drift;
pub mod engine;
pub mod explain;
pub mod link;
pub mod manifest;
pub mod node;
pub mod offset;
pub mod pipeline;
pub mod proposal;
pub mod quota;
pub mod rehearsal;
pub mod replay;
pub mod retention;
pub mod retry;
pub mod review;
pub mod seal;
pub mod secrets;
pub mod store;
