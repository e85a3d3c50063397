//! The verdict: a suspicion is read once more when everything about it has settled, and repaired if it is true.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Difference, Known};
use super::missing::{self, Owing};
use super::{ROUND_EVERY_US, Reconciled, Turn, pause, wait_us};
use crate::connector::{ConnectorError, Cursor, Received, Record, StreamName};
use crate::manifest::Ability;
use crate::pipeline::process::MEANING_LOCK;
use crate::pipeline::{blocking, plan, pull};
use crate::store::db::{Result, Tx};
use crate::store::divergences::{self, Divergence, Kind, State};
use crate::store::{inbox, links, streams};

/// How long a look waits for what is under way, and after a repair; each further repair doubles it.
const PAUSE_US: i64 = 5_000_000;

/// After so many repairs a divergence needs a person; it is looked at once a round still, and not repaired any more.
const TRIES_MAX: i64 = 4;

/// Where a system talks all the time, something about a record may be under way always: after this long it is looked at
/// all the same.
const PATIENCE_US: i64 = 600_000_000;

/// Items of the inbox that are searched for news about a record.
const NEWS: i64 = 5_000;

/// Repaired divergences that are kept for people to see, of each stream.
const REPAIRED_KEPT: i64 = 200;

/// What a look found.
enum Looked {
    /// The record, under the id that was asked for or under that of its survivor.
    Shown(Record),
    /// There is none.
    Absent,
    /// Its page does not show it any more: the next round meets it again.
    Moved,
    /// The system cannot be asked for it: the links tell whether its stream's own scan found it gone.
    Unasked,
    Failed(ConnectorError),
}

/// A suspicion, when the system was asked, and what it answered.
struct Case {
    one: Divergence,
    asked_us: i64,
    looked: Looked,
}

/// Looks at those of the suspicions that have settled. False: none has.
pub(super) async fn settle(turn: &Turn, suspects: Vec<Divergence>, afford: i64, done: &mut Reconciled) -> Result<bool> {
    let here = turn.clone();
    let ready = blocking(move || put_off(&here, suspects)).await?;
    if ready.is_empty() {
        return Ok(false);
    }
    let mut pages: BTreeMap<(String, Option<String>), BTreeMap<String, Record>> = BTreeMap::new();
    let mut cases: Vec<Case> = Vec::new();
    for one in ready {
        if turn.spent() >= afford {
            break;
        }
        let asked_us = turn.engine.clock.now_us();
        let looked = look(turn, &one, &mut pages).await;
        let is_over = matches!(looked, Looked::Failed(_));
        cases.push(Case { one, asked_us, looked });
        if is_over {
            break;
        }
    }
    let (here, counts) = (turn.clone(), done.clone());
    *done = blocking(move || judge(&here, cases, counts)).await?;
    Ok(true)
}

/// Puts off what has not settled; returns the rest.
fn put_off(turn: &Turn, suspects: Vec<Divergence>) -> Result<Vec<Divergence>> {
    let now_us = turn.engine.clock.now_us();
    let (mut ready, mut later) = (Vec::new(), Vec::new());
    turn.engine.store.read(|tx| {
        for (stream, all) in by_stream(suspects, |one| one) {
            let ids = all.iter().map(|one| one.external_id.clone()).collect();
            let known = Known::load(&turn.engine, tx, &turn.connection, &stream, &ids)?;
            let owing = owing(turn, tx, &stream, &ids)?;
            for one in all {
                match wait_until_us(turn, &known, &owing, &one, now_us) {
                    Some(due_us) => later.push(Divergence { due_us, ..one }),
                    None => ready.push(one),
                }
            }
        }
        Ok(())
    })?;
    if !later.is_empty() {
        turn.engine.store.write(|tx| divergences::put(tx, &later))?;
    }
    Ok(ready)
}

/// What is owed to records that have no id yet.
fn owing(turn: &Turn, tx: &mut Tx<'_>, stream: &str, ids: &BTreeSet<String>) -> Result<Owing> {
    let golden: BTreeSet<i64> = ids.iter().filter_map(|id| missing::golden_of(id)).collect();
    if golden.is_empty() { Ok(Owing::default()) } else { Owing::load(turn, tx, stream, &golden) }
}

fn by_stream<T>(all: Vec<T>, of: impl Fn(&T) -> &Divergence) -> BTreeMap<String, Vec<T>> {
    let mut streams: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for one in all {
        streams.entry(of(&one).stream.clone()).or_default().push(one);
    }
    streams
}

/// Until when a suspicion has to wait for what is under way. None: it has settled.
fn wait_until_us(turn: &Turn, known: &Known, owing: &Owing, one: &Divergence, now_us: i64) -> Option<i64> {
    let id = one.external_id.as_str();
    let is_owed = missing::golden_of(id).is_some_and(|golden| owing.busy.contains(&golden));
    if known.processed < one.inbox || known.is_busy(id) || is_owed {
        return Some(now_us + PAUSE_US);
    }
    if turn.connection.can(&one.stream, Ability::Fetch) {
        return None;
    }
    // What cannot be read alone is read from a list, which shows the past for as long as its index lags.
    let (written_us, said_us) = known.fresh_us(id);
    let current_us = written_us.max(said_us).saturating_add(lag_us(turn, &one.stream));
    (current_us > now_us).then_some(current_us)
}

