//! Streams: how records are listed, versioned and deleted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Method};

/// `[defaults]`: every key may be restated by a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// JSON pointer to the id in a record.
    pub key: Option<String>,
    /// JSON pointer to the version in a record.
    pub version: Option<String>,
    /// What kind of version it is.
    pub version_kind: Option<VersionKind>,
    /// JSON pointer to the records in a page; empty text means that the reply is the array.
    pub records: Option<String>,
    /// How pages follow each other.
    pub paginate: Option<Paginate>,
}

/// How versions compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VersionKind {
    /// RFC 3339 or a similar stamp; without a zone it is read in `zone` of the stream's pull, else UTC.
    Instant,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// A number that grows.
    Sequence,
    /// An opaque tag.
    Tag,
}

/// How pages follow each other: a closed list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Paginate {
    /// The reply holds the next cursor.
    Cursor {
        /// JSON pointer to the next cursor in the reply; null, missing or empty ends.
        from: String,
        /// Query parameter, or with `in_body` the JSON pointer in the request body, that takes it.
        param: String,
        /// JSON pointer to a boolean that is false on the last page, where the system has one.
        more: Option<String>,
    },
    /// Numbered pages.
    Page {
        /// Query parameter of the page number.
        param: String,
        /// Number of the first page.
        #[serde(default = "first_page")]
        first: u64,
        /// A shorter page is the last one.
        size: u64,
        /// Query parameter of the page size.
        size_param: Option<String>,
        /// Header with the number of pages, where the system tells it (`X-WP-TotalPages`): then a short page is not
        /// the end. Systems that leave out of a full page what the account may not see need it.
        pages_header: Option<String>,
    },
    /// Offsets.
    Offset {
        /// Query parameter of the offset.
        param: String,
        /// A shorter page is the last one.
        size: u64,
        /// Query parameter of the page size.
        size_param: Option<String>,
    },
    /// RFC 8288 `Link: <…>; rel="next"`.
    LinkHeader {},
    /// The next page begins after the key of the last record: `{cursor}` in the call stands for it. For lists in the
    /// order of their keys that may be asked so, and whose own cursor ends early or moves while records change.
    Keyset {
        /// What `{cursor}` is on the first page: less than any key.
        first: String,
        /// A shorter page is the last one.
        size: u64,
    },
    /// Everything in one reply.
    None {},
}

fn first_page() -> u64 {
    1
}

/// `[streams.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// See [`Defaults`].
    pub key: Option<String>,
    /// See [`Defaults`].
    pub version: Option<String>,
    /// See [`Defaults`].
    pub version_kind: Option<VersionKind>,
    /// See [`Defaults`].
    pub records: Option<String>,
    /// See [`Defaults`].
    pub paginate: Option<Paginate>,
    /// What the stream holds, for people.
    pub about: Option<String>,
    /// How records are listed.
    pub pull: Option<Pull>,
    /// How records that changed are asked for, where that is another call than the list of all (`pull`).
    pub changes: Option<Box<Changes>>,
    /// How one record is read.
    pub fetch: Option<Call>,
    /// How a record is made.
    pub create: Option<Call>,
    /// How a record is changed.
    pub update: Option<Call>,
    /// How a record is removed.
    pub delete: Option<Call>,
    /// How a record says that it is deleted without vanishing.
    pub deleted_when: Option<DeletedWhen>,
    /// Where the system lists what is gone; read after each incremental pull.
    pub deletes: Option<Deletes>,
    /// For a stream of a Rust connector: what it can do, since no call is declared here.
    #[serde(default)]
    pub abilities: Vec<Ability>,
    /// Default schedule: `30s`, `5m`, `1h`. Every stream is pulled, webhooks or not.
    pub every: Option<String>,
}

/// What a stream can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// List records.
    Pull,
    /// Read one record.
    Fetch,
    /// Make records.
    Create,
    /// Change records.
    Update,
    /// Remove records.
    Delete,
}

/// `pull = { … }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pull {
    /// The call that lists.
    #[serde(default)]
    pub method: Method,
    /// Path after the base URL, with placeholders.
    pub path: Option<String>,
    /// Query parameters, with placeholders.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// Request body as JSON, with placeholders in its texts. With `graphql`: the variables.
    pub body: Option<serde_json::Value>,
    /// A GraphQL query document; the call is then POST with `{query, variables}`.
    pub graphql: Option<String>,
    /// Incremental: only records changed since a stamp. Without it every pull is a full scan.
    pub since: Option<Since>,
}

/// How a pull asks for changed records only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// Query parameter (or, in a POST or GraphQL pull, JSON pointer in the body or variables) that takes the stamp.
    /// Without one the call says `{stamp}` where it belongs, and `{until}` for the begin of the run: an upper bound that
    /// stands still while the run lasts.
    pub param: Option<String>,
    /// How the stamp is written; `{stamp}` stands for it: `updated_at:>='{stamp}'`.
    #[serde(default = "plain_stamp")]
    pub write: String,
    /// Each pull reads this much again: late commits and lagging indexes are real, and repeats cost nothing.
    pub overlap_seconds: u64,
    /// The form of the stamp.
    #[serde(default)]
    pub form: StampForm,
    /// Zone of stamps that carry none: `Asia/Shanghai`.
    pub zone: Option<String>,
    /// What to send on the very first pull, when there is no stamp; without it the parameter is left out.
    pub first: Option<String>,
}

fn plain_stamp() -> String {
    "{stamp}".to_owned()
}

/// How a stamp is written in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StampForm {
    /// `2026-01-02T03:04:05Z`.
    #[default]
    Rfc3339,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// `2026-01-02 03:04:05` in `zone`.
    Local,
}

/// How a record says that it is deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletedWhen {
    /// JSON pointer.
    pub at: String,
    /// The value there, compared as text; without it, any non-null value fits.
    pub equals: Option<String>,
    /// JSON pointer to the id of the record that stands for a deleted one since the two were merged, such as Salesforce's
    /// `/MasterRecordId`: nobody is gone then, and the history follows.
    pub merged_into: Option<String>,
}

/// `[streams.NAME.changes]`: records that changed. What it does not state is as in the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// How they are asked for; with `since`.
    pub pull: Pull,
    /// See [`Defaults`].
    pub records: Option<String>,
    /// See [`Defaults`].
    pub paginate: Option<Paginate>,
    /// How often the list of all is read instead, in seconds: it shows what no change tells, such as a record that was
    /// deleted without a trace.
    pub full_every_seconds: u64,
}

/// `[streams.NAME.deletes]`: a list of what is gone. What it does not state is as in the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deletes {
    /// How deletions are listed. With `since` it is asked by the same stamp as the records.
    pub pull: Pull,
    /// JSON pointer to the id of the deleted record; empty text means that an entry is the id itself.
    pub key: Option<String>,
    /// JSON pointer to the instant of the deletion.
    pub version: Option<String>,
    /// See [`DeletedWhen::merged_into`].
    pub merged_into: Option<String>,
    /// See [`Defaults`].
    pub records: Option<String>,
    /// See [`Defaults`].
    pub paginate: Option<Paginate>,
}

impl Stream {
    /// Whether the stream can do this.
    pub fn can(&self, ability: Ability) -> bool {
        self.abilities.contains(&ability)
            || match ability {
                Ability::Pull => self.pull.is_some(),
                Ability::Fetch => self.fetch.is_some(),
                Ability::Create => self.create.is_some(),
                Ability::Update => self.update.is_some(),
                Ability::Delete => self.delete.is_some(),
            }
    }
}
