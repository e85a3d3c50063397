//! Plan: changes of golden records become deliveries to every other system that should know.
//!
//! For each link of a changed golden record, and each connection that may create one, the golden record is projected
//! through the lens and compared with what the remote record holds. Different, and the connection may be written:
//! one delivery with exactly those fields. Same: nothing. A plan is complete; push makes no choice.
//!
//! Nothing is created in a stream that was never read to its end: the record may be there, and would be doubled. Once the
//! first complete read is processed, what waited is planned.

mod along;
mod own;

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::lens::Lens;
use huiliu_mappings::lens::laws::overlay;
use huiliu_mappings::value::{FieldName, Fields};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::connection::Connection;
use crate::connector::{ConnectionName, Delivery, Operation};
use crate::crash::{Point, point};
use crate::drift;
use crate::engine::{Engine, Errand};
use crate::link::Link;
use crate::manifest::Ability;
use crate::pipeline::process::{self, MEANING_LOCK, of_all};
use crate::pipeline::push::{doubt, taken};
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, Planned};
use crate::store::goldens::{self, Golden};
use crate::store::{drifts, inbox, links, streams};

pub(super) use along::{along, planned_along};

/// Changes in a batch; each may touch a handful of links.
const BATCH_CHANGES: i64 = 500;

/// The name of this stage's position.
pub const POSITION: &str = "plan";

/// Plans the next changes; returns how many changes were read and how many deliveries were queued.
pub fn batch(engine: &Engine) -> Result<(usize, usize)> {
    let _turn = engine.meaning();
    let (position, changes, waited) = engine.store.read(|tx| {
        let position = inbox::progress(tx, POSITION)?;
        Ok((position, goldens::changed_after(tx, position, BATCH_CHANGES)?, released(engine, tx)?))
    })?;
    if waited.is_some() {
        let (looked_at, planned) = engine.store.write(|tx| catch_up(engine, tx))?;
        if looked_at > 0 {
            point(Point::CatchUpCommitted);
            tell(engine, &planned);
            return Ok((looked_at, planned.len()));
        }
    }
    if changes.is_empty() {
        return Ok((0, 0));
    }
    let (read, planned) = engine.store.write(|tx| {
        // What is owed follows from links that processing and answers change.
        tx.lock(MEANING_LOCK)?;
        tx.lock(PLAN_LOCK)?;
        engine.check_files(tx)?;
        if inbox::progress(tx, POSITION)? != position {
            return Ok((0, Vec::new()));
        }
        step(engine, tx, position, &changes)
    })?;
    point(Point::PlanCommitted);
    tell(engine, &planned);
    Ok((read, planned.len()))
}

/// Queues what these changes behind a position owe, and moves on; says how many were read.
fn step(engine: &Engine, tx: &mut Tx<'_>, position: i64, changes: &[(i64, i64)]) -> Result<(usize, Vec<Planned>)> {
    let receivers = receivers(engine, tx, None)?;
    if receivers.is_empty() {
        // Nobody may be written, so no change is owed to anybody; whoever goes live plans everything anew.
        let last = tx.max("position", "change_log")?;
        inbox::set_progress(tx, POSITION, last)?;
        return Ok((usize::try_from(last - position).unwrap_or(changes.len()), Vec::new()));
    }
    let ids: BTreeSet<i64> = changes.iter().map(|(_, golden)| *golden).collect();
    let Owed { planned, held, over } = owed_by(engine, tx, &ids, &receivers)?;
    streams::hold(tx, &held)?;
    deliveries::drop_pending(tx, over)?;
    queue(engine, tx, &planned)?;
    inbox::set_progress(tx, POSITION, changes.last().map_or(position, |(last, _)| *last))?;
    point(Point::PlanWritten);
    Ok((changes.len(), planned))
}

/// Whom they are to be sent to need not be found by looking everywhere.
fn tell(engine: &Engine, planned: &[Planned]) {
    engine.note_errands(Errand::Tend, planned.iter().map(|one| one.connection.as_str()));
}

