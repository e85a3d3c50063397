//! Push: deliveries are carried out, and what the target stored becomes held.

mod done;
pub(crate) mod doubt;
mod recover;
mod send;
pub(crate) mod taken;

use std::collections::BTreeSet;

use crate::connection::{Connection, State};
use crate::connector::{ConnectorError, Operation, Receipt, Record};
use crate::crash::{Point, point};
use crate::drift;
use crate::engine::{Engine, Errand};
use crate::link::{Link, LinkKey};
use crate::pipeline::process::MEANING_LOCK;
use crate::pipeline::{blocking, plan, pull};
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, Outcome, Planned};
use crate::store::inbox::{self, DeadLetter};
use crate::store::{goldens, links, streams};

use done::Done;
use recover::{IN_FLIGHT_US, give_back};
pub use recover::{recover, take_up};
use send::After;
pub use send::Sent;

/// Deliveries claimed at once for a connection by whoever sends, and as many by whoever plans: a crash makes at most these
/// uncertain.
const CLAIM: i64 = 16;

/// The same where the manifest declares batches: the largest that a recorded system takes.
const CLAIM_BATCHES: i64 = 200;

/// A delivery is given up after this many attempts: with the delays below, about a day and a half.
const ATTEMPTS_MAX: u32 = 12;

/// So many deliveries to this connection are tried in a batch at most: after fewer nothing more is due.
pub fn claims_most(connection: &Connection) -> i64 {
    let has_batches = connection.connector.as_ref().is_some_and(|it| it.manifest().has_batches());
    if has_batches { CLAIM_BATCHES } else { CLAIM }
}

/// Sends what is due to one connection; returns how many deliveries were tried. If the store takes no answer, what was
/// claimed waits again as soon as the store can write: a full disk may not leave it on its way for ever.
pub async fn batch(engine: &Engine, connection: &Connection) -> Result<usize> {
    let claimed = claimed(engine, connection).await?;
    Ok(send::all(engine, connection, claimed, After::Rest).await?.tried)
}

/// As [`batch`], until nothing more is due: what is due next is claimed together with the answers that are in. `claimed`
/// was claimed by a plan ([`Engine::take_handed`]); where it is empty, what is due is claimed first.
pub async fn round(engine: &Engine, connection: &Connection, claimed: Vec<Planned>) -> Result<Sent> {
    let claimed = if claimed.is_empty() { self::claimed(engine, connection).await? } else { claimed };
    send::all(engine, connection, claimed, After::Claim).await
}

/// Sends what was claimed before, and claims nothing more: at the end of a program.
pub async fn finish(engine: &Engine, connection: &Connection, claimed: Vec<Planned>) -> Result<()> {
    send::all(engine, connection, claimed, After::Rest).await.map(drop)
}

async fn claimed(engine: &Engine, connection: &Connection) -> Result<Vec<Planned>> {
    if connection.connector.is_none() {
        return Ok(Vec::new());
    }
    let (here, whose) = (engine.clone(), connection.clone());
    blocking(move || {
        let name = whose.name.as_str();
        let unanswered = here.unanswered(name);
        let claimed = here.store.write(|tx| {
            here.check_files(tx)?;
            give_back(&here, tx, [&whose], &unanswered)?;
            claim(&here, tx, &whose, claims_most(&whose))
        })?;
        here.forget_unanswered(name);
        if !claimed.is_empty() {
            point(Point::AttemptCommitted);
        }
        Ok(claimed)
    })
    .await
}

/// Takes what is due to a connection that is live, by files that are in force: it is to be sent once this is durable.
fn claim(engine: &Engine, tx: &mut Tx<'_>, connection: &Connection, count: i64) -> Result<Vec<Planned>> {
    let (name, now_us) = (connection.name.as_str(), engine.clock.now_us());
    if !streams::is_live(tx, name)? {
        return Ok(Vec::new());
    }
    doubt::hold(engine, tx, connection, now_us)?;
    let claimed = deliveries::claim(tx, name, now_us, count)?;
    if !claimed.is_empty() {
        point(Point::AttemptWritten);
    }
    Ok(claimed)
}

