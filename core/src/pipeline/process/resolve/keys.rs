//! Which blocks links bear: those that the batch knows of, and those to write.

use huiliu_mappings::matching;

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
        for (hash, number, golden) in candidates {
            // This batch may have moved it.
            let golden = self.links.get(&number).map_or(golden, |link| link.golden);
            self.blocks.entry(hash).or_default().insert(golden);
            self.bearers.entry(hash).or_default().insert(number);
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
        self.new_blocks.extend(keys.iter().map(|hash| (*hash, number, golden)));
        for hash in keys {
            self.blocks.entry(hash).or_default().insert(golden);
            self.bearers.entry(hash).or_default().insert(number);
        }
        let link = &self.links[&number];
        let references = link.state.references.iter().map(|it| (link.reference_hash(it), number));
        self.new_references.extend(references);
    }

    /// Blocks name the golden record: those of links that moved are written anew, last word first.
    pub fn reblock_moved(&mut self, engine: &Engine) {
        let moved = std::mem::take(&mut self.moved);
        self.new_blocks.retain(|block| !moved.contains(&block.1));
        for link in moved.iter().filter_map(|number| self.links.get(number)) {
            self.new_blocks.extend(block_keys(engine, link).into_iter().map(|hash| (hash, link.number, link.golden)));
        }
    }
}

pub(crate) fn block_keys(engine: &Engine, link: &Link) -> Vec<i64> {
    matching::block_keys(&engine.matching, link.entity.as_str(), &link.state.evidence())
}
