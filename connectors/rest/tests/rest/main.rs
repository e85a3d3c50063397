//! The engine against a server that each test scripts.

mod auth;
mod deletes;
mod doubt;
mod empty;
mod failures;
mod garbage;
mod graphql;
mod incremental;
mod kit;
mod login;
mod network;
mod numbers;
mod oauth;
mod paging;
mod push;
mod webhooks;
