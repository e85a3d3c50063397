//! The ids of customers: they stay while their records stay, and say where they went.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

/// The id of a customer. An older customer has a smaller one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId(pub u64);

/// What became of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// There was nobody before.
    Began(CustomerId),
    /// The records of the first are the second's now; the first id leads there.
    Merged(CustomerId, CustomerId),
    /// Some records of the first are the second's now, who is new.
    Parted(CustomerId, CustomerId),
    /// No record is left.
    Ended(CustomerId),
}

/// The customer of each row, and what became of ids.
#[derive(Debug, Default)]
pub(super) struct Customers {
    of: Vec<CustomerId>,
    /// A row of each customer by its id, [`NOBODY`] for one that is no more; the first id is nobody's.
    anchors: Vec<u32>,
    /// Where ids lead that were merged.
    redirects: FxHashMap<CustomerId, CustomerId>,
}

const NOBODY: u32 = u32::MAX;

impl Customers {
    pub(super) fn of(&self, row: u32) -> CustomerId {
        self.of.get(row as usize).copied().unwrap_or_default()
    }

    /// A row of a customer.
    pub(super) fn anchor(&self, customer: CustomerId) -> Option<u32> {
        let at = usize::try_from(customer.0).ok()?;
        self.anchors.get(at).copied().filter(|row| *row != NOBODY)
    }

    /// The customer that an id stands for now.
    pub(super) fn current(&self, mut customer: CustomerId) -> Option<CustomerId> {
        while let Some(next) = self.redirects.get(&customer) {
            customer = *next;
        }
        self.anchor(customer).map(|_| customer)
    }

    fn begin(&mut self) -> CustomerId {
        if self.anchors.is_empty() {
            self.anchors.push(NOBODY);
        }
        self.anchors.push(NOBODY);
        CustomerId(self.anchors.len() as u64 - 1)
    }

    fn set_anchor(&mut self, customer: CustomerId, row: u32) {
        if let Some(anchor) = usize::try_from(customer.0).ok().and_then(|at| self.anchors.get_mut(at)) {
            *anchor = row;
        }
    }

    /// Gives ids to clusters that were formed anew: an id stays with the larger part of its records, then with the part of the
    /// oldest one; where several meet, the oldest id stays and the others lead to it.
    pub(super) fn renew(
        &mut self,
        clusters: &[Vec<u32>],
        gone: Option<u32>,
        arrived: impl Fn(u32) -> u64,
    ) -> Vec<Event> {
        // Of each old id how many of its records each cluster has, and when the oldest of them came.
        let mut parts: BTreeMap<CustomerId, BTreeMap<usize, (usize, u64)>> = BTreeMap::new();
        for (at, cluster) in clusters.iter().enumerate() {
            for row in cluster {
                let old = self.of(*row);
                if old != CustomerId::default() {
                    let part = parts.entry(old).or_default().entry(at).or_insert((0, u64::MAX));
                    *part = (part.0 + 1, part.1.min(arrived(*row)));
                }
            }
        }
        let mut ids: Vec<Option<CustomerId>> = vec![None; clusters.len()];
        let mut events = Vec::new();
        if let Some(row) = gone {
            let old = std::mem::take(&mut self.of[row as usize]);
            if !parts.contains_key(&old) {
                self.set_anchor(old, NOBODY);
                events.push(Event::Ended(old));
            }
        }
        for (old, parts) in &parts {
            let heir = parts.iter().max_by(|x, y| x.1.0.cmp(&y.1.0).then(y.1.1.cmp(&x.1.1)));
            let Some((heir, _)) = heir else { continue };
            match ids[*heir] {
                None => ids[*heir] = Some(*old),
                Some(older) => {
                    self.set_anchor(*old, NOBODY);
                    self.redirects.insert(*old, older);
                    events.push(Event::Merged(*old, older));
                }
            }
        }
        for (at, cluster) in clusters.iter().enumerate() {
            let id = ids[at].unwrap_or_else(|| {
                let id = self.begin();
                let from = cluster.iter().map(|row| self.of(*row)).filter(|old| *old != CustomerId::default()).min();
                events.push(from.map_or(Event::Began(id), |from| Event::Parted(from, id)));
                id
            });
            for row in cluster {
                if self.of.len() <= *row as usize {
                    self.of.resize(*row as usize + 1, CustomerId::default());
                }
                self.of[*row as usize] = id;
            }
            cluster.iter().min().into_iter().for_each(|row| self.set_anchor(id, *row));
        }
        events
    }
}
