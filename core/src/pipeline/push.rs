//! Push: deliveries are carried out, and what the target stored becomes held.

pub(crate) mod doubt;
pub(crate) mod taken;

use std::collections::BTreeSet;

use tracing::Instrument as _;

use crate::connection::{Connection, State};
use crate::connector::{Connector, ConnectorError, Delivery, Operation, Receipt, Record, RecordKey};
use crate::crash::{Point, point};
use crate::drift;
use crate::engine::{Engine, Errand};
use crate::link::{Link, LinkKey, LinkState, found, written};
use crate::manifest::Manifest;
use crate::pipeline::process::{self, MEANING_LOCK};
use crate::pipeline::{blocking, plan, pull};
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, Outcome, Planned};
use crate::store::inbox::{self, DeadLetter};
use crate::store::{firings, goldens, links, replays, streams};

/// Deliveries claimed at once for a connection: a crash makes at most these uncertain.
const CLAIM: i64 = 16;

/// The same where the manifest declares batches: the largest that a recorded system takes.
const CLAIM_BATCHES: i64 = 200;

/// A delivery is given up after this many attempts: with the delays below, about a day and a half.
const ATTEMPTS_MAX: u32 = 12;

/// What was on its way when the hub died has arrived after this time. Systems that take a key of ours know a repeat;
/// where a repeat is only found by looking, it must not be looked for before it is there.
const IN_FLIGHT_US: i64 = 5_000_000;

/// So many deliveries to this connection are tried in a batch at most: after fewer nothing more is due.
pub fn claims_most(connection: &Connection) -> i64 {
    let has_batches = connection.connector.as_ref().is_some_and(|it| it.manifest().has_batches());
    if has_batches { CLAIM_BATCHES } else { CLAIM }
}

/// After a crash: what was being sent is sent again under the same key.
pub fn recover(engine: &Engine) -> Result<u64> {
    let recovered = engine.store.write(|tx| {
        let numbers = deliveries::sending(tx)?;
        let recovered = give_back(engine, tx, engine.connections.values(), &numbers)?;
        point(Point::RecoverWritten);
        Ok(recovered)
    })?;
    point(Point::RecoverCommitted);
    Ok(recovered)
}

/// Lets deliveries of these connections wait again whose answers nobody knows.
fn give_back<'a>(
    engine: &Engine,
    tx: &mut Tx<'_>,
    of: impl IntoIterator<Item = &'a Connection>,
    numbers: &BTreeSet<i64>,
) -> Result<u64> {
    // A create may be on its way still, and what it makes is found a while after.
    let due_us = engine.clock.now_us().saturating_add(IN_FLIGHT_US);
    let mut creates = Vec::new();
    for connection in of {
        let Some(manifest) = connection.connector.as_ref().map(|it| it.manifest()) else { continue };
        let lags = manifest.streams.keys().filter_map(|stream| Some((stream, manifest.lookup_lag_us(stream)?)));
        let name = connection.name.as_str();
        creates.extend(lags.map(|(stream, lag_us)| (name, stream.as_str(), due_us.saturating_add(lag_us))));
    }
    deliveries::give_back(tx, numbers, &creates, engine.clock.now_us())
}

/// Sends what is due to one connection; returns how many deliveries were tried. If the store takes no answer, what was
/// claimed waits again as soon as the store can write: a full disk may not leave it on its way for ever.
pub async fn batch(engine: &Engine, connection: &Connection) -> Result<usize> {
    let Some(connector) = connection.connector.clone() else { return Ok(0) };
    let (here, whose) = (engine.clone(), connection.clone());
    let count = claims_most(connection);
    let claimed = blocking(move || {
        let now_us = here.clock.now_us();
        let name = whose.name.as_str();
        let unanswered = here.unanswered(name);
        let claimed = here.store.write(|tx| {
            here.check_files(tx)?;
            give_back(&here, tx, [&whose], &unanswered)?;
            let live = streams::states(tx)?.get(name).is_some_and(|(state, _)| *state == State::Live);
            if !live {
                return Ok(Vec::new());
            }
            doubt::hold(&here, tx, &whose, now_us)?;
            let claimed = deliveries::claim(tx, name, now_us, count)?;
            if !claimed.is_empty() {
                point(Point::AttemptWritten);
            }
            Ok(claimed)
        })?;
        here.forget_unanswered(name);
        Ok(claimed)
    })
    .await?;
    let count = claimed.len();
    if count > 0 {
        point(Point::AttemptCommitted);
    }
    let numbers: Vec<i64> = claimed.iter().map(|one| one.delivery.number).collect();
    let sent = send(engine, connection, connector.as_ref(), claimed).await;
    if sent.is_err() {
        engine.note_unanswered(connection.name.as_str(), numbers);
    }
    sent.map(|()| count)
}

