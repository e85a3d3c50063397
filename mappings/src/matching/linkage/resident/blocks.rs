//! Which records share which key.

use std::hash::Hash;
use std::hint::black_box;

use rustc_hash::FxHashMap;

use super::super::choose::number;

/// An index is cut into so many pieces a rule, so that none takes long to grow.
const SHARDS: u32 = 64;

/// The same where keys are not those of rules.
const HUB_SHARDS: u32 = 256;

/// Marks a place in the table of blocks, where a key has more records than one.
const MANY: u32 = 1 << 31;

/// Keys of a record: those of identities that too many may share, then those of blocking rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// Ascending.
    pub rules: Box<[u64]>,
    /// The identity's feature, as its place among the slots, and its key.
    pub hubs: Box<[(u8, u64)]>,
}

impl Keys {
    pub(super) fn contains(&self, key: &u64) -> bool {
        self.rules.binary_search(key).is_ok()
    }
}

/// What a record that came or went changed for others.
#[derive(Debug, Default)]
pub(super) struct Crossed {
    /// Keys that make pairs no more, and that do so again.
    pub died: Vec<u64>,
    pub revived: Vec<u64>,
    /// Identities that stop (or, if false, begin anew) to be evidence, for all that bear them.
    pub hubs: Vec<((u8, u64), bool)>,
    /// The record that came bears these, which were no evidence before.
    pub silent: Option<u32>,
    pub silent_keys: Vec<(u8, u64)>,
}

/// The records of each key.
#[derive(Debug)]
struct Index<K> {
    /// By key the one record that has it, or the place of its block.
    shards: Vec<FxHashMap<K, u32>>,
    shared: Vec<Vec<u32>>,
    free: Vec<u32>,
}

impl<K: Copy + Eq + Hash> Index<K> {
    fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| FxHashMap::default()).collect(), shared: Vec::new(), free: Vec::new() }
    }

    fn members(&self, (shard, key): (usize, K)) -> &[u32] {
        match self.shards[shard].get(&key) {
            None => &[],
            Some(at) if at & MANY != 0 => &self.shared[(at ^ MANY) as usize],
            Some(one) => std::slice::from_ref(one),
        }
    }

    /// Adds a record to a key; returns how many have it now.
    fn add(&mut self, (shard, key): (usize, K), row: u32) -> usize {
        let at = self.shards[shard].entry(key).or_insert(row);
        if *at == row {
            return 1;
        }
        if *at & MANY != 0 {
            let block = &mut self.shared[(*at ^ MANY) as usize];
            block.push(row);
            return block.len();
        }
        let two = vec![*at, row];
        let place = if let Some(place) = self.free.pop() {
            self.shared[place as usize] = two;
            place
        } else {
            self.shared.push(two);
            number(self.shared.len() - 1)
        };
        *at = place | MANY;
        2
    }

    /// Takes a record from a key; returns how many have it still.
    fn drop(&mut self, (shard, key): (usize, K), row: u32) -> usize {
        let shard = &mut self.shards[shard];
        let Some(at) = shard.get_mut(&key) else { return 0 };
        if *at & MANY == 0 {
            shard.remove(&key);
            return 0;
        }
        let place = *at ^ MANY;
        let block = &mut self.shared[place as usize];
        block.retain(|it| *it != row);
        let left = block.len();
        if let [one] = block.as_slice() {
            *at = *one;
            *block = Vec::new();
            self.free.push(place);
        }
        left
    }

    /// Reads where the records of some keys are and then the first of each, so that no read waits for the one before.
    fn bring(&self, keys: impl Iterator<Item = (usize, K)>) {
        let found: Vec<u32> = keys.filter_map(|(shard, key)| self.shards[shard].get(&key).copied()).collect();
        let blocks = || found.iter().filter(|at| **at & MANY != 0).map(|at| &self.shared[(at ^ MANY) as usize]);
        let sizes = blocks().fold(0, |seen, block| seen ^ block.len());
        black_box((sizes, blocks().fold(0, |seen, block| seen ^ block.first().copied().unwrap_or_default())));
    }
}

