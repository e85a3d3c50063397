//! Reconcile: a slow, endless comparison of what a system shows, what the hub holds, and what the golden record owes.
//!
//! A round over a stream walks the system's pages with a cursor of its own, beside the normal one, and then the links
//! that no page showed; where records can only be read alone, it walks the links. What differs is a suspicion: it is
//! read once more, alone, when everything under way about it has settled. What differs then is repaired on the ordinary
//! paths (the record goes into the inbox, what is owed is planned) and read again. Rounds cost a declared share of the
//! connection's quota.
//!
//! Commit rule: what a step found, the marks of what it saw, its place and its price are one transaction; so are a
//! verdict and its repair. A kill repeats one step at most.

mod compare;
mod judge;
mod missing;
mod walk;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::connection::{Connection, State};
use crate::connector::{ConnectorError, Cursor, Page, Record, RecordKey, StreamName};
use crate::engine::Engine;
use crate::manifest::Ability;
use crate::pipeline::blocking;
use crate::quota::{Lane, Quota};
use crate::store::db::{Result, Tx};
use crate::store::divergences::{self, Divergence};
use crate::store::rounds::{self, Phase, Round};
use crate::store::streams;

/// The share of a connection's quota that rounds take unless the configuration says otherwise, in percent.
pub const SHARE_PERCENT: u32 = 2;

/// Calls a second of a system that declares no limit: a guess that disturbs nobody.
const ASSUMED_PER_SECOND: i64 = 1;

/// A round of a stream begins this long after the former one began: a small mailbox need not be read all day.
pub const ROUND_EVERY_US: i64 = 6 * 3_600_000_000;

/// After a stop, rounds make up for at most this many calls at once.
const BURST: i64 = 20;

/// A walk stands still while this many suspicions and repairs are open: what is found is dealt with first.
const BUSY_MAX: i64 = 500;

/// A walk stands still once this many divergences of its stream need a person: so many are one mistake, not thousands,
/// and they must not fill the store.
pub const STUCK_MAX: i64 = 10_000;

/// Suspicions looked at in one turn.
const LOOKS_MAX: i64 = 16;

/// How much a step may cost, and which streams it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Every stream, round after round, within so many percent of the calls that the connection may make.
    Share(u32),
    /// One round over these streams, as fast as the connection's quota lets it.
    Now(BTreeSet<StreamName>),
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Calls of the system.
    pub calls: i64,
    /// Records compared.
    pub records: usize,
    /// New suspicions.
    pub suspected: usize,
    /// Divergences confirmed.
    pub confirmed: usize,
    /// Divergences that are none any more.
    pub repaired: usize,
    /// Whether a repair waits in the inbox, in the outbox, or for a pull that was brought forward.
    pub wakes: bool,
    /// What went wrong.
    pub error: Option<String>,
    /// When there is something to do again, microseconds since 1970 UTC. None: not before something changes.
    pub next_us: Option<i64>,
}

/// Takes the next step of a connection's rounds: some suspicions looked at, or one page, or some links. At most one step
/// is taken, and none before it may cost anything.
#[tracing::instrument(name = "reconcile", skip_all, fields(connection = %connection.name))]
pub async fn batch(engine: &Engine, connection: &Connection, pace: &Pace) -> Result<Reconciled> {
    let Some(turn) = Turn::of(engine, connection, pace) else { return Ok(Reconciled::default()) };
    let here = turn.clone();
    let agenda = blocking(move || here.agenda()).await?;
    let mut done = Reconciled::default();
    let mut took = false;
    if !agenda.suspects.is_empty() && agenda.afford > 0 {
        took = judge::settle(&turn, agenda.suspects, agenda.afford, &mut done).await?;
    }
    if let (false, Some(step)) = (took, agenda.step.filter(|_| agenda.afford > 0)) {
        walk::step(&turn, step, agenda.afford, &mut done).await?;
    }
    done.calls = turn.spent();
    let here = turn.clone();
    done.next_us = blocking(move || here.next_us()).await?;
    Ok(done)
}

/// Begins a round over a stream now, whatever round was under way.
pub fn begin(engine: &Engine, connection: &Connection, stream: &StreamName) -> Result<()> {
    let now_us = engine.clock.now_us();
    engine.store.write(|tx| {
        let key = (connection.name.as_str().to_owned(), stream.as_str().to_owned());
        let mut round = rounds::rounds(tx)?.remove(&key).unwrap_or_default();
        round.phase = Phase::Rest;
        round.cursor = None;
        round.due_us = now_us;
        divergences::hurry(tx, (&key.0, &key.1), now_us)?;
        rounds::put_round(tx, &key.0, &key.1, &round)
    })
}

