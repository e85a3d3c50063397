//! One configured account of a connector, as the stages see it.

use std::collections::BTreeSet;
use std::sync::Arc;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::merge::Directions;

use crate::connector::{ConnectionName, Connector, Cx};
use crate::drift::Policies;
use crate::manifest::Ability;
use crate::quota::Lane;

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
    /// How much of a stream may go in an hour, or be missing from a complete scan, before the brake holds it back.
    pub missing: Budget,
    /// How much of a stream may change in an hour before the brake holds it back.
    pub changing: Budget,
    /// What is done when the form of its records changes.
    pub drift: Policies,
}

/// A budget of the brake: this many links, or this share of the open ones, whichever is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Links.
    pub links: u32,
    /// Percent of the stream's open links.
    pub percent: u32,
}

impl Budget {
    /// What may go. In a small system ten deletions in an hour, or between two scans, are an ordinary day; in a large one
    /// people delete one in a hundred at a spring clean. A lost permission, a filter or a half-read list loses far more
    /// than two.
    pub const MISSING: Self = Self { links: 10, percent: 2 };

    /// What may change. A bulk edit or somebody's leaving moves hundreds of records in an hour, in a large system
    /// thousands; where most of all records say something else at once, the source was migrated, mapped wrongly or
    /// broken.
    pub const CHANGING: Self = Self { links: 500, percent: 50 };

    /// Whether so many links of the open ones may go or change.
    pub fn allows(self, open: i64, links: i64) -> bool {
        let share = open.saturating_mul(i64::from(self.percent)) / 100;
        links <= i64::from(self.links).max(share)
    }
}

/// A budget as a deployment writes it: `{ links = 20, percent = 5 }`; what it does not say is as it ships.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnBudget {
    /// Links.
    links: Option<u32>,
    /// Percent of the stream's open links.
    percent: Option<u32>,
}

impl OwnBudget {
    /// The budget that holds.
    pub fn over(self, shipped: Budget) -> Budget {
        Budget { links: self.links.unwrap_or(shipped.links), percent: self.percent.unwrap_or(shipped.percent) }
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
            missing: Budget::MISSING,
            changing: Budget::CHANGING,
            drift: Policies::default(),
        }
    }

    /// The same, its calls in a lane.
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { cx: self.cx.in_lane(lane), ..self.clone() }
    }

    /// A lens by name.
    pub fn lens(&self, name: &str) -> Option<&Arc<Lens>> {
        self.lenses.iter().find(|lens| lens.name() == name)
    }

    /// The names of the lenses that read a stream.
    pub fn lenses_of(&self, stream: &str) -> Vec<&str> {
        self.lenses.iter().filter(|lens| lens.stream() == stream).map(|lens| lens.name()).collect()
    }

    /// What the manifest declares; a connection without a connector (files) can do nothing.
    pub fn can(&self, stream: &str, ability: Ability) -> bool {
        let stream = self.connector.as_ref().and_then(|it| it.manifest().streams.get(stream));
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
