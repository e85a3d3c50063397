//! Who is who: evidence in, a decision out. Pure.
//!
//! Only what a system itself said is evidence; the caller never passes a value that the hub wrote.

use serde::{Deserialize, Serialize};

use crate::value::{Fields, Identity};

/// What one record (or one link of a golden record) says about who it is.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Canonical fields that the system itself said.
    pub fields: Fields,
    /// Identities that the system itself said.
    pub identities: Vec<Identity>,
}

/// A golden record worth comparing, with the evidence of each of its links.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The golden record's id.
    pub golden: i64,
    /// One piece of evidence per link.
    pub evidence: Vec<Evidence>,
}

/// Where an arriving record belongs.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It is this customer. More than one id means that the record proves several golden records to be one: the
    /// lowest id survives and absorbs the others.
    Link {
        /// Golden ids, ascending, at least one.
        golden: Vec<i64>,
        /// Why.
        why: Explanation,
    },
    /// Perhaps one of these; a steward decides. Best first, at most [`REVIEW_CANDIDATES_MAX`].
    Review {
        /// Golden ids with the explanation of each.
        candidates: Vec<(i64, Explanation)>,
    },
    /// Nobody known.
    Create,
}

/// A steward can compare this many customers at a glance; more means the blocking is too wide, not that he should read on.
pub const REVIEW_CANDIDATES_MAX: usize = 5;

/// The comparisons behind a decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Sum of the weights.
    pub score: f64,
    /// Each comparison with the level it reached and the weight of that level.
    pub comparisons: Vec<Comparison>,
}

/// One comparison of one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The comparison's name in `rules/match.toml`, or `identity:KIND`.
    pub name: String,
    /// The level reached.
    pub level: String,
    /// The weight of that level.
    pub weight: f64,
}
