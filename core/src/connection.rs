//! One configured account of a connector, as the stages see it.

use std::collections::BTreeSet;
use std::sync::Arc;

use huiliu_mappings::lens::Lens;

use crate::connector::{ConnectionName, Connector, Cx};

/// One account.
#[derive(Clone)]
pub struct Connection {
    /// Its name.
    pub name: ConnectionName,
    /// The connector's name.
    pub system: String,
    /// What speaks to the system; none for a source that only brings files.
    pub connector: Option<Arc<dyn Connector>>,
    /// What the connector may touch.
    pub cx: Cx,
    /// How its records read and write.
    pub lenses: Vec<Arc<Lens>>,
    /// Lower wins a tie of recency.
    pub rank: i32,
    /// Whether anything may be written there.
    pub writes: bool,
    /// Lenses through which records may be created there: opt-in.
    pub creates: BTreeSet<String>,
}

impl Connection {
    /// A lens by name.
    pub fn lens(&self, name: &str) -> Option<&Arc<Lens>> {
        self.lenses.iter().find(|lens| lens.name() == name)
    }
}

/// Whether a connection may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is read, mapped and matched; nothing is written.
    Observing,
    /// It is written too.
    Live,
    /// Nothing happens until an operator mends it.
    Paused,
}

impl State {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observing => "observing",
            Self::Live => "live",
            Self::Paused => "paused",
        }
    }

    /// Reads the word in the store; an unknown word writes nothing.
    pub fn parse(word: &str) -> Self {
        match word {
            "live" => Self::Live,
            "paused" => Self::Paused,
            _ => Self::Observing,
        }
    }
}
