//! What is done: what targets stored is held from now on. All that is put on record together is read and written by a
//! statement of each kind.

use std::collections::{BTreeMap, BTreeSet};

use crate::connection::Connection;
use crate::connector::{Operation, Receipt};
use crate::engine::Engine;
use crate::link::{Link, LinkKey, LinkState, found, written};
use crate::pipeline::{process, pull};
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, Planned};
use crate::store::goldens::{self, Golden};
use crate::store::inbox::{self, InboxItem};
use crate::store::{firings, links, replays};

use super::{replan_all, taken};

/// A delivery, and what its target says about it.
pub(super) type Done<'a> = (&'a Planned, &'a Receipt);

/// Puts on record what is done, and plans what golden records became meanwhile.
pub(super) fn all(engine: &Engine, tx: &mut Tx<'_>, connection: &Connection, done: &[Done<'_>]) -> Result<()> {
    if done.is_empty() {
        return Ok(());
    }
    let now_us = engine.clock.now_us();
    let mut known = Known::load(tx, connection, done)?;
    let (mut ended, mut elsewhere) = (Vec::with_capacity(done.len()), Vec::new());
    let (mut made, mut moved) = (Vec::new(), BTreeSet::new());
    for &(one, receipt) in done {
        if let Some(other) = known.taken_by(connection, one, receipt) {
            elsewhere.push((one, receipt, other));
            continue;
        }
        ended.push(one);
        if one.is_action() {
            made.push((one.delivery.number, receipt.id.as_str()));
            continue;
        }
        let link = known.store(tx, connection, (one, receipt), now_us)?;
        if link.is_none_or(|key| !known.is_settled(connection, one, &key)) {
            moved.extend(known.concerned(connection, one));
        }
    }
    deliveries::done(tx, connection.name.as_str(), ended.iter().map(|one| &one.delivery), now_us)?;
    firings::made(tx, made)?;
    known.write(tx)?;
    taken::settle(tx, &ended)?;
    replan_all(engine, tx, &moved)?;
    for (one, receipt, other) in elsewhere {
        taken::close(engine, tx, connection, one, receipt, other)?;
    }
    Ok(())
}

/// What a target stored is held from now on, whatever becomes of the delivery.
pub(super) fn hold(tx: &mut Tx<'_>, connection: &Connection, done: Done<'_>, now_us: i64) -> Result<()> {
    let mut known = Known::load(tx, connection, &[done])?;
    known.store(tx, connection, done, now_us)?;
    known.write(tx)
}

/// Links and golden records that answers are about, as they are and as they become.
struct Known {
    links: BTreeMap<LinkKey, Link>,
    goldens: BTreeMap<i64, Golden>,
    /// By golden record that was absorbed: the living one.
    alive: BTreeMap<i64, i64>,
    /// The position of the stage `process`.
    processed: i64,
    next_link: i64,
    changed: BTreeSet<LinkKey>,
    receipts: Vec<replays::Receipt>,
    /// Records that somebody has edited since they were made.
    edited: Vec<InboxItem>,
}