/// How far a stream's lists may lag behind: what its manifest reads again with each pull.
fn lag_us(turn: &Turn, stream: &str) -> i64 {
    let stream = turn.connection.connector.as_ref().and_then(|it| it.manifest().stream(stream));
    let pulls = stream.iter().flat_map(|it| it.pull.iter().chain(it.changes.iter().map(|changes| &changes.pull)));
    let seconds = pulls.filter_map(|pull| pull.since.as_ref()).map(|since| since.overlap_seconds).max();
    i64::try_from(seconds.unwrap_or(0)).unwrap_or(0).saturating_mul(1_000_000)
}

async fn look(
    turn: &Turn,
    one: &Divergence,
    pages: &mut BTreeMap<(String, Option<String>), BTreeMap<String, Record>>,
) -> Looked {
    let stream = StreamName::from(&one.stream);
    if one.kind == Kind::Uncreated {
        return Looked::Unasked;
    }
    if turn.connection.can(&one.stream, Ability::Fetch) {
        return match turn.fetch(&stream, &one.external_id).await {
            Ok(Some(record)) => Looked::Shown(record),
            Ok(None) => Looked::Absent,
            Err(error) => Looked::Failed(error),
        };
    }
    if one.kind == Kind::Vanished {
        return Looked::Unasked;
    }
    let key = (one.stream.clone(), one.page.clone());
    if !pages.contains_key(&key) {
        match turn.pull(&stream, one.page.as_deref().map(Cursor::from).as_ref()).await {
            Ok(page) => {
                let records = page.items.into_iter().filter_map(|it| match it {
                    Received::Record(record) => Some((record.id.as_str().to_owned(), record)),
                    _ => None,
                });
                pages.insert(key.clone(), records.collect());
            }
            Err(error) => return Looked::Failed(error),
        }
    }
    pages[&key].get(&one.external_id).cloned().map_or(Looked::Moved, Looked::Shown)
}

/// Judges all cases in one transaction, with their repairs.
fn judge(turn: &Turn, cases: Vec<Case>, mut done: Reconciled) -> Result<Reconciled> {
    let _turn = turn.engine.meaning();
    turn.engine.store.write(|tx| {
        tx.lock(MEANING_LOCK)?;
        for (stream, cases) in by_stream(cases, |case| &case.one) {
            let ids = cases.iter().map(|case| case.one.external_id.clone()).collect();
            let known = Known::load(&turn.engine, tx, &turn.connection, &stream, &ids)?;
            let owing = owing(turn, tx, &stream, &ids)?;
            for case in cases {
                one(turn, tx, (&known, &owing), case, &mut done)?;
            }
            divergences::trim(tx, (turn.name(), &stream), REPAIRED_KEPT)?;
        }
        turn.charge(tx)
    })?;
    Ok(done)
}

fn one(
    turn: &Turn,
    tx: &mut Tx<'_>,
    (known, owing): (&Known, &Owing),
    case: Case,
    done: &mut Reconciled,
) -> Result<()> {
    let now_us = turn.engine.clock.now_us();
    let Case { mut one, asked_us, looked } = case;
    if let Looked::Failed(error) = &looked {
        return failed(turn, tx, one, error, done);
    }
    let id = one.external_id.clone();
    // Something came or was sent while the system was asked: what it answered may be the past.
    let news = divergences::is_announced(tx, turn.name(), &id, known.processed, NEWS)?;
    let golden = missing::golden_of(&id);
    let is_owed = golden.is_some_and(|golden| owing.busy.contains(&golden));
    let crossed = known.is_busy(&id) || is_owed || known.fresh_us(&id).0 > asked_us || news;
    if crossed && now_us < one.found_us.saturating_add(PATIENCE_US) {
        one.due_us = now_us + PAUSE_US;
        return divergences::put(tx, &[one]);
    }
    let gone = || known.is_open(&id).then(|| Difference::whole(Kind::Vanished));
    let difference = match &looked {
        Looked::Shown(record) if record.id.as_str() == id => {
            known.difference(&turn.connection, record, &mut BTreeMap::new())
        }
        Looked::Unasked if one.kind == Kind::Uncreated => {
            golden.filter(|golden| owing.owed.contains_key(golden)).map(|_| Difference::whole(Kind::Uncreated))
        }
        Looked::Moved => return divergences::dismiss(tx, &[one]).map(drop),
        _ => gone(),
    };
    let Some(Difference { kind, fields }) = difference else {
        if one.state == State::Suspected {
            return divergences::dismiss(tx, &[one]).map(drop);
        }
        done.repaired += 1;
        let repaired = Divergence { state: State::Repaired, reason: None, due_us: now_us, ..one };
        return divergences::put(tx, &[repaired]);
    };
    if one.state == State::Suspected {
        done.confirmed += 1;
        tracing::warn!(connection = turn.name(), stream = one.stream, id, kind = kind.as_str(), "not in step");
    }
    (one.kind, one.fields) = (kind, fields);
    let refused = match golden.filter(|_| kind == Kind::Uncreated) {
        // What did not help four times fills the inbox and helps nobody.
        _ if one.tries >= TRIES_MAX => Some(unhelped(&one)),
        Some(golden) => create(turn, tx, owing, golden)?,
        None => repair(turn, tx, known, &one, &looked, asked_us)?,
    };
    if refused.is_none() {
        one.tries += 1;
        done.wakes = true;
    }
    one.inbox = streams::here(tx)?.inbox;
    one.state = if refused.is_some() { State::Stuck } else { State::Repairing };
    let wait_us = if refused.is_some() { ROUND_EVERY_US } else { PAUSE_US << one.tries.clamp(0, TRIES_MAX) };
    one.due_us = now_us + wait_us;
    one.reason = refused;
    divergences::put(tx, &[one])
}