/// Sends what was claimed, and puts each answer on record.
async fn send(
    engine: &Engine,
    connection: &Connection,
    connector: &dyn Connector,
    claimed: Vec<Planned>,
) -> Result<()> {
    let (claimed, made) = made_already(engine, connection, claimed).await?;
    for one in made {
        let result = Err(ConnectorError::Conflict {
            detail: "the record that an earlier attempt made is known by now".to_owned(),
        });
        answered(engine, connection, connector, one, result).await?;
    }
    for together in calls(connector.manifest(), claimed) {
        let results = match together.as_slice() {
            [one] => vec![connector.push(&connection.cx, &one.delivery).instrument(span(connection, one)).await],
            many => {
                let sent: Vec<Delivery> = many.iter().map(|one| one.delivery.clone()).collect();
                connector.push_many(&connection.cx, &sent).instrument(span(connection, &many[0])).await
            }
        };
        point(Point::PushAnswered);
        let missing = || Err(ConnectorError::transient("the batch gave no answer for this delivery; it is sent alone"));
        let results = results.into_iter().chain(std::iter::repeat_with(missing));
        for (one, result) in together.into_iter().zip(results) {
            answered(engine, connection, connector, one, result).await?;
        }
    }
    Ok(())
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

fn outcome(result: &crate::connector::Result<Receipt>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(error) => error.kind(),
    }
}

/// What goes in one call: neighbours of one stream and operation, as many as the manifest declares. Only first
/// attempts go together; what an earlier attempt may have done is looked into alone.
fn calls(manifest: &Manifest, claimed: Vec<Planned>) -> Vec<Vec<Planned>> {
    let mut calls: Vec<Vec<Planned>> = Vec::new();
    for one in claimed {
        let it = &one.delivery;
        let size = manifest.batch_size(it.stream.as_str(), it.operation);
        let fits = calls.last().is_some_and(|call| {
            let joins = |other: &Planned| {
                let other = &other.delivery;
                (&other.stream, other.operation, other.attempt) == (&it.stream, it.operation, 1)
                    && (it.id.is_none() || other.id != it.id)
            };
            it.attempt == 1 && call.len() < size && call.iter().all(joins)
        });
        match calls.last_mut() {
            Some(call) if fits => call.push(one),
            _ => calls.push(vec![one]),
        }
    }
    calls
}

