//! The way on: messages from the position that stands in the store, in order, into the inbox.
//!
//! The servers keep no place of ours: the reader asks for what is behind its position, and what it has taken in it removes
//! from the stream later. Before it reads, it looks whether the stream is the one that it knows, whether anything is missing
//! between, and whether the message at its position is still the one that it took in: servers that lost their end to a power
//! cut would give its numbers to other calls. Whatever is wrong there stops it, until a person has decided.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{self, MessagesError, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::stream::{Info, RawMessageErrorKind, Stream};
use futures_util::{FutureExt as _, StreamExt as _};
use huiliu_core::crash::{Point, point};
use huiliu_core::pipeline::log::{self, Step, Taken};
use huiliu_core::store::logs::{self, LogState};
use tokio::sync::watch;

use crate::connect::{AGAIN, Trouble};
use crate::stand::Stand;
use crate::{Log, group, stream};

/// Calls in one transaction at least, if so many wait: a message more may come on top.
const CALLS: usize = 1024;

/// Bytes of messages in one transaction at least, if so many wait.
const BYTES: usize = 4 << 20;

/// Bytes that the servers may send ahead.
const AHEAD_BYTES: usize = 8 << 20;

/// What was taken in is removed this often.
const PURGE_EVERY: Duration = Duration::from_secs(1);

/// A server says this often that it is there, if it has nothing to send.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// The servers forget a reader that has not asked for so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// Who was overtaken goes on when the position has not moved in so many looks.
const QUIET_LOOKS: u32 = 3;

/// See the module. Several processes may run one each: the position in the store lets one of them append at a time.
pub struct Reader {
    log: Log,
    wake: Box<dyn Fn() + Send + Sync>,
    stand: Arc<Stand>,
}

/// The stream from a place on.
struct Place {
    stream: Stream<Info>,
    messages: Messages,
    state: LogState,
    purged: Instant,
    purged_to: i64,
}

impl Reader {
    /// A reader that calls `wake` after everything that it appended.
    pub fn new(log: Log, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { log, wake: Box::new(wake), stand: Arc::new(Stand::reader()) }
    }

