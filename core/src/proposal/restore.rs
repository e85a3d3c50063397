//! What an apply wrote into records of other systems is put back, word for word.
//!
//! A place is restored while it still holds what our last write left there: then the delivery bears what the record
//! showed before, in its system's own spelling, whatever the rules say about the field. Where the record shows anything
//! else, somebody edited since, and it stays. Until it is answered no plan takes the delivery's place; afterwards the
//! record is planned like any other. Asking twice asks once: what is queued or restored already is left alone.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::lens::laws::overlay;
use huiliu_mappings::value::{FieldName, Fields};
use serde_json::{Map, Value, json};

use super::{Basis, Left};
use crate::connector::{Delivery, Operation, Received};
use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::link::{Link, LinkKey};
use crate::pipeline::plan;
use crate::pipeline::process::{MEANING_LOCK, received};
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, Planned};
use crate::store::inbox::{self, InboxItem};
use crate::store::links::{self, NOT_TAKEN_IN};
use crate::store::proposals::{self, Overwritten, Proposal};
use crate::store::replays::{self, Wrote};

/// Writes looked at in a transaction: some milliseconds each, so that live traffic hardly waits.
const PAGE: i64 = 200;

/// Looks at every write of an apply, and queues what restores the records.
pub(super) fn restore(engine: &Engine, proposal: &Proposal) -> Result<()> {
    let mut after: Option<Overwritten> = None;
    loop {
        let turn = engine.meaning();
        let rows = engine.store.write(|tx| {
            tx.lock(MEANING_LOCK)?;
            let rows = page(engine, tx, proposal, after.as_ref())?;
            if !rows.is_empty() {
                point(Point::RestoreWritten);
            }
            Ok(rows)
        })?;
        drop(turn);
        let Some(last) = rows.into_iter().last() else { return Ok(()) };
        point(Point::RestoreCommitted);
        after = Some(last);
    }
}

fn page(
    engine: &Engine,
    tx: &mut Tx<'_>,
    proposal: &Proposal,
    after: Option<&Overwritten>,
) -> Result<Vec<Overwritten>> {
    let mut rows = proposals::overwritten_after(tx, proposal.number, after, PAGE)?;
    if rows.is_empty() {
        return Ok(rows);
    }
    let known = Known::load(engine, tx, proposal, &rows)?;
    let mut number = tx.max("id", "delivery")?;
    let change = tx.max("position", "change_log")?;
    let (mut planned, mut over, mut anew) = (Vec::new(), Vec::new(), BTreeSet::new());
    for row in &mut rows {
        let found = known.judge(engine, row);
        if found.is_settled {
            continue;
        }
        if !found.over.is_empty() {
            anew.extend(known.alive.get(&row.golden));
            anew.extend(known.link(row).map(|link| link.golden).filter(|golden| *golden != 0));
        }
        over.extend(found.over);
        (row.edited, row.delivery) = (found.edited, None);
        found.fate.clone_into(&mut row.fate);
        if let (false, Some(link)) = (found.back.is_empty(), known.link(row)) {
            number += 1;
            let mut one = delivery(engine, row, link, &found.back, number);
            one.change = change;
            row.delivery = Some(number);
            planned.push(one);
        }
    }
    deliveries::drop_pending(tx, over)?;
    plan::queue(engine, tx, &planned)?;
    // What waited is owed by today's rules, or it is not.
    if !anew.is_empty() {
        let owed = plan::plan(engine, tx, &anew, None)?;
        plan::queue(engine, tx, &owed)?;
    }
    proposals::put_overwritten(tx, &rows)?;
    Ok(rows)
}

/// What is known of the records that an apply wrote.
struct Known {
    /// Whether all this was looked at before, and everything known was computed anew since.
    is_again: bool,
    /// The last delivery when the apply was planned.
    deliveries: i64,
    applied_us: i64,
    links: BTreeMap<LinkKey, Link>,
    records: BTreeMap<i64, Shown>,
    /// Deliveries that are not done, of these golden records.
    open: Vec<Planned>,
    /// The states of deliveries that were to restore something.
    asked: BTreeMap<i64, String>,
    /// Connections in which these golden records have a record.
    present: BTreeSet<(i64, String)>,
    alive: BTreeMap<i64, i64>,
}

