//! Intake: verified webhook calls into the inbox, many in one commit, each answered after it.
//!
//! One writer takes what waits, commits, answers all. There is no timer: while a commit is on its way to the disk the
//! next group forms by itself. [`Log`] is the seam: another log may keep the calls before the inbox has them
//! ([`super::log`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

    /// Whether [`IntakeError::Full`] is what a call would hear now.
    fn is_full(&self) -> bool {
        false
    }
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
    /// Calls that the writer has not taken yet.
    waiting: Arc<AtomicUsize>,
}

impl Intake {
    /// Starts the writer; it ends when the last clone is dropped. `wake` is called after every commit.
    pub fn start(store: Store, clock: Clock, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let queue = Queue { receiver, waiting: waiting.clone() };
        std::thread::Builder::new().name("intake".to_owned()).spawn(move || write(&store, &clock, &queue, &wake))?;
        Ok(Self { sender, waiting })
    }

    /// Appends a call durably, unless its key is known.
    pub async fn append(&self, item: InboxItem, dedupe: String) -> std::result::Result<Appended, IntakeError> {
        let (answer, answered) = oneshot::channel();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.sender.try_send(Waiting { item, dedupe, answer });
        if sent.is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        match sent {
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

    fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= WAITING_MAX
    }
}

/// What the writer takes from.
struct Queue {
    receiver: Receiver<Waiting>,
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    /// Waits for a call, and takes those that wait beside it; false once nobody can send any more.
    fn take(&self, group: &mut Vec<Waiting>) -> bool {
        let Ok(first) = self.receiver.recv() else { return false };
        group.push(first);
        group.extend(self.receiver.try_iter().take(GROUP_MAX - 1));
        self.waiting.fetch_sub(group.len(), Ordering::Relaxed);
        true
    }
}

fn write(store: &Store, clock: &Clock, queue: &Queue, wake: &dyn Fn()) {
    let mut group = Vec::new();
    while queue.take(&mut group) {
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
