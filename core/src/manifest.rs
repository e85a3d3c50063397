//! `connector.toml`: what a system offers. For a REST system it is the whole connector.
//!
//! Every kind is a closed list and unknown keys are errors. The only placeholders are `{config.x}`, `{secret.x}`,
//! `{cursor}` and `{record.x}`; `huiliu-rest` fills them in.

pub mod budget;
pub mod place;
pub mod readme;

use std::collections::BTreeMap;

use huiliu_mappings::diagnose::Diagnostic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::connector::Operation;

/// A parsed manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name, driver, address, limits, settings, errors.
    pub connector: ConnectorSection,
    /// How calls are authenticated.
    pub auth: Option<Auth>,
    /// What streams inherit.
    #[serde(default)]
    pub defaults: Defaults,
    /// The streams.
    pub streams: BTreeMap<String, Stream>,
    /// How the system calls us.
    pub webhook: Option<Webhook>,
}

/// `[connector]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectorSection {
    /// Equals the folder.
    pub name: String,
    /// The name people know, for pages and READMEs.
    pub title: String,
    /// The Chinese name, where there is one.
    pub title_zh: Option<String>,
    /// One sentence on what the connector joins, in Markdown.
    pub about: String,
    /// `rest`: this file is all there is. `rust`: `src/` implements the verbs.
    pub driver: Driver,
    /// The connector whose mapping file says what these records mean too: another way to speak with one system.
    pub mapping: Option<String>,
    /// In a JSON body a cursor, a record's id or a setting of type `integer` that stands alone is a JSON number: some
    /// systems take nothing else for an id.
    #[serde(default)]
    pub number_ids: bool,
    /// Start of every URL, with placeholders.
    pub base_url: Option<String>,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// What the vendor allows, and who shares it; beside the pace of one connection (`limits.requests_per_second`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<budget::Budget>,
    /// Settings a connection gives: `config.shop = { type = "string", description = "…" }`.
    #[serde(default)]
    pub config: BTreeMap<String, Setting>,
    /// Secrets a connection needs: `secret.webhook = { description = "…" }`.
    #[serde(default)]
    pub secret: BTreeMap<String, SecretSetting>,
    /// Headers sent with every call, with placeholders.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Replies that mean something else than their HTTP status says; the first that fits wins.
    #[serde(default)]
    pub errors: Vec<ErrorRule>,
    /// A call that proves the credentials and reads nothing of value.
    pub check: Option<Call>,
    /// Documents (name and number) that the vendor facts come from.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// Who implements the verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// The REST engine, from the manifest alone.
    Rest,
    /// A crate.
    Rust,
}

/// Bounds of a connector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls a second, across all streams of a connection.
    pub requests_per_second: Option<std::num::NonZeroU32>,
    /// A call that takes longer is given up, in milliseconds.
    pub timeout_ms: u64,
    /// A longer reply is refused, in bytes.
    pub response_bytes_max: u64,
    /// Writes that go in parallel to one connection.
    pub push_parallel: std::num::NonZeroU32,
    /// Header with the number of calls that are left, where the system tells it; at 0 the connection waits.
    pub remaining_header: Option<String>,
    /// Header with the milliseconds after which all calls are free again.
    pub interval_ms_header: Option<String>,
    /// Header with the calls that are allowed in one interval: what it says stands above what is declared for that stretch.
    pub limit_header: Option<String>,
    /// Header with the seconds after which calls are free again, or the instant in seconds since 1970 (`X-RateLimit-Reset`).
    pub reset_header: Option<String>,
    /// Header with calls used and allowed, as in `32/40` (`X-Shopify-Shop-Api-Call-Limit`).
    pub used_header: Option<String>,
}

impl Default for Limits {
    fn default() -> Self {
        // 32 MiB holds the largest page any of the recorded vendors sends (250 orders with lines) ten times over.
        Self {
            requests_per_second: None,
            timeout_ms: 30_000,
            response_bytes_max: 32 << 20,
            push_parallel: std::num::NonZeroU32::MIN,
            remaining_header: None,
            interval_ms_header: None,
            limit_header: None,
            reset_header: None,
            used_header: None,
        }
    }
}