/// What golden records owe.
struct Owed {
    planned: Vec<Planned>,
    /// The streams (connection, stream) whose creates have to wait.
    held: BTreeSet<(String, String)>,
    /// Deliveries that were never sent and are owed no more: the golden record is again what the target holds.
    over: Vec<i64>,
}

/// The streams in which these connections may create records, and whose first complete read is not processed yet. What
/// cannot be pulled has no such read.
pub(crate) fn unread<'a>(
    tx: &mut Tx<'_>,
    connections: impl IntoIterator<Item = &'a Connection>,
) -> Result<BTreeSet<(String, String)>> {
    let mut unread = BTreeSet::new();
    for connection in connections {
        for lens in connection.lenses.iter().filter(|lens| connection.creates.contains(lens.name())) {
            if connection.can(lens.stream(), Ability::Create) && connection.can(lens.stream(), Ability::Pull) {
                unread.insert((connection.name.as_str().to_owned(), lens.stream().to_owned()));
            }
        }
    }
    if unread.is_empty() {
        return Ok(unread);
    }
    let (processed, known) = (inbox::progress(tx, process::POSITION)?, streams::all(tx)?);
    unread.retain(|key| known.get(key).and_then(|state| state.read_to).is_none_or(|to| processed < to));
    Ok(unread)
}

/// A stream whose creates waited and need not wait any more: connection, stream, the last golden record planned.
fn released(engine: &Engine, tx: &mut Tx<'_>) -> Result<Option<(String, String, i64)>> {
    let waited = streams::held(tx)?;
    if waited.is_empty() {
        return Ok(None);
    }
    let receivers = receivers(engine, tx, None)?;
    let unread = unread(tx, receivers.iter().copied())?;
    let known = |name: &str| receivers.iter().any(|it| it.name.as_str() == name);
    let mut over = waited.into_iter().filter(|(key, _)| known(&key.0) && !unread.contains(key));
    Ok(over.next().map(|((connection, stream), after)| (connection, stream, after)))
}

/// Plans creates that waited, a page of golden records at a time; says how many it looked at, and what it queued.
fn catch_up(engine: &Engine, tx: &mut Tx<'_>) -> Result<(usize, Vec<Planned>)> {
    tx.lock(MEANING_LOCK)?;
    tx.lock(PLAN_LOCK)?;
    let Some((name, stream, after)) = released(engine, tx)? else { return Ok((0, Vec::new())) };
    let Some(connection) = engine.connections.get(&name) else { return Ok((0, Vec::new())) };
    let lenses = connection.lenses.iter().filter(|it| it.stream() == stream);
    let entities: BTreeSet<&str> = lenses.map(|lens| lens.entity().as_str()).collect();
    let entities: Vec<&str> = entities.into_iter().collect();
    let ids = goldens::ids_after(tx, &entities, after, BATCH_CHANGES)?;
    streams::set_held(tx, &name, &stream, ids.last().copied())?;
    let ids: BTreeSet<i64> = ids.into_iter().collect();
    let owed = owed_by(engine, tx, &ids, &[connection])?;
    queue(engine, tx, &owed.planned)?;
    point(Point::CatchUpWritten);
    Ok((ids.len(), owed.planned))
}

pub(crate) const PLAN_LOCK: i64 = 0x706c_616e_0001;

/// Queues deliveries in place of the pending ones that they replace.
pub fn queue(engine: &Engine, tx: &mut Tx<'_>, planned: &[Planned]) -> Result<()> {
    let queued = in_place(engine, tx, planned)?;
    deliveries::put(tx, &queued, engine.clock.now_us())
}

