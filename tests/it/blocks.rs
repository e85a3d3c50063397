//! The blocks' log and their tree are one table to whoever looks, whatever is merged, by whom, and when.

use std::collections::BTreeMap;

use huiliu_core::store::blocks::{Block, MERGED, Pace, append, candidates, candidates_in_write, shared, tidy};
use huiliu_core::store::{Store, StoreError, inbox};
use huiliu_tests::postgres;

const HASHES: i64 = 40;

fn spread(number: i64) -> i64 {
    number.wrapping_mul(-0x61c8_8646_80b5_83eb)
}

/// What one process sees is the model: blocks by hash and link.
fn check(store: &Store, model: &BTreeMap<(i64, i64), Block>) {
    let hashes: Vec<i64> = (0..HASHES).map(spread).collect();
    let mut seen = store.read(|tx| shared(tx, store.tail(), hashes, 64)).expect("reads");
    seen.sort_unstable();
    assert_eq!(seen, model.values().copied().collect::<Vec<_>>());
}

/// A small generator: the same seed, the same story.
struct Dice(i64);

impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 = (self.0 * 1_103_515_245 + 12345) & 0x7fff_ffff;
        (self.0 >> 8) % sides
    }

    fn blocks(&mut self, most: i64) -> Vec<Block> {
        let most = self.roll(most);
        let mut block = || Block {
            mark: (self.roll(3) - 1) << 61,
            ..Block::new(spread(self.roll(HASHES)), self.roll(30), self.roll(9) + 1)
        };
        (0..most).map(|_| block()).collect()
    }
}

/// Two processes write, merge, end and begin anew, and take over from each other in mid-merge.
fn story(seed: i64, steps: usize, open: &dyn Fn() -> Store) {
    let mut stores = [open(), open()];
    let mut model = BTreeMap::new();
    let mut dice = Dice(seed * 7919 + 1);
    for _ in 0..steps {
        let at = usize::from(dice.roll(2) == 1);
        match dice.roll(12) {
            0 => stores[at] = open(),
            1..=5 => {
                tidy(&stores[at], Pace { most: 20, part: 7 }).expect("merges");
            }
            _ => {
                let gone: Vec<(i64, i64)> = dice.blocks(4).into_iter().map(|it| (it.hash, it.link)).collect();
                let new = dice.blocks(12);
                stores[at].write(|tx| append(tx, &gone, &new)).expect("writes");
                model.retain(|key, _| !gone.contains(key));
                model.extend(new.iter().map(|it| ((it.hash, it.link), *it)));
            }
        }
        for store in &stores {
            check(store, &model);
        }
    }
    // Another process may have begun a merge meanwhile: a last block lets this one begin its own.
    stores[0].write(|tx| append(tx, &[], &[Block::new(spread(0), 31, 1)])).expect("writes");
    model.insert((spread(0), 31), Block::new(spread(0), 31, 1));
    check(&stores[0], &model);
    while tidy(&stores[0], Pace { most: 1, part: 50 }).expect("merges") {}
    let left = stores[0].read(|tx| tx.max("position", "block_run")).expect("reads");
    assert_eq!(left, 0, "everything is in the tree");
    for store in &stores {
        check(store, &model);
    }
}

#[test]
fn the_log_and_the_tree_are_one_table() {
    for seed in 0..10 {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        story(seed, 200, &|| Store::open(&url).expect("SQLite opens"));
    }
    for seed in 10..12 {
        let url = postgres::database();
        story(seed, 100, &|| Store::open(&url).expect("Postgres opens"));
    }
}

#[test]
fn a_transaction_that_began_before_a_merge_misses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("opens");
    store.write(|tx| append(tx, &[], &[Block::new(1, 1, 5), Block::new(2, 2, 6)])).expect("writes");
    let seen = store
        .read(|old| {
            // The snapshot is taken by the first read.
            assert_eq!(inbox::progress(old, MERGED)?, 0);
            store.read(|tx| candidates(tx, store.tail(), [1], 64)).map(drop)?;
            while tidy(&store, Pace { most: 1, part: 1 })? {}
            candidates(old, store.tail(), [1, 2], 64)
        })
        .expect("reads");
    assert_eq!(seen.into_iter().collect::<BTreeMap<_, _>>(), BTreeMap::from([(1, 5), (2, 6)]));
}

#[test]
fn values_that_many_share_are_cut_at_the_oldest() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("opens");
    let all: Vec<Block> = (1..=100).map(|link| Block::new(7, link, link + 1000)).collect();
    store.write(|tx| append(tx, &[], &all[50..])).expect("writes");
    store.read(|tx| candidates(tx, store.tail(), [7], 64)).expect("reads");
    while tidy(&store, Pace { most: 1, part: 9 }).expect("merges") {}
    store.write(|tx| append(tx, &[(7, 3)], &all[..50])).expect("writes");
    let mut seen = store.read(|tx| candidates(tx, store.tail(), [7], 64)).expect("reads");
    seen.sort_unstable();
    assert_eq!(seen, (1001..=1064).map(|golden| (7, golden)).collect::<Vec<_>>());
}

#[test]
fn a_transaction_that_comes_to_nothing_leaves_no_trace() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("opens");
    store.write(|tx| append(tx, &[], &[Block::new(1, 1, 5)])).expect("writes");
    let refused = store.write(|tx| {
        append(tx, &[(1, 1)], &[Block::new(1, 2, 6)])?;
        assert_eq!(candidates_in_write(tx, store.tail(), [1], 64)?, [(1, 6)], "it sees what it wrote");
        Err::<(), _>(StoreError::Refused)
    });
    assert!(refused.is_err());
    store.write(|tx| append(tx, &[], &[Block::new(1, 3, 7)])).expect("writes");
    let mut seen = store.read(|tx| candidates(tx, store.tail(), [1], 64)).expect("reads");
    seen.sort_unstable();
    assert_eq!(seen, [(1, 5), (1, 7)]);
}
