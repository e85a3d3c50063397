//! Records that a system made one of: who takes the place of whom.

use super::{Arrival, Batch};
use crate::engine::Engine;
use crate::link::{Link, LinkKey};

impl Batch {
    /// The system made one record of two: the survivor takes the place of the one that is no more. A survivor that was
    /// never seen inherits all that is known; one that was brings its own, and the two golden records become one, unless
    /// a steward ruled otherwise.
    pub(super) fn succeed(&mut self, engine: &Engine, arrival: &Arrival, survivor: &LinkKey) {
        let Some(number) = self.by_key.get(&arrival.key).copied() else { return };
        let Some(former) = self.links.get(&number).cloned() else { return };
        let position = arrival.position;
        match self.by_key.get(survivor).and_then(|heir| self.links.get(heir)).map(|heir| (heir.number, heir.golden)) {
            None => {
                let heir = self.next_link;
                self.next_link += 1;
                let inherited =
                    Link { number: heir, key: survivor.clone(), version: None, open: true, ..former.clone() };
                self.by_key.insert(survivor.clone(), heir);
                self.clusters.entry(former.golden).or_default().insert(heir);
                self.links.insert(heir, inherited);
                self.touched.insert(heir);
                let blocks = self.blocks_of(engine, heir);
                self.reblock(heir, blocks, &[]);
                self.note(heir, arrival, "inherited");
            }
            Some((heir, golden)) => {
                let both = former.golden != 0 && golden != 0 && golden != former.golden;
                if both && !self.is_apart(heir, golden, former.golden) {
                    self.absorb(&[golden.min(former.golden), golden.max(former.golden)], position);
                }
            }
        }
        if former.open {
            self.close(number, arrival);
            // Nobody is gone: the change log says so.
            let golden = self.links.get(&number).map_or(former.golden, |link| link.golden);
            self.dirty(golden, position, "merge");
        }
    }
}