/// Drops the pending deliveries that these replace, and says what is to be queued.
fn in_place(engine: &Engine, tx: &mut Tx<'_>, planned: &[Planned]) -> Result<Vec<Planned>> {
    let targets: BTreeSet<Target<'_>> = planned.iter().map(target).collect();
    let open = deliveries::open_of(tx, planned.iter().map(|one| one.golden).collect::<BTreeSet<_>>())?;
    let mut replaced: Vec<&Planned> =
        open.iter().filter(|one| one.state == "pending" && !one.restores() && targets.contains(&target(one))).collect();
    let kept = in_doubt(tx, &replaced)?;
    replaced.retain(|one| !kept.contains_key(&one.delivery.number));
    let kept: BTreeSet<Target<'_>> = kept.into_values().collect();
    deliveries::drop_pending(tx, replaced.iter().map(|one| one.delivery.number))?;
    // What was tried before, under whatever number, may have reached the target, or a part of it: its successor looks
    // first, and finishes what was begun.
    let begun: BTreeSet<_> = replaced.iter().filter(|one| one.delivery.attempt > 0).map(|one| target(one)).collect();
    let creates = planned.iter().filter(|one| one.delivery.operation == Operation::Create);
    let tried = deliveries::tried_creates(tx, creates.map(|one| one.golden).collect::<BTreeSet<_>>())?;
    let mut planned: Vec<Planned> = planned.iter().filter(|one| !kept.contains(&target(one))).cloned().collect();
    let now_us = engine.clock.now_us();
    for one in &mut planned {
        let tried_us = tried.get(&one.delivery.idempotency_key).copied();
        one.delivery.attempt = u32::from(tried_us.is_some() || begun.contains(&target(one)));
        // What it looks for may not be found yet.
        let connector = engine.connections.get(&one.connection).and_then(|it| it.connector.as_ref());
        let lag_us = connector.and_then(|it| it.manifest().lookup_lag_us(one.delivery.stream.as_str()));
        one.due_us = tried_us.map_or(one.due_us, |due_us| due_us.min(now_us + lag_us.unwrap_or(0)));
    }
    Ok(planned)
}

/// A record as a delivery names it: connection, lens, golden record, id.
type Target<'a> = (&'a str, &'a str, i64, Option<&'a str>);

/// Creates that wait to be sent again and may have arrived, by number, with their targets. They are sent as they were: by other words the
/// record would not be found, nor would a repeat be one to its system. What changed since follows the answer.
fn in_doubt<'a>(tx: &mut Tx<'_>, waiting: &[&'a Planned]) -> Result<BTreeMap<i64, Target<'a>>> {
    let tried = |one: &&&Planned| one.delivery.operation == Operation::Create && one.delivery.attempt > 0;
    let creates: Vec<&&Planned> = waiting.iter().filter(tried).collect();
    if creates.is_empty() {
        return Ok(BTreeMap::new());
    }
    let unsure = deliveries::unsure(tx, creates.iter().map(|one| one.golden).collect::<BTreeSet<_>>())?;
    let unsure: BTreeSet<i64> = unsure.iter().map(|one| one.delivery.number).collect();
    let kept = creates.into_iter().filter(|one| unsure.contains(&one.delivery.number));
    Ok(kept.map(|one| (one.delivery.number, target(one))).collect())
}

fn target(one: &Planned) -> Target<'_> {
    (&one.connection, &one.lens, one.golden, one.delivery.id.as_ref().map(crate::connector::ExternalId::as_str))
}

/// What these golden records owe to the other systems. `only`: look at one connection, live or not, as `go-live` does
/// before it asks.
pub fn plan(engine: &Engine, tx: &mut Tx<'_>, ids: &BTreeSet<i64>, only: Option<&str>) -> Result<Vec<Planned>> {
    let receivers = receivers(engine, tx, only)?;
    let Owed { planned, mut held, .. } = owed_by(engine, tx, ids, &receivers)?;
    let live = streams::owed(tx)?;
    held.retain(|(connection, _)| live.contains(connection));
    streams::hold(tx, &held)?;
    Ok(planned)
}

