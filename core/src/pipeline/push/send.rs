//! Sends what was claimed: as many calls at a time as the manifest allows, never two of one record, and what of one record
//! was planned first goes first. Answers that are in are put on record together, while other calls are on their way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Notify;
use tracing::Instrument as _;

use super::{Answer, Kept, claims_most, doubt, keep};
use crate::connection::Connection;
use crate::connector::{Connector, ConnectorError, Delivery, Operation, Receipt, RecordKey};
use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::manifest::Manifest;
use crate::pipeline::{blocking, stand};
use crate::store::db::{Result, StoreError};
use crate::store::deliveries::Planned;
use crate::store::streams::Errands;

/// What was done, and what is next.
#[derive(Debug, Default)]
pub struct Sent {
    /// Deliveries that were tried.
    pub tried: usize,
    /// What the connection has to do next; none: nothing was tried.
    pub next: Option<Errands>,
}

/// What is done once all is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing.
    Rest,
    /// What is due by then is sent, too.
    Claim,
}

/// Nothing more is claimed after so long: there may be keys to fetch, or the program is to end.
const ROUND_US: i64 = 1_000_000;

/// Deliveries that go in one call.
type Call = Vec<Planned>;

/// Sends what was claimed, and puts each answer on record.
pub(super) async fn all(engine: &Engine, connection: &Connection, claimed: Vec<Planned>, after: After) -> Result<Sent> {
    let Some(connector) = connection.connector.clone() else { return Ok(Sent::default()) };
    let connection = &connection.in_lane(crate::quota::Lane::Live);
    let mut round = Round {
        engine,
        connection,
        connector: connector.as_ref(),
        waiting: VecDeque::new(),
        answers: Vec::new(),
        open: BTreeSet::new(),
        under_way: BTreeMap::new(),
        begun_us: engine.clock.now_us(),
        sent: Sent::default(),
    };
    let ended = round.run(claimed, after).await;
    if ended.is_err() {
        engine.note_unanswered(connection.name.as_str(), round.open);
    }
    ended.map(|()| round.sent)
}

struct Round<'r> {
    engine: &'r Engine,
    connection: &'r Connection,
    connector: &'r dyn Connector,
    waiting: VecDeque<Call>,
    /// What was answered and is not on record.
    answers: Vec<Answer>,
    /// The numbers of what is not on record.
    open: BTreeSet<i64>,
    /// Of these, what was begun.
    under_way: BTreeMap<i64, Target>,
    begun_us: i64,
    sent: Sent,
}

type Keeping = Pin<Box<dyn Future<Output = Result<(Kept, Vec<i64>)>> + Send>>;

async fn kept(keeping: &mut Option<Keeping>) -> Result<(Kept, Vec<i64>)> {
    match keeping {
        Some(keeping) => keeping.await,
        None => std::future::pending().await,
    }
}

