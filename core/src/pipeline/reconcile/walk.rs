//! The walk: pages of the system, then links; what differs becomes a suspicion.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::value::FieldName;

use super::compare::{Difference, Known};
use super::{ROUND_EVERY_US, Reconciled, Step, Turn, missing, pause, wait_us};
use crate::connector::{ConnectorError, Cursor, Page, Received, Record};
use crate::manifest::Ability;
use crate::pipeline::blocking;
use crate::store::db::{Result, Tx};
use crate::store::divergences::{self, Divergence, Kind, State};
use crate::store::links;
use crate::store::rounds::{self, Phase, Round};

/// Links compared with the marks of a round in one step; it costs no call.
const LINKS: i64 = 500;

/// Records read alone in one step.
const ALONE_MAX: i64 = 8;

/// A suspicion is looked at after this long: by then a delivery or an arrival that it crossed is processed.
const SETTLE_US: i64 = 5_000_000;

/// What one record was met with, and how it differs.
pub(super) struct Met {
    pub id: String,
    pub difference: Option<Difference>,
    pub fields: BTreeMap<FieldName, i64>,
}

/// Takes the step.
pub(super) async fn step(turn: &Turn, step: Step, afford: i64, done: &mut Reconciled) -> Result<()> {
    let is_alone = !turn.connection.can(step.stream.as_str(), Ability::Pull) || step.round.tally.keys_only;
    match step.round.phase {
        Phase::Pages => page(turn, step, done).await,
        Phase::Links if is_alone && turn.connection.can(step.stream.as_str(), Ability::Fetch) => {
            alone(turn, step, afford, done).await
        }
        Phase::Links | Phase::Rest => {
            let (turn, counts) = (turn.clone(), done.clone());
            *done = blocking(move || unseen(&turn, &step, counts)).await?;
            Ok(())
        }
        Phase::Goldens => {
            let (turn, counts) = (turn.clone(), done.clone());
            *done = blocking(move || missing::step(&turn, &step, counts)).await?;
            Ok(())
        }
    }
}

async fn page(turn: &Turn, step: Step, done: &mut Reconciled) -> Result<()> {
    let from = step.round.cursor.as_deref().map(Cursor::from);
    let shown = turn.pull(&step.stream, from.as_ref()).await;
    let (turn, counts) = (turn.clone(), done.clone());
    *done = blocking(move || match shown {
        Ok(page) => turned(&turn, &step, page, counts),
        Err(error) => failed(&turn, &step, &error, counts),
    })
    .await?;
    Ok(())
}