    /// Reads until told to stop.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        // A reading that ends is begun again first: only what stands in the way then is told.
        let mut hushed = false;
        while !*stop.borrow() {
            let begun = Instant::now();
            let ended = tokio::select! {
                ended = self.read() => ended,
                _ = stop.changed() => return,
            };
            hushed &= begun.elapsed() < AGAIN;
            let rest = async {
                match ended {
                    Ok(()) => {}
                    Err(Trouble::Overtaken) => self.stand_by().await,
                    Err(Trouble::Away(told)) if self.stand.reason().is_none() && !hushed => {
                        hushed = true;
                        tracing::debug!("the stream is read anew: {told}");
                        tokio::time::sleep(AGAIN / 10).await;
                    }
                    Err(trouble) => {
                        self.stand.away(&trouble.to_string());
                        self.note(Some(trouble.to_string())).await;
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            };
            tokio::select! {
                () = rest => {}
                _ = stop.changed() => return,
            }
        }
    }

    async fn note(&self, trouble: Option<String>) {
        let (name, now_us) = (self.log.settings.stream.clone(), self.log.clock.now_us());
        let noted = self.log.on_store(move |store| log::note(store, &name, None, trouble.as_deref(), now_us)).await;
        if let Err(error) = noted {
            tracing::debug!("how the stream stands cannot be noted: {error}");
        }
    }

    /// Waits until whoever was faster rests.
    async fn stand_by(&self) {
        let (mut seen, mut quiet) = (None, 0);
        while quiet < QUIET_LOOKS {
            tokio::time::sleep(AGAIN).await;
            let now = self.log.state().await.ok().flatten().map(|it| it.position);
            quiet = if now == seen { quiet + 1 } else { 0 };
            seen = now;
        }
    }

    async fn read(&self) -> Result<(), Trouble> {
        let mut at = self.begin().await?;
        self.note(None).await;
        self.stand.reached();
        loop {
            let first = tokio::select! {
                first = at.messages.next() => first,
                // Nothing comes, perhaps because the stream is full.
                () = tokio::time::sleep(PURGE_EVERY), if at.purged_to < at.state.position => {
                    purge(&mut at).await;
                    continue;
                }
            };
            let step = match next(&mut at, first, &self.log.settings.stream) {
                Err(Trouble::Hole(from, to)) => {
                    // What was sent ahead is behind the hole: it is asked for again.
                    let step = self.hole(&at, from, to).await?;
                    return self.take(&mut at, step).await;
                }
                step => step?,
            };
            point(Point::LogRead);
            self.take(&mut at, step).await?;
            if at.purged.elapsed() >= PURGE_EVERY {
                purge(&mut at).await;
            }
        }
    }

    /// Puts a step into the inbox, and moves the position.
    async fn take(&self, at: &mut Place, step: Step) -> Result<(), Trouble> {
        let (from, now_us) = (at.state.clone(), self.log.clock.now_us());
        let taken = self.log.on_store(move |store| log::take(store, &from, &step, now_us)).await?;
        let Taken::In { state, .. } = taken else { return Err(Trouble::Overtaken) };
        at.state = state;
        (self.wake)();
        Ok(())
    }

    /// Messages between did not come: the step over them, if they are gone for good. A person is told.
    async fn hole(&self, at: &Place, from: i64, to: i64) -> Result<Step, Trouble> {
        for number in [from, to] {
            match at.stream.get_raw_message(sequence(number)).await {
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {}
                _ => return Err(Trouble::Away(Trouble::Hole(from, to).to_string())),
            }
        }
        let name = &self.log.settings.stream;
        let told = format!(
            "messages {from} to {to} of the stream {name} were deleted before they were taken in: the calls in them are lost. What is pulled on a schedule comes again by itself"
        );
        tracing::error!("{told}");
        Ok(Step { to, last: at.state.last, unreadable: vec![(from, told)], ..Step::default() })
    }

    /// Finds the place in the stream, and asks for what is behind it.
    async fn begin(&self) -> Result<Place, Trouble> {
        let stream = self.log.prepare().await?;
        let info = stream.cached_info().clone();
        let state = self.known(&info).await?;
        stands(&state, &info)?;
        self.anchored(&state, &stream, &info).await?;
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: sequence(state.position + 1) },
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: FORGOTTEN_AFTER,
            description: Some("Huiliu's reader".to_owned()),
            ..pull::Config::default()
        };
        let away = |error: &dyn std::fmt::Display| Trouble::Away(format!("the stream cannot be read: {error}"));
        let consumer = stream.create_consumer(config).await.map_err(|error| away(&error))?;
        let messages = consumer.stream().max_bytes_per_batch(AHEAD_BYTES).heartbeat(HEARTBEAT).messages().await;
        let messages = messages.map_err(|error| away(&error))?;
        let mut place = Place { stream, messages, state, purged: Instant::now(), purged_to: 0 };
        purge(&mut place).await;
        Ok(place)
    }

    /// How far this stream was taken in. A person's word, that it is to be taken as it is, is carried out here.
    async fn known(&self, info: &Info) -> Result<LogState, Trouble> {
        let (name, now_us) = (self.log.settings.stream.clone(), self.log.clock.now_us());
        let (identity, first, last) =
            (stream::identity(info), number(info.state.first_sequence), number(info.state.last_sequence));
        let begun = move |store: &huiliu_core::store::Store| {
            store.write(|tx| {
                let fresh = LogState {
                    name: name.clone(),
                    identity: identity.clone(),
                    last,
                    looked_us: now_us,
                    ..LogState::default()
                };
                let state = match logs::hold(tx, &name)? {
                    None => fresh,
                    Some(known) if known.accepted => LogState { position: (first - 1).max(0), ..fresh },
                    Some(known) => return Ok((known, false)),
                };
                logs::put(tx, &state)?;
                Ok((state, true))
            })
        };
        let (state, is_new) = self.log.on_store(begun).await?;
        if is_new {
            tracing::info!(stream = state.name, after = state.position, "the stream is taken in from here");
        }
        Ok(state)
    }

    /// Whether the message at the position is still the one that was taken in.
    async fn anchored(&self, state: &LogState, stream: &Stream<Info>, info: &Info) -> Result<(), Trouble> {
        if state.anchor == 0 || number(info.state.first_sequence) > state.position {
            return Ok(());
        }
        let found = stream.get_raw_message(sequence(state.position)).await;
        let found = found.map_err(|error| Trouble::Away(format!("the stream cannot be read: {error}")))?;
        if anchor(found.time.unix_timestamp_nanos()) == state.anchor { Ok(()) } else { Err(lost_end(state)) }
    }
}

