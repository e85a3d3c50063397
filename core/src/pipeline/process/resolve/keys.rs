//! Which blocks links bear: those that the batch knows of, and those to write.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::matching::{self, Keys, NameMark};

use super::Batch;
use crate::engine::Engine;
use crate::link::Link;
use crate::store::blocks::Block;

impl Batch {
    /// Golden records worth comparing, by block.
    pub fn near(&mut self, candidates: impl IntoIterator<Item = (i64, i64)>) {
        for (hash, golden) in candidates {
            self.blocks.entry(hash).or_default().insert(golden);
        }
    }

    /// Links that are worth comparing, by block, each with the golden record that it has in the store.
    pub(super) fn near_links(&mut self, candidates: Vec<Block>) {
        for Block { hash, link, golden, .. } in candidates {
            // This batch may have moved it.
            let golden = self.links.get(&link).map_or(golden, |link| link.golden);
            self.blocks.entry(hash).or_default().insert(golden);
            self.bearers.entry(hash).or_default().insert(link);
        }
    }

    pub fn reblock(&mut self, number: i64, keys: Vec<i64>, old: &[i64]) {
        let Some(link) = self.links.get(&number) else { return };
        let golden = link.golden;
        for hash in old.iter().filter(|hash| !keys.contains(hash)) {
            self.dropped_blocks.push((*hash, number));
            if let Some(bearers) = self.bearers.get_mut(hash) {
                bearers.remove(&number);
            }
        }
        self.borne.remove(&number);
        self.new_blocks.extend(keys.iter().map(|hash| Block::new(*hash, number, golden)));
        for hash in keys {
            self.blocks.entry(hash).or_default().insert(golden);
            self.bearers.entry(hash).or_default().insert(number);
        }
        let link = &self.links[&number];
        let references = link.state.references.iter().map(|it| (link.reference_hash(it), number));
        self.new_references.extend(references);
    }

    /// Blocks name the golden record: those of links that moved are written anew, last word first. And beside them stands
    /// what their customers are called.
    pub fn reblock_moved(&mut self, engine: &Engine) {
        let mut moved = std::mem::take(&mut self.moved);
        let written: BTreeSet<i64> =
            self.new_blocks.iter().map(|block| block.link).chain(moved.iter().copied()).collect();
        let of = |number: &i64| self.links.get(number).map(|link| link.golden);
        let goldens: BTreeSet<i64> = written.iter().filter_map(of).filter(|golden| *golden != 0).collect();
        let mut called: BTreeMap<i64, NameMark> = BTreeMap::new();
        for golden in goldens {
            let marks: Vec<(i64, NameMark)> =
                self.members(golden).into_iter().map(|number| (number, self.mark_of(engine, number))).collect();
            let mark = NameMark::of_one(marks.iter().map(|it| it.1));
            let others = || marks.iter().filter(|it| !written.contains(&it.0));
            if mark == NameMark::OPEN && NameMark::of_one(others().map(|it| it.1)) != NameMark::OPEN {
                // By their names alone strangers were told apart from them until now.
                moved.extend(others().map(|it| it.0));
            }
            called.insert(golden, mark);
        }
        self.new_blocks.retain(|block| !moved.contains(&block.link));
        for link in moved.iter().filter_map(|number| self.links.get(number)) {
            let keys = marked_keys(engine, link);
            self.new_blocks.extend(keys.hashes.iter().map(|hash| Block::new(*hash, link.number, link.golden)));
            self.borne.insert(link.number, keys);
        }
        let mut blocks = std::mem::take(&mut self.new_blocks);
        for of_link in blocks.chunk_by_mut(|a, b| a.link == b.link) {
            let number = of_link[0].link;
            let Some(keys) = self.keys_of(engine, number) else { continue };
            let golden = self.links.get(&number).map_or(0, |link| link.golden);
            let mark = called.get(&golden).copied().unwrap_or(keys.mark).number();
            for block in of_link {
                block.mark = if keys.of_any_name.contains(&block.hash) { mark } else { 0 };
            }
        }
        self.new_blocks = blocks;
    }

    fn keys_of(&self, engine: &Engine, number: i64) -> Option<Cow<'_, Keys>> {
        let link = self.links.get(&number)?;
        Some(self.borne.get(&number).map_or_else(|| Cow::Owned(marked_keys(engine, link)), Cow::Borrowed))
    }

    fn mark_of(&self, engine: &Engine, number: i64) -> NameMark {
        self.keys_of(engine, number).map_or(NameMark::OPEN, |keys| keys.mark)
    }
}

pub(crate) fn block_keys(engine: &Engine, link: &Link) -> Vec<i64> {
    matching::block_keys(&engine.matching, link.entity.as_str(), &link.state.evidence())
}

/// The same with what stands beside them.
pub(super) fn marked_keys(engine: &Engine, link: &Link) -> Keys {
    matching::marked_keys(&engine.matching, link.entity.as_str(), &link.state.evidence())
}
