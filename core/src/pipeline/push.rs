//! Push: deliveries are carried out, and what the target stored becomes held.

use std::collections::BTreeSet;

use tracing::Instrument as _;

use crate::connection::{Connection, State};
use crate::connector::{Connector, ConnectorError, Delivery, Receipt, Record, RecordKey};
use crate::engine::Engine;
use crate::link::{Link, LinkKey, LinkState, written};
use crate::manifest::Manifest;
use crate::pipeline::process::{self, MEANING_LOCK};
use crate::pipeline::{blocking, plan, pull};
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, Outcome, Planned};
use crate::store::inbox::{self, DeadLetter};
use crate::store::{goldens, links, replays, streams};

/// Deliveries claimed at once for a connection: a crash makes at most these uncertain.
const CLAIM: i64 = 16;

/// The same where the manifest declares batches: the largest that a recorded system takes.
const CLAIM_BATCHES: i64 = 200;

/// A delivery is given up after this many attempts: with the delays below, about a day and a half.
const ATTEMPTS_MAX: u32 = 12;

/// After a crash: what was being sent is sent again under the same key.
pub fn recover(engine: &Engine) -> Result<u64> {
    engine.store.write(deliveries::recover)
}

/// Sends what is due to one connection; returns how many deliveries were tried.
pub async fn batch(engine: &Engine, connection: &Connection) -> Result<usize> {
    let Some(connector) = connection.connector.clone() else { return Ok(0) };
    let (here, name) = (engine.clone(), connection.name.clone());
    let count = if connector.manifest().has_batches() { CLAIM_BATCHES } else { CLAIM };
    let claimed = blocking(move || {
        let now_us = here.clock.now_us();
        here.store.write(|tx| {
            let live = streams::states(tx)?.get(name.as_str()).is_some_and(|(state, _)| *state == State::Live);
            if live { deliveries::claim(tx, name.as_str(), now_us, count) } else { Ok(Vec::new()) }
        })
    })
    .await?;
    let count = claimed.len();
    for together in calls(connector.manifest(), claimed) {
        let results = match together.as_slice() {
            [one] => vec![connector.push(&connection.cx, &one.delivery).instrument(span(connection, one)).await],
            many => {
                let sent: Vec<Delivery> = many.iter().map(|one| one.delivery.clone()).collect();
                connector.push_many(&connection.cx, &sent).instrument(span(connection, &many[0])).await
            }
        };
        let missing = || Err(ConnectorError::transient("the batch gave no answer for this delivery; it is sent alone"));
        let results = results.into_iter().chain(std::iter::repeat_with(missing));
        for (one, result) in together.into_iter().zip(results) {
            answered(engine, connection, connector.as_ref(), one, result).await?;
        }
    }
    Ok(count)
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
    // After a conflict the record is read again at once, so that the next plan starts from what is there.
    let fresh = match (&result, &one.delivery.id) {
        (Err(ConnectorError::Conflict { .. }), Some(id)) => {
            let key =
                RecordKey { connection: connection.name.clone(), stream: one.delivery.stream.clone(), id: id.clone() };
            connector.fetch(&connection.cx, &key).await.ok().flatten()
        }
        _ => None,
    };
    let (here, connection) = (engine.clone(), connection.clone());
    blocking(move || {
        let _turn = here.meaning();
        here.store.write(|tx| {
            tx.lock(MEANING_LOCK)?;
            if let Some(record) = &fresh {
                inbox::append(tx, &[pull::record_item(&connection, record, asked_us)?])?;
            }
            close(&here, tx, &connection, &one, fresh.as_ref(), result)
        })
    })
    .await
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
    let end = |state, error, due_us| Outcome { state, error, due_us, now_us };
    match result {
        Ok(receipt) => {
            deliveries::finish(tx, &one.delivery, &end("done", None, now_us))?;
            stored(tx, connection, one, &receipt, now_us)?;
            replan(engine, tx, connection, one)
        }
        Err(error) => {
            let text = error.to_string();
            tracing::warn!(connection = %connection.name, delivery = one.delivery.number, kind = error.kind(), "push failed: {text}");
            match error {
                ConnectorError::Transient { after, .. } | ConnectorError::RateLimited { after, .. }
                    if one.delivery.attempt < ATTEMPTS_MAX =>
                {
                    let wait_us = after.map_or(0, |wait| i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
                    let due_us = now_us.saturating_add(wait_us.max(delay_us(one.delivery.attempt)));
                    deliveries::finish(tx, &one.delivery, &end("pending", Some(&text), due_us))
                }
                ConnectorError::Unauthorized { .. } => {
                    streams::set_state(tx, connection.name.as_str(), State::Paused, Some(&text), now_us)?;
                    deliveries::finish(tx, &one.delivery, &end("pending", Some(&text), now_us))
                }
                // The record that was read again is in the inbox; what it says, and what it still owes, is planned there.
                ConnectorError::Conflict { .. } => {
                    deliveries::finish(tx, &one.delivery, &end("dropped", Some(&text), now_us))?;
                    if only_the_version_moved(tx, connection, one, fresh)? {
                        replan_on(engine, tx, connection, one, fresh)
                    } else {
                        Ok(())
                    }
                }
                ConnectorError::Gone { .. } => {
                    deliveries::finish(tx, &one.delivery, &end("dropped", Some(&text), now_us))?;
                    let Some(id) = &one.delivery.id else { return Ok(()) };
                    let stream = one.delivery.stream.as_str();
                    inbox::append(tx, &[pull::deleted_item(connection, stream, id.as_str(), None, now_us)?])
                }
                _ => {
                    deliveries::finish(tx, &one.delivery, &end("dead", Some(&text), now_us))?;
                    bury(tx, one, &text, now_us)
                }
            }
        }
    }
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
    let (sent, holds) = written(lens, &one.fields, &one.delivery.body, shown);
    link.state.wrote(&sent, holds);
    link.state.fresh_us = now_us;
    if let Some(version) = receipt.stored.as_ref().and_then(|record| record.version.clone()).or(receipt.version.clone())
    {
        link.version = Some(version);
    }
    links::put(tx, [&link])?;
    let receipt = replays::Receipt {
        link: link.number,
        delivery: one.delivery.number,
        processed: inbox::progress(tx, process::POSITION)?,
        stored: shown.map(ToString::to_string),
        at_us: now_us,
    };
    replays::keep(tx, &receipt)
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
    if shown.fields.iter().any(|(field, value)| link.state.held.get(field) != Some(value)) {
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