/// What a record shows.
#[derive(Default)]
struct Shown {
    /// Now, as far as anybody told.
    now: Value,
    /// Right after the last write to it.
    ours: Value,
    /// The last delivery that was answered.
    wrote: i64,
}

/// What an undo finds where an apply wrote.
#[derive(Default)]
struct Found {
    fate: &'static str,
    edited: Vec<String>,
    /// Place: what the record shows now, and what it gets back.
    back: Vec<(String, Value, Value)>,
    /// Deliveries that wait: planned by who knows which rules, they are not sent any more.
    over: Vec<i64>,
    /// Whether this undo did it already.
    is_settled: bool,
}

impl Known {
    fn load(engine: &Engine, tx: &mut Tx<'_>, proposal: &Proposal, rows: &[Overwritten]) -> Result<Self> {
        let basis: Basis = serde_json::from_str(&proposal.basis)?;
        let keys: Vec<LinkKey> = rows.iter().filter(|row| !row.id.is_empty()).map(key).collect();
        let found = links::by_keys(tx, &keys)?;
        let alive = crate::store::goldens::all_alive(tx, rows.iter().map(|row| row.golden))?;
        let here: BTreeSet<i64> = alive.values().copied().chain(found.iter().map(|link| link.golden)).collect();
        let present = links::by_goldens(tx, here.iter().copied().filter(|id| *id != 0))?;
        let present = present.into_iter().map(|it| (it.golden, it.key.connection.as_str().to_owned())).collect();
        let open = deliveries::open_of(tx, here.into_iter().chain(alive.keys().copied()).collect::<BTreeSet<_>>())?;
        let asked = deliveries::states_of(tx, rows.iter().filter_map(|row| row.delivery))?;
        let records = shown(engine, tx, &found)?;
        let links = found.into_iter().map(|link| (link.key.clone(), link)).collect();
        let applied_us = proposal.applied.as_ref().map_or(0, |it| it.1);
        let (is_again, deliveries) = (proposal.state == "undone", basis.deliveries);
        Ok(Self { is_again, deliveries, applied_us, links, records, open, asked, present, alive })
    }

    fn link(&self, row: &Overwritten) -> Option<&Link> {
        self.links.get(&key(row))
    }

    fn judge(&self, engine: &Engine, row: &Overwritten) -> Found {
        let asked = row.delivery.and_then(|number| self.asked.get(&number)).map(String::as_str);
        if row.fate == "asked" && matches!(asked, Some("pending" | "sending" | "done")) {
            return Found { is_settled: true, ..Found::default() };
        }
        // What waits for them by now is owed by today's rules.
        if self.is_again && matches!(row.fate.as_str(), "same" | "gone" | "made") {
            return Found { is_settled: true, ..Found::default() };
        }
        if row.id.is_empty() {
            return self.judge_made(row);
        }
        let Some(link) = self.link(row).filter(|link| link.open) else {
            return Found { fate: "gone", ..Found::default() };
        };
        let open: Vec<&Planned> = self.open.iter().filter(|one| one.is_to(&link.key)).collect();
        if open.iter().any(|one| one.state == "sending") {
            return Found { fate: "under_way", ..Found::default() };
        }
        // What was sent and not answered may have arrived.
        let is_unsure = open.iter().any(|one| one.delivery.attempt > 0);
        let mut found = self.compare(engine, row, link, is_unsure);
        // What was tried is replaced by the queue itself, so that its successor looks first.
        let is_replaced = |one: &&&Planned| {
            !found.back.is_empty() && one.delivery.attempt > 0 && one.golden == link.golden && !one.restores()
        };
        found.over = open.iter().filter(|one| !is_replaced(one)).map(|one| one.delivery.number).collect();
        found
    }