/// The records of the keys of rules and of identities.
#[derive(Debug)]
pub(super) struct Blocks {
    rules: Index<u32>,
    hubs: Index<u64>,
    /// By the number of a rule, which begins its keys.
    most: Vec<usize>,
    hub_most: usize,
}

/// A rule's key in the index, where its rule and a part of it tell the piece.
#[allow(clippy::cast_possible_truncation)] // The two halves of it.
fn of_rule(key: u64) -> (usize, u32) {
    let (rule, own) = ((key >> 32) as u32, key as u32);
    ((rule.wrapping_sub(1) * SHARDS + own % SHARDS) as usize, own)
}

#[allow(clippy::cast_possible_truncation)] // Fewer than there are pieces.
fn of_hub(key: u64) -> (usize, u64) {
    ((key % u64::from(HUB_SHARDS)) as usize, key)
}

impl Blocks {
    pub(super) fn new(most: Vec<usize>, hub_most: usize) -> Self {
        let (rules, hubs) = (Index::new(most.len() * SHARDS as usize), Index::new(HUB_SHARDS as usize));
        Self { rules, hubs, most, hub_most }
    }

    /// How many records with this key of a rule, the first of which is 1, make pairs.
    fn most(&self, key: u64) -> usize {
        let rule = usize::try_from(key >> 32).unwrap_or(usize::MAX);
        self.most.get(rule.wrapping_sub(1)).copied().unwrap_or_default()
    }

    /// All records with a key of a rule.
    pub(super) fn members(&self, key: u64) -> &[u32] {
        self.rules.members(of_rule(key))
    }

    /// All records with an identity.
    pub(super) fn bearers(&self, key: u64) -> &[u32] {
        self.hubs.members(of_hub(key))
    }

    /// Adds a record to all its keys.
    pub(super) fn insert(&mut self, row: u32, keys: &Keys) -> Crossed {
        self.rules.bring(keys.rules.iter().map(|key| of_rule(*key)));
        let mut crossed = Crossed::default();
        for key in &keys.rules {
            if self.rules.add(of_rule(*key), row) == self.most(*key) + 1 {
                crossed.died.push(*key);
            }
        }
        for hub in &keys.hubs {
            let bearers = self.hubs.add(of_hub(hub.1), row);
            if bearers == self.hub_most + 1 {
                crossed.hubs.push((*hub, true));
            } else if bearers > self.hub_most {
                crossed.silent = Some(row);
                crossed.silent_keys.push(*hub);
            }
        }
        crossed
    }

    /// Takes a record from all its keys.
    pub(super) fn remove(&mut self, row: u32, keys: &Keys) -> Crossed {
        let mut crossed = Crossed::default();
        for key in &keys.rules {
            if self.rules.drop(of_rule(*key), row) == self.most(*key) {
                crossed.revived.push(*key);
            }
        }
        for hub in &keys.hubs {
            if self.hubs.drop(of_hub(hub.1), row) == self.hub_most {
                crossed.hubs.push((*hub, false));
            }
        }
        crossed
    }

    /// Whether two records share a key that makes pairs.
    pub(super) fn share(&self, mine: &Keys, theirs: &Keys) -> bool {
        mine.rules.iter().any(|key| theirs.contains(key) && self.members(*key).len() <= self.most(*key))
    }

    /// All other records that share a key with one, which makes pairs.
    pub(super) fn candidates(&self, row: u32, keys: &Keys) -> Vec<u32> {
        let blocks = keys.rules.iter().map(|key| (self.members(*key), self.most(*key)));
        let blocks = blocks.filter(|(block, most)| block.len() <= *most).map(|(block, _)| block);
        let mut others: Vec<u32> = blocks.flatten().copied().filter(|it| *it != row).collect();
        others.sort_unstable();
        others.dedup();
        others
    }
}