/// One setting of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What kind of value it takes.
    #[serde(rename = "type")]
    pub kind: SettingKind,
    /// What it is for and where to find it.
    pub description: String,
    /// Used when the connection does not say; without one the setting is required.
    pub default: Option<String>,
    /// The allowed values, for `enum`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// The kinds of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingKind {
    /// Any text.
    String,
    /// A host name or a URL; checked against the network rule before each call.
    Url,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// One of `values`.
    Enum,
}

/// One secret of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretSetting {
    /// What it is and where to find it.
    pub description: String,
    /// Whether the connection works without it.
    #[serde(default)]
    pub optional: bool,
}

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

/// `[auth]`: a closed list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// A key in a header or a query parameter.
    ApiKey {
        /// Header name.
        header: Option<String>,
        /// Query parameter name.
        param: Option<String>,
        /// The value, with placeholders.
        value: String,
    },
    /// HTTP Basic.
    Basic {
        /// User, with placeholders.
        username: String,
        /// Password, with placeholders.
        password: String,
    },
    /// `Authorization: Bearer`.
    Bearer {
        /// The token, with placeholders.
        token: String,
    },
    /// OAuth 1.0a without a token (RFC 5849, HMAC-SHA256): each call is signed with a key pair, in its query. The body is
    /// not covered, so this is for systems that cannot be reached over TLS.
    Oauth1 {
        /// Consumer key, with placeholders.
        consumer_key: String,
        /// Consumer secret, with placeholders.
        consumer_secret: String,
        /// How the pair travels where the address is `https`.
        #[serde(default)]
        over_tls: OverTls,
    },
    /// A session: a POST with user name and password gives a token, which every call carries until it is refused; then
    /// one more login follows, however many calls were refused.
    Login {
        /// Path after the base URL, with placeholders.
        path: Option<String>,
        /// A GraphQL document.
        graphql: Option<String>,
        /// GraphQL variables or a JSON body, with placeholders for settings and secrets.
        body: Option<serde_json::Value>,
        /// Where the reply holds the token: `header:NAME` or `body:/pointer`.
        token: String,
        /// Header that takes the token in calls.
        header: String,
        /// Text before the token there: `Bearer `.
        #[serde(default)]
        prefix: String,
    },
    /// OAuth 2 authorization code with PKCE; refresh tokens kept sealed.
    Oauth2Code {
        /// Where the person signs in.
        authorize_url: String,
        /// Where codes and refresh tokens are exchanged.
        token_url: String,
        /// Client id and secret.
        client: OauthClient,
        /// Asked scopes.
        #[serde(default)]
        scopes: Vec<String>,
        /// Where the server says whether a refresh token is still good (RFC 7662). Asked when one was sent away and no answer
        /// was kept: a server that lets each be used once may end all tokens when it sees one again.
        introspect_url: Option<String>,
        /// How long a refresh token that was used may be used again, in seconds, where the server forgives that.
        #[serde(default)]
        reuse_seconds: u32,
    },
    /// OAuth 2 client credentials.
    Oauth2Client {
        /// Where the token comes from.
        token_url: String,
        /// Client id and secret.
        client: OauthClient,
        /// Asked scopes.
        #[serde(default)]
        scopes: Vec<String>,
    },
    /// Every call signed by Standard Webhooks: `webhook-id` (a delivery's idempotency key), `webhook-timestamp`,
    /// `webhook-signature`. A 2xx is then all that a reply needs to say.
    StandardWebhook {
        /// `whsec_…`, with placeholders.
        secret: String,
    },
    /// Every call signed in its query: `timestamp` in milliseconds, and `sign`, the base64 of the HMAC-SHA256 of timestamp,
    /// line feed and secret under the secret (DingTalk's custom robots).
    TimestampSignature {
        /// The secret, with placeholders.
        secret: String,
    },
    /// The connector's crate does it.
    Connector {},
    /// No authentication, and why that is right.
    None {
        /// Why.
        reason: String,
    },
}

/// How an OAuth 1.0a key pair travels over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverTls {
    /// Signed, as over plain HTTP.
    #[default]
    Sign,
    /// As HTTP Basic: some systems take nothing else there.
    Basic,
}