/// The streams of a connection that rounds go over: those that mean something and can be listed or read.
pub fn streams_of(connection: &Connection) -> Vec<StreamName> {
    let Some(connector) = &connection.connector else { return Vec::new() };
    let means = |name: &str| connection.lenses.iter().any(|lens| lens.stream() == name);
    let readable = connector
        .manifest()
        .streams
        .iter()
        .filter(|(name, stream)| means(name) && (stream.can(Ability::Pull) || stream.can(Ability::Fetch)));
    readable.map(|(name, _)| StreamName::from(name)).collect()
}

/// What all parts of one step need. Clones share the counts.
#[derive(Clone)]
struct Turn {
    engine: Engine,
    /// Its quota counts the calls of this step.
    connection: Connection,
    quota: Arc<Quota>,
    asked: Arc<AtomicI64>,
    pace: Pace,
}

/// What there is to do.
struct Agenda {
    /// Calls that may be made now.
    afford: i64,
    suspects: Vec<Divergence>,
    step: Option<Step>,
}

/// A step of a round.
struct Step {
    stream: StreamName,
    /// The round as it was stored: if another process moved it meanwhile, this step is void.
    stored: Option<Round>,
    round: Round,
}

impl Turn {
    fn of(engine: &Engine, connection: &Connection, pace: &Pace) -> Option<Self> {
        connection.connector.as_ref()?;
        let quota = Arc::new(Quota::lane_of(connection.cx.quota.clone(), Lane::Repair));
        let mut connection = connection.clone();
        connection.cx.quota = quota.clone();
        let engine = engine.clone();
        Some(Self { engine, connection, quota, asked: Arc::default(), pace: pace.clone() }).filter(Self::may_cost)
    }

    fn may_cost(&self) -> bool {
        self.pace != Pace::Share(0)
    }

    fn name(&self) -> &str {
        self.connection.name.as_str()
    }

    /// What a call is worth in time at this pace; 0: it need not be waited for.
    fn cost_us(&self) -> i64 {
        let Pace::Share(percent) = self.pace else { return 0 };
        let limit =
            self.connection.connector.as_ref().and_then(|it| it.manifest().connector.limits.requests_per_second);
        let per_second = limit.map_or(ASSUMED_PER_SECOND, |calls| i64::from(calls.get()));
        100_000_000 / (per_second * i64::from(percent)).max(1)
    }

    /// Calls of the system so far. A connector that does not count still costs one a request.
    fn spent(&self) -> i64 {
        self.asked.load(Ordering::Relaxed).max(i64::try_from(self.quota.calls()).unwrap_or(i64::MAX))
    }

    fn is_wanted(&self, stream: &StreamName) -> bool {
        match &self.pace {
            Pace::Share(_) => true,
            Pace::Now(streams) => streams.contains(stream),
        }
    }