impl Round<'_> {
    async fn run(&mut self, claimed: Vec<Planned>, after: After) -> Result<()> {
        let at_once = self.connector.manifest().connector.limits.push_parallel.get() as usize;
        let (engine, connection, connector) = (self.engine, self.connection, self.connector);
        // Something may have been handed over since, or before what was asked for.
        let mut all = engine.take_handed(connection.name.as_str());
        all.extend(claimed);
        all.sort_by_key(|one| one.delivery.number);
        self.take(all).await?;
        // Calls when more was handed over.
        let called = Arc::<Notify>::default();
        let mut flying = FuturesUnordered::new();
        let mut keeping: Option<Keeping> = None;
        let mut failed: Option<StoreError> = None;
        loop {
            if failed.is_none() && !self.waiting.is_empty() {
                failed = stand(engine).await.err();
            }
            // Where answers are not kept nothing more is begun.
            while failed.is_none()
                && flying.len() < at_once
                && let Some(call) = self.next()
            {
                flying.push(carry_out(engine, connection, connector, call));
            }
            if keeping.is_none() && failed.is_none() && !self.answers.is_empty() {
                keeping = Some(self.put_on_record(after));
            }
            let takes_more = failed.is_none() && self.goes_on(after);
            if takes_more && !(keeping.is_none() && flying.is_empty()) {
                engine.take_along(connection.name.as_str(), self.open.len(), &called);
            } else {
                // What was handed over until now is on record as being sent.
                let handed = engine.take_handed(connection.name.as_str());
                self.open.extend(handed.iter().map(|one| one.delivery.number));
                if failed.is_none() && !handed.is_empty() {
                    failed = self.take(handed).await.err();
                    continue;
                }
            }
            if keeping.is_none() && flying.is_empty() {
                return failed.map_or(Ok(()), Err);
            }
            tokio::select! {
                biased;
                Some(answers) = flying.next(), if !flying.is_empty() => self.answers.extend(answers),
                () = called.notified(), if takes_more => {
                    let handed = engine.take_more(connection.name.as_str());
                    failed = self.take(handed).await.err();
                }
                kept = kept(&mut keeping) => {
                    keeping = None;
                    match kept {
                        Ok((kept, numbers)) => {
                            for number in numbers {
                                self.open.remove(&number);
                                self.under_way.remove(&number);
                            }
                            self.sent.next = Some(kept.next);
                            failed = self.take(kept.claimed).await.err();
                        }
                        Err(error) => failed = Some(error),
                    }
                }
            }
            // What else has arrived goes on record with it.
            while let Some(Some(answers)) = flying.next().now_or_never() {
                self.answers.extend(answers);
            }
        }
    }

    /// Whether more is claimed, or taken from those who plan.
    fn goes_on(&self, after: After) -> bool {
        after == After::Claim && self.engine.clock.now_us() - self.begun_us < ROUND_US
    }

    /// Lines up what was claimed. What an earlier attempt made is answered at once.
    async fn take(&mut self, claimed: Vec<Planned>) -> Result<()> {
        self.sent.tried += claimed.len();
        self.open.extend(claimed.iter().map(|one| one.delivery.number));
        let (claimed, made) = made_already(self.engine, self.connection, claimed).await?;
        for one in made {
            let detail = "the record that an earlier attempt made is known by now".to_owned();
            let result = Err(ConnectorError::Conflict { detail });
            count(self.connection, &result);
            let asked_us = self.engine.clock.now_us();
            self.answers.push(Answer { one, fresh: None, asked_us, result });
        }
        // What waits has not begun: more may go with it.
        let waiting = std::mem::take(&mut self.waiting).into_iter().flatten().chain(claimed);
        self.waiting = calls(self.connector.manifest(), waiting);
        Ok(())
    }

    /// The first call that touches nothing that is under way, or that a call before it touches.
    fn next(&mut self) -> Option<Call> {
        let mut busy: BTreeSet<Target> = self.under_way.values().cloned().collect();
        let free = self.waiting.iter().position(|call| {
            let targets: Vec<Target> = call.iter().map(target).collect();
            let is_free = targets.iter().all(|lane| !busy.contains(lane));
            busy.extend(targets);
            is_free
        });
        let call = self.waiting.remove(free?)?;
        self.under_way.extend(call.iter().map(|one| (one.delivery.number, target(one))));
        Some(call)
    }

    fn put_on_record(&mut self, after: After) -> Keeping {
        let answers = std::mem::take(&mut self.answers);
        let left = i64::try_from(self.open.len() - answers.len()).unwrap_or(i64::MAX);
        let room = if self.goes_on(after) { (claims_most(self.connection) - left).max(0) } else { 0 };
        let (here, connection) = (self.engine.clone(), self.connection.clone());
        Box::pin(blocking(move || {
            let kept = keep(&here, &connection, &answers, room)?;
            Ok((kept, answers.iter().map(|answer| answer.one.delivery.number).collect()))
        }))
    }
}

/// What is never under way twice: a record, a record to be made, or the actions of rules in a stream.
type Target = (String, Option<String>, i64);

fn target(one: &Planned) -> Target {
    match &one.delivery.id {
        Some(id) => (one.delivery.stream.as_str().to_owned(), Some(id.as_str().to_owned()), 0),
        None => (one.delivery.stream.as_str().to_owned(), None, one.golden),
    }
}

/// One call, and what its answers need to be put on record.
async fn carry_out(engine: &Engine, connection: &Connection, connector: &dyn Connector, call: Call) -> Vec<Answer> {
    let results = match call.as_slice() {
        [one] => vec![connector.push(&connection.cx, &one.delivery).instrument(span(connection, one)).await],
        many => {
            let sent: Vec<Delivery> = many.iter().map(|one| one.delivery.clone()).collect();
            connector.push_many(&connection.cx, &sent).instrument(span(connection, &many[0])).await
        }
    };
    point(Point::PushAnswered);
    let missing = || Err(ConnectorError::transient("the batch gave no answer for this delivery; it is sent alone"));
    let results = results.into_iter().chain(std::iter::repeat_with(missing));
    let mut answers = Vec::with_capacity(call.len());
    for (one, result) in call.into_iter().zip(results) {
        answers.push(answer(engine, connection, connector, one, result).await);
    }
    answers
}