    /// A record that the apply makes: it is not made if it was not yet, and stays if it was.
    fn judge_made(&self, row: &Overwritten) -> Found {
        let golden = self.alive.get(&row.golden).copied().unwrap_or(row.golden);
        if self.present.contains(&(golden, row.connection.clone())) {
            return Found { fate: "made", ..Found::default() };
        }
        let ours = |one: &&Planned| {
            let is_create = one.delivery.operation == Operation::Create && one.delivery.id.is_none();
            is_create && (one.connection.as_str(), &one.lens) == (row.connection.as_str(), &row.lens)
        };
        let mine = self.open.iter().filter(ours).filter(|one| [golden, row.golden].contains(&one.golden));
        let (begun, waiting): (Vec<&Planned>, Vec<&Planned>) =
            mine.partition(|one| one.state == "sending" || one.delivery.attempt > 0);
        let fate = if begun.is_empty() { "same" } else { "under_way" };
        Found { fate, over: waiting.iter().map(|one| one.delivery.number).collect(), ..Found::default() }
    }

    fn compare(&self, engine: &Engine, row: &Overwritten, link: &Link, is_unsure: bool) -> Found {
        let nothing = Shown::default();
        let record = self.records.get(&link.number).unwrap_or(&nothing);
        if record.wrote <= self.deliveries && !is_unsure {
            return Found { fate: "same", ..Found::default() };
        }
        let lens = engine.connections.get(&row.connection).and_then(|it| it.lens(&row.lens));
        let since = |field: &FieldName| link.state.said.get(field).is_some_and(|said| said.at_us > self.applied_us);
        // An edit that the changed rules wrote over is an edit. Where a record does not show a place, any word about what
        // was written counts.
        let is_said = |place: &str, is_shown: bool| match lens.filter(|_| is_shown) {
            Some(lens) => lens.fields_from(place).any(since),
            None => !is_shown && row.fields.iter().any(since),
        };
        let mut found = Found::default();
        for (place, (before, _)) in &row.places {
            let (now, ours) = (record.now.pointer(place), record.ours.pointer(place));
            let is_back = match now {
                Some(now) => now == before,
                None => before.is_null() && ours.is_some(),
            };
            if is_back && !is_unsure {
                continue;
            }
            if now == ours && !is_said(place, now.is_some()) {
                found.back.push((place.clone(), now.cloned().unwrap_or_default(), before.clone()));
            } else {
                found.edited.push(place.clone());
            }
        }
        found.fate = if found.back.is_empty() { "same" } else { "asked" };
        found
    }
}

fn key(row: &Overwritten) -> LinkKey {
    LinkKey { connection: row.connection.as_str().into(), lens: row.lens.clone(), id: row.id.as_str().into() }
}

/// What happened to a record.
struct Turns<'a> {
    link: &'a Link,
    /// Answered writes, oldest first.
    wrote: Vec<Wrote>,
    /// The last arrival before the last of them.
    before: Option<i64>,
    /// The last arrival.
    last: Option<i64>,
}

/// What these records show now and showed after the last write to them: a handful of queries, and two items for each.
fn shown(engine: &Engine, tx: &mut Tx<'_>, links: &[Link]) -> Result<BTreeMap<i64, Shown>> {
    let mut writes: BTreeMap<i64, Vec<Wrote>> = BTreeMap::new();
    for wrote in replays::wrote(tx, links.iter().map(|link| link.number))? {
        writes.entry(wrote.link).or_default().push(wrote);
    }
    let mut arrivals: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for line in replays::lines(tx, writes.keys().copied())? {
        if !NOT_TAKEN_IN.contains(&line.outcome.as_str()) {
            arrivals.entry(line.link).or_default().push(line.position);
        }
    }
    let none = Vec::new();
    let turns: Vec<Turns<'_>> = links
        .iter()
        .filter_map(|link| {
            let wrote = writes.remove(&link.number)?;
            let came = arrivals.get(&link.number).unwrap_or(&none);
            let answered = wrote.last().map_or(0, |wrote| wrote.processed);
            let before = came.iter().rev().find(|position| **position <= answered).copied();
            Some(Turns { link, wrote, before, last: came.last().copied() })
        })
        .collect();
    let wanted: BTreeSet<i64> = turns.iter().flat_map(|it| [it.before, it.last]).flatten().collect();
    let items: BTreeMap<i64, InboxItem> =
        inbox::at_all(tx, wanted)?.into_iter().map(|item| (item.position, item)).collect();
    let mut found = BTreeMap::new();
    for Turns { link, wrote, before, last } in turns {
        let after = |position: Option<i64>| {
            let item = position.and_then(|position| items.get(&position));
            let mut record = item.and_then(|item| body(engine, link, item)).unwrap_or_default();
            for wrote in wrote.iter().filter(|it| position.is_none_or(|position| it.processed >= position)) {
                overlay(&mut record, wrote.stored.as_ref().unwrap_or(&wrote.body));
            }
            record
        };
        let delivery = wrote.iter().map(|it| it.delivery).max().unwrap_or(0);
        found.insert(link.number, Shown { now: after(last), ours: after(before), wrote: delivery });
    }
    Ok(found)
}

