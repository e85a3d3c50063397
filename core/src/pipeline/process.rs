//! Process: what arrived is mapped, matched and merged, batch by batch.
//!
//! A batch is read, understood in memory, and written in one transaction together with the stage's position: a crash
//! at any point leaves either nothing of it or all of it. Each step asks the store once for the whole batch.

mod absence;
mod ahead;
mod contest;
mod drift;
mod expand;
mod lend;
mod questions;
mod resolve;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

use crate::crash::{Point, point};
use crate::engine::{Engine, Errand};
use crate::store::blocks::Pace;
use crate::store::db::{Alone, Result, Tx};
use crate::store::deliveries::doubt;
use crate::store::inbox::{InboxItem, ItemKind};
pub(crate) use crate::store::links::MEANING_LOCK;
use crate::store::{Store, blocks, conflicts, deliveries, goldens, inbox, links, replays, stewards, streams};

use ahead::After;
pub use ahead::ReadAhead;
use expand::Expanded;
pub(crate) use expand::received;
pub(crate) use questions::settle_questions;
pub(crate) use resolve::{BLOCK_LINKS_MAX, Batch, block_keys, said_at_us};
pub(crate) use settle::{Settled, golden_fields, settle};

pub use settle::golden_record;
pub(crate) use settle::of_all;

/// Items in a batch: large enough that a commit costs little per record, small enough that a batch stays within some
/// tens of megabytes and a tenth of a second.
pub const BATCH_ITEMS: i64 = 2000;

/// Bytes of records in a batch, unless a single one has more: what is made of them takes some twenty times as much while
/// they are understood, and a hub that reads large records stays as small as one that reads small ones.
const BATCH_BYTES: i64 = 1 << 18;
/// The same while calls come in, which wait for a batch to be written: some ten milliseconds.
pub const PIECE_ITEMS: i64 = 200;

/// So many items are taken in together with what follows from them, while the inbox waits: some milliseconds.
const FEW_ITEMS: i64 = 32;

/// Of more than these the stages take in more at a time, each for itself; fewer are soon through, and nobody who sends waits
/// for all of them.
const MANY_ITEMS: i64 = 256;

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
    /// Keys that must be fetched, and streams that are to be pulled now.
    pub hints: usize,
}

/// Processes the next batch. `items` is 0 when nothing waits.
pub fn batch(engine: &Engine) -> Result<Processed> {
    ReadAhead::default().turn(engine, After::Nothing)
}

/// What is to be done while nothing waits, a little at a time.
pub fn tidy(engine: &Engine) -> Result<()> {
    blocks::tidy(&engine.store, Pace::IDLE).map(drop)
}

/// What waited for a mapping that was mended since, or for a place that shows values again, goes into the inbox first.
pub(super) fn mended(engine: &Engine) -> Result<()> {
    if engine.is_to_look_for_mended() {
        crate::drift::redrive(engine)?;
    }
    Ok(())
}

/// Processes until nothing waits, and hands over what each batch did.
pub fn drain(engine: &Engine, each: &mut dyn FnMut(&Processed)) -> Result<()> {
    let mut ahead = ReadAhead::default();
    loop {
        mended(engine)?;
        let _turn = engine.meaning();
        let basis = engine.store.read(basis)?;
        let Some(current) = ahead.take(engine, basis.0, BATCH_ITEMS)? else {
            engine.store.settle();
            return Ok(());
        };
        let done = ahead.settle_beside(current, engine, basis, BATCH_ITEMS)?;
        blocks::tidy(&engine.store, Pace::BUSY)?;
        if let Some(done) = done {
            each(&done);
        }
    }
}

