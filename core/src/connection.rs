//! One configured account of a connector, as the stages see it.

use std::collections::BTreeSet;
use std::sync::Arc;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::merge::Directions;

use crate::connector::{ConnectionName, Connector, Cx};
use crate::drift::Policies;
use crate::manifest::Ability;

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
    /// Which way single fields travel, and which of them it owns.
    pub directions: Directions,
    /// Whether anything may be written there.
    pub writes: bool,
    /// Lenses through which records may be created there: opt-in.
    pub creates: BTreeSet<String>,
    /// How much of a stream a complete scan may miss before the brake holds it back.
    pub missing: Missing,
    /// What is done when the form of its records changes.
    pub drift: Policies,
}

/// The budget of the brake: this many links, or this share of the open ones, whichever is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// Links.
    #[serde(default = "missing_links")]
    pub links: u32,
    /// Percent of the stream's open links.
    #[serde(default = "missing_percent")]
    pub percent: u32,
}

/// In a small system ten deletions between two scans are an ordinary day.
pub const MISSING_LINKS: u32 = 10;

/// In a large one people delete one in a hundred at a spring clean; a lost permission, a filter or a half-read list
/// loses far more than two.
pub const MISSING_PERCENT: u32 = 2;

fn missing_links() -> u32 {
    MISSING_LINKS
}

fn missing_percent() -> u32 {
    MISSING_PERCENT
}

impl Default for Missing {
    fn default() -> Self {
        Self { links: MISSING_LINKS, percent: MISSING_PERCENT }
    }
}

impl Connection {
    /// A connection that may be written, about which nobody stated anything.
    pub fn bare(cx: Cx, system: &str, connector: Option<Arc<dyn Connector>>, lenses: Vec<Arc<Lens>>) -> Self {
        Self {
            name: cx.connection.clone(),
            system: system.to_owned(),
            connector,
            cx,
            lenses,
            rank: 0,
            directions: Directions::default(),
            writes: true,
            creates: BTreeSet::new(),
            missing: Missing::default(),
            drift: Policies::default(),
        }
    }

    /// A lens by name.
    pub fn lens(&self, name: &str) -> Option<&Arc<Lens>> {
        self.lenses.iter().find(|lens| lens.name() == name)
    }

    /// What the manifest declares; a connection without a connector (files) can do nothing.
    pub fn can(&self, stream: &str, ability: Ability) -> bool {
        let stream = self.connector.as_ref().and_then(|it| it.manifest().stream(stream));
        stream.is_some_and(|stream| stream.can(ability))
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
