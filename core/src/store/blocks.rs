//! The blocks that find candidates: hashes, each with the links that bear it, their golden records, and the name by which
//! some of these are told apart before anything of them is loaded.
//!
//! Blocks are hashes, so their places are all over the tree, and a row that is written alone to its place costs a page
//! of the log and a page of the checkpoint. They go to the end of a log of runs instead, and from there, sorted and many
//! at once, into the tree. What the log holds, the [`Tail`], is in memory as well. It is filled from the log only, so
//! that runs of another process, and our own after a crash, are found in the same way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::db::{Col, Insert, Keys, Param, Result, Store, StoreError, Tx};
use super::inbox;
use super::links::{KEEP, MEANING_LOCK};
use crate::crash::{self, Point, point};

/// A block of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// Under which it is found.
    pub hash: i64,
    /// Who bears it.
    pub link: i64,
    /// The golden record of that link.
    pub golden: i64,
    /// What stands beside it ([`huiliu_mappings::matching::NameMark`]); 0: nothing.
    pub mark: i64,
}

impl Block {
    /// One with nothing beside it.
    pub const fn new(hash: i64, link: i64, golden: i64) -> Self {
        Self { hash, link, golden, mark: 0 }
    }
}

/// The golden record of a block that was taken away.
const GONE: i64 = -1;

/// The progress that names the last run in the tree.
pub const MERGED: &str = "blocks_merged";

/// Counts the merges that were begun: whoever began the last one goes on, the others give up.
const TURN: &str = "blocks_turn";

/// When the tail goes into the tree, and how much of it in one transaction.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A tail of this many blocks is merged.
    pub most: usize,
    /// Blocks in one transaction.
    pub part: usize,
}

impl Pace {
    /// While batches wait. The tail takes about 30 MiB of memory at the most, and every page of a tree of some millions is
    /// then written for several blocks, not for one. A part is four times what a batch brings.
    pub const BUSY: Self = Self { most: 1 << 19, part: 1 << 15 };

    /// While nothing waits: an idle hub is small and starts at once, and an arrival waits for some tens of milliseconds at
    /// the most.
    pub const IDLE: Self = Self { most: 1 << 16, part: 1 << 12 };
}

/// A merge has at most so many parts, however slowly it is meant to go: else a tail that gets more with each batch than a
/// part takes would grow as long as batches come.
const PARTS: usize = 8;

/// No place in the tail.
const NONE: u32 = u32::MAX;

/// The tail grows by so many blocks at a time: half a million are moved a few times, and none is allotted in vain.
const STEP: usize = 1 << 16;

/// The blocks that are not in the tree yet.
#[derive(Default)]
pub struct Tail(Mutex<State>);

#[derive(Default)]
struct State {
    /// The last run that the tree holds.
    merged: i64,
    /// The runs after that which were read: position, and how many blocks there are up to its end.
    runs: Vec<(i64, usize)>,
    /// The blocks of these runs, in their order.
    blocks: Vec<Block>,
    /// For each of them the place of the one before it of the same hash, or none.
    before: Vec<u32>,
    /// The place of the newest block of each hash. Hashes are spread already.
    newest: HashTable<u32>,
    merge: Option<Merge>,
}

/// A merge that is under way.
struct Merge {
    turn: i64,
    /// The last run of which it holds the blocks.
    through: i64,
    /// The places of its blocks in the order of the tree, the newest of each hash and link.
    order: Vec<u32>,
    /// How many are in the tree.
    done: usize,
}

/// Golden records that share a block with each of these hashes: `(hash, golden)`, at most `limit` links for a hash, the
/// oldest, so that a value shared by thousands cannot make a batch slow. For a transaction that wrote no block itself.
pub fn candidates(
    tx: &mut Tx<'_>,
    tail: &Tail,
    hashes: impl IntoIterator<Item = i64>,
    limit: usize,
) -> Result<Vec<(i64, i64)>> {
    let hashes: Vec<i64> = hashes.into_iter().collect();
    let newest = tail.newest_of(tx, &hashes)?;
    Ok(without_links(over_the_tree(tx, &hashes, newest, limit)?))
}

