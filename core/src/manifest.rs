//! `connector.toml`: what a system offers. For a REST system it is the whole connector.
//!
//! Every kind is a closed list and unknown keys are errors. The only placeholders are `{config.x}`, `{secret.x}`,
//! `{cursor}` and `{record.x}`; `huiliu-rest` fills them in.

mod auth;
pub mod budget;
mod call;
mod connector;
mod errors;
pub mod place;
pub mod readme;
mod stream;
mod webhook;

use std::collections::BTreeMap;

use huiliu_mappings::diagnose::Diagnostic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::connector::Operation;
pub use auth::{Auth, ClientSend, OauthClient, OverTls};
pub use call::{Batch, Call, Lookup, Method, Precondition, Trace};
pub use connector::{ConnectorSection, Driver, Limits, SecretSetting, Setting, SettingKind};
pub use errors::{ErrorKind, ErrorRule};
pub use stream::{
    Ability, Changes, Defaults, DeletedWhen, Deletes, Paginate, Pull, Since, StampForm, Stream, VersionKind,
};
pub use webhook::{Carries, Encoding, Form, Merge, Ping, Route, Verify, Webhook, When};

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
