//! What this crate asks of the inbox.

use async_trait::async_trait;
use bytes::Bytes;
use huiliu_core::connector::ConnectionName;

/// A proven call, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Whose webhook was called.
    pub connection: ConnectionName,
    /// Path and query as received, without a shared token.
    pub target: String,
    /// Header names in lower case with their values: what routing and reading may need, without credentials,
    /// signatures and transport noise.
    pub headers: Vec<(String, String)>,
    /// The raw body; where the envelope was sealed, what was inside.
    pub body: Bytes,
    /// A repeat of the same event has the same key.
    pub dedupe: String,
}

/// Where proven calls are kept.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Returns only after the call is durably kept: the sender hears "yes" right after, and then forgets the event.
    /// The future may be dropped before it ends; then the sender is told to try again, so a later success is a
    /// repeat and harmless.
    async fn append(&self, arrived: Arrived) -> Result<Appended, IntakeError>;

    /// When a call that comes now is to come again, in seconds, because no more may wait: it is sent away before anything of
    /// it is read or proven, so that a flood costs little. None: there is room, as far as is known.
    fn full(&self) -> Option<u32> {
        None
    }
}

/// What the append found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The event was not known; it is kept now.
    Fresh,
    /// The event was kept before.
    Repeat,
}

/// Why a call could not be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// Too much is waiting already; the sender is asked to come again.
    #[error("the inbox is full, free again in about {retry_after_seconds} s")]
    Full {
        /// Seconds until another try makes sense.
        retry_after_seconds: u32,
    },
    /// The store failed. The text goes to the log, not to the sender.
    #[error("the inbox could not be written: {0}")]
    Failed(String),
    /// What keeps calls cannot be reached. It has said so itself: once, not for every call.
    #[error("what keeps calls cannot be reached")]
    Away,
}