/// The same blocks, with all that is known of them.
pub fn shared(tx: &mut Tx<'_>, tail: &Tail, hashes: impl IntoIterator<Item = i64>, limit: usize) -> Result<Vec<Block>> {
    let hashes: Vec<i64> = hashes.into_iter().collect();
    let newest = tail.newest_of(tx, &hashes)?;
    over_the_tree(tx, &hashes, newest, limit)
}

/// Writes blocks into the tree of a rehearsal's store, those that it has stay as they are there; and its own runs, as
/// always, count before its tree.
pub fn lend(tx: &mut Tx<'_>, blocks: &[Block]) -> Result<()> {
    tx.insert_later(&Insert { conflict: KEEP, ..BLOCK }, &cells(blocks))
}

fn without_links(blocks: Vec<Block>) -> Vec<(i64, i64)> {
    blocks.into_iter().map(|it| (it.hash, it.golden)).collect()
}

/// As [`candidates`], for a transaction that may have written blocks, which may yet come to nothing: the tail learns
/// nothing from it.
pub fn candidates_in_write(
    tx: &mut Tx<'_>,
    tail: &Tail,
    hashes: impl IntoIterator<Item = i64>,
    limit: usize,
) -> Result<Vec<(i64, i64)>> {
    let hashes: Vec<i64> = hashes.into_iter().collect();
    let newest = tail.newest_in_write(tx, &hashes)?;
    Ok(without_links(over_the_tree(tx, &hashes, newest, limit)?))
}

/// The newest blocks of each hash, by link: golden record and mark.
type Newest = HashMap<i64, BTreeMap<i64, (i64, i64)>>;

/// The tail is looked at before the tree: what goes from one into the other meanwhile is then seen twice, not missed.
fn over_the_tree(tx: &mut Tx<'_>, hashes: &[i64], mut found: Newest, limit: usize) -> Result<Vec<Block>> {
    let most = Param::Int(i64::try_from(limit).unwrap_or(i64::MAX));
    tx.query_keys(
        "SELECT k.k0, b.link, b.golden, b.mark FROM {keys:i} AS k CROSS JOIN block AS b WHERE b.hash = k.k0
         AND b.link IN (SELECT c.link FROM block AS c WHERE c.hash = k.k0 ORDER BY c.link LIMIT ?2)",
        &Keys::ints(hashes.iter().copied()),
        &[most],
        |row| {
            let (hash, link, it) = (row.int(0)?, row.int(1)?, (row.int(2)?, row.int(3)?));
            found.entry(hash).or_default().entry(link).or_insert(it);
            Ok(())
        },
    )?;
    let living = |links: BTreeMap<i64, (i64, i64)>| links.into_iter().filter(|(_, it)| it.0 != GONE).take(limit);
    let of = |(hash, links)| living(links).map(move |(link, (golden, mark))| Block { hash, link, golden, mark });
    Ok(found.into_iter().flat_map(of).collect())
}

const RUN: Insert =
    Insert { table: "block_run", columns: &[("blocks", Col::Blob), ("marks", Col::Blob)], conflict: "" };

/// Bytes of a mark in a run: the place of its block, and itself.
const MARK_BYTES: usize = 12;

/// Writes a run: what was taken away (hash, link), then what is new.
pub fn append(tx: &mut Tx<'_>, gone: &[(i64, i64)], new: &[Block]) -> Result<()> {
    if gone.is_empty() && new.is_empty() {
        return Ok(());
    }
    let gone = gone.iter().map(|&(hash, link)| Block::new(hash, link, GONE));
    let (mut bytes, mut marks) = (Vec::new(), Vec::new());
    for (at, block) in (0_u32..).zip(gone.chain(new.iter().copied())) {
        bytes.extend([block.hash, block.link, block.golden].into_iter().flat_map(i64::to_le_bytes));
        if block.mark != 0 {
            marks.extend(at.to_le_bytes());
            marks.extend(block.mark.to_le_bytes());
        }
    }
    tx.insert_later(&RUN, &[Param::Blob(&bytes), Param::Blob(&marks)])
}

