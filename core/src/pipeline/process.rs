//! Process: what arrived is mapped, matched and merged, batch by batch.
//!
//! A batch is read, understood in memory, and written in one transaction together with the stage's position: a crash
//! at any point leaves either nothing of it or all of it. Each step asks the store once for the whole batch.

mod expand;
mod resolve;
mod settle;

use crate::engine::Engine;
use crate::store::db::Result;
use crate::store::{goldens, inbox, links, stewards};

use resolve::Batch;

pub use settle::golden_record;

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
    let (position, items) = engine.store.read(|tx| {
        let position = inbox::progress(tx, POSITION)?;
        Ok((position, inbox::after(tx, position, BATCH_ITEMS)?))
    })?;
    let Some(last) = items.last().map(|item| item.position) else { return Ok(Processed::default()) };
    let count = items.len();
    let _span = tracing::info_span!("process", from = position + 1, to = last).entered();
    let mut expanded = expand::expand(engine, items);
    let mut batch = engine.store.read(|tx| Batch::load(engine, tx, &expanded.arrivals))?;
    batch.resolve(engine, std::mem::take(&mut expanded.arrivals));
    expanded.ask(std::mem::take(&mut batch.again));
    let settled = settle::settle(engine, &mut batch);
    let done = Processed {
        items: count,
        created: batch.created,
        changes: settled.changes.len(),
        reviews: batch.reviews.len(),
        dead: expanded.dead.len(),
        hints: expanded.hints.len(),
    };
    let now_us = engine.clock.now_us();
    let done = engine.store.write(|tx| {
        // Another node may have done this batch meanwhile: then there is nothing left to write.
        tx.lock(PROCESS_LOCK)?;
        if inbox::progress(tx, POSITION)? != position {
            return Ok(Processed::default());
        }
        links::put(tx, batch.touched_links())?;
        links::drop_blocks(tx, &batch.dropped_blocks)?;
        links::put_blocks(tx, std::mem::take(&mut batch.new_blocks))?;
        links::put_references(tx, &batch.new_references)?;
        goldens::put(tx, &settled.goldens)?;
        goldens::log(tx, &settled.changes)?;
        links::journal(tx, &batch.journal)?;
        stewards::put_reviews(tx, batch.reviews.values())?;
        inbox::ask_fetch(tx, &expanded.hints, now_us)?;
        inbox::bury(tx, &expanded.dead)?;
        inbox::set_progress(tx, POSITION, last)?;
        Ok(done)
    })?;
    metrics::counter!("huiliu_processed_items_total").increment(done.items as u64);
    metrics::counter!("huiliu_golden_records_made_total").increment(done.created as u64);
    metrics::counter!("huiliu_changes_total").increment(done.changes as u64);
    Ok(done)
}

const PROCESS_LOCK: i64 = 0x7072_6f63_6501;
