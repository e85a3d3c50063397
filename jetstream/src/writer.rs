//! The way in: what waits goes into the stream as one message, and every call of it is answered after the acknowledgement.
//!
//! There is no timer: while messages are on their way, the next group forms by itself. Few are on their way at one time, so
//! groups grow with the load, and a server that syncs always does it once for all calls of a group.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::jetstream::context::{PublishAckFuture, PublishError};
use async_nats::jetstream::message::PublishMessage;
use async_trait::async_trait;
use huiliu_core::crash::{Point, point};
use huiliu_core::pipeline::intake::{Appended, Call, GROUP_MAX, IntakeError, WAITING_MAX};
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::recent::{self, Key, Recent};
use crate::{Log, group};

/// Messages on their way at one time.
const SENT_MAX: usize = 4;

struct Waiting {
    bytes: Vec<u8>,
    key: Key,
    answer: oneshot::Sender<Result<Appended, IntakeError>>,
}

/// The way in. Clones share one writer, which ends with the last of them.
#[derive(Clone)]
pub struct Writer {
    log: Log,
    sender: Sender<Waiting>,
    recent: Arc<Mutex<Recent>>,
    /// While nothing goes, one call at a time tries.
    probe: Arc<Semaphore>,
}

impl Writer {
    /// Starts it. Call it where tasks can be spawned.
    pub fn start(log: Log) -> Self {
        let (sender, receiver) = channel(WAITING_MAX);
        let recent = Arc::<Mutex<Recent>>::default();
        tokio::spawn(write(log.clone(), receiver, recent.clone()));
        Self { log, sender, recent, probe: Arc::new(Semaphore::new(1)) }
    }
}

fn known(recent: &Mutex<Recent>) -> MutexGuard<'_, Recent> {
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl huiliu_core::pipeline::intake::Log for Writer {
    async fn append(&self, call: Call) -> Result<Appended, IntakeError> {
        let reason = self.log.stand.reason();
        let away = || IntakeError::Away(reason.clone().unwrap_or_default());
        if !self.log.is_prepared() || !self.log.is_connected() {
            return Err(away());
        }
        let _tries = match &reason {
            Some(_) => Some(self.probe.try_acquire().map_err(|_| away())?),
            None => None,
        };
        let key = recent::key(&call.item.connection, &call.dedupe);
        if known(&self.recent).has(&key) {
            return Ok(Appended::Repeat);
        }
        let bytes = group::encode(&call).map_err(|error| IntakeError::Failed(error.to_string()))?;
        let (answer, answered) = oneshot::channel();
        match self.sender.try_send(Waiting { bytes, key, answer }) {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(IntakeError::Failed("the intake stopped".to_owned()))),
            Err(TrySendError::Full(_)) => Err(IntakeError::Full),
            Err(TrySendError::Closed(_)) => Err(IntakeError::Failed("the intake stopped".to_owned())),
        }
    }

    fn is_full(&self) -> bool {
        self.sender.capacity() == 0
    }
}

async fn write(log: Log, mut receiver: Receiver<Waiting>, recent: Arc<Mutex<Recent>>) {
    let slots = Arc::new(Semaphore::new(SENT_MAX));
    let mut left = None;
    loop {
        let first = match left.take() {
            Some(first) => first,
            None => match receiver.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        // The group is formed when it can go: until then it grows.
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let group = gather(first, &mut receiver, &mut left);
        let payload = group::message(group.iter().map(|it| it.bytes.as_slice()));
        let message = PublishMessage::build().payload(payload).expected_stream(&log.settings.stream);
        let sent = log.context.send_publish(log.settings.subject.clone(), message).await;
        point(Point::LogSent);
        tokio::spawn(answer(log.clone(), sent, group, recent.clone(), slot));
    }
}

fn gather(first: Waiting, receiver: &mut Receiver<Waiting>, left: &mut Option<Waiting>) -> Vec<Waiting> {
    let mut bytes = first.bytes.len();
    let mut group = vec![first];
    while group.len() < GROUP_MAX
        && let Ok(next) = receiver.try_recv()
    {
        bytes += next.bytes.len();
        if bytes > group::BYTES_MAX {
            *left = Some(next);
            break;
        }
        group.push(next);
    }
    group
}

async fn answer(
    log: Log,
    sent: Result<PublishAckFuture, PublishError>,
    group: Vec<Waiting>,
    recent: Arc<Mutex<Recent>>,
    slot: OwnedSemaphorePermit,
) {
    let told = match sent {
        Ok(acknowledged) => acknowledged.await,
        Err(error) => Err(error),
    };
    drop(slot);
    let told = match told {
        Ok(_) => {
            point(Point::LogKept);
            log.stand.reached();
            let mut recent = known(&recent);
            for it in &group {
                recent.add(it.key);
            }
            Ok(Appended::Fresh)
        }
        Err(error) => {
            let reason = reason(&log, &error);
            log.stand.away(&reason);
            Err(IntakeError::Away(reason))
        }
    };
    for waiting in group {
        // Whoever hung up will repeat the call.
        let _ = waiting.answer.send(told.clone());
    }
}

fn reason(log: &Log, error: &PublishError) -> String {
    let (name, told) = (&log.settings.stream, error.to_string());
    if told.contains("maximum bytes exceeded") {
        return format!("the stream {name} is full: the inbox is too slow, or intake.max_mb too small");
    }
    format!("the stream {name} does not acknowledge: {told}")
}