/// Client credentials of an OAuth 2 connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OauthClient {
    /// Client id, with placeholders.
    pub id: String,
    /// Client secret, with placeholders; none for a public client.
    pub secret: Option<String>,
    /// Whether the credentials travel in the form body (`post`) or in the Authorization header (`basic`).
    #[serde(default)]
    pub send: ClientSend,
}

/// How client credentials travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientSend {
    /// `Authorization: Basic`.
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the form.
    Post,
}

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

/// `[webhook]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// How a call proves its origin.
    pub verify: Verify,
    /// Where the event's id is: `header:NAME`, `body:/pointer`, or `body` for a hash of the raw body. Several are
    /// joined.
    #[serde(default)]
    pub dedupe: Vec<String>,
    /// How a call finds its stream.
    pub route: Option<Route>,
    /// What a call carries.
    #[serde(default)]
    pub carries: Carries,
    /// JSON pointer to the record in the body; without it the whole body is the record.
    pub record: Option<String>,
    /// JSON pointer to the record's id where it differs from the stream's key (a numeric id in a webhook, a global id
    /// in the API).
    pub key: Option<String>,
    /// JSON pointers to further ids that an event names, such as those of records that were merged; a list counts with
    /// each of its items. Every one is a hint beside the first, or instead of it.
    #[serde(default)]
    pub more_keys: Vec<String>,
    /// Where an event of `route.merges` names the records. A merge of which only the ids are told, not which of them
    /// survives, is better read key by key (`more_keys`): what answers under another id was merged into that.
    pub merge: Option<Merge>,
    /// Unsigned calls that ask whether anybody is here: they are answered with 200, and nothing of them is kept.
    pub ping: Option<Ping>,
    /// How the id is written for the API: `gid://shopify/Customer/{id}`.
    #[serde(default)]
    pub key_form: BTreeMap<String, String>,
}

/// `[webhook.merge]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// JSON pointers to the ids of records that are no more; a list counts with each of its items.
    pub from: Vec<String>,
    /// JSON pointer to the id of the record that stands for them.
    pub into: String,
    /// What an event shows once the merge was carried out, where others tell of one that was not.
    pub when: Option<When>,
}

/// What an event shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// JSON pointer into the event.
    pub at: String,
    /// The value there, compared as text.
    pub equals: String,
}

/// Schemes: a closed list, no default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verify {
    /// HMAC-SHA256 over the raw body.
    HmacSha256 {
        /// Header of the signature.
        header: String,
        /// Its encoding.
        encoding: Encoding,
        /// The key, with placeholders.
        secret: String,
        /// Text before the signature: `sha256=`.
        #[serde(default)]
        prefix: String,
    },
    /// A shared token in a header or a query parameter.
    SharedToken {
        /// Header of the token.
        header: Option<String>,
        /// Query parameter of the token.
        param: Option<String>,
        /// The token, with placeholders.
        secret: String,
    },
    /// HTTP Basic.
    Basic {
        /// User, with placeholders.
        username: String,
        /// Password, with placeholders.
        password: String,
    },
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`, five minutes of tolerance.
    Standard {
        /// `whsec_…`, with placeholders.
        secret: String,
    },
    /// HubSpot v3: base64 of an HMAC-SHA256 over method, public address, raw body and a timestamp in milliseconds, in
    /// `X-HubSpot-Signature-v3` and `X-HubSpot-Request-Timestamp`, five minutes of tolerance both ways.
    HubspotV3 {
        /// The app's client secret, with placeholders.
        secret: String,
        /// Scheme and host under which the world calls us, with placeholders: a proxy in front makes the socket's own
        /// address worthless.
        public_url: String,
    },
    /// A form that people fill in. A browser holds no key, so nothing in the body can be signed; what is proven is that
    /// the form was given out by us a little while ago: a signed token in the query of the form's address.
    Form(Box<Form>),
    /// The connector's `open`.
    Connector {},
    /// Unsigned, and why that is right.
    None {
        /// Why.
        reason: String,
    },
}

/// Unsigned calls that ask whether anybody is here: a closed list. A call that carries anything else is an event and
/// must prove its origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ping {
    /// A form with one field that holds a whole number: `webhook_id=17`.
    Form {
        /// The field.
        field: String,
    },
}

/// `verify = { kind = "form", … }`: texts take placeholders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// The key that tokens are signed with.
    pub secret: String,
    /// Origins of pages that may hold the form, parted by commas: `https://www.shop.example`.
    pub origins: String,
    /// Inputs, parted by commas; a star marks one that must be filled in: `name, email*, message`.
    pub fields: String,
    /// Channels that may be consented to, parted by commas: `email, sms`.
    pub consents: String,
    /// What a person consents to, word for word; it is kept with each consent.
    pub consent_text: String,
    /// The version of that text.
    pub consent_version: String,
    /// The heading of the form.
    pub title: String,
    /// Where a browser is sent after a submission; empty: a page of ours says thank you.
    pub thank_you: String,
    /// The header in which a proxy of ours writes the caller's address; empty: callers come directly.
    pub address_header: String,
    /// An input that people do not see: what fills it in is no person.
    pub trap: String,
    /// Nobody fills a form in faster, in seconds.
    pub seconds_min: u32,
    /// A form is taken so long after it was given out, in seconds.
    pub seconds_max: u32,
    /// Submissions that one address may send in a minute; it may ask for ten times as many forms.
    pub per_minute: u32,
}