/// Whether what was just planned for a connection may be on record as being sent in the transaction that planned it: whoever
/// sends takes so much more, nothing waits, and none of it was ever tried.
pub(super) fn may_begin(engine: &Engine, tx: &mut Tx<'_>, name: &str, planned: &[Planned]) -> Result<bool> {
    let Some(connection) = engine.connections.get(name).filter(|it| it.connector.is_some()) else { return Ok(false) };
    let (to_it, now_us) = (|| planned.iter().filter(|one| one.connection == name), engine.clock.now_us());
    let are_new = to_it().all(|one| one.delivery.attempt == 0 && one.due_us <= now_us);
    Ok(are_new
        && to_it().count() <= room(engine, tx, connection)?
        && streams::is_live(tx, name)?
        && !deliveries::waits(tx, name)?)
}

/// How many more whoever sends to a connection takes now.
fn room(engine: &Engine, tx: &mut Tx<'_>, connection: &Connection) -> Result<usize> {
    engine.room(tx, connection.name.as_str(), usize::try_from(claims_most(connection)).unwrap_or(0))
}

/// Claims what was just queued for connections at which whoever sends takes more, in the transaction that planned it: they
/// need not ask for it. Once it is durable, each is to be handed what is its own.
pub(super) fn claim_along(
    engine: &Engine,
    tx: &mut Tx<'_>,
    planned: &[Planned],
) -> Result<Vec<(String, Vec<Planned>)>> {
    let whose: BTreeSet<&str> = planned.iter().map(|one| one.connection.as_str()).collect();
    let mut all = Vec::new();
    for connection in whose.into_iter().filter_map(|name| engine.connections.get(name)) {
        let room = if connection.connector.is_some() { room(engine, tx, connection)? } else { 0 };
        if room > 0 {
            let claimed = claim(engine, tx, connection, i64::try_from(room).unwrap_or(0))?;
            if !claimed.is_empty() {
                all.push((connection.name.as_str().to_owned(), claimed));
            }
        }
    }
    Ok(all)
}

/// An answer that is to be put on record.
struct Answer {
    one: Planned,
    /// The record as it was read again after a conflict.
    fresh: Option<Record>,
    /// When that was asked for, microseconds since 1970 UTC.
    asked_us: i64,
    result: crate::connector::Result<Receipt>,
}

/// Puts answers on record, all in one transaction that claims up to `room` more.
fn keep(engine: &Engine, connection: &Connection, answers: &[Answer], room: i64) -> Result<Kept> {
    let kept = match write(engine, connection, answers, room) {
        // One of them may be what the store does not take: the others are not to be sent again for its sake.
        Err(error) if answers.len() > 1 => {
            tracing::error!(connection = %connection.name, "answers are put on record one by one: {error}");
            let mut last = Err(error);
            for answer in answers {
                last = Ok(write(engine, connection, std::slice::from_ref(answer), 0)?);
            }
            last
        }
        kept => kept,
    }?;
    point(Point::ReceiptCommitted);
    if !kept.claimed.is_empty() {
        point(Point::AttemptCommitted);
    }
    if answers.iter().any(|answer| leads_on(engine, answer)) {
        engine.note_thinking();
    }
    Ok(kept)
}

/// What stands after answers were put on record.
struct Kept {
    claimed: Vec<Planned>,
    next: streams::Errands,
}

fn write(engine: &Engine, connection: &Connection, answers: &[Answer], room: i64) -> Result<Kept> {
    let turn = engine.meaning();
    let put = |tx: &mut Tx<'_>| {
        tx.lock(MEANING_LOCK)?;
        let done: Vec<Done<'_>> = answers.iter().filter_map(|it| Some((&it.one, it.result.as_ref().ok()?))).collect();
        done::all(engine, tx, connection, &done)?;
        for Answer { one, fresh, asked_us, result } in answers {
            let Err(error) = result else { continue };
            if let (Some(record), Some(id)) = (fresh, &one.delivery.id) {
                inbox::append(tx, &pull::found(connection, id.as_str(), record, *asked_us)?)?;
            }
            close(engine, tx, connection, one, fresh.as_ref(), error)?;
        }
        point(Point::ReceiptWritten);
        // By former files nothing new is begun.
        let may_go_on = room > 0 && engine.check_files(tx).is_ok();
        let claimed = if may_go_on { claim(engine, tx, connection, room)? } else { Vec::new() };
        Ok(Kept { claimed, next: streams::errands(tx, connection.name.as_str())? })
    };
    engine.store.write_then(put, || drop(turn))
}