fn decode(position: i64, bytes: &[u8], marks: &[u8]) -> Result<Vec<Block>> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    let (blocks, more) = numbers.as_chunks::<3>();
    let (marks, left) = marks.as_chunks::<MARK_BYTES>();
    let corrupt = || StoreError::Corrupt(format!("block_run {position} has {} bytes", bytes.len()));
    if !rest.is_empty() || !more.is_empty() || !left.is_empty() {
        return Err(corrupt());
    }
    let number = |bytes: &[u8; 8]| i64::from_le_bytes(*bytes);
    let block = |[hash, link, golden]: &[[u8; 8]; 3]| Block::new(number(hash), number(link), number(golden));
    let mut blocks: Vec<Block> = blocks.iter().map(block).collect();
    for [a, b, c, d, mark @ ..] in marks {
        let at = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        blocks.get_mut(at).ok_or_else(corrupt)?.mark = number(mark);
    }
    Ok(blocks)
}

/// Brings a part of the tail into the tree, if it is time. Whoever calls it holds the turn to compute meaning. Says
/// whether there is more to do.
pub fn tidy(store: &Store, pace: Pace) -> Result<bool> {
    let tail = store.tail();
    let pace = Pace { most: crash::blocks_max(pace.most), ..pace };
    if !tail.state().is_due(pace.most) {
        return Ok(false);
    }
    let done = store.write(|tx| {
        tx.lock(MEANING_LOCK)?;
        let mut state = tail.state();
        state.follow(tx)?;
        state.begin(tx, pace.most)?;
        let part = pace.part.max(state.blocks.len() / PARTS);
        let Some(merge) = &state.merge else { return Ok(None) };
        let end = merge.order.len().min(merge.done + part);
        put(tx, &state.at(&merge.order[merge.done..end]))?;
        if end == merge.order.len() {
            inbox::set_progress(tx, MERGED, merge.through)?;
            tx.execute_later("DELETE FROM block_run WHERE position <= ?1", &[Param::Int(merge.through)])?;
        }
        point(Point::TidyWritten);
        Ok(Some(end))
    })?;
    point(Point::TidyCommitted);
    // What was written counts from here on only: a commit that fails leaves the merge where it was.
    let mut state = tail.state();
    let Some((end, merge)) = done.zip(state.merge.as_mut()) else { return Ok(false) };
    merge.done = end;
    if end == merge.order.len() {
        let through = merge.through;
        state.forget(through);
    }
    Ok(state.is_due(pace.most))
}

const BLOCK: Insert = Insert {
    table: "block",
    columns: &[("hash", Col::Int), ("link", Col::Int), ("golden", Col::Int), ("mark", Col::Int)],
    conflict: "ON CONFLICT (hash, link) DO UPDATE SET golden = excluded.golden, mark = excluded.mark",
};

fn cells<'a>(blocks: impl IntoIterator<Item = &'a Block>) -> Vec<Param<'a>> {
    blocks.into_iter().flat_map(|it| [it.hash, it.link, it.golden, it.mark].map(Param::Int)).collect()
}

/// Into the tree, in its order: neighbours share pages.
fn put(tx: &mut Tx<'_>, blocks: &[Block]) -> Result<()> {
    tx.insert_later(&BLOCK, &cells(blocks.iter().filter(|block| block.golden != GONE)))?;
    let gone = blocks.iter().filter(|block| block.golden == GONE);
    let gone = Keys::pairs(gone.map(|block| [block.hash, block.link]));
    let sql = "DELETE FROM block WHERE (hash, link) IN (SELECT k.k0, k.k1 FROM {keys:ii} AS k)";
    tx.execute_keys_later(sql, &gone, &[])
}

