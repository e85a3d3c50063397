//! NATS JetStream before the inbox: calls are answered once a replicated stream has acknowledged them, and a reader takes
//! them from there into the inbox, in order.
//!
//! [`Log::open`] connects. [`writer`] is the way in: what waits goes into the stream as one message ([`group`]), as a group
//! commit goes into the store. [`reader`] takes messages from the position that stands in the store, and writes calls and
//! position in one transaction (`huiliu_core::pipeline::log`): so each event comes into the inbox once, whatever dies, and
//! whatever is read twice. [`stream`] says what the stream must be, [`synced`] whether its servers write to the disk before
//! they acknowledge, [`stand`] says once that nothing goes, and that it goes again.

mod connect;
mod group;
pub mod reader;
mod recent;
mod settings;
mod stand;
mod stream;
mod synced;
pub mod writer;

pub use connect::Log;
pub use settings::{Login, Settings, Sync, Tls};
