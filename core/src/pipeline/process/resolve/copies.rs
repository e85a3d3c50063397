//! Our own writes that arrived though no answer ever said so: a line was cut, or the hub died. What a record shows of
//! them is held, never said; else a copy would win over an edit that was made since, and link records.

use std::collections::{BTreeMap, HashSet};

use huiliu_mappings::lens::Lens;
use huiliu_mappings::value::{FieldName, MappedRecord};
use serde_json::Value;

use super::super::expand::Arrival;
use super::{Batch, said_at_us};
use crate::engine::Engine;
use crate::link::{Link, LinkKey, LinkState, shows_over, shows_part, shows_write, written};
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{Planned, doubt};
use crate::store::replays::Receipt;

/// A write that a record shows.
pub(super) struct Copy {
    one: Planned,
    stored: Value,
    receipt: Receipt,
    /// Somebody edited it since, so that it must not be sent again.
    is_over: bool,
}

/// The writes to this link, of those that may have arrived, that its record shows; if there are none, those over which
/// somebody seems to have written. `ended`: when the last attempt of each was over.
pub(super) fn of(
    unsure: &[Planned],
    ended: &BTreeMap<i64, i64>,
    link: &Link,
    arrival: &Arrival,
    shown: &MappedRecord,
) -> Vec<Copy> {
    if unsure.is_empty() || !link.state.differs(shown) {
        return Vec::new();
    }
    let to_it = || unsure.iter().filter(|one| one.is_to(&link.key));
    let copies: Vec<Copy> = to_it().filter_map(|one| copy(one, link.number, arrival, shown)).collect();
    if !copies.is_empty() {
        return copies;
    }
    // Whether the write arrived before that edit nobody can tell. Its author may have seen it, and is believed to have:
    // else a clock that is behind would have the write made again over the edit.
    let is_ended = |one: &Planned| ended.get(&one.delivery.number).is_some_and(|at_us| *at_us <= arrival.received_us);
    let over = |one: &Planned| {
        let stored = shows_over(&arrival.lens, &one.fields, &one.delivery.body, &link.state.held, shown)?;
        Some(Copy { is_over: true, ..seen(one, link.number, arrival, stored) })
    };
    to_it().filter(|one| one.state != "sending" && is_ended(one)).filter_map(over).collect()
}

/// Whether a write to this link is under way and the record shows something else in its fields than is known: a target
/// that does not take a value as it is tells of its own before it answers, and so does a person. After the answer it is
/// known what it stored.
pub(super) fn is_under_way(unsure: &[Planned], link: &Link, arrival: &Arrival) -> bool {
    let Some(shown) = &arrival.mapped else { return false };
    let mut sending = unsure.iter().filter(|one| one.state == "sending" && one.is_to(&link.key));
    sending.any(|one| {
        let (sent, _) = written(&arrival.lens, &one.fields, &one.delivery.body, None);
        let moved = |field| shown.fields.get(field).is_some_and(|value| link.state.held.get(field) != Some(value));
        sent.keys().any(moved) && shows_write(&arrival.lens, &one.fields, &one.delivery.body, shown).is_none()
    })
}

/// What a record that is seen for the first time, and is one of these golden records, shows of a create that may have
/// made it.
fn made(unsure: &[Planned], goldens: &[i64], number: i64, arrival: &Arrival, shown: &MappedRecord) -> Vec<Copy> {
    let mine = |one: &&Planned| goldens.contains(&one.golden) && one.may_make(&arrival.key);
    let whole = unsure.iter().filter(mine).find_map(|one| copy(one, number, arrival, shown));
    let part = |one: &Planned| {
        let stored = shows_part(&arrival.lens, &one.fields, &one.delivery.body, shown)?;
        Some(seen(one, number, arrival, stored))
    };
    whole.or_else(|| unsure.iter().filter(mine).find_map(part)).into_iter().collect()
}

/// Whether a record shows all that this create sent, and nothing beside by which it could be told to be somebody else's.
fn is_whole(one: &Planned, sent: &MappedRecord, arrival: &Arrival, shown: &MappedRecord) -> bool {
    let is_ours = |(field, value): (&FieldName, &Value)| value.is_null() || sent.fields.contains_key(field);
    let is_told = if sent.identities.is_empty() {
        shown.identities.is_empty() && shown.fields.iter().all(is_ours)
    } else {
        shown.identities.iter().all(|it| sent.identities.contains(it))
    };
    is_told && shows_write(&arrival.lens, &one.fields, &one.delivery.body, shown).is_some()
}

