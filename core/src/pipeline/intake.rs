//! Intake: verified webhook calls into the inbox, many in one commit, each answered after it.
//!
//! One writer takes what waits, commits, answers all. There is no timer: while a commit is on its way to the disk the
//! next group forms by itself. [`Log`] is the seam: another log may keep the calls before the inbox has them
//! ([`super::log`]).

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::crash::{Point, point};
use crate::store::db::Result;
use crate::store::inbox::{self, InboxItem};
use crate::store::{Store, Tx};

/// Calls that may wait for the writer: about a second's worth at full speed, and some tens of megabytes.
pub const WAITING_MAX: usize = 4096;

/// Calls in one commit: past this a commit is bound by the rows, not by the disk.
pub const GROUP_MAX: usize = 512;

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Durable now.
    Fresh,
    /// It was known: nothing was written.
    Repeat,
}

/// Why a call was not taken; the sender tries again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// Too many calls wait.
    #[error("too many calls wait for the disk; try again")]
    Full,
    /// The store failed.
    #[error("{0}")]
    Failed(String),
    /// The log cannot be reached. Who keeps it has said so in the log of the program: once, not for every call.
    #[error("{0}")]
    Away(String),
}

/// A proven call, and the key by which a repeat of it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What is to be appended to the inbox.
    pub item: InboxItem,
    /// A repeat of the same event has the same key.
    pub dedupe: String,
}

/// Where calls are kept before they are answered: the store itself, or a log that the inbox is filled from.
#[async_trait]
pub trait Log: Send + Sync {
    /// Returns only after the call is durable. [`Appended::Repeat`]: an earlier call with this key is durable. A log that
    /// does not know all keys may say [`Appended::Fresh`] of a repeat; the inbox takes an event once.
    ///
    /// # Errors
    /// The call was not kept, or nobody knows: the sender is to try again.
    async fn append(&self, call: Call) -> std::result::Result<Appended, IntakeError>;
}

struct Waiting {
    item: InboxItem,
    dedupe: String,
    answer: oneshot::Sender<std::result::Result<Appended, IntakeError>>,
}

/// The way in. Clones share one writer.
#[derive(Clone)]
pub struct Intake {
    sender: SyncSender<Waiting>,
}

impl Intake {
    /// Starts the writer; it ends when the last clone is dropped. `wake` is called after every commit.
    pub fn start(store: Store, clock: Clock, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        std::thread::Builder::new().name("intake".to_owned()).spawn(move || write(&store, &clock, &receiver, &wake))?;
        Ok(Self { sender })
    }

    /// Appends a call durably, unless its key is known.
    pub async fn append(&self, item: InboxItem, dedupe: String) -> std::result::Result<Appended, IntakeError> {
        let (answer, answered) = oneshot::channel();
        match self.sender.try_send(Waiting { item, dedupe, answer }) {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(IntakeError::Failed("the intake stopped".to_owned()))),
            Err(TrySendError::Full(_)) => Err(IntakeError::Full),
            Err(TrySendError::Disconnected(_)) => Err(IntakeError::Failed("the intake stopped".to_owned())),
        }
    }
}

#[async_trait]
impl Log for Intake {
    async fn append(&self, call: Call) -> std::result::Result<Appended, IntakeError> {
        Self::append(self, call.item, call.dedupe).await
    }
}

fn write(store: &Store, clock: &Clock, receiver: &Receiver<Waiting>, wake: &dyn Fn()) {
    let mut group = Vec::new();
    while let Ok(first) = receiver.recv() {
        group.push(first);
        while group.len() < GROUP_MAX
            && let Ok(next) = receiver.try_recv()
        {
            group.push(next);
        }
        // What the calls mean is found out while they are on their way to the disk.
        match store.write_first(|tx| append(tx, &group, clock.now_us()), wake) {
            Ok(told) => {
                point(Point::IntakeCommitted);
                for (waiting, outcome) in group.drain(..).zip(told) {
                    // Whoever hung up will repeat the call and hear that it is known.
                    let _ = waiting.answer.send(Ok(outcome));
                }
                point(Point::IntakeAnswered);
            }
            Err(error) => {
                tracing::error!("the intake could not write: {error}");
                for waiting in group.drain(..) {
                    let _ = waiting.answer.send(Err(IntakeError::Failed(error.to_string())));
                }
            }
        }
    }
}

fn append(tx: &mut Tx<'_>, group: &[Waiting], now_us: i64) -> Result<Vec<Appended>> {
    let calls: Vec<_> = group.iter().map(|it| (&it.item, it.dedupe.as_str())).collect();
    let fresh = take_in(tx, &calls, now_us)?;
    point(Point::IntakeWritten);
    Ok(fresh.into_iter().map(|new| if new { Appended::Fresh } else { Appended::Repeat }).collect())
}

/// Notes which events are new, and appends their calls in the order in which they came. Says of each whether it was new.
pub(super) fn take_in(tx: &mut Tx<'_>, calls: &[(&InboxItem, &str)], now_us: i64) -> Result<Vec<bool>> {
    let events = calls.iter().map(|(item, dedupe)| (item.connection.as_str(), *dedupe));
    let fresh = inbox::mark_seen(tx, events, now_us)?;
    let items: Vec<&InboxItem> =
        calls.iter().zip(&fresh).filter(|(_, new)| **new).map(|((item, _), _)| *item).collect();
    inbox::append(tx, &items)?;
    Ok(fresh)
}