/// Puts one result on record.
async fn answered(
    engine: &Engine,
    connection: &Connection,
    connector: &dyn Connector,
    one: Planned,
    result: crate::connector::Result<Receipt>,
) -> Result<()> {
    let labels = [("connection", connection.name.to_string()), ("outcome", outcome(&result).to_owned())];
    metrics::counter!("huiliu_pushed_total", &labels).increment(1);
    let asked_us = engine.clock.now_us();
    let result = if one.is_action() { result.map_err(for_good) } else { result };
    // After a conflict the record is read again at once, so that the next plan starts from what is there. If that fails,
    // the delivery is sent once more later: dropped now, it would be owed by nobody. And what is gone may be there under
    // another id.
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
    let (here, connection) = (engine.clone(), connection.clone());
    blocking(move || {
        let _turn = here.meaning();
        here.store.write(|tx| {
            tx.lock(MEANING_LOCK)?;
            if let (Some(record), Some(id)) = (&fresh, &one.delivery.id) {
                inbox::append(tx, &pull::found(&connection, id.as_str(), record, asked_us)?)?;
            }
            close(&here, tx, &connection, &one, fresh.as_ref(), result)?;
            point(Point::ReceiptWritten);
            Ok(())
        })?;
        point(Point::ReceiptCommitted);
        Ok(())
    })
    .await
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

fn close(
    engine: &Engine,
    tx: &mut Tx<'_>,
    connection: &Connection,
    one: &Planned,
    fresh: Option<&Record>,
    result: crate::connector::Result<Receipt>,
) -> Result<()> {
    let now_us = engine.clock.now_us();
    let in_steps = connection.connector.as_ref().is_some_and(|it| it.writes_in_steps());
    // Who is gone, or was edited meanwhile, is found out before the first step.
    let is_before =
        |error: &ConnectorError| matches!(error, ConnectorError::Conflict { .. } | ConnectorError::Gone { .. });
    let is_unknown = result.as_ref().is_err_and(|error| error.leaves_doubt() || (in_steps && !is_before(error)));
    let end = |state, error, due_us| Outcome { state, error, due_us, is_unknown, now_us };
    match result {
        Ok(receipt) => {
            if let Some(other) = taken::by(tx, connection, one, &receipt)? {
                return taken::close(engine, tx, connection, one, &receipt, other);
            }
            deliveries::finish(tx, &one.delivery, &end("done", None, now_us))?;
            if one.is_action() {
                return firings::made(tx, one.delivery.number, receipt.id.as_str());
            }
            stored(tx, connection, one, &receipt, now_us)?;
            taken::settle(tx, one)?;
            replan(engine, tx, connection, one)
        }
        Err(error) => {
            let text = error.to_string();
            tracing::warn!(connection = %connection.name, delivery = one.delivery.number, kind = error.kind(), "push failed: {text}");
            let told_us = error.told_us();
            match error {
                ConnectorError::Transient { .. }
                | ConnectorError::Unreached { .. }
                | ConnectorError::RateLimited { .. }
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
                    if let ConnectorError::Rejected { at, .. } = &error {
                        drift::refused(engine, tx, connection, one, at)?;
                    }
                    bury(tx, one, &text, now_us)?;
                    doubt::go_on(engine, tx, one)
                }
            }
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

/// What the target stored is held from now on; a create makes the link.
fn stored(tx: &mut Tx<'_>, connection: &Connection, one: &Planned, receipt: &Receipt, now_us: i64) -> Result<()> {
    let Some(lens) = connection.lens(&one.lens) else { return Ok(()) };
    let key = LinkKey { connection: connection.name.clone(), lens: one.lens.clone(), id: receipt.id.clone() };
    let known = links::by_keys(tx, [&key])?.into_iter().next();
    let mut link = match known {
        Some(link) => link,
        None => Link {
            number: tx.max("id", "link")? + 1,
            key,
            entity: lens.entity().clone(),
            golden: goldens::alive(tx, one.golden)?,
            state: LinkState::default(),
            version: None,
            open: true,
        },
    };
    let shown = receipt.stored.as_ref().map(|record| &record.body);
    let is_again = one.delivery.operation == Operation::Create && one.delivery.attempt > 1;
    let (sent, holds, is_edited) = match shown.filter(|_| is_again) {
        Some(shown) => {
            let before = deliveries::sent_to_make(tx, one.golden, &one.connection, &one.lens)?;
            found(lens, &one.fields, &one.delivery.body, shown, &before)
        }
        None => {
            let (sent, holds) = written(lens, &one.fields, &one.delivery.body, shown);
            (sent, holds, false)
        }
    };
    let kept = if is_again { Some(lens.show(&holds.fields)) } else { shown.cloned() };
    link.state.wrote(&sent, holds);
    link.state.fresh_us = now_us;
    link.state.wrote_us = link.state.wrote_us.max(one.planned_us);
    if let Some(version) = receipt.stored.as_ref().and_then(|record| record.version.clone()).or(receipt.version.clone())
    {
        link.version = Some(version);
    }
    links::put(tx, [&link])?;
    let shown_whole = receipt.stored.as_ref();
    let receipt = replays::Receipt {
        link: link.number,
        delivery: one.delivery.number,
        processed: inbox::progress(tx, process::POSITION)?,
        stored: kept.map(|kept| kept.to_string()),
        at_us: now_us,
    };
    replays::keep(tx, &receipt)?;
    match shown_whole.filter(|_| is_edited) {
        Some(record) => inbox::append(tx, &[pull::record_item(connection, record, now_us)?]),
        None => Ok(()),
    }
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

/// The golden record may have moved on while the delivery was under way, and the target may belong to another by now.
fn replan(engine: &Engine, tx: &mut Tx<'_>, connection: &Connection, one: &Planned) -> Result<()> {
    replan_on(engine, tx, connection, one, None)
}

/// As [`replan`]; what is written to this record again is compared with how it was shown just now, in its own spelling.
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