/// What a page showed.
fn turned(turn: &Turn, step: &Step, page: Page, mut done: Reconciled) -> Result<Reconciled> {
    let from = step.round.cursor.clone();
    let mut shown: BTreeMap<String, Option<Record>> = BTreeMap::new();
    let mut gone = BTreeSet::new();
    for received in page.items {
        match received {
            Received::Record(record) if record.stream == step.stream => {
                shown.insert(record.id.as_str().to_owned(), Some(record));
            }
            Received::Hint { stream, id } if stream == step.stream => {
                shown.entry(id.as_str().to_owned()).or_insert(None);
            }
            Received::Deleted { stream, id, .. } if stream == step.stream => {
                gone.insert(id.as_str().to_owned());
            }
            _ => {}
        }
    }
    gone.retain(|id| !shown.contains_key(id));
    let ids: BTreeSet<String> = shown.keys().chain(&gone).cloned().collect();
    let mut round = Round { failures: 0, error: None, ..step.round.clone() };
    round.cursor = page.next.map(|next| next.as_str().to_owned()).or(round.cursor);
    round.tally.keys_only |= shown.values().any(Option::is_none);
    if !page.more {
        (round.phase, round.cursor) = (Phase::Links, None);
        round.tally.complete = page.complete_scan;
    }
    turn.engine.store.write(|tx| {
        let known = Known::load(&turn.engine, tx, &turn.connection, step.stream.as_str(), &ids)?;
        let mut met = Vec::new();
        for (id, record) in &shown {
            let mut fields = BTreeMap::new();
            let difference = match record {
                Some(record) => known.difference(&turn.connection, record, &mut fields),
                None => (!known.is_open(id)).then(|| Difference::whole(Kind::Unseen)),
            };
            met.push(Met { id: id.clone(), difference, fields });
        }
        for id in gone.iter().filter(|id| known.is_open(id)) {
            let difference = Some(Difference::whole(Kind::Vanished));
            met.push(Met { id: id.clone(), difference, fields: BTreeMap::new() });
        }
        let seen: BTreeSet<i64> =
            known.open().filter(|link| shown.contains_key(link.key.id.as_str())).map(|link| link.number).collect();
        if !is_still_ours(turn, tx, step)? {
            return Ok(());
        }
        begin(turn, tx, step)?;
        // A page that is read twice, because pages moved, counts once.
        let new = rounds::unmarked(tx, stream(turn, step), &seen)?;
        let again: BTreeSet<String> =
            known.open().filter(|it| !new.contains(&it.number)).map(|it| it.key.id.as_str().to_owned()).collect();
        rounds::mark(tx, stream(turn, step), &seen)?;
        for one in met.iter().filter(|one| !again.contains(&one.id)) {
            count(&mut round, one);
            done.records += 1;
        }
        done.suspected += suspect(turn, tx, step, &met, from.as_deref())?;
        close(turn, tx, step, round)
    })?;
    Ok(done)
}

/// Reads links' records one by one: where a system cannot be listed, or lists only keys.
async fn alone(turn: &Turn, step: Step, afford: i64, done: &mut Reconciled) -> Result<()> {
    let wanted = afford.clamp(1, ALONE_MAX);
    let (here, name, after) = (turn.clone(), step.stream.clone(), step.round.cursor.clone().unwrap_or_default());
    let ids = blocking(move || {
        let lenses = here.connection.lenses_of(name.as_str());
        let scope = links::Scope { connection: here.name(), lenses: &lenses };
        here.engine.store.read(|tx| links::open_ids_after(tx, &scope, &after, wanted))
    })
    .await?;
    let is_last = i64::try_from(ids.len()).unwrap_or(wanted) < wanted;
    let mut looked = Vec::new();
    for id in ids {
        match turn.fetch(&step.stream, &id).await {
            Ok(found) => looked.push((id, found)),
            Err(error) if looked.is_empty() => {
                let (turn, counts) = (turn.clone(), done.clone());
                *done = blocking(move || failed(&turn, &step, &error, counts)).await?;
                return Ok(());
            }
            // What was read counts; the step that begins with this record meets the error again.
            Err(_) => {
                let (turn, counts) = (turn.clone(), done.clone());
                *done = blocking(move || read_alone(&turn, &step, &looked, false, counts)).await?;
                return Ok(());
            }
        }
    }
    let (turn, counts) = (turn.clone(), done.clone());
    *done = blocking(move || read_alone(&turn, &step, &looked, is_last, counts)).await?;
    Ok(())
}

fn read_alone(
    turn: &Turn,
    step: &Step,
    looked: &[(String, Option<Record>)],
    is_last: bool,
    mut done: Reconciled,
) -> Result<Reconciled> {
    let ids: BTreeSet<String> = looked.iter().map(|(id, _)| id.clone()).collect();
    let mut round = Round { failures: 0, error: None, ..step.round.clone() };
    if step.round.tally.keys_only && step.round.cursor.is_none() {
        // The pages counted keys only: records are counted here, with their content.
        round.tally.records = 0;
    }
    turn.engine.store.write(|tx| {
        let known = Known::load(&turn.engine, tx, &turn.connection, step.stream.as_str(), &ids)?;
        if !is_still_ours(turn, tx, step)? {
            return Ok(());
        }
        begin(turn, tx, step)?;
        let mut met = Vec::new();
        for (id, found) in looked {
            let mut fields = BTreeMap::new();
            let difference = match found {
                Some(record) if record.id.as_str() == id => known.difference(&turn.connection, record, &mut fields),
                // It is gone, or another record stands for it now.
                _ => known.is_open(id).then(|| Difference::whole(Kind::Vanished)),
            };
            met.push(Met { id: id.clone(), difference, fields });
        }
        for one in &met {
            count(&mut round, one);
        }
        done.records += met.len();
        done.suspected += suspect(turn, tx, step, &met, None)?;
        round.cursor = looked.last().map(|(id, _)| id.clone()).or(round.cursor);
        if is_last {
            end_of_links(turn, step, &mut round);
        }
        close(turn, tx, step, round)
    })?;
    Ok(done)
}