/// The connections that may be written: live ones, paused ones that wait for their credentials, or the one that is
/// looked at.
fn receivers<'a>(engine: &'a Engine, tx: &mut Tx<'_>, only: Option<&str>) -> Result<Vec<&'a Connection>> {
    let live = streams::owed(tx)?;
    let looked_at = |name: &str| only.map_or_else(|| live.contains(name), |only| name == only);
    let all = engine.connections.values();
    Ok(all.filter(|it| it.writes && it.connector.is_some() && looked_at(it.name.as_str())).collect())
}

fn owed_by(engine: &Engine, tx: &mut Tx<'_>, ids: &BTreeSet<i64>, receivers: &[&Connection]) -> Result<Owed> {
    let records = goldens::by_ids(tx, ids.iter().copied())?;
    let mut members: BTreeMap<i64, Vec<Link>> = BTreeMap::new();
    for link in links::by_goldens(tx, ids.iter().copied())? {
        members.entry(link.golden).or_default().push(link);
    }
    owed_to(engine, tx, &records, &members, receivers)
}

/// What live connections would be owed if the golden records and their links were as given. `unfinished` deliveries
/// that say the same already are left out, given up ones too.
pub(crate) fn would_owe(
    engine: &Engine,
    tx: &mut Tx<'_>,
    records: &[Golden],
    members: &BTreeMap<i64, Vec<Link>>,
) -> Result<Vec<Planned>> {
    let mut owed = owed_anew(engine, tx, records, members)?;
    let unfinished = deliveries::unfinished_of(tx, records.iter().map(|golden| golden.id))?;
    owed.retain(|one| !unfinished.iter().any(|known| target(known) == target(one) && known.fields == one.fields));
    Ok(owed)
}

/// The same, whatever waits to be sent: as after it was dropped.
pub(crate) fn owed_anew(
    engine: &Engine,
    tx: &mut Tx<'_>,
    records: &[Golden],
    members: &BTreeMap<i64, Vec<Link>>,
) -> Result<Vec<Planned>> {
    let receivers = receivers(engine, tx, None)?;
    if receivers.is_empty() {
        return Ok(Vec::new());
    }
    Ok(owed_to(engine, tx, records, members, &receivers)?.planned)
}

/// What one connection is owed now, if it may be written; what is being sent is left out.
pub(crate) fn owed_now(
    engine: &Engine,
    tx: &mut Tx<'_>,
    ids: &BTreeSet<i64>,
    connection: &ConnectionName,
) -> Result<Vec<Planned>> {
    let mut mine = receivers(engine, tx, None)?;
    mine.retain(|it| it.name == *connection);
    if mine.is_empty() { Ok(Vec::new()) } else { Ok(owed_by(engine, tx, ids, &mine)?.planned) }
}

fn owed_to(
    engine: &Engine,
    tx: &mut Tx<'_>,
    records: &[Golden],
    members: &BTreeMap<i64, Vec<Link>>,
    receivers: &[&Connection],
) -> Result<Owed> {
    let unread = unread(tx, receivers.iter().copied())?;
    let mut held = BTreeSet::new();
    let open = deliveries::open_of(tx, records.iter().map(|golden| golden.id))?;
    let sending: BTreeSet<_> = open.iter().filter(|one| one.state == "sending" || one.restores()).map(target).collect();
    let departed = departed(engine, tx, records, members)?;
    let unsure = deliveries::unsure(tx, records.iter().map(|golden| golden.id))?;
    let taken = deliveries::doubt::all_taken(tx, records.iter().map(|golden| golden.id))?;
    let vanished = vanished(engine, tx)?;
    let mut next = tx.max("id", "delivery")?;
    let mut planned = Vec::new();
    for golden in records.iter().filter(|golden| golden.merged_into.is_none()) {
        let none = Vec::new();
        let links = members.get(&golden.id).unwrap_or(&none);
        for connection in receivers {
            for mut one in owed(connection, golden, links, departed.get(&golden.id), &unsure, &vanished) {
                let stream = (one.connection.clone(), one.delivery.stream.as_str().to_owned());
                if one.delivery.operation == Operation::Create && unread.contains(&stream) {
                    held.insert(stream);
                    continue;
                }
                // What is being sent right now, or is put back, is planned again when its answer is in.
                if sending.contains(&target(&one)) {
                    continue;
                }
                one.delivery.number = next + 1;
                one.delivery.idempotency_key = key(&one, next + 1, &unsure, &taken);
                // Nor what a person has to look for first.
                if doubt::is_asked(connection, &unsure, &one) || taken::is_known(connection, &taken, &one) {
                    continue;
                }
                next += 1;
                planned.push(one);
            }
        }
    }
    own::spell(engine, tx, &mut planned, members)?;
    let targets: BTreeSet<_> = planned.iter().map(target).collect();
    let names: BTreeSet<&str> = receivers.iter().map(|it| it.name.as_str()).collect();
    let over = open.iter().filter(|one| {
        let never_sent = one.state == "pending" && one.delivery.attempt == 0 && !one.restores();
        never_sent
            && one.delivery.id.is_some()
            && names.contains(one.connection.as_str())
            && !targets.contains(&target(one))
    });
    let over = over.map(|one| one.delivery.number).collect();
    Ok(Owed { planned, held, over })
}