fn copy(one: &Planned, link: i64, arrival: &Arrival, shown: &MappedRecord) -> Option<Copy> {
    let stored = shows_write(&arrival.lens, &one.fields, &one.delivery.body, shown)?;
    Some(seen(one, link, arrival, stored))
}

fn seen(one: &Planned, link: i64, arrival: &Arrival, stored: Value) -> Copy {
    // It was written before it was seen: when this is told again, the write comes first.
    let (delivery, processed, at_us) = (one.delivery.number, arrival.position - 1, arrival.received_us);
    let receipt = Receipt { link, delivery, processed, stored: Some(stored.to_string()), at_us };
    Copy { one: one.clone(), stored, receipt, is_over: false }
}

/// The record holds them.
pub(super) fn take(link: &mut Link, lens: &Lens, copies: &[Copy]) {
    for copy in copies {
        let (sent, holds) = written(lens, &copy.one.fields, &copy.one.delivery.body, Some(&copy.stored));
        link.state.wrote(&sent, holds);
        link.state.wrote_us = link.state.wrote_us.max(copy.one.planned_us);
    }
}

/// Whether this create, which sends a record like that, made a record that is seen for the first time.
fn is_maker(engine: &Engine, one: &Planned, sent: &MappedRecord, arrival: &Arrival, shown: &MappedRecord) -> bool {
    let connector = engine.connections.get(&one.connection).and_then(|it| it.connector.as_ref());
    connector.is_some_and(|it| it.makes(&one.delivery, &arrival.key.id)) || is_whole(one, sent, arrival, shown)
}

/// The golden records for which creates that are under way seem to have made records of which no link is known: nothing
/// in such a record may lead to them.
pub(super) fn makers(engine: &Engine, tx: &mut Tx<'_>, arrivals: &[Arrival], known: &[Link]) -> Result<Vec<i64>> {
    let known: HashSet<&LinkKey> = known.iter().map(|link| &link.key).collect();
    let creates = |key: &LinkKey| {
        engine.connections.get(key.connection.as_str()).is_some_and(|it| it.creates.contains(key.lens.as_str()))
    };
    let mut fresh: BTreeMap<(&str, &str), Vec<(&Arrival, &MappedRecord)>> = BTreeMap::new();
    for arrival in arrivals.iter().filter(|it| creates(&it.key) && !known.contains(&it.key)) {
        let place = (arrival.key.connection.as_str(), arrival.key.lens.as_str());
        if let Some(shown) = &arrival.mapped {
            fresh.entry(place).or_default().push((arrival, shown));
        }
    }
    let mut goldens = Vec::new();
    for ((connection, lens), arrivals) in fresh {
        for one in doubt::under_way(tx, connection, lens)? {
            let (sent, _) = arrivals[0].0.lens.map(&one.delivery.body);
            let made = arrivals.iter().any(|(arrival, shown)| is_maker(engine, &one, &sent, arrival, shown));
            goldens.extend(made.then_some(one.golden));
        }
    }
    Ok(goldens)
}

impl Batch {
    /// The golden record for which a create of ours, of which no answer told, made this record that is seen for the first
    /// time. Whatever became known of either since, it is no other's: what it shows is not its own word.
    pub(super) fn maker(&self, engine: &Engine, arrival: &Arrival, shown: &MappedRecord) -> Option<i64> {
        let is_mine = |one: &&Planned| {
            one.may_make(&arrival.key) && is_maker(engine, one, &arrival.lens.map(&one.delivery.body).0, arrival, shown)
        };
        self.unsure.iter().find(is_mine).map(|one| one.golden)
    }

    /// Whether a create of ours made this record, which then says only what it does not have from us.
    pub(super) fn is_made(
        &mut self,
        engine: &Engine,
        number: i64,
        goldens: &[i64],
        arrival: &Arrival,
        shown: MappedRecord,
    ) -> bool {
        let copies = made(&self.unsure, goldens, number, arrival, &shown);
        let (Some(link), false) = (self.links.get_mut(&number), copies.is_empty()) else { return false };
        link.state = LinkState::default();
        take(link, &arrival.lens, &copies);
        let at_us = said_at_us(&link.state, arrival.version.as_ref(), arrival.received_us, arrival.clock_offset_us);
        link.hear(engine, shown, at_us);
        self.keep(copies);
        true
    }

    /// What is known to have arrived is not looked for any more.
    pub(super) fn keep(&mut self, copies: Vec<Copy>) {
        for copy in copies {
            self.unsure.retain(|one| one.delivery.number != copy.receipt.delivery);
            self.over.extend(copy.is_over.then_some(copy.receipt.delivery));
            self.receipts.push(copy.receipt);
        }
    }
}
