//! What a system shows of its records.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{ConnectorError, Cursor, ExternalId, Result, StreamName};

/// One value of JSON that nobody has looked into yet: as its system wrote it, to the byte.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(Box<str>);

impl JsonText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes of the text.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_string().into_bytes()
    }

    /// What it says.
    ///
    /// # Errors
    /// It is nested too deeply, or holds half of a character in an escape: text may, a value may not.
    pub fn value(&self) -> serde_json::Result<Value> {
        serde_json::from_str(&self.0)
    }
}

/// A record's values belong into no log.
impl std::fmt::Debug for JsonText {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "JsonText({} bytes)", self.0.len())
    }
}

impl From<Box<RawValue>> for JsonText {
    fn from(text: Box<RawValue>) -> Self {
        Self(text.into())
    }
}

impl From<&Value> for JsonText {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

/// What a system says about a record's recency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// As the system wrote it: an etag, a stamp, a sequence.
    pub text: String,
    /// Its place in order: microseconds since 1970 UTC for a stamp, the number for a sequence; none for an opaque tag.
    pub order: Option<i64>,
    /// Whether `order` is an instant, and so says when the record changed.
    pub is_instant: bool,
}

impl Version {
    /// A version that is an instant; `text` is kept as the system wrote it.
    pub fn instant(text: impl Into<String>, at: jiff::Timestamp) -> Self {
        Self { text: text.into(), order: Some(at.as_microsecond()), is_instant: true }
    }

    /// A version that counts.
    pub fn sequence(number: i64) -> Self {
        Self { text: number.to_string(), order: Some(number), is_instant: false }
    }

    /// A version that can only be compared for equality.
    pub fn tag(text: impl Into<String>) -> Self {
        Self { text: text.into(), order: None, is_instant: false }
    }
}

/// One thing as its system shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<B = Value> {
    /// The kind of record.
    pub stream: StreamName,
    /// The system's id.
    pub id: ExternalId,
    /// What the system says about recency, if it says anything.
    pub version: Option<Version>,
    /// The vendor's JSON, untouched.
    pub body: B,
}

/// What a webhook or a pull brings: a whole record, a deletion, a merge, or a hint that a key changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Received<B = Value> {
    /// The record's content.
    Record(Record<B>),
    /// The system says that this record is gone.
    Deleted {
        /// The kind of record.
        stream: StreamName,
        /// The system's id.
        id: ExternalId,
        /// The recency of the deletion, if told.
        version: Option<Version>,
    },
    /// The system made one record of two: `into` stands for `id` from now on. Nobody is gone.
    Merged {
        /// The kind of record.
        stream: StreamName,
        /// The id of the record that is no more.
        id: ExternalId,
        /// The id of the record that stands for it.
        into: ExternalId,
    },
    /// This key changed; its content must be fetched.
    Hint {
        /// The kind of record.
        stream: StreamName,
        /// The system's id.
        id: ExternalId,
    },
    /// Something changed in this stream, no key told: pull it now.
    Poke {
        /// The stream to pull.
        stream: StreamName,
    },
}

/// One page of a pull.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<B = Value> {
    /// What the page holds.
    pub items: Vec<Received<B>>,
    /// Where the next pull of this stream starts: it is stored together with the page. None keeps the former one.
    pub next: Option<Cursor>,
    /// Whether more is waiting right now.
    pub more: bool,
    /// Set on the last page of a scan that read everything there is: what it did not show is then known to be
    /// missing. Never set by an incremental pull.
    pub complete_scan: bool,
}

impl<B> Received<B> {
    /// The same with another form of a record's content.
    pub fn with<C>(self, content: impl FnOnce(B) -> C) -> Received<C> {
        match self {
            Self::Record(Record { stream, id, version, body }) => {
                Received::Record(Record { stream, id, version, body: content(body) })
            }
            Self::Deleted { stream, id, version } => Received::Deleted { stream, id, version },
            Self::Merged { stream, id, into } => Received::Merged { stream, id, into },
            Self::Hint { stream, id } => Received::Hint { stream, id },
            Self::Poke { stream } => Received::Poke { stream },
        }
    }
}

impl Page {
    /// The same with its records as text.
    pub fn written(self) -> Page<JsonText> {
        let Self { items, next, more, complete_scan } = self;
        let items = items.into_iter().map(|it| it.with(|body| JsonText::from(&body))).collect();
        Page { items, next, more, complete_scan }
    }
}

impl Page<JsonText> {
    /// The same with what its records say.
    ///
    /// # Errors
    /// [`ConnectorError::Broken`]: a record cannot be read.
    pub fn read(self) -> Result<Page> {
        let Self { items, next, more, complete_scan } = self;
        let read = |item: Received<JsonText>| {
            let mut wrong = None;
            let item = item.with(|text| text.value().map_err(|error| wrong = Some(error)).unwrap_or_default());
            wrong.map_or(Ok(item), |error| Err(ConnectorError::broken(format!("a record cannot be read: {error}"))))
        };
        let items = items.into_iter().map(read).collect::<Result<_>>()?;
        Ok(Page { items, next, more, complete_scan })
    }
}
