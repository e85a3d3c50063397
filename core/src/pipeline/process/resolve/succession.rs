//! Records that a system made one of: who takes the place of whom.

use std::collections::BTreeSet;

use huiliu_mappings::lens::Lens;

use super::{Arrival, Batch};
use crate::engine::Engine;
use crate::link::{Link, LinkKey};

impl Batch {
    /// The system made one record of two: the survivor takes the place of the one that is no more. A survivor that was
    /// never seen inherits all that is known; one that was brings its own, and the two golden records become one, unless
    /// a steward ruled otherwise.
    pub(super) fn succeed(&mut self, engine: &Engine, arrival: &Arrival, survivor: &LinkKey) {
        if arrival.key == *survivor {
            return;
        }
        let Some(number) = self.by_key.get(&arrival.key).copied() else {
            // It was never seen, and a page that was read before the merge must not make somebody of it.
            let number = self.next_link;
            self.next_link += 1;
            self.by_key.insert(arrival.key.clone(), number);
            return self.entomb(number, arrival);
        };
        let Some(former) = self.links.get(&number).filter(|link| !link.is_tombstone()).cloned() else { return };
        let position = arrival.position;
        let heir = self.by_key.get(survivor).and_then(|heir| self.links.get(heir));
        let buried = heir.filter(|heir| heir.is_tombstone()).map(|heir| heir.number);
        match heir.filter(|heir| !heir.is_tombstone()).map(|heir| (heir.number, heir.golden)) {
            None => {
                let heir = buried.unwrap_or(self.next_link);
                self.next_link = self.next_link.max(heir + 1);
                let inherited =
                    Link { number: heir, key: survivor.clone(), version: None, open: true, ..former.clone() };
                self.by_key.insert(survivor.clone(), heir);
                self.clusters.entry(former.golden).or_default().insert(heir);
                self.links.insert(heir, inherited);
                self.touched.insert(heir);
                self.spoke(heir, []);
                let blocks = self.blocks_of(engine, heir);
                self.reblock(heir, blocks, &[]);
                self.note(heir, arrival, "inherited");
            }
            Some((heir, golden)) => {
                self.bequeath(engine, number, heir, arrival);
                let both = former.golden != 0 && golden != 0 && golden != former.golden;
                if both && !self.is_apart(heir, golden, former.golden) {
                    self.absorb(&[golden.min(former.golden), golden.max(former.golden)], position);
                }
            }
        }
        if former.open {
            self.close(engine, number, arrival);
            // Nobody is gone: the change log says so.
            let golden = self.links.get(&number).map_or(former.golden, |link| link.golden);
            self.dirty(golden, position, "merge");
        }
    }

    /// The link that takes the place of one whose record goes, where the lens says how it is known (`heir` in the mapping):
    /// of the same account, there, not going itself, and of the same person.
    pub(in crate::pipeline::process) fn heir(&self, number: i64, lens: &Lens, going: &BTreeSet<i64>) -> Option<i64> {
        let kind = lens.heir()?;
        let former = self.links.get(&number).filter(|link| link.open)?;
        let value = former.state.identities.iter().find(|it| it.kind == *kind)?;
        let takes = |link: &&Link| {
            let of_same = (&link.key.connection, &link.key.lens) == (&former.key.connection, &former.key.lens);
            let stays = link.open && link.number != number && !going.contains(&link.number);
            stays && of_same && link.state.identities.contains(value)
        };
        self.cluster(former.golden).find(takes).map(|link| link.number)
    }

    /// What the former link said lives on where the other holds it.
    pub(super) fn bequeath(&mut self, engine: &Engine, former: i64, heir: i64, arrival: &Arrival) {
        let Some(former) = self.links.get(&former).map(|link| link.state.clone()) else { return };
        let old = self.blocks_of(engine, heir);
        if self.links.get_mut(&heir).is_some_and(|link| link.state.inherit(&former)) {
            self.touched.insert(heir);
            let blocks = self.blocks_of(engine, heir);
            self.reblock(heir, blocks, &old);
            self.note(heir, arrival, "inherited");
        }
    }
}
