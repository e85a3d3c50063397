//! How the errors of a system are told apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A reply that means something else than its HTTP status says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorRule {
    /// Only for this HTTP status.
    pub status: Option<u16>,
    /// JSON pointer into the reply. `/*` as a part matches any element of an array.
    pub at: Option<String>,
    /// The value there, compared as text; without it, any non-null, non-empty value fits.
    pub equals: Option<String>,
    /// One of several values there.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// The value there that is no error, compared as text: every other one is (`errcode` 0 of many Chinese systems).
    pub unless: Option<String>,
    /// What it means.
    pub kind: ErrorKind,
    /// JSON pointer to the system's message, for people.
    pub message: Option<String>,
}

/// The kinds of errors a manifest can name; see `ConnectorError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Wait and retry.
    Transient,
    /// Over the quota.
    RateLimited,
    /// Credentials refused.
    Unauthorized,
    /// This item refused.
    Rejected,
    /// Changed under us.
    Conflict,
    /// No longer there.
    Gone,
    /// Cursor no longer accepted.
    CursorExpired,
    /// No longer speaks as recorded.
    Broken,
}
