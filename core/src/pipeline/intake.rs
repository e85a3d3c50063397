//! Intake: verified webhook calls into the inbox, many in one commit, each answered after it.
//!
//! One writer takes what waits, commits, answers all. There is no timer: while a commit is on its way to the disk the
//! next group forms by itself.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::crash::{Point, point};
use crate::store::Store;
use crate::store::inbox::{self, InboxItem};

/// Calls that may wait for the writer: about a second's worth at full speed, and some tens of megabytes.
const WAITING_MAX: usize = 4096;

/// Calls in one commit: past this a commit is bound by the rows, not by the disk.
const GROUP_MAX: usize = 512;

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
}

struct Waiting {
    item: InboxItem,
    dedupe: String,
    answer: oneshot::Sender<Result<Appended, IntakeError>>,
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
    pub async fn append(&self, item: InboxItem, dedupe: String) -> Result<Appended, IntakeError> {
        let (answer, answered) = oneshot::channel();
        match self.sender.try_send(Waiting { item, dedupe, answer }) {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(IntakeError::Failed("the intake stopped".to_owned()))),
            Err(TrySendError::Full(_)) => Err(IntakeError::Full),
            Err(TrySendError::Disconnected(_)) => Err(IntakeError::Failed("the intake stopped".to_owned())),
        }
    }
}

fn write(store: &Store, clock: &Clock, receiver: &Receiver<Waiting>, wake: &dyn Fn()) {
    while let Ok(first) = receiver.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(next) = receiver.try_recv()
        {
            group.push(next);
        }
        let (waiting, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|it| ((it.item, it.dedupe), it.answer)).unzip();
        let written = store.write(|tx| {
            let now_us = clock.now_us();
            let mut fresh = Vec::with_capacity(waiting.len());
            let mut told = Vec::with_capacity(waiting.len());
            for (item, dedupe) in &waiting {
                let new = inbox::mark_seen(tx, &item.connection, dedupe, now_us)?;
                if new {
                    fresh.push(item.clone());
                }
                told.push(if new { Appended::Fresh } else { Appended::Repeat });
            }
            inbox::append(tx, &fresh)?;
            point(Point::IntakeWritten);
            Ok(told)
        });
        match written {
            Ok(told) => {
                point(Point::IntakeCommitted);
                for (answer, outcome) in answers.into_iter().zip(told) {
                    // Whoever hung up will repeat the call and hear that it is known.
                    let _ = answer.send(Ok(outcome));
                }
                point(Point::IntakeAnswered);
                wake();
            }
            Err(error) => {
                tracing::error!("the intake could not write: {error}");
                for answer in answers {
                    let _ = answer.send(Err(IntakeError::Failed(error.to_string())));
                }
            }
        }
    }
}