    async fn pull(&self, stream: &StreamName, from: Option<&Cursor>) -> crate::connector::Result<Page> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match &self.connection.connector {
            Some(connector) => connector.pull(&self.connection.cx, stream, from).await,
            None => Err(ConnectorError::broken("a source of files cannot be read")),
        }
    }

    async fn fetch(&self, stream: &StreamName, id: &str) -> crate::connector::Result<Option<Record>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let key = RecordKey { connection: self.connection.name.clone(), stream: stream.clone(), id: id.into() };
        match &self.connection.connector {
            Some(connector) => connector.fetch(&self.connection.cx, &key).await,
            None => Err(ConnectorError::broken("a source of files cannot be read")),
        }
    }

    /// Puts the price of this step on record.
    fn charge(&self, tx: &mut Tx<'_>) -> Result<()> {
        let cost_us = self.cost_us();
        if cost_us == 0 {
            return Ok(());
        }
        let now_us = self.engine.clock.now_us();
        let known =
            rounds::pace(tx, self.name())?.unwrap_or(rounds::Pace { due_us: now_us, calls: 0, since_us: now_us });
        let from_us = known.due_us.max(now_us.saturating_sub(cost_us.saturating_mul(BURST)));
        let spent = self.spent();
        let due_us = from_us.saturating_add(cost_us.saturating_mul(spent));
        rounds::put_pace(tx, self.name(), &rounds::Pace { due_us, calls: known.calls + spent, ..known })
    }

    /// How many calls may be made now. The first is paid for before it is made.
    fn afford(&self, tx: &mut Tx<'_>) -> Result<i64> {
        let cost_us = self.cost_us();
        if cost_us == 0 {
            return Ok(LOOKS_MAX);
        }
        let now_us = self.engine.clock.now_us();
        let Some(pace) = rounds::pace(tx, self.name())? else { return Ok(0) };
        let credit_us = now_us - pace.due_us;
        Ok(if credit_us < 0 { 0 } else { (credit_us / cost_us + 1).min(BURST) })
    }

    fn is_paused(&self, tx: &mut Tx<'_>) -> Result<bool> {
        Ok(streams::states(tx)?.get(self.name()).is_some_and(|(state, _)| *state == State::Paused))
    }

    fn agenda(&self) -> Result<Agenda> {
        let (now_us, cost_us) = (self.engine.clock.now_us(), self.cost_us());
        let is_new = cost_us > 0 && self.engine.store.read(|tx| rounds::pace(tx, self.name()))?.is_none();
        if is_new {
            let first = rounds::Pace { due_us: now_us + cost_us, calls: 0, since_us: now_us };
            self.engine.store.write(|tx| rounds::put_pace(tx, self.name(), &first))?;
        }
        self.engine.store.read(|tx| {
            if self.is_paused(tx)? {
                return Ok(Agenda { afford: 0, suspects: Vec::new(), step: None });
            }
            let mut suspects = divergences::due(tx, self.name(), now_us, LOOKS_MAX)?;
            suspects.retain(|one| self.is_wanted(&one.stream.as_str().into()));
            let step = self.steps(tx)?.into_iter().find(|step| step.round.due_us <= now_us);
            Ok(Agenda { afford: self.afford(tx)?, suspects, step })
        })
    }

    /// The next step of every stream, the longest waiting first. A stream that was never read to its end is left to its
    /// pull, and one that stands under a brake or waits for a person to that person.
    fn steps(&self, tx: &mut Tx<'_>) -> Result<Vec<Step>> {
        let (mut known, pulled, counts) = (rounds::rounds(tx)?, streams::all(tx)?, divergences::counts(tx)?);
        let here = streams::here(tx)?;
        let mut steps = Vec::new();
        for stream in streams_of(&self.connection).into_iter().filter(|stream| self.is_wanted(stream)) {
            let key = (self.name().to_owned(), stream.as_str().to_owned());
            let can_pull = self.connection.can(stream.as_str(), Ability::Pull);
            let state = pulled.get(&key);
            let is_read = state.is_some_and(|it| it.read_to.is_some() && !it.stopped && it.brake.is_none());
            let count = |state| counts.get(&(key.0.clone(), key.1.clone(), state)).copied().unwrap_or(0);
            let busy = count(divergences::State::Suspected) + count(divergences::State::Repairing);
            if (can_pull && !is_read) || busy >= BUSY_MAX || count(divergences::State::Stuck) >= STUCK_MAX {
                continue;
            }
            let stored = known.remove(&key);
            let mut round = stored.clone().unwrap_or_default();
            if round.phase == Phase::Rest {
                round = Round {
                    number: round.number + 1,
                    phase: if can_pull { Phase::Pages } else { Phase::Links },
                    cursor: None,
                    scan: here,
                    tally: rounds::Tally::default(),
                    started_us: self.engine.clock.now_us().max(round.due_us),
                    ..round
                };
            }
            steps.push(Step { stream, stored, round });
        }
        steps.sort_by_key(|step| step.round.due_us);
        Ok(steps)
    }

    /// When there is something to do again.
    fn next_us(&self) -> Result<Option<i64>> {
        self.engine.store.read(|tx| {
            if self.is_paused(tx)? {
                return Ok(None);
            }
            let walk = self.steps(tx)?.first().map(|step| step.round.due_us);
            let looks = divergences::next_due_us(tx, self.name())?.into_iter();
            let looks = looks.filter(|(stream, _)| self.is_wanted(&stream.as_str().into()));
            let due = looks.map(|(_, due_us)| due_us).chain(walk).min();
            let paid = rounds::pace(tx, self.name())?.map_or(0, |pace| pace.due_us);
            Ok(due.map(|due| if self.cost_us() == 0 { due } else { due.max(paid) }))
        })
    }
}

/// How long to wait after a failure, and whether the connection pauses.
fn wait_us(error: &ConnectorError, failures: i64) -> i64 {
    /// A round is in no hurry.
    const FIRST_US: i64 = 60_000_000;
    const LONGEST_US: i64 = 3_600_000_000;
    let told_us = match error {
        ConnectorError::Transient { after, .. }
        | ConnectorError::Unreached { after, .. }
        | ConnectorError::RateLimited { after, .. } => {
            after.map_or(0, |wait| i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
        }
        ConnectorError::Broken { .. } | ConnectorError::Rejected { .. } => LONGEST_US,
        _ => 0,
    };
    (FIRST_US << failures.clamp(0, 6)).min(LONGEST_US).max(told_us)
}

/// Credentials that do not work pause the connection, whoever notices.
fn pause(turn: &Turn, tx: &mut Tx<'_>, error: &ConnectorError) -> Result<()> {
    if matches!(error, ConnectorError::Unauthorized { .. }) {
        let now_us = turn.engine.clock.now_us();
        streams::set_state(tx, turn.name(), State::Paused, Some(&error.to_string()), now_us)?;
    }
    Ok(())
}