fn unhelped(one: &Divergence) -> String {
    let Divergence { connection, stream, external_id, tries, .. } = one;
    format!("repaired {tries} times and still not the same; see `huiliu why {connection}/{stream}/{external_id}`")
}

/// A look that failed is tried again; a refusal of this one record needs a person.
fn failed(
    turn: &Turn,
    tx: &mut Tx<'_>,
    mut one: Divergence,
    error: &ConnectorError,
    done: &mut Reconciled,
) -> Result<()> {
    let (text, stream) = (error.to_string(), one.stream.as_str());
    tracing::warn!(connection = turn.name(), stream, kind = error.kind(), "a look failed: {text}");
    one.due_us = turn.engine.clock.now_us().saturating_add(wait_us(error, one.tries));
    if matches!(error, ConnectorError::Rejected { .. }) && one.state != State::Suspected {
        (one.state, one.reason) = (State::Stuck, Some(text.clone()));
    }
    done.error = Some(text);
    pause(turn, tx, error)?;
    divergences::put(tx, &[one])
}

/// Repairs by the ordinary paths. Returns why nothing was done, if so.
fn repair(
    turn: &Turn,
    tx: &mut Tx<'_>,
    known: &Known,
    one: &Divergence,
    looked: &Looked,
    asked_us: i64,
) -> Result<Option<String>> {
    let (connection, now_us) = (&turn.connection, turn.engine.clock.now_us());
    match (one.kind, looked) {
        (Kind::Unseen | Kind::Missed, Looked::Shown(record)) => {
            let mut item = pull::asked_item(connection, record, asked_us)?;
            // What was read alone just now is how it is, though its stamp be older than what is known.
            item.version = item.version.filter(|_| !known.is_older(record));
            inbox::append(tx, &[item])?;
        }
        (Kind::Vanished, Looked::Shown(survivor)) => {
            inbox::append(tx, &pull::read_items(connection, &one.stream, &one.external_id, Some(survivor), asked_us)?)?;
        }
        (Kind::Vanished, Looked::Absent) => {
            if let Some(reason) = brake(turn, tx, &one.stream)? {
                return Ok(Some(reason));
            }
            inbox::append(tx, &pull::read_items(connection, &one.stream, &one.external_id, None, asked_us)?)?;
        }
        (Kind::Vanished, _) => {
            let stream = BTreeSet::from([(turn.name().to_owned(), one.stream.clone())]);
            streams::bring_forward(tx, &stream, now_us)?;
        }
        (Kind::Undelivered, _) => {
            if let Some(number) = known.given_up(&one.external_id) {
                return Ok(Some(given_up(number)));
            }
            plan::queue(&turn.engine, tx, &known.owed_to(&one.external_id))?;
        }
        _ => {}
    }
    Ok(None)
}

/// Queues what should have been created. Returns why nothing was done, if so.
fn create(turn: &Turn, tx: &mut Tx<'_>, owing: &Owing, golden: i64) -> Result<Option<String>> {
    if let Some(number) = owing.dead.get(&golden) {
        return Ok(Some(given_up(*number)));
    }
    let owed: Vec<_> = owing.owed.get(&golden).into_iter().cloned().collect();
    plan::queue(&turn.engine, tx, &owed)?;
    Ok(None)
}

fn given_up(number: i64) -> String {
    format!("delivery {number} was given up; see `huiliu dead-letters`")
}

/// Absence is not deletion: a lost permission looks like a mass deletion to whoever asks for one record after the other,
/// too. More than the budget of a complete scan is never closed by a round.
fn brake(turn: &Turn, tx: &mut Tx<'_>, stream: &str) -> Result<Option<String>> {
    let names = turn.connection.lenses_of(stream);
    let scope = links::Scope { connection: turn.name(), lenses: &names };
    let (open, now_us) = (links::count_open(tx, &scope)?, turn.engine.clock.now_us());
    let missing = divergences::vanished(tx, (turn.name(), stream), now_us - ROUND_EVERY_US)?;
    Ok((!turn.connection.missing.allows(open, missing)).then(|| {
        format!(
            "{missing} of {open} records are gone, more than `missing` of the connection allows; if they are: raise it"
        )
    }))
}
