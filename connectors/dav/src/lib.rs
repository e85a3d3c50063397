//! Address books and calendars over WebDAV: the engine of the folders `connectors/carddav` and `connectors/caldav`, as
//! `rest` is the engine of every system that is only a manifest.
//!
//! [`kind`] says what differs between the two. [`client`] speaks HTTP with bounds, and [`xml`] reads what it brings.
//! [`discover`] finds the collections, [`pull`] walks their changes by sync token, [`push`] writes conditionally.
//! [`line`] cuts vCard and iCalendar into content lines without losing a byte; [`card`] and [`event`] say what they mean
//! in JSON, [`card_edit`] and [`event_edit`] change named properties only. [`connector`] puts it behind the contract.

pub mod connector;
pub mod kind;

pub mod client;
pub mod discover;
pub mod pull;
pub mod push;
pub mod xml;

pub mod card;
pub mod card_edit;
pub mod event;
pub mod event_edit;
pub mod line;
pub mod zone;
