//! Process: what arrived is mapped, matched and merged, batch by batch.
//!
//! A batch is read, understood in memory, and written in one transaction together with the stage's position: a crash
//! at any point leaves either nothing of it or all of it. Each step asks the store once for the whole batch.

mod absence;
mod expand;
mod resolve;
mod settle;

use crate::engine::Engine;
use crate::store::db::{Result, Tx};
use crate::store::inbox::ItemKind;
use crate::store::{goldens, inbox, links, stewards, streams};

pub(crate) use resolve::Batch;
use settle::Settled;

pub use settle::golden_record;
pub(crate) use settle::of_all;

/// Items in a batch: large enough that a commit costs little per record, small enough that a batch stays within some
/// tens of megabytes and a tenth of a second.
pub const BATCH_ITEMS: i64 = 1000;

/// The name of this stage's position.
pub const POSITION: &str = "process";

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processed {
    /// Inbox items read.
    pub items: usize,
    /// Golden records made.
    pub created: usize,
    /// Changes written.
    pub changes: usize,
    /// Links that now wait for a steward.
    pub reviews: usize,
    /// Items that need a person.
    pub dead: usize,
    /// Keys that must be fetched.
    pub hints: usize,
}

/// Processes the next batch. `items` is 0 when nothing waits.
pub fn batch(engine: &Engine) -> Result<Processed> {
    let _turn = engine.meaning();
    let mut total = Processed::default();
    loop {
        let Some((done, is_cut)) = once(engine)? else { continue };
        metrics::counter!("huiliu_processed_items_total").increment(done.items as u64);
        metrics::counter!("huiliu_golden_records_made_total").increment(done.created as u64);
        metrics::counter!("huiliu_changes_total").increment(done.changes as u64);
        total.add(&done);
        if !is_cut {
            return Ok(total);
        }
    }
}

impl Processed {
    fn add(&mut self, more: &Self) {
        self.items += more.items;
        self.created += more.created;
        self.changes += more.changes;
        self.reviews += more.reviews;
        self.dead += more.dead;
        self.hints += more.hints;
    }
}

/// The position of this stage, and how many commands stewards gave: what is thought before either moves is void.
fn basis(tx: &mut Tx<'_>) -> Result<(i64, i64)> {
    Ok((inbox::progress(tx, POSITION)?, inbox::progress(tx, stewards::COMMANDS)?))
}

/// What one transaction did, and whether the batch was cut at the mark of a scan. None: another node did it meanwhile,
/// or a steward moved what it stands on; nothing was written.
fn once(engine: &Engine) -> Result<Option<(Processed, bool)>> {
    let (basis_was, mut items) = engine.store.read(|tx| {
        let basis = basis(tx)?;
        Ok((basis, inbox::after(tx, basis.0, BATCH_ITEMS)?))
    })?;
    // The mark of a scan is a batch of its own: what the scan showed is in the journal then.
    let mark = items.iter().position(|item| item.kind == ItemKind::Scan);
    items.truncate(mark.map_or(items.len(), |at| at.max(1)));
    let Some(last) = items.last().map(|item| item.position) else { return Ok(Some(Default::default())) };
    let count = items.len();
    let _span = tracing::info_span!("process", from = basis_was.0 + 1, to = last).entered();
    let mut swept = None;
    let mut expanded = match (mark, items.first()) {
        (Some(0), Some(item)) => {
            let (found, expanded) = engine.store.read(|tx| absence::sweep(engine, tx, item))?;
            swept = Some(found);
            expanded
        }
        _ => expand::expand(engine, items),
    };
    let mut batch = engine.store.read(|tx| Batch::load(engine, tx, &expanded.arrivals))?;
    batch.resolve(engine, std::mem::take(&mut expanded.arrivals));
    expanded.ask(std::mem::take(&mut batch.again));
    let settled = settle::settle(engine, &mut batch, &|position| format!("inbox:{position}"));
    let done = Processed {
        items: count,
        created: batch.created,
        changes: settled.changes.len(),
        reviews: batch.reviews.len(),
        dead: expanded.dead.len(),
        hints: expanded.hints.len(),
    };
    let now_us = engine.clock.now_us();
    engine.store.write(|tx| {
        tx.lock(MEANING_LOCK)?;
        if basis(tx)? != basis_was {
            return Ok(None);
        }
        write(tx, batch, &settled)?;
        inbox::ask_fetch(tx, &expanded.hints, now_us)?;
        inbox::bury(tx, &expanded.dead)?;
        if let Some(swept) = &swept {
            links::journal(tx, &swept.journal)?;
            streams::set_brake(tx, &swept.connection, &swept.stream, swept.brake)?;
        }
        let is_finished = swept.is_none_or(|swept| !swept.unfinished);
        inbox::set_progress(tx, POSITION, if is_finished { last } else { last - 1 })?;
        Ok(Some((done, mark.is_some())))
    })
}

/// What a batch changed, into the store.
fn write(tx: &mut Tx<'_>, batch: Batch, settled: &Settled) -> Result<()> {
    links::put(tx, batch.touched_links())?;
    links::drop_blocks(tx, &batch.dropped_blocks)?;
    links::put_blocks(tx, batch.new_blocks)?;
    links::put_references(tx, &batch.new_references)?;
    goldens::put(tx, &settled.goldens)?;
    goldens::log(tx, &settled.changes)?;
    links::journal(tx, &batch.journal)?;
    stewards::put_homes(tx, &batch.homes)?;
    stewards::put_reviews(tx, batch.reviews.values())
}

/// Changes which links make up golden records, recomputes these, and writes it all with its cause. Returns the position
/// of the first change.
pub(crate) fn regroup(
    engine: &Engine,
    tx: &mut Tx<'_>,
    mut batch: Batch,
    cause: &str,
    work: impl FnOnce(&mut Batch),
) -> Result<i64> {
    let first = batch.next_change;
    work(&mut batch);
    batch.reblock_moved(engine);
    let settled = settle::settle(engine, &mut batch, &|_| cause.to_owned());
    write(tx, batch, &settled)?;
    Ok(first)
}

/// Held while links or golden records are written, so that nodes take turns.
pub(crate) const MEANING_LOCK: i64 = 0x7072_6f63_6501;
