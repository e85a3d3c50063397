//! The connector against the vendor's SDK and against the twin.

mod headers;
mod kit;
mod pull;
mod push;
mod sdk;
