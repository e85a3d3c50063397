//! Which records share which key.

use rustc_hash::FxHashMap;

/// The index is cut into so many pieces, so that none takes long to grow.
const SHARDS: u64 = 1024;

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
pub(super) struct Blocks {
    /// By key the one record that has it, or the place of its block.
    shards: Vec<FxHashMap<u64, u32>>,
    shared: Vec<Vec<u32>>,
    free: Vec<u32>,
    /// By the number of a rule, which begins its keys.
    most: Vec<usize>,
    hub_most: usize,
}

impl Blocks {
    pub(super) fn new(most: Vec<usize>, hub_most: usize) -> Self {
        let shards = (0..SHARDS).map(|_| FxHashMap::default()).collect();
        Self { shards, shared: Vec::new(), free: Vec::new(), most, hub_most }
    }

    #[allow(clippy::cast_possible_truncation)] // Fewer than there are shards.
    fn shard(key: u64) -> usize {
        (key % SHARDS) as usize
    }

    /// How many records with this key of a rule, the first of which is 1, make pairs.
    fn most(&self, key: u64) -> usize {
        let rule = usize::try_from(key >> 32).unwrap_or(usize::MAX);
        self.most.get(rule.wrapping_sub(1)).copied().unwrap_or_default()
    }

    /// All records with a key.
    pub(super) fn members(&self, key: u64) -> &[u32] {
        match self.shards[Self::shard(key)].get(&key) {
            None => &[],
            Some(at) if at & MANY != 0 => &self.shared[(at ^ MANY) as usize],
            Some(one) => std::slice::from_ref(one),
        }
    }

    /// Adds a record to a key; returns how many have it now.
    fn add(&mut self, key: u64, row: u32) -> usize {
        let at = self.shards[Self::shard(key)].entry(key).or_insert(row);
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
            crate::matching::linkage::choose::number(self.shared.len() - 1)
        };
        *at = place | MANY;
        2
    }

    /// Takes a record from a key; returns how many have it still.
    fn drop(&mut self, key: u64, row: u32) -> usize {
        let shard = &mut self.shards[Self::shard(key)];
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

    /// Adds a record to all its keys.
    pub(super) fn insert(&mut self, row: u32, keys: &Keys) -> Crossed {
        let mut crossed = Crossed::default();
        for key in &keys.rules {
            if self.add(*key, row) == self.most(*key) + 1 {
                crossed.died.push(*key);
            }
        }
        for hub in &keys.hubs {
            let bearers = self.add(hub.1, row);
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
            if self.drop(*key, row) == self.most(*key) {
                crossed.revived.push(*key);
            }
        }
        for hub in &keys.hubs {
            if self.drop(hub.1, row) == self.hub_most {
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