/// Fields whose places vanished from a system's records (connection, lens, field): what is written there may go nowhere,
/// and is owed once the mapping is mended.
fn vanished(engine: &Engine, tx: &mut Tx<'_>) -> Result<BTreeSet<(String, String, FieldName)>> {
    let mut fields = BTreeSet::new();
    for found in drifts::open(tx)?.into_iter().filter(|it| it.kind == drift::Kind::Vanished) {
        let Some(lens) = engine.connections.get(&found.connection).and_then(|it| it.lens(&found.lens)) else {
            continue;
        };
        let place = lens.places().iter().find(|place| place.pointer() == found.place);
        let read = place.into_iter().flat_map(|place| place.fields().iter().cloned());
        fields.extend(read.map(|field| (found.connection.clone(), found.lens.clone(), field)));
    }
    Ok(fields)
}

/// Golden records that some record left, as they would be had it stayed. A deletion is not carried on: what the others
/// hold because the departed record said it, they keep, until somebody says something else.
fn departed(
    engine: &Engine,
    tx: &mut Tx<'_>,
    records: &[Golden],
    members: &BTreeMap<i64, Vec<Link>>,
) -> Result<BTreeMap<i64, Fields>> {
    let left = |golden: &&Golden| {
        members.get(&golden.id).is_some_and(|links| links.iter().any(|it| !it.open && !it.state.said.is_empty()))
    };
    let left: Vec<&Golden> = records.iter().filter(left).collect();
    let pins = goldens::pins(tx, left.iter().map(|golden| golden.id))?;
    let none = BTreeMap::new();
    Ok(left
        .into_iter()
        .map(|golden| {
            let links: Vec<&Link> = members[&golden.id].iter().collect();
            let pins = pins.get(&golden.id).unwrap_or(&none);
            (golden.id, of_all(engine, &golden.entity, &links, pins).fields)
        })
        .collect())
}

