//! The connector against the vendor's SDK and against the twin.

mod headers;
mod kit;
mod mapping;
mod pull;
mod push;
mod sdk;