/// As [`batch`], in the store of a rehearsal: it is lent what the batch touches from the store that the rehearsal is
/// about, which is only read. Everything else is the same code.
pub(crate) fn rehearse(engine: &Engine, from: &Store) -> Result<Processed> {
    let _turn = engine.meaning();
    loop {
        let basis = engine.store.read(basis)?;
        let Some(ahead) = Ahead::look(engine, basis.0, BATCH_ITEMS)? else { return Ok(Processed::default()) };
        lend::lend(from, engine, &ahead.expanded.arrivals)?;
        let settled = engine.store.alone(MEANING_LOCK, |alone| ahead.settle(engine, basis, alone))?;
        if let Some((done, _)) = settled {
            blocks::tidy(&engine.store, Pace::BUSY)?;
            return Ok(done);
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

/// What is left of a batch that was written.
type Leftovers = (Batch, Settled);

/// What a batch did that was written, and what is left of it.
type Written = (Processed, Leftovers);

/// A batch that was read and mapped, and not yet matched.
struct Ahead {
    /// The stage's position before it.
    after: i64,
    /// Its last item.
    last: i64,
    count: usize,
    /// Whether more follows than fits.
    is_cut: bool,
    /// The mark itself, if this is its batch.
    scan: Option<InboxItem>,
    expanded: Expanded,
}

impl Ahead {
    /// Reads and maps so many items after a position.
    fn look(engine: &Engine, after: i64, count: i64) -> Result<Option<Self>> {
        let (mut items, is_all) = engine.store.read(|tx| {
            let fits = inbox::fits(tx, after, count, BATCH_BYTES)?;
            Ok((inbox::after(tx, after, fits)?, fits == count))
        })?;
        // The mark of a scan is a batch of its own: what the scan showed is in the journal then.
        let mark = items.iter().position(|item| item.kind == ItemKind::Scan);
        items.truncate(mark.map_or(items.len(), |at| at.max(1)));
        let is_cut = mark.is_some() || !is_all;
        let Some(last) = items.last().map(|item| item.position) else { return Ok(None) };
        let count = items.len();
        let _span = tracing::info_span!("map", from = after + 1, to = last).entered();
        let scan = if mark == Some(0) { items.pop() } else { None };
        Ok(Some(Self { after, last, count, is_cut, scan, expanded: expand::expand(engine, items) }))
    }

    /// Matches, merges and writes the batch together with the stage's position. None: another node did it meanwhile,
    /// or a steward moved what it stands on; nothing was written.
    fn settle(self, engine: &Engine, basis_was: (i64, i64), alone: Alone<'_>) -> Result<Option<Written>> {
        let mut understood = self.understand(engine, &mut Reads::Apart)?;
        let written = alone.commit(|tx| {
            tx.lock(MEANING_LOCK)?;
            engine.check_files(tx)?;
            if basis(tx)? != basis_was {
                return Ok(false);
            }
            understood.write(engine, tx)?;
            Ok(true)
        })?;
        Ok(written.then(|| understood.tell(engine)))
    }

    /// Matches and merges the batch; nothing is written yet.
    fn understand(self, engine: &Engine, reads: &mut Reads<'_, '_>) -> Result<Understood> {
        let Self { after, last, count, scan, mut expanded, .. } = self;
        let _span = tracing::info_span!("process", from = after + 1, to = last).entered();
        let mut swept = None;
        if let Some(scan) = &scan {
            let (found, of_scan) = engine.store.read(|tx| absence::sweep(engine, tx, scan))?;
            (swept, expanded) = (Some(found), of_scan);
        }
        let (mut batch, judged, weighed) = reads.warm(engine, |tx| {
            let mut batch = Batch::load(engine, tx, &expanded.arrivals)?;
            let judged = drift::judge(engine, tx, &mut batch, &mut expanded.arrivals)?;
            let weighed = batch.weigh(engine, tx, &mut expanded.arrivals)?;
            Ok((batch, judged, weighed))
        })?;
        batch.resolve(engine, std::mem::take(&mut expanded.arrivals));
        while let Some(wanted) = batch.wanted(engine) {
            reads.warm(engine, |tx| batch.widen(tx, engine.store.tail(), wanted))?;
        }
        batch.reconsider(engine, last);
        expanded.ask(std::mem::take(&mut batch.again));
        let settled = settle(engine, &mut batch, &|position| format!("inbox:{position}"));
        let done = Processed {
            items: count,
            created: batch.created,
            changes: settled.changes.len(),
            reviews: batch.reviews.len(),
            dead: expanded.dead.len(),
            hints: expanded.hints.len() + expanded.pokes.len(),
        };
        Ok(Understood { last, done, swept, expanded, batch, judged, weighed, settled })
    }
}

/// Where a batch is read: in transactions of their own, so that others write meanwhile, or in the one that will write it.
enum Reads<'r, 't> {
    Apart,
    Within(&'r mut Tx<'t>),
}

impl Reads<'_, '_> {
    fn warm<T>(&mut self, engine: &Engine, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match self {
            Self::Apart => engine.store.read_warm(work),
            Self::Within(tx) => work(tx),
        }
    }
}

/// A batch that was matched and merged in memory, and is to be written.
struct Understood {
    /// Its last item.
    last: i64,
    done: Processed,
    swept: Option<absence::Swept>,
    expanded: Expanded,
    batch: Batch,
    judged: drift::Judged,
    weighed: resolve::Weighed,
    settled: Settled,
}

impl Understood {
    /// Writes it together with the stage's position. The transaction holds [`MEANING_LOCK`], by files that are in force.
    fn write(&mut self, engine: &Engine, tx: &mut Tx<'_>) -> Result<()> {
        let Self { last, swept, expanded, batch, judged, weighed, settled, .. } = self;
        let now_us = engine.clock.now_us();
        write(tx, batch, settled)?;
        point(Point::ProcessHalfWritten);
        inbox::ask_fetch(tx, &expanded.hints, now_us)?;
        streams::bring_forward(tx, &expanded.pokes, now_us)?;
        inbox::bury(tx, &expanded.dead)?;
        judged.write(tx)?;
        weighed.write(tx)?;
        if let Some(swept) = &swept {
            swept.write(tx)?;
        }
        let is_finished = swept.as_ref().is_none_or(|swept| !swept.unfinished);
        inbox::set_progress(tx, POSITION, if is_finished { *last } else { *last - 1 })?;
        point(Point::ProcessWritten);
        Ok(())
    }

    /// It is durable: says so to those whom it concerns.
    fn tell(self, engine: &Engine) -> Written {
        let Self { done, expanded, batch, judged, settled, .. } = self;
        point(Point::ProcessCommitted);
        engine.note_errands(Errand::Tend, expanded.hints.iter().map(|it| it.0.as_str()));
        engine.note_errands(Errand::Read, expanded.pokes.iter().map(|it| it.0.as_str()));
        judged.tell();
        if judged.is_back {
            engine.look_for_mended();
        }
        metrics::counter!("huiliu_processed_items_total").increment(done.items as u64);
        metrics::counter!("huiliu_golden_records_made_total").increment(done.created as u64);
        metrics::counter!("huiliu_changes_total").increment(done.changes as u64);
        (done, (batch, settled))
    }
}

/// What few arrivals come to, written in a transaction that may go on with what follows from it.
pub(super) struct Few {
    understood: Understood,
    /// Whether more wait.
    pub is_cut: bool,
}

impl Few {
    /// Takes in what waits, if it is little. The caller holds the turn to compute meaning, and the transaction
    /// [`MEANING_LOCK`], by files that are in force.
    pub(super) fn take(engine: &Engine, tx: &mut Tx<'_>) -> Result<Arrived> {
        let after = inbox::progress(tx, POSITION)?;
        let mut items = inbox::after(tx, after, FEW_ITEMS + 1)?;
        let is_cut = i64::try_from(items.len()).is_ok_and(|count| count > FEW_ITEMS);
        let are_many = is_cut && tx.max("position", "inbox")? - after > MANY_ITEMS;
        if are_many || items.iter().any(|item| item.kind == ItemKind::Scan) {
            return Ok(Arrived::Many);
        }
        if is_cut {
            items.pop();
        }
        let Some(last) = items.last().map(|item| item.position) else { return Ok(Arrived::None) };
        let count = items.len();
        let expanded = {
            let _span = tracing::info_span!("map", from = after + 1, to = last).entered();
            expand::expand(engine, items)
        };
        let ahead = Ahead { after, last, count, is_cut: false, scan: None, expanded };
        let mut understood = ahead.understand(engine, &mut Reads::Within(tx))?;
        understood.write(engine, tx)?;
        Ok(Arrived::Few(Box::new(Self { understood, is_cut })))
    }

    /// What they come to.
    pub(super) fn settled(&self) -> (&Batch, &Settled) {
        (&self.understood.batch, &self.understood.settled)
    }

    /// The transaction is durable.
    pub(super) fn tell(self, engine: &Engine) -> Processed {
        self.understood.tell(engine).0
    }
}

/// What waits to be processed.
pub(super) enum Arrived {
    /// Nothing.
    None,
    /// Little, and it is taken in.
    Few(Box<Few>),
    /// A batch of its own.
    Many,
}

/// What a batch changed, into the store.
pub(crate) fn write(tx: &mut Tx<'_>, batch: &mut Batch, settled: &Settled) -> Result<()> {
    links::put(tx, batch.touched_links())?;
    blocks::append(tx, &batch.dropped_blocks, &batch.new_blocks)?;
    links::put_references(tx, &batch.new_references)?;
    goldens::put(tx, &settled.goldens)?;
    goldens::log(tx, &settled.changes)?;
    links::journal(tx, &batch.journal)?;
    conflicts::forget(tx, &settled.anew)?;
    conflicts::put(tx, &settled.conflicts, settled.changes.last().map_or(0, |change| change.at_us))?;
    replays::keep(tx, &batch.receipts)?;
    deliveries::drop_pending(tx, batch.over.iter().copied())?;
    doubt::answered(tx, batch.receipts.iter().map(|receipt| receipt.delivery))?;
    let into: BTreeMap<i64, i64> = settled.goldens.iter().filter_map(|it| Some((it.id, it.merged_into?))).collect();
    // One batch may absorb the absorber, too; it has a lower number each time, so this ends.
    let last = |lost: &i64| std::iter::successors(into.get(lost), |next| into.get(next)).last().copied();
    doubt::carry(tx, &into.keys().filter_map(|lost| Some([*lost, last(lost)?])).collect::<Vec<_>>())?;
    if !batch.parted.is_empty() {
        // What waits was planned for those who were together then; it is planned anew from the change log.
        deliveries::drop_all_of(tx, batch.parted.clone())?;
    }
    stewards::put_homes(tx, &batch.homes)?;
    stewards::put_stays(tx, &batch.stays)?;
    stewards::put_contested(tx, &batch.contest.tied, &batch.contest.freed)?;
    stewards::put_reviews(tx, batch.reviews.values())?;
    // Where golden records became one, some questions have their answer.
    let grown = settled.changes.iter().filter(|change| ["merge", "link"].contains(&change.kind.as_str()));
    let mut now_us = 0;
    let mut grouped = BTreeSet::new();
    for change in grown {
        now_us = change.at_us;
        grouped.extend(batch.cluster(change.golden).map(|link| link.number));
    }
    settle_questions(tx, grouped, now_us)
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
    let settled = settle(engine, &mut batch, &|_| cause.to_owned());
    write(tx, &mut batch, &settled)?;
    Ok(first)
}