/// Links that no page of the round showed. It costs no call.
fn unseen(turn: &Turn, step: &Step, mut done: Reconciled) -> Result<Reconciled> {
    let names = turn.connection.lenses_of(step.stream.as_str());
    let scope = links::Scope { connection: turn.name(), lenses: &names };
    let after = step.round.cursor.clone().unwrap_or_default();
    // Whether it is gone can be told by asking for it, or because the pages showed all that there is.
    let can_tell = step.round.tally.complete || turn.connection.can(step.stream.as_str(), Ability::Fetch);
    let mut round = Round { failures: 0, error: None, ..step.round.clone() };
    turn.engine.store.write(|tx| {
        let page = links::open_ids_after(tx, &scope, &after, LINKS)?;
        let ids: BTreeSet<String> = page.iter().cloned().collect();
        let known = links::by_keys(tx, &keys(turn, &names, &ids))?;
        let old: BTreeSet<i64> =
            known.iter().filter(|it| it.open && it.number <= round.scan.link).map(|it| it.number).collect();
        let missing = rounds::unmarked(tx, stream(turn, step), &old)?;
        let missing: BTreeSet<&str> =
            known.iter().filter(|it| missing.contains(&it.number)).map(|it| it.key.id.as_str()).collect();
        if !is_still_ours(turn, tx, step)? {
            return Ok(());
        }
        begin(turn, tx, step)?;
        let missing = missing.into_iter().filter(|_| can_tell).map(str::to_owned);
        miss(turn, tx, step, &mut round, &mut done, Kind::Vanished, missing)?;
        match page.last() {
            Some(last) if i64::try_from(page.len()).is_ok_and(|len| len == LINKS) => round.cursor = Some(last.clone()),
            _ => end_of_links(turn, step, &mut round),
        }
        close(turn, tx, step, round)
    })?;
    Ok(done)
}

/// Where records may be made, it is looked next which are missing.
fn end_of_links(turn: &Turn, step: &Step, round: &mut Round) {
    if missing::may_create(&turn.connection, step.stream.as_str()) {
        (round.phase, round.cursor) = (Phase::Goldens, None);
    } else {
        end(turn, round);
    }
}

fn keys(turn: &Turn, lenses: &[&str], ids: &BTreeSet<String>) -> Vec<crate::link::LinkKey> {
    let each = ids.iter().flat_map(|id| lenses.iter().map(move |lens| (*lens, id.as_str())));
    each.map(|(lens, id)| crate::link::LinkKey {
        connection: turn.connection.name.clone(),
        lens: lens.to_owned(),
        id: id.into(),
    })
    .collect()
}

fn stream<'a>(turn: &'a Turn, step: &'a Step) -> (&'a str, &'a str) {
    (turn.name(), step.stream.as_str())
}

fn count(round: &mut Round, one: &Met) {
    round.tally.records += 1;
    for (field, values) in &one.fields {
        *round.tally.fields.entry(field.clone()).or_default() += values;
    }
}

