//! The golden record: a pure function of what all links said, the pins and the rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::value::{FieldName, Fields};

/// A value as a system asserted it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Canonical value; null is "cleared".
    pub value: Value,
    /// When, in microseconds since 1970 UTC: the source's instant corrected by the connection's clock offset.
    pub at_us: i64,
}

/// Everything one link contributes.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a> {
    /// Stable key of the link, for provenance and the last tie-break: `connection/lens/external id`.
    pub link: &'a str,
    /// The connection's name.
    pub connection: &'a str,
    /// The connector's name; `prefer:` in the rules names a connection or a connector.
    pub connector: &'a str,
    /// The connection's rank: lower wins a tie of recency.
    pub rank: i32,
    /// What the system itself said, by field.
    pub said: &'a BTreeMap<FieldName, Said>,
}

/// A value fixed by a steward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// The value; null pins "empty".
    pub value: Value,
    /// Who fixed it.
    pub by: String,
    /// When, in microseconds since 1970 UTC.
    pub at_us: i64,
}

/// The surviving view of one real customer (or order, …).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoldenRecord {
    /// Surviving values. Cleared fields are absent.
    pub fields: Fields,
    /// Where each value came from.
    pub provenance: BTreeMap<FieldName, Provenance>,
}

/// Where a golden value came from, and by which rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// `connection/lens/external id`, or `pin`.
    pub link: String,
    /// When that system said it, in microseconds since 1970 UTC.
    pub at_us: i64,
    /// The rule that chose it: `prefer:erp`, `most_recent`, `union`, `pin`, `only` when nobody else spoke.
    pub rule: String,
    /// The values that lost, kept and restorable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
}

/// A value that lost against another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// Who said it.
    pub link: String,
    /// What was said.
    pub value: Value,
    /// When, in microseconds since 1970 UTC.
    pub at_us: i64,
}
