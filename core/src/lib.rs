//! What happened, and what must happen next? Durability: the connector contract, the stages, the store.
//!
//! A record travels through the modules in this order. A [`connector`] speaks one system's language; [`manifest`]
//! describes it, [`catalog`] loads all manifests and mapping files and checks them together. A [`connection`] is one
//! configured account, and a [`link`] ties one of its records to a golden record. In [`pipeline`], `pull` and webhooks fill the inbox; `process` maps, matches and merges
//! what arrived and writes the change log; `plan` turns changes into deliveries; `push` carries them out. [`review`]
//! is the steward's queue, [`replay`] runs the inbox through today's rules, and [`story`] answers "why". [`store`]
//! holds the only SQL of the workspace, [`secrets`] the sealed values, [`clock`] the time, and
//! [`engine`] what all stages need.

pub mod catalog;
pub mod clock;
pub mod connection;
pub mod connector;
pub mod engine;
pub mod link;
pub mod manifest;
pub mod pipeline;
pub mod quota;
pub mod replay;
pub mod review;
pub mod secrets;
pub mod store;
pub mod story;