impl Known {
    fn load(tx: &mut Tx<'_>, connection: &Connection, done: &[Done<'_>]) -> Result<Self> {
        let of_records = || done.iter().filter(|(one, _)| !one.is_action());
        let stored: BTreeSet<LinkKey> =
            of_records().map(|(one, receipt)| key(connection, one, receipt.id.clone())).collect();
        let sent = of_records().filter_map(|(one, _)| Some(key(connection, one, one.delivery.id.clone()?)));
        let keys: BTreeSet<LinkKey> = stored.iter().cloned().chain(sent).collect();
        let links: BTreeMap<LinkKey, Link> =
            links::by_keys(tx, &keys)?.into_iter().map(|link| (link.key.clone(), link)).collect();
        let goldens = goldens::by_ids(tx, of_records().map(|(one, _)| one.golden).collect::<BTreeSet<_>>())?;
        let absorbed = goldens.iter().filter(|golden| golden.merged_into.is_some()).map(|golden| golden.id);
        let makes_links = stored.iter().any(|key| !links.contains_key(key));
        Ok(Self {
            alive: goldens::all_alive(tx, absorbed)?,
            processed: inbox::progress(tx, process::POSITION)?,
            next_link: if makes_links { tx.max("id", "link")? + 1 } else { 0 },
            goldens: goldens.into_iter().map(|golden| (golden.id, golden)).collect(),
            links,
            changed: BTreeSet::new(),
            receipts: Vec::new(),
            edited: Vec::new(),
        })
    }

    fn alive(&self, golden: i64) -> i64 {
        self.alive.get(&golden).copied().unwrap_or(golden)
    }

    /// The golden record that has the record which a create is said to have made, if it is another one.
    fn taken_by(&self, connection: &Connection, one: &Planned, receipt: &Receipt) -> Option<i64> {
        if one.delivery.operation != Operation::Create || one.is_action() {
            return None;
        }
        let link = self.links.get(&key(connection, one, receipt.id.clone()))?;
        Some(link.golden).filter(|golden| link.open && *golden != 0 && *golden != self.alive(one.golden))
    }

    /// A create makes the link. Returns its key; none: nothing is known of the lens any more.
    fn store(
        &mut self,
        tx: &mut Tx<'_>,
        connection: &Connection,
        (one, receipt): Done<'_>,
        now_us: i64,
    ) -> Result<Option<LinkKey>> {
        let Some(lens) = connection.lens(&one.lens) else { return Ok(None) };
        let key = key(connection, one, receipt.id.clone());
        let golden = self.alive(one.golden);
        let link = self.links.entry(key.clone()).or_insert_with(|| {
            self.next_link += 1;
            Link {
                number: self.next_link - 1,
                key: key.clone(),
                entity: lens.entity().clone(),
                golden,
                state: LinkState::default(),
                version: None,
                open: true,
            }
        });
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
        let version = receipt.stored.as_ref().and_then(|record| record.version.clone()).or(receipt.version.clone());
        link.version = version.or(link.version.take());
        self.receipts.push(replays::Receipt {
            link: link.number,
            delivery: one.delivery.number,
            processed: self.processed,
            stored: kept.map(|kept| kept.to_string()),
            at_us: now_us,
        });
        if let Some(record) = receipt.stored.as_ref().filter(|_| is_edited) {
            self.edited.push(pull::record_item(connection, record, now_us)?);
        }
        self.changed.insert(key.clone());
        Ok(Some(key))
    }

    /// Whether nothing can be owed after a delivery: the golden record is as it was when all was planned, and the target
    /// holds what it has of it.
    fn is_settled(&self, connection: &Connection, one: &Planned, key: &LinkKey) -> bool {
        let (Some(lens), Some(link)) = (connection.lens(&one.lens), self.links.get(key)) else { return false };
        let Some(golden) = self.goldens.get(&one.golden) else { return false };
        let is_as_planned = golden.merged_into.is_none() && golden.change == one.change;
        let takes = |field| connection.directions.takes(golden.entity.as_str(), field);
        let lacks = |(field, value)| takes(field) && link.state.lacks(field, value);
        link.open && link.golden == one.golden && is_as_planned && !lens.project(&golden.fields).iter().any(lacks)
    }

    /// The golden records for which it is to be planned anew: the target may belong to another by now.
    fn concerned(&self, connection: &Connection, one: &Planned) -> impl Iterator<Item = i64> {
        let link = one.delivery.id.clone().and_then(|id| self.links.get(&key(connection, one, id)));
        [self.alive(one.golden)].into_iter().chain(link.map(|link| link.golden).filter(|id| *id != 0))
    }

    fn write(&self, tx: &mut Tx<'_>) -> Result<()> {
        links::put(tx, self.changed.iter().filter_map(|key| self.links.get(key)))?;
        replays::keep(tx, &self.receipts)?;
        if self.edited.is_empty() { Ok(()) } else { inbox::append(tx, &self.edited) }
    }
}

fn key(connection: &Connection, one: &Planned, id: crate::connector::ExternalId) -> LinkKey {
    LinkKey { connection: connection.name.clone(), lens: one.lens.clone(), id }
}
