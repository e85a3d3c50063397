//! What differs between an address book and a calendar.

use serde_json::Value;

use crate::{card, card_edit, event, event_edit};

/// The two kinds of collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// vCards in an address book (RFC 6352).
    Cards,
    /// Events in a calendar (RFC 4791).
    Events,
}

/// What a reading needs to know beside the text.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Zone of times that carry none.
    pub zone: Option<jiff::tz::TimeZone>,
    /// Our own addresses, in lower case: they are nobody's customer.
    pub own: Vec<String>,
}

/// Why a text was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// JSON pointer of the value that cannot be written.
    pub at: String,
    /// Why.
    pub reason: String,
}

impl Unfit {
    /// A value that cannot be written.
    pub fn new(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { at: at.into(), reason: reason.into() }
    }
}

impl Kind {
    /// The namespace of its words.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Cards => "urn:ietf:params:xml:ns:carddav",
            Self::Events => "urn:ietf:params:xml:ns:caldav",
        }
    }

    /// The element among a collection's resource types.
    pub fn resource_type(self) -> &'static str {
        match self {
            Self::Cards => "addressbook",
            Self::Events => "calendar",
        }
    }

    /// The property of a principal that leads to its collections.
    pub fn home_set(self) -> &'static str {
        match self {
            Self::Cards => "addressbook-home-set",
            Self::Events => "calendar-home-set",
        }
    }

    /// The report that reads many members at once.
    pub fn multiget(self) -> &'static str {
        match self {
            Self::Cards => "addressbook-multiget",
            Self::Events => "calendar-multiget",
        }
    }

    /// The property that holds a member's text.
    pub fn data(self) -> &'static str {
        match self {
            Self::Cards => "address-data",
            Self::Events => "calendar-data",
        }
    }

    /// Where a host that only has a name is asked first (RFC 6764 section 5).
    pub fn well_known(self) -> &'static str {
        match self {
            Self::Cards => "/.well-known/carddav",
            Self::Events => "/.well-known/caldav",
        }
    }

    /// The content type of a member.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Cards => "text/vcard; charset=utf-8",
            Self::Events => "text/calendar; charset=utf-8",
        }
    }

    /// What a text says, as JSON. None: it is of a sort that the stream does not hold (a task in a calendar).
    pub fn read(self, text: &str, reading: &Reading) -> Option<Value> {
        match self {
            Self::Cards => Some(card::read(text)),
            Self::Events => event::read(text, reading),
        }
    }

    /// The text with the named values changed and everything else as it was.
    ///
    /// # Errors
    /// [`Unfit`] for a value that has no place in the text.
    pub fn edit(self, text: &str, body: &Value) -> Result<String, Unfit> {
        match self {
            Self::Cards => card_edit::edit(text, body),
            Self::Events => event_edit::edit(text, body),
        }
    }

    /// Notes when the text was changed, where it says so already: in UTC, in the form of RFC 5545 `20260102T030405Z`.
    pub fn stamp(self, text: &str, now: jiff::Timestamp) -> String {
        match self {
            Self::Cards => card_edit::stamp(text, now),
            Self::Events => event_edit::stamp(text, now),
        }
    }
}