fn owed(
    connection: &Connection,
    golden: &Golden,
    links: &[Link],
    departed: Option<&Fields>,
    unsure: &[Planned],
    vanished: &BTreeSet<(String, String, FieldName)>,
) -> Vec<Planned> {
    let mut owed = Vec::new();
    for lens in connection.lenses.iter().filter(|lens| *lens.entity() == golden.entity) {
        let mine: Vec<&Link> =
            links.iter().filter(|it| it.key.connection == connection.name && it.key.lens == lens.name()).collect();
        let mut projected = lens.project(&golden.fields);
        projected.retain(|field, _| connection.directions.takes(golden.entity.as_str(), field));
        if !vanished.is_empty() {
            let name = |field: &FieldName| (connection.name.as_str().to_owned(), lens.name().to_owned(), field.clone());
            projected.retain(|field, _| !vanished.contains(&name(field)));
        }
        let kept = departed.map(|fields| lens.project(fields)).unwrap_or_default();
        // Whom a system knows through another table is not missing there: a shop's guest needs no account.
        let known = links.iter().any(|it| it.key.connection == connection.name);
        if !known && connection.creates.contains(lens.name()) && connection.can(lens.stream(), Ability::Create) {
            let fields: Fields = projected.into_iter().filter(|(_, value)| !value.is_null()).collect();
            if !fields.is_empty() {
                owed.push(planned(connection, lens, golden, None, fields));
            }
        } else if connection.can(lens.stream(), Ability::Update) {
            for link in mine.into_iter().filter(|link| link.open) {
                // A write without an answer may have replaced what is held.
                let to_it = unsure.iter().filter(|one| one.is_to(&link.key));
                let lacks = |field: &FieldName, value: &Value| {
                    link.state.lacks(field, value) || to_it.clone().any(|one| one.fields.contains_key(field))
                };
                let fields: Fields = projected
                    .iter()
                    .filter(|(field, value)| lacks(field, value))
                    .filter(|(field, _)| kept.get(*field).is_none_or(|value| link.state.lacks(field, value)))
                    .map(|(field, value)| (field.clone(), value.clone()))
                    .collect();
                if !fields.is_empty() {
                    owed.push(planned(connection, lens, golden, Some(link), fields));
                }
            }
        }
    }
    owed
}

fn planned(connection: &Connection, lens: &Lens, golden: &Golden, link: Option<&Link>, fields: Fields) -> Planned {
    let base = link.map_or(Value::Null, |link| {
        // Where it was never seen to hold anything it holds nothing: what somebody entered since must be heard first.
        let held = |field: &FieldName| link.state.held.get(field).cloned().unwrap_or(Value::Null);
        let held = fields.keys().map(|field| (field.clone(), held(field))).collect();
        let mut base = lens.show(&held);
        overlay(&mut base, &lens.render(&held));
        base
    });
    let delivery = Delivery {
        number: 0,
        operation: if link.is_some() { Operation::Update } else { Operation::Create },
        stream: lens.stream().into(),
        id: link.map(|link| link.key.id.clone()),
        body: lens.render(&fields),
        base,
        base_version: link.and_then(|link| link.version.clone()),
        idempotency_key: String::new(),
        attempt: 0,
    };
    Planned {
        connection: connection.name.as_str().to_owned(),
        lens: lens.name().to_owned(),
        golden: golden.id,
        fields,
        change: golden.change,
        state: "pending".to_owned(),
        error: None,
        due_us: 0,
        restores: None,
        planned_us: 0,
        delivery,
    }
}

/// The idempotency key of what is owed. What may have made the record already may have been sent for a golden record that
/// became one with this one since; and what ended at somebody else's record is not to end there again.
fn key(one: &Planned, number: i64, unsure: &[Planned], taken: &[Planned]) -> String {
    let is_it = |it: &&Planned| it.delivery.operation == Operation::Create && target(it) == target(one);
    match unsure.iter().find(is_it) {
        Some(sent) => sent.delivery.idempotency_key.clone(),
        None => {
            let is_new = one.delivery.operation != Operation::Create || taken.iter().any(|it| taken::is_there(it, one));
            idempotency_key(one, is_new.then_some(number))
        }
    }
}

/// A create keeps its key as long as the golden record has no record there: a plan that replaces it after a crash must
/// not make a second one. An update's key is its own, by its number.
pub(crate) fn idempotency_key(one: &Planned, number: Option<i64>) -> String {
    let mut hash = Sha256::new();
    hash.update(one.connection.as_bytes());
    hash.update([0]);
    hash.update(one.lens.as_bytes());
    hash.update([0]);
    hash.update(one.golden.to_be_bytes());
    if let Some(number) = number {
        hash.update(number.to_be_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}
