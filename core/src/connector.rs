//! The contract: what every connector implements and what it may know.
//!
//! A connector holds no storage, sees no canonical type, and reads time only from its [`Cx`]. Records travel as the
//! vendor's own JSON; ids are text always.

mod cx;
mod request;
mod shown;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::Manifest;

pub use cx::{Cx, Network};
pub use request::RawRequest;
pub use shown::{JsonText, Page, Received, Record, Version};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl<T: AsRef<str>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(Arc::from(text.as_ref()))
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

text_id!(
    /// The name of one configured account of a connector, as the deployment chose it.
    ConnectionName
);
text_id!(
    /// One kind of record in one system: `customers`.
    StreamName
);
text_id!(
    /// The id a system gives to a record: text always, so that 64-bit ids and leading zeros survive.
    ExternalId
);
text_id!(
    /// Where the next pull starts. Opaque to core.
    Cursor
);

/// Names one record: connection, stream, external id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// The account it lives in.
    pub connection: ConnectionName,
    /// The kind of record.
    pub stream: StreamName,
    /// The system's id for it.
    pub id: ExternalId,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.connection, self.stream, self.id)
    }
}

/// What a delivery does to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Make a record.
    Create,
    /// Change fields of a record.
    Update,
    /// Remove a record.
    Delete,
}

impl Operation {
    /// The word used in the store, in logs and on the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One write to one target. Complete: push makes no choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The delivery's number, for logs.
    pub number: i64,
    /// What to do.
    pub operation: Operation,
    /// The kind of record.
    pub stream: StreamName,
    /// The target record; none for a create.
    pub id: Option<ExternalId>,
    /// In vendor words, exactly the changed fields (for a create: all fields), nested as the vendor nests them.
    pub body: Value,
    /// What the target held in these same fields before, as last known, in vendor words, at the places where they are
    /// written and at those where they are read; null for a create. The target may spell it otherwise.
    pub base: Value,
    /// The version the patch was made against, for a conditional write.
    pub base_version: Option<Version>,
    /// The same over every retry of this delivery: 32 hexadecimal digits.
    pub idempotency_key: String,
    /// 1 for the first attempt. Above 1 an earlier attempt may have reached the target.
    pub attempt: u32,
}

/// What came back from a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// The target's id for the record.
    pub id: ExternalId,
    /// The record as the target stored it, if the reply or a read-back shows it whole.
    pub stored: Option<Record>,
    /// The record's version after the write, if told without the record.
    pub version: Option<Version>,
}

/// A request whose origin is proven. Only `huiliu-webhooks` makes one, after the manifest's scheme or the
/// connector's `open` accepted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The request; where the envelope was sealed, `body` is what was inside.
    pub request: RawRequest,
}

/// What `open` found in a sealed envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A genuine message. `body` replaces the request's body, and `reply` is sent after the durable append.
    Message {
        /// The opened content.
        body: Bytes,
        /// A key under which a repeat of the same event is known.
        dedupe: String,
        /// What the vendor expects to hear.
        reply: Reply,
    },
    /// A handshake: nothing to keep, answer this.
    Handshake(Reply),
}

/// The answer to a webhook call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Body.
    pub body: Bytes,
    /// More headers: name in lower case and value.
    pub headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// `200` with an empty text body.
    pub fn ok() -> Self {
        Self { status: 200, content_type: "text/plain; charset=utf-8", body: Bytes::new(), headers: Vec::new() }
    }
}

/// What went wrong with a system, sorted by what the hub does next. The text is for people: what happened, where,
/// what to do. It never contains a secret or a personal value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// Wait and try again; the stream keeps its place.
    #[error("{detail}")]
    Transient {
        /// What happened.
        detail: String,
        /// How long to wait at least, if the system said so.
        after: Option<Duration>,
    },
    /// The system was never reached, so nothing was done there: wait and try again.
    #[error("{detail}")]
    Unreached {
        /// What happened.
        detail: String,
        /// How long to wait at least, if somebody on the way said so.
        after: Option<Duration>,
    },
    /// Over the quota: wait until it is free again.
    #[error("{detail}")]
    RateLimited {
        /// What happened.
        detail: String,
        /// How long to wait at least, if the system said so.
        after: Option<Duration>,
    },
    /// The credentials do not work: the connection pauses until an operator mends them.
    #[error("{detail}")]
    Unauthorized {
        /// What happened.
        detail: String,
    },
    /// The system refuses this one item; a person must look at it.
    #[error("{reason}")]
    Rejected {
        /// JSON pointer or field name of the refused value, or empty.
        at: String,
        /// The system's reason.
        reason: String,
    },
    /// The record changed under a conditional write: refetch and replan.
    #[error("{detail}")]
    Conflict {
        /// What happened.
        detail: String,
    },
    /// The record is no longer there: the link closes.
    #[error("{detail}")]
    Gone {
        /// What happened.
        detail: String,
    },
    /// The stored cursor is no longer accepted: the stream starts from the beginning.
    #[error("{detail}")]
    CursorExpired {
        /// What happened.
        detail: String,
    },
    /// The system no longer speaks as recorded: the stream stops until somebody looks.
    #[error("{detail}")]
    Broken {
        /// What happened.
        detail: String,
    },
}

