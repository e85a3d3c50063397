//! Calls for one record or a batch: fetch, create, update, delete, and the look before a repeat.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errors::ErrorRule;

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// HTTP method; POST for GraphQL.
    #[serde(default)]
    pub method: Method,
    /// Path after the base URL, with placeholders.
    pub path: Option<String>,
    /// Query parameters, with placeholders.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// A GraphQL document.
    pub graphql: Option<String>,
    /// GraphQL variables or a JSON body, with placeholders. The text `{body}` alone stands for the delivery's body.
    pub body: Option<serde_json::Value>,
    /// JSON pointer under which the delivery's body is put, when the system wants it wrapped: `/customer`.
    pub wrap: Option<String>,
    /// JSON pointer in the delivery's body that takes the record's id, where the system wants it among the fields.
    pub id_at: Option<String>,
    /// JSON pointer to the record in the reply; without it the whole reply is the record.
    pub record: Option<String>,
    /// JSON pointer to the new record's id in the reply to a create, where the reply does not hold the record.
    pub id: Option<String>,
    /// The reply does not tell what was stored: the record is read afterwards.
    #[serde(default)]
    pub read_back: bool,
    /// How a write is made conditional.
    pub precondition: Option<Precondition>,
    /// Header that takes the idempotency key.
    pub idempotency_header: Option<String>,
    /// JSON pointers, in a create's body, of values that the system keeps unique or makes a record by: a repeat with one of
    /// them makes no second record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unique_at: Vec<String>,
    /// For a create without idempotency: how to find a record that an earlier attempt may have made. The call lists
    /// records; one whose value at `match_at` equals the delivery's value there is taken for ours.
    pub lookup: Option<Box<Lookup>>,
    /// Many of these writes in one call, where the system offers it.
    pub batch: Option<Box<Batch>>,
}

/// Many writes in one call. Each item is what the single call would send. What a reply does not clearly answer is sent
/// again alone, and so is every member of a call that was refused as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// HTTP method.
    #[serde(default = "post")]
    pub method: Method,
    /// Path after the base URL, with placeholders for settings.
    pub path: String,
    /// Query parameters, with placeholders for settings.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// Items in one call, at most.
    pub size: std::num::NonZeroU32,
    /// JSON pointer in the request body that takes the list of items; empty text means that the body is the list.
    pub items: String,
    /// JSON pointer in an item that takes the record's id.
    pub id_at: Option<String>,
    /// An item as JSON, with placeholders, where it is not what the single call sends. A delivery that has no value for
    /// one of them is sent alone.
    pub item: Option<serde_json::Value>,
    /// A mark of ours in each item, which the reply repeats: then results may come in any order, and refusals apart.
    pub trace: Option<Trace>,
    /// JSON pointer in the reply to a list of refusals that stand apart from the results (HTTP 207); needs `trace`.
    pub refusals: Option<String>,
    /// JSON pointer in the reply to the list of results: one for each item in their order, or each with its record's
    /// id.
    pub results: String,
    /// JSON pointer to the record in a result; without it the result is the record.
    pub record: Option<String>,
    /// Results that are refusals. Pointers start at the result.
    #[serde(default)]
    pub errors: Vec<ErrorRule>,
}

/// Where a batch's items bear a mark of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// JSON pointer in an item that takes the mark.
    pub item: String,
    /// JSON pointer in a result that repeats it.
    pub result: String,
    /// JSON pointer in a refusal that repeats it.
    pub refusal: String,
}

fn post() -> Method {
    Method::Post
}

/// How to look before a create is retried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// Path after the base URL.
    pub path: Option<String>,
    /// Query parameters, with placeholders.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// A GraphQL query document; the call is then POST with `{query, variables}`.
    pub graphql: Option<String>,
    /// GraphQL variables or a JSON body, with placeholders; with a body the call is POST, else GET.
    pub body: Option<serde_json::Value>,
    /// JSON pointer to the records, or to the one record; a reply that says "gone" means that there is none.
    pub records: String,
    /// JSON pointer, in the record and in the delivery's body, that must be equal.
    pub match_at: String,
    /// For a search over an index that lags behind: a record that was made is found after so many seconds at the latest.
    /// A create whose outcome is unknown waits for so long before it looks.
    #[serde(default)]
    pub lag_seconds: u32,
}

/// HTTP methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Read.
    #[default]
    Get,
    /// Create or call.
    Post,
    /// Replace.
    Put,
    /// Change.
    Patch,
    /// Remove.
    Delete,
}

/// How a write is made conditional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precondition {
    /// `If-Match` with the version; a stale one is 412.
    IfMatch,
    /// `If-Unmodified-Since` with the version; a stale one is 412.
    IfUnmodifiedSince,
    /// Read first and compare versions: for systems without conditional writes. A race of milliseconds remains.
    ReadCompare,
}