impl Tail {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in between loses no run: what is not here is read again from the log.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blocks of these hashes that the tree may not know yet, as this transaction sees them.
    fn newest_of(&self, tx: &mut Tx<'_>, hashes: &[i64]) -> Result<Newest> {
        let mut newest = Newest::new();
        let mut state = self.state();
        if inbox::progress(tx, MERGED)? < state.merged {
            // This transaction began before the last merge ended, and sees the tree as it was then.
            let mut past = State::default();
            past.follow(tx)?;
            past.newest_of(hashes, &mut newest);
            return Ok(newest);
        }
        state.follow(tx)?;
        state.newest_of(hashes, &mut newest);
        Ok(newest)
    }

    /// The same, and what this transaction wrote.
    fn newest_in_write(&self, tx: &mut Tx<'_>, hashes: &[i64]) -> Result<Newest> {
        let mut newest = Newest::new();
        let state = self.state();
        let merged = inbox::progress(tx, MERGED)?;
        let known = if merged == state.merged { state.last() } else { merged };
        let mut since = State { merged: known, ..State::default() };
        since.read(tx)?;
        since.newest_of(hashes, &mut newest);
        if merged == state.merged {
            state.newest_of(hashes, &mut newest);
        }
        Ok(newest)
    }
}

impl State {
    fn last(&self) -> i64 {
        self.runs.last().map_or(self.merged, |(position, _)| *position)
    }

    /// Reads what others did: runs that are in the tree by now, and runs that are new.
    fn follow(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let merged = inbox::progress(tx, MERGED)?;
        if merged > self.merged {
            self.forget(merged);
        }
        self.read(tx)
    }

    /// Reads the runs that are new.
    fn read(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let sql = "SELECT position, blocks, marks FROM block_run WHERE position > ?1 ORDER BY position";
        let runs = tx.query(sql, &[Param::Int(self.last())], |row| {
            let position = row.int(0)?;
            Ok((position, decode(position, &row.blob(1)?, &row.opt_blob(2)?.unwrap_or_default())?))
        })?;
        for (position, blocks) in runs {
            for block in blocks {
                self.push(block);
            }
            self.runs.push((position, self.blocks.len()));
        }
        Ok(())
    }

    fn push(&mut self, block: Block) {
        let at = u32::try_from(self.blocks.len()).unwrap_or(NONE);
        let blocks = &self.blocks;
        let is_same = |known: &u32| blocks[*known as usize].hash == block.hash;
        let spread = |known: &u32| blocks[*known as usize].hash.cast_unsigned();
        let before = match self.newest.entry(block.hash.cast_unsigned(), is_same, spread) {
            Entry::Occupied(mut newest) => std::mem::replace(newest.get_mut(), at),
            Entry::Vacant(free) => {
                free.insert(at);
                NONE
            }
        };
        if self.blocks.len() == self.blocks.capacity() {
            self.blocks.reserve_exact(STEP);
            self.before.reserve_exact(STEP);
        }
        self.blocks.push(block);
        self.before.push(before);
    }

    /// The blocks of a part of a merge.
    fn at(&self, places: &[u32]) -> Vec<Block> {
        places.iter().map(|at| self.blocks[*at as usize]).collect()
    }

    /// These runs are in the tree. A merge that was under way is begun anew when it is time: what of it is in the tree is
    /// written there again.
    fn forget(&mut self, through: i64) {
        let known = self.runs.partition_point(|(position, _)| *position <= through);
        let gone = self.runs[..known].last().map_or(0, |(_, end)| *end);
        let kept = Self { merged: through, ..Self::default() };
        let old = std::mem::replace(self, kept);
        for block in &old.blocks[gone..] {
            self.push(*block);
        }
        self.runs = old.runs[known..].iter().map(|(position, end)| (*position, end - gone)).collect();
    }

    /// Adds the blocks of these hashes where nothing newer is known.
    fn newest_of(&self, hashes: &[i64], newest: &mut Newest) {
        for hash in hashes {
            let is_it = |known: &u32| self.blocks[*known as usize].hash == *hash;
            let mut at = self.newest.find(hash.cast_unsigned(), is_it).copied().unwrap_or(NONE);
            while let Some(it) = self.blocks.get(at as usize) {
                newest.entry(*hash).or_default().entry(it.link).or_insert((it.golden, it.mark));
                at = self.before[at as usize];
            }
        }
    }

