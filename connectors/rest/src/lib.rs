//! The engine that runs every system that is only a manifest (`driver = "rest"`), over REST and GraphQL.
//!
//! A verb of the contract becomes a call: [`template`] fills the manifest's placeholders in, [`wire`] authenticates and
//! sends, [`http`] carries it within bounds and to allowed addresses only, [`failure`] sorts what came back. [`batch`]
//! sends many writes in one call. [`listed`] leaves the records of a page text, [`paging`]
//! and [`cursor`] keep the place of a pull; [`version`] reads and writes stamps. [`http`] also serves connectors that
//! are crates of their own.

pub mod check;
pub mod connector;

pub mod batch;
pub mod listed;
pub mod pull;
pub mod push;
pub mod receive;
pub mod record;

pub mod cursor;
pub mod paging;
pub mod version;

pub mod failure;
pub mod login;
pub mod oauth;
pub mod sign;
pub mod throttle;
pub mod wire;

pub mod address;
pub mod http;
pub mod pointer;
pub mod template;
pub mod xml;
