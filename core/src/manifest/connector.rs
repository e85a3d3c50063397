//! What a connector is: name, driver, address, limits and settings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget;
use super::call::Call;
use super::errors::ErrorRule;

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