/// Encodings of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Hexadecimal, lower case.
    Hex,
    /// Base64, standard alphabet, padded.
    Base64,
}

/// How a webhook call finds its stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// `header:NAME`, `body:/pointer` or `stream:NAME` when every call belongs to one stream.
    pub by: String,
    /// Topic to stream. A topic that is not listed is answered and kept out.
    #[serde(default)]
    pub topics: BTreeMap<String, String>,
    /// Topics that say a record is gone.
    #[serde(default)]
    pub deletes: BTreeMap<String, String>,
    /// Topics that say records were merged; `webhook.merge` says where the ids are.
    #[serde(default)]
    pub merges: BTreeMap<String, String>,
}

/// What a webhook call carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Carries {
    /// A key: fetch runs.
    #[default]
    Hint,
    /// The whole record.
    Record,
}

impl Manifest {
    /// Parses a manifest; `file` is used in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, Diagnostic> {
        toml::from_str(text).map_err(|error| Diagnostic::from_toml(file, text, &error))
    }

    /// How many writes of this kind go in one call; 1 where the stream declares no batch.
    pub fn batch_size(&self, stream: &str, operation: Operation) -> usize {
        let Some(stream) = self.streams.get(stream) else { return 1 };
        let call = match operation {
            Operation::Create => &stream.create,
            Operation::Update => &stream.update,
            Operation::Delete => &stream.delete,
        };
        let batch = call.as_ref().and_then(|call| call.batch.as_ref());
        batch.map_or(1, |batch| usize::try_from(batch.size.get()).unwrap_or(usize::MAX))
    }

    /// How long a record that a create of this stream made may be missing from the look before a repeat, in
    /// microseconds; none where no look is declared.
    pub fn lookup_lag_us(&self, stream: &str) -> Option<i64> {
        let lookup = self.streams.get(stream)?.create.as_ref()?.lookup.as_ref()?;
        Some(i64::from(lookup.lag_seconds) * 1_000_000)
    }

    /// Whether any stream declares a batch.
    pub fn has_batches(&self) -> bool {
        let calls = self.streams.values().flat_map(|stream| [&stream.create, &stream.update, &stream.delete]);
        calls.flatten().any(|call| call.batch.is_some())
    }

    /// A stream of this manifest with the defaults filled in.
    pub fn stream(&self, name: &str) -> Option<Stream> {
        let mut stream = self.streams.get(name)?.clone();
        let defaults = &self.defaults;
        stream.key = stream.key.or_else(|| defaults.key.clone());
        stream.version = stream.version.or_else(|| defaults.version.clone());
        stream.version_kind = stream.version_kind.or(defaults.version_kind);
        stream.records = stream.records.or_else(|| defaults.records.clone());
        stream.paginate = stream.paginate.or_else(|| defaults.paginate.clone());
        Some(stream)
    }
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