/// Whether an answer may have left something in the inbox, or something that a rule waited for.
fn leads_on(engine: &Engine, answer: &Answer) -> bool {
    let is_repeat = answer.one.delivery.operation == Operation::Create && answer.one.delivery.attempt > 1;
    answer.result.is_err() || is_repeat || answer.one.is_action() || !engine.automation.all().is_empty()
}

/// What became of a delivery that was not done.
fn close(
    engine: &Engine,
    tx: &mut Tx<'_>,
    connection: &Connection,
    one: &Planned,
    fresh: Option<&Record>,
    error: &ConnectorError,
) -> Result<()> {
    let now_us = engine.clock.now_us();
    let in_steps = connection.connector.as_ref().is_some_and(|it| it.writes_in_steps());
    // Who is gone, or was edited meanwhile, is found out before the first step.
    let is_before = matches!(error, ConnectorError::Conflict { .. } | ConnectorError::Gone { .. });
    let is_unknown = error.leaves_doubt() || (in_steps && !is_before);
    let end = |state, error, due_us| Outcome { state, error, due_us, is_unknown, now_us };
    let text = error.to_string();
    tracing::warn!(connection = %connection.name, delivery = one.delivery.number, kind = error.kind(), "push failed: {text}");
    let told_us = error.told_us();
    match error {
        ConnectorError::Transient { .. } | ConnectorError::Unreached { .. } | ConnectorError::RateLimited { .. }
            if one.delivery.attempt < ATTEMPTS_MAX =>
        {
            let lag_us = if is_unknown { lag_us(connection, one) } else { 0 };
            let due_us = now_us.saturating_add(told_us.max(delay_us(one.delivery.attempt)).max(lag_us));
            deliveries::finish(tx, &one.delivery, &end("pending", Some(&text), due_us))
        }
        ConnectorError::Unauthorized { .. } => {
            streams::set_state(tx, connection.name.as_str(), State::Paused, Some(&text), now_us)?;
            deliveries::finish(tx, &one.delivery, &end("pending", Some(&text), now_us))
        }
        // The record that was read again is in the inbox; what it says, and what it still owes, is planned there.
        ConnectorError::Conflict { .. } => {
            deliveries::finish(tx, &one.delivery, &end("dropped", Some(&text), now_us))?;
            if one.delivery.id.is_none() || only_the_version_moved(tx, connection, one, fresh)? {
                replan_on(engine, tx, connection, one, fresh)
            } else {
                Ok(())
            }
        }
        // It can be read, and yet cannot be written: a person must look.
        ConnectorError::Gone { .. } if fresh.is_some_and(|it| Some(&it.id) == one.delivery.id.as_ref()) => {
            deliveries::finish(tx, &one.delivery, &end("dead", Some(&text), now_us))?;
            bury(tx, one, &text, now_us)
        }
        // The record that stands for it is in the inbox; what it is owed is planned there.
        ConnectorError::Gone { .. } if fresh.is_some() => {
            deliveries::finish(tx, &one.delivery, &end("dropped", Some(&text), now_us))
        }
        ConnectorError::Gone { .. } => {
            deliveries::finish(tx, &one.delivery, &end("dropped", Some(&text), now_us))?;
            let Some(id) = &one.delivery.id else { return Ok(()) };
            let stream = one.delivery.stream.as_str();
            inbox::append(tx, &[pull::deleted_item(connection, stream, id.as_str(), None, now_us)?])
        }
        error => {
            let due_us = now_us.saturating_add(lag_us(connection, one));
            deliveries::finish(tx, &one.delivery, &end("dead", Some(&text), due_us))?;
            if let ConnectorError::Rejected { at, .. } = error {
                drift::refused(engine, tx, connection, one, at)?;
            }
            bury(tx, one, &text, now_us)?;
            doubt::go_on(engine, tx, one)
        }
    }
}