impl ConnectorError {
    /// A transient failure without a told delay.
    pub fn transient(detail: impl Into<String>) -> Self {
        Self::Transient { detail: detail.into(), after: None }
    }

    /// A system that does not speak as recorded.
    pub fn broken(detail: impl Into<String>) -> Self {
        Self::Broken { detail: detail.into() }
    }

    /// Whether what was asked for may have been done all the same: the answer was lost, late, or cannot be read.
    pub fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Transient { .. } | Self::Broken { .. })
    }

    /// The same failure where it came before the call that does something: that one was never sent.
    #[must_use]
    pub fn before_the_call(self) -> Self {
        match self {
            Self::Transient { detail, after } => Self::Unreached { detail, after },
            other => other,
        }
    }

    /// How long the system told us to wait at least, microseconds; 0: it said nothing.
    pub fn told_us(&self) -> i64 {
        let (Self::Transient { after, .. } | Self::Unreached { after, .. } | Self::RateLimited { after, .. }) = self
        else {
            return 0;
        };
        after.map_or(0, |wait| i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
    }

    /// A stable word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Transient { .. } | Self::Unreached { .. } => "transient",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Rejected { .. } => "rejected",
            Self::Conflict { .. } => "conflict",
            Self::Gone { .. } => "gone",
            Self::CursorExpired { .. } => "cursor_expired",
            Self::Broken { .. } => "broken",
        }
    }
}

/// What a connector call returns.
pub type Result<T> = std::result::Result<T, ConnectorError>;

/// One external system.
#[async_trait]
pub trait Connector: Send + Sync {
    /// What the system offers.
    fn manifest(&self) -> &Manifest;

    /// Reaches the system with the given credentials and reads nothing of value.
    async fn check(&self, cx: &Cx) -> Result<()>;

    /// One page of a stream. `from` is the cursor that was stored last, none for the very first pull.
    async fn pull(&self, cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page>;

    /// The same page for somebody who only keeps it: its records as text. A connector that is sent text need not take it
    /// apart and put it together again.
    async fn pull_text(&self, cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page<JsonText>> {
        Ok(self.pull(cx, stream, from).await?.written())
    }

    /// One record, after a hint or a conflict. None: it does not exist (any more). A record with another id than was
    /// asked for: the system merged the one into the other.
    async fn fetch(&self, cx: &Cx, key: &RecordKey) -> Result<Option<Record>>;

    /// Opens a sealed envelope (`verify = { kind = "connector" }`): authenticates before it parses.
    /// [`ConnectorError::Unauthorized`] refuses the call.
    fn open(&self, _cx: &Cx, _request: &RawRequest) -> Result<Opened> {
        Err(ConnectorError::broken("this connector has no sealed webhook"))
    }

    /// What a verified webhook call means. Never waits on a network.
    fn receive(&self, cx: &Cx, request: &Verified) -> Result<Vec<Received>>;

    /// Carries out one delivery.
    async fn push(&self, cx: &Cx, delivery: &Delivery) -> Result<Receipt>;

    /// Whether a create that is sent once more is known to be a repeat: by its idempotency key, by an id or a value that
    /// the system keeps unique, or because the connector looks before it sends. Where not, a create whose answer was lost
    /// is never sent again by itself: it waits for its record to show up, and then for a person.
    fn knows_repeat(&self, _delivery: &Delivery) -> bool {
        false
    }

    /// Whether a create of this delivery, and nothing else, can have made the record with this id: where the connector
    /// chooses the id by the idempotency key. Elsewhere such a record is told by what it shows.
    fn makes(&self, _delivery: &Delivery, _id: &ExternalId) -> bool {
        false
    }

    /// Whether a write takes several calls. A record that can be read already may then still have to be finished: the
    /// retry of its create goes on from there. And whatever failure ends the write, a part of it may have been done.
    fn writes_in_steps(&self) -> bool {
        false
    }

    /// Carries out several deliveries of one stream and one operation, and answers each in its place. Core calls it
    /// only where the manifest declares a batch, with first attempts only: what may have been done before goes alone.
    async fn push_many(&self, cx: &Cx, deliveries: &[Delivery]) -> Vec<Result<Receipt>> {
        let mut results = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            results.push(self.push(cx, delivery).await);
        }
        results
    }

    /// Waits until the system says that a stream changed (IMAP IDLE), and names it; the default waits for ever.
    async fn listen(&self, _cx: &Cx) -> Result<StreamName> {
        std::future::pending().await
    }
}