/// What can be wrong with a stream that was taken in up to a place.
fn stands(state: &LogState, info: &Info) -> Result<(), Trouble> {
    let LogState { name, position, .. } = state;
    let (first, last) = (number(info.state.first_sequence), number(info.state.last_sequence));
    if stream::identity(info) != state.identity {
        return Err(Trouble::Wrong(format!(
            "the stream {name} was deleted and made anew: calls that were acknowledged behind message {position} of the former one and not taken in are lost. Run `huiliu intake --accept` to go on with the new one; what is pulled on a schedule comes again by itself"
        )));
    }
    if last < *position {
        return Err(lost_end(state));
    }
    if first > position + 1 {
        return Err(missing(name, position + 1, first - 1));
    }
    Ok(())
}

fn lost_end(state: &LogState) -> Trouble {
    let LogState { name, position, .. } = state;
    Trouble::Wrong(format!(
        "the stream {name} has lost its end: its message {position} is not the one that was taken in. Its servers lost calls that they had acknowledged, as after a power cut without sync_interval: always. Run `huiliu intake --accept` to take in what is there; what is pulled on a schedule comes again by itself"
    ))
}

fn missing(name: &str, from: i64, to: i64) -> Trouble {
    Trouble::Wrong(format!(
        "messages {from} to {to} of the stream {name} were deleted before they were taken in, or the store was restored from an older backup. Restore the stream if there is a backup; or run `huiliu intake --accept` to go on behind them; what is pulled on a schedule comes again by itself"
    ))
}

/// What came first, and as much as is here by now.
fn next(at: &mut Place, first: Option<Result<Message, MessagesError>>, name: &str) -> Result<Step, Trouble> {
    let mut step = Step { to: at.state.position, ..Step::default() };
    let (mut bytes, mut message) = (0, first);
    loop {
        let ended = || Trouble::Away("the stream cannot be read: its servers ended the reading".to_owned());
        let read = message.ok_or_else(ended)?;
        let read = read.map_err(|error| Trouble::Away(format!("the stream cannot be read: {error}")))?;
        bytes += read.payload.len();
        match add(&mut step, &read, name) {
            Err(Trouble::Hole(..)) if step.to > at.state.position => return Ok(step),
            added => added?,
        }
        if step.calls.len() >= CALLS || bytes >= BYTES {
            return Ok(step);
        }
        match at.messages.next().now_or_never() {
            Some(Some(Ok(more))) => message = Some(Ok(more)),
            // Whatever else there is, comes again when it is asked for.
            Some(_) | None => return Ok(step),
        }
    }
}

fn add(step: &mut Step, message: &Message, name: &str) -> Result<(), Trouble> {
    let info = message.info().map_err(|error| Trouble::Away(format!("the stream cannot be read: {error}")))?;
    let (at, pending) = (number(info.stream_sequence), number(info.pending));
    if at != step.to + 1 {
        return Err(Trouble::Hole(step.to + 1, at - 1));
    }
    match group::read(&message.payload) {
        Ok(calls) => step.calls.extend(calls),
        Err(told) => {
            tracing::error!(
                stream = name,
                message = at,
                "a message is no group of calls, nothing of it is taken in: {told}"
            );
            step.unreadable.push((at, format!("message {at} of the stream {name} is no group of calls: {told}. Whoever sent it must send to another subject")));
        }
    }
    step.to = at;
    step.anchor = anchor(info.published.unix_timestamp_nanos());
    step.last = at + pending;
    Ok(())
}

/// Removes what was taken in, except for the last message, which shows that the stream is the same.
async fn purge(at: &mut Place) {
    at.purged = Instant::now();
    let to = at.state.position;
    if to < 2 {
        at.purged_to = to;
        return;
    }
    match at.stream.purge().sequence(sequence(to)).await {
        Ok(_) => {
            at.purged_to = to;
            point(Point::LogPurged);
        }
        Err(error) => tracing::debug!("what was taken in stays in the stream for now: {error}"),
    }
}

fn sequence(position: i64) -> u64 {
    u64::try_from(position).unwrap_or(0)
}

fn number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// A time of the server that marks a message.
fn anchor(nanos: i128) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX)
}