/// How long the record that a create may have made cannot be found.
fn lag_us(connection: &Connection, one: &Planned) -> i64 {
    let manifest = connection.connector.as_ref().filter(|_| one.delivery.operation == Operation::Create);
    manifest.and_then(|it| it.manifest().lookup_lag_us(one.delivery.stream.as_str())).unwrap_or(0)
}

/// 1 s, 2 s, 4 s … at most 6 hours.
fn delay_us(attempt: u32) -> i64 {
    const LONGEST_US: i64 = 6 * 3600 * 1_000_000;
    1_000_000_i64.checked_shl(attempt.saturating_sub(1).min(32)).map_or(LONGEST_US, |delay| delay.min(LONGEST_US))
}

fn bury(tx: &mut Tx<'_>, one: &Planned, reason: &str, now_us: i64) -> Result<()> {
    let letter = DeadLetter {
        number: 0,
        stage: "push".to_owned(),
        connection: one.connection.clone(),
        stream: Some(one.delivery.stream.as_str().to_owned()),
        external_id: one.delivery.id.as_ref().map(|id| id.as_str().to_owned()),
        item: one.delivery.number,
        reason: reason.to_owned(),
        at_us: now_us,
    };
    inbox::bury(tx, &[letter])
}

fn link_of(tx: &mut Tx<'_>, connection: &Connection, one: &Planned) -> Result<Option<Link>> {
    let Some(id) = &one.delivery.id else { return Ok(None) };
    let key = LinkKey { connection: connection.name.clone(), lens: one.lens.clone(), id: id.clone() };
    Ok(links::by_keys(tx, [&key])?.into_iter().next())
}

/// After a conflict: nobody edited what we know, only the version is newer. It is noted, so that the next write fits.
fn only_the_version_moved(
    tx: &mut Tx<'_>,
    connection: &Connection,
    one: &Planned,
    fresh: Option<&Record>,
) -> Result<bool> {
    let (Some(fresh), Some(lens)) = (fresh, connection.lens(&one.lens)) else { return Ok(false) };
    let Some(mut link) = link_of(tx, connection, one)? else { return Ok(false) };
    let (shown, _) = lens.map(&fresh.body);
    if link.state.differs(&shown) {
        return Ok(false);
    }
    link.version.clone_from(&fresh.version);
    links::put(tx, [&link])?;
    Ok(true)
}

/// Plans what these golden records owe by now: they may have moved on while deliveries were under way.
fn replan_all(engine: &Engine, tx: &mut Tx<'_>, ids: &BTreeSet<i64>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let planned = plan::plan(engine, tx, ids, None)?;
    engine.note_errands(Errand::Tend, planned.iter().map(|it| it.connection.as_str()));
    plan::queue(engine, tx, &planned)
}

/// Plans what a golden record owes after a conflict, and whoever has the target by now. What is written to this record
/// again is compared with how it was shown just now, in its own spelling.
fn replan_on(
    engine: &Engine,
    tx: &mut Tx<'_>,
    connection: &Connection,
    one: &Planned,
    fresh: Option<&Record>,
) -> Result<()> {
    let mut ids = BTreeSet::from([goldens::alive(tx, one.golden)?]);
    ids.extend(link_of(tx, connection, one)?.map(|link| link.golden).filter(|id| *id != 0));
    let mut planned = plan::plan(engine, tx, &ids, None)?;
    if let Some(fresh) = fresh {
        let same = |it: &&mut Planned| it.connection == one.connection && it.delivery.id.as_ref() == Some(&fresh.id);
        for again in planned.iter_mut().filter(same).filter(|it| it.delivery.stream == fresh.stream) {
            again.delivery.base = as_shown(&again.delivery.base, &fresh.body);
        }
    }
    engine.note_errands(Errand::Tend, planned.iter().map(|it| it.connection.as_str()));
    plan::queue(engine, tx, &planned)
}

/// The parts of a record that `base` names, as they are; what it does not show is left out.
fn as_shown(base: &serde_json::Value, shown: &serde_json::Value) -> serde_json::Value {
    match (base, shown) {
        (serde_json::Value::Object(base), serde_json::Value::Object(shown)) => {
            base.iter().filter_map(|(name, part)| Some((name.clone(), as_shown(part, shown.get(name)?)))).collect()
        }
        _ => shown.clone(),
    }
}