/// Whether nobody else moved the round since it was read.
pub(super) fn is_still_ours(turn: &Turn, tx: &mut Tx<'_>, step: &Step) -> Result<bool> {
    let key = (turn.name().to_owned(), step.stream.as_str().to_owned());
    let place = |round: &Round| (round.number, round.phase, round.cursor.clone());
    Ok(rounds::rounds(tx)?.get(&key).map(place) == step.stored.as_ref().map(place))
}

/// The first step of a round forgets what the former one saw.
pub(super) fn begin(turn: &Turn, tx: &mut Tx<'_>, step: &Step) -> Result<()> {
    if step.stored.as_ref().is_none_or(|stored| stored.number != step.round.number) {
        rounds::unmark_all(tx, stream(turn, step))?;
    }
    Ok(())
}

pub(super) fn end(turn: &Turn, round: &mut Round) {
    let now_us = turn.engine.clock.now_us();
    (round.phase, round.cursor) = (Phase::Rest, None);
    round.last = Some(std::mem::take(&mut round.tally));
    round.last_us = Some(now_us);
    round.due_us = now_us.max(round.started_us.saturating_add(ROUND_EVERY_US));
}

pub(super) fn close(turn: &Turn, tx: &mut Tx<'_>, step: &Step, mut round: Round) -> Result<()> {
    if round.phase != Phase::Rest {
        // Streams take turns.
        round.due_us = turn.engine.clock.now_us();
    }
    rounds::put_round(tx, turn.name(), step.stream.as_str(), &round)?;
    turn.charge(tx)
}

/// Counts records that are missing as a whole, and notes them.
pub(super) fn miss(
    turn: &Turn,
    tx: &mut Tx<'_>,
    step: &Step,
    round: &mut Round,
    done: &mut Reconciled,
    kind: Kind,
    ids: impl Iterator<Item = String>,
) -> Result<()> {
    let whole = |id| Met { id, difference: Some(Difference::whole(kind)), fields: BTreeMap::new() };
    let missing: Vec<Met> = ids.map(whole).collect();
    for one in &missing {
        count(round, one);
    }
    done.records += missing.len();
    done.suspected += suspect(turn, tx, step, &missing, None)?;
    Ok(())
}

/// Notes what differs; says how many records that are.
fn suspect(turn: &Turn, tx: &mut Tx<'_>, step: &Step, met: &[Met], page: Option<&str>) -> Result<usize> {
    let now_us = turn.engine.clock.now_us();
    let here = crate::store::streams::here(tx)?.inbox;
    let found: Vec<Divergence> = met
        .iter()
        .filter_map(|one| {
            let Difference { kind, fields } = one.difference.clone()?;
            Some(Divergence {
                connection: turn.name().to_owned(),
                stream: step.stream.as_str().to_owned(),
                external_id: one.id.clone(),
                kind,
                fields,
                state: State::Suspected,
                page: page.map(str::to_owned),
                tries: 0,
                inbox: here,
                reason: None,
                found_us: now_us,
                due_us: now_us + SETTLE_US,
            })
        })
        .collect();
    divergences::suspect(tx, &found)?;
    Ok(found.len())
}

fn failed(turn: &Turn, step: &Step, error: &ConnectorError, mut done: Reconciled) -> Result<Reconciled> {
    let (text, stream) = (error.to_string(), &step.stream);
    tracing::warn!(connection = %turn.connection.name, %stream, kind = error.kind(), "reconciling failed: {text}");
    let mut round = step.round.clone();
    round.due_us = turn.engine.clock.now_us().saturating_add(wait_us(error, round.failures));
    round.failures += 1;
    round.error = Some(text.clone());
    if matches!(error, ConnectorError::CursorExpired { .. }) {
        (round.phase, round.cursor) = (Phase::Rest, None);
    }
    done.error = Some(text);
    turn.engine.store.write(|tx| {
        if is_still_ours(turn, tx, step)? {
            begin(turn, tx, step)?;
            rounds::put_round(tx, turn.name(), step.stream.as_str(), &round)?;
        }
        pause(turn, tx, error)?;
        turn.charge(tx)
    })?;
    Ok(done)
}