    fn is_due(&self, most: usize) -> bool {
        self.merge.is_some() || self.blocks.len() >= most
    }

    /// Begins a merge of all there is, unless one of ours is under way.
    fn begin(&mut self, tx: &mut Tx<'_>, most: usize) -> Result<()> {
        let turn = inbox::progress(tx, TURN)?;
        if self.merge.as_ref().is_some_and(|merge| merge.turn == turn) {
            return Ok(());
        }
        self.merge = None;
        if self.blocks.len() < most {
            return Ok(());
        }
        inbox::set_progress(tx, TURN, turn + 1)?;
        self.merge = Some(Merge { turn: turn + 1, through: self.last(), order: self.order(), done: 0 });
        Ok(())
    }

    /// The places of the blocks in the order of the tree, the newest of each hash and link.
    fn order(&self) -> Vec<u32> {
        let key = |at: u32| {
            let it = &self.blocks[at as usize];
            (it.hash, it.link)
        };
        // Most hashes differ in their first half: few are looked up.
        let mut order: Vec<(i32, u32)> =
            self.blocks.iter().zip(0..).map(|(block, at)| (half(block.hash), at)).collect();
        order.sort_unstable_by(|(half, at), (other_half, other)| {
            half.cmp(other_half).then_with(|| (key(*at), Reverse(at)).cmp(&(key(*other), Reverse(other))))
        });
        order.dedup_by_key(|(_, at)| key(*at));
        order.into_iter().map(|(_, at)| at).collect()
    }
}

/// The first half of a hash.
fn half(hash: i64) -> i32 {
    #[allow(clippy::cast_possible_truncation)] // Half is what is left of it.
    let half = (hash >> 32) as i32;
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_takes_the_newest_of_each_in_the_order_of_the_tree() {
        let mut state = State::default();
        // Their first halves are the same.
        let [one, other] = [5 << 32, (5 << 32) + 1];
        let block = |(hash, link, golden)| Block::new(hash, link, golden);
        for it in [(other, 7, 1), (one, 9, 1), (-3, 1, 1), (other, 7, 2), (one, 8, GONE), (one, 9, 3)] {
            state.push(block(it));
        }
        let expected = [(-3, 1, 1), (one, 8, GONE), (one, 9, 3), (other, 7, 2)].map(block);
        assert_eq!(state.at(&state.order()), expected);
        let mut newest = Newest::new();
        state.newest_of(&[one, 4], &mut newest);
        assert_eq!(newest, Newest::from([(one, BTreeMap::from([(8, (GONE, 0)), (9, (3, 0))]))]));
    }

    /// Blocks that a batch of records brings.
    const BATCH: i64 = 8000;

    #[test]
    fn a_tail_stops_growing_while_batches_come() {
        let path = std::env::temp_dir().join(format!("huiliu-tail-{}.db", std::process::id()));
        let store = Store::open(&format!("sqlite:{}", path.display())).unwrap();
        let mut most = 0;
        for batch in 0..40 {
            let spread = |number: i64| number.wrapping_mul(0x5851_f42d_4c95_7f2d);
            let new: Vec<Block> =
                (batch * BATCH..(batch + 1) * BATCH).map(|it| Block::new(spread(it), it, it)).collect();
            store.write(|tx| append(tx, &[], &new)).unwrap();
            let found = store.read(|tx| candidates(tx, store.tail(), [spread(batch * BATCH)], 9)).unwrap();
            assert_eq!(found, [(spread(batch * BATCH), batch * BATCH)]);
            tidy(&store, Pace::IDLE).unwrap();
            most = most.max(store.tail().state().blocks.len());
        }
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
        assert!(most < 2 * Pace::IDLE.most, "{most} blocks were in memory");
    }
}