/// The record as an item of the inbox shows it.
fn body(engine: &Engine, link: &Link, item: &InboxItem) -> Option<Value> {
    let connection = engine.connections.get(link.key.connection.as_str())?;
    let lens = connection.lens(&link.key.lens);
    let mine = received(connection, item).ok()?.into_iter().filter_map(|one| match one {
        Received::Record(record) if record.id == link.key.id => Some(record),
        _ => None,
    });
    let mut mine = mine.filter(|record| lens.is_none_or(|lens| record.stream.as_str() == lens.stream()));
    mine.next_back().map(|record| record.body)
}

fn delivery(engine: &Engine, row: &Overwritten, link: &Link, back: &[(String, Value, Value)], number: i64) -> Planned {
    let (mut body, mut base) = (json!({}), json!({}));
    for (place, now, before) in back {
        put(&mut body, place, before.clone());
        put(&mut base, place, now.clone());
    }
    let lens = engine.connections.get(&row.connection).and_then(|it| it.lens(&row.lens));
    // As the record will read under today's rules; what no rule reads is held by nobody.
    let fields = lens.map_or_else(Fields::new, |lens| {
        let always = lens.map(&Value::Object(Map::new())).0.fields;
        let read = lens.map(&body).0.fields.into_iter();
        read.filter(|(field, value)| always.get(field) != Some(value)).collect()
    });
    let mut one = Planned {
        connection: row.connection.clone(),
        lens: row.lens.clone(),
        golden: if link.golden == 0 { row.golden } else { link.golden },
        fields,
        change: 0,
        state: "pending".to_owned(),
        error: None,
        due_us: 0,
        planned_us: 0,
        restores: Some(row.proposal),
        delivery: Delivery {
            number,
            operation: Operation::Update,
            stream: row.stream.as_str().into(),
            id: Some(link.key.id.clone()),
            body,
            base,
            base_version: link.version.clone(),
            idempotency_key: String::new(),
            attempt: 0,
        },
    };
    one.delivery.idempotency_key = plan::idempotency_key(&one, Some(number));
    one
}

/// Puts a value where a pointer leads, through objects that are made on the way.
fn put(root: &mut Value, place: &str, value: Value) {
    let mut at = root;
    for name in place.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(parts) = at else { return };
        at = parts.entry(name).or_insert(Value::Null);
    }
    *at = value;
}

/// What stays as it is of one write.
pub(super) fn left(row: &Overwritten) -> Vec<Left> {
    let id = if row.id.is_empty() { "new" } else { &row.id };
    let record = format!("{}/{}/{id}", row.connection, row.stream);
    if let Some(why) = ["made", "gone"].into_iter().find(|why| row.fate == *why) {
        return vec![Left { record, place: None, before: Value::Null, why }];
    }
    let edited = row.edited.iter().map(|place| Left {
        record: record.clone(),
        place: Some(place.clone()),
        before: row.places.get(place).map(|(before, _)| before.clone()).unwrap_or_default(),
        why: "edited",
    });
    edited.collect()
}
