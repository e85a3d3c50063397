//! The stream before the inbox, on real NATS servers: each event comes into the inbox once and in order, whatever dies; what
//! cannot be kept is refused; and what is missing is told.

mod cluster;
mod kit;
mod mistakes;
mod once;
mod synced;
mod troubles;