/// After a conflict the record is read again at once, so that the next plan starts from what is there. If that fails,
/// the delivery is sent once more later: dropped now, it would be owed by nobody. And what is gone may be there under
/// another id.
async fn answer(
    engine: &Engine,
    connection: &Connection,
    connector: &dyn Connector,
    one: Planned,
    result: crate::connector::Result<Receipt>,
) -> Answer {
    count(connection, &result);
    let asked_us = engine.clock.now_us();
    let result = if one.is_action() { result.map_err(for_good) } else { result };
    let (fresh, result) = match (result, &one.delivery.id) {
        (Err(refusal @ (ConnectorError::Conflict { .. } | ConnectorError::Gone { .. })), Some(id)) => {
            let key =
                RecordKey { connection: connection.name.clone(), stream: one.delivery.stream.clone(), id: id.clone() };
            match connector.fetch(&connection.cx, &key).await {
                Ok(Some(record)) => (Some(record), Err(refusal)),
                Err(_) if matches!(refusal, ConnectorError::Gone { .. }) => (None, Err(refusal)),
                Ok(None) => (None, Err(ConnectorError::Gone { detail: refusal.to_string() })),
                Err(error) => (None, Err(error)),
            }
        }
        (result, _) => (None, result),
    };
    Answer { one, fresh, asked_us, result }
}

fn count(connection: &Connection, result: &crate::connector::Result<Receipt>) {
    let outcome = match result {
        Ok(_) => "done",
        Err(error) => error.kind(),
    };
    let labels = [("connection", connection.name.to_string()), ("outcome", outcome.to_owned())];
    metrics::counter!("huiliu_pushed_total", &labels).increment(1);
}

/// Nobody plans an action of a rule again: what would be planned anew elsewhere needs a person here.
fn for_good(error: ConnectorError) -> ConnectorError {
    match error {
        ConnectorError::Conflict { detail } | ConnectorError::Gone { detail } => {
            ConnectorError::Rejected { at: String::new(), reason: detail }
        }
        error => error,
    }
}

/// Creates that were tried before, and whose record came in place of an answer, need no second attempt where a create is
/// one call. Where it is several (save, submit, audit), the second attempt finds what was begun, and ends it.
async fn made_already(
    engine: &Engine,
    connection: &Connection,
    claimed: Vec<Planned>,
) -> Result<(Vec<Planned>, Vec<Planned>)> {
    let is_one_call = connection.connector.as_ref().is_some_and(|it| !it.writes_in_steps());
    let is_repeat = move |one: &Planned| {
        is_one_call && !one.is_action() && one.delivery.operation == Operation::Create && one.delivery.attempt > 1
    };
    if !claimed.iter().any(is_repeat) {
        return Ok((claimed, Vec::new()));
    }
    let (here, name) = (engine.clone(), connection.name.clone());
    blocking(move || {
        here.store.read(|tx| {
            let (repeats, mut left): (Vec<Planned>, Vec<Planned>) = claimed.into_iter().partition(is_repeat);
            let known = doubt::known(tx, name.as_str(), &repeats)?;
            let (made, unmade): (Vec<Planned>, Vec<Planned>) =
                repeats.into_iter().partition(|one| known.contains(&one.golden));
            left.extend(unmade);
            left.sort_by_key(|one| one.delivery.number);
            Ok((left, made))
        })
    })
    .await
}

fn span(connection: &Connection, one: &Planned) -> tracing::Span {
    let Delivery { number, attempt, operation, stream, .. } = &one.delivery;
    tracing::info_span!("push", connection = %connection.name, %stream, delivery = number, operation = operation.as_str(), attempt)
}

/// What goes in one call: neighbours of one stream and operation, as many as the manifest declares. Only first
/// attempts go together; what an earlier attempt may have done is looked into alone.
fn calls(manifest: &Manifest, claimed: impl Iterator<Item = Planned>) -> VecDeque<Call> {
    let mut calls: VecDeque<Call> = VecDeque::new();
    for one in claimed {
        let it = &one.delivery;
        let size = manifest.batch_size(it.stream.as_str(), it.operation);
        let fits = calls.back().is_some_and(|call| {
            let joins = |other: &Planned| {
                let other = &other.delivery;
                (&other.stream, other.operation, other.attempt) == (&it.stream, it.operation, 1)
                    && (it.id.is_none() || other.id != it.id)
            };
            it.attempt == 1 && call.len() < size && call.iter().all(joins)
        });
        match calls.back_mut() {
            Some(call) if fits => call.push(one),
            _ => calls.push_back(vec![one]),
        }
    }
    calls
}
