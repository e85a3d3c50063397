//! Records that arrive one by one: who is who is known after each of them.
//!
//! The clusters are a function of the records that are there, of what stewards found and of the frozen model, and of
//! nothing else: not of the order in which records came, changed or went. A record is compared with those that share a key
//! with it by one of the model's rules; what is surer than the bound becomes an edge. After each change the pieces of the
//! graph that it touched are clustered anew, in the way in which a whole table is ([`super::cluster`]).
//!
//! What many share is no evidence, and is evidence again when fewer share it: a key with more records than the model allows
//! makes no pairs, and a telephone number, e-mail address or identifier of too many is as good as missing.

mod blocks;
mod customers;
mod grown;
mod pieces;

use rustc_hash::FxHashSet;

use super::choose::number;
use super::cluster::{self, Edge};
use super::compare::{COMPARISONS_MAX, Comparer, Outcome};
use super::facts::{Facts, Finding};
use super::frozen::Frozen;
use super::settings::Settings;
use blocks::{Blocks, Crossed};
use customers::Customers;
pub use customers::{CustomerId, Event};
use grown::{Arriving, Grown};
use pieces::Pieces;

/// All records that are there, and who they are.
pub struct Resident {
    model: Frozen,
    settings: Settings,
    facts: Facts,
    grown: Grown,
    blocks: Blocks,
    edges: Edges,
    pieces: Pieces,
    customers: Customers,
}

/// The pairs of each row that are surer than the bound.
#[derive(Debug, Default)]
struct Edges(Vec<Vec<(u32, f32)>>);

impl Edges {
    fn of(&self, row: u32) -> &[(u32, f32)] {
        self.0.get(row as usize).map_or(&[], Vec::as_slice)
    }

    fn has(&self, a: u32, b: u32) -> bool {
        self.of(a).iter().any(|(other, _)| *other == b)
    }

    fn join(&mut self, a: u32, b: u32, bits: f32) {
        let rows = a.max(b) as usize + 1;
        self.0.resize_with(self.0.len().max(rows), Vec::new);
        self.0[a as usize].push((b, bits));
        self.0[b as usize].push((a, bits));
    }

    fn part(&mut self, a: u32, b: u32) {
        for (row, other) in [(a, b), (b, a)] {
            if let Some(edges) = self.0.get_mut(row as usize) {
                edges.retain(|(it, _)| *it != other);
            }
        }
    }
}

impl Resident {
    /// Nobody yet.
    pub fn new(model: Frozen, settings: Settings) -> Self {
        let grown = Grown::new(&model, &settings);
        let blocks = Blocks::new(model.most.clone(), model.hub_most);
        Self {
            model,
            settings,
            facts: Facts::default(),
            grown,
            blocks,
            edges: Edges::default(),
            pieces: Pieces::default(),
            customers: Customers::default(),
        }
    }

    /// Records that are there.
    pub fn len(&self) -> usize {
        self.grown.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a record, or what a known one says now: its key and a cell for each column of the model. Returns what became of
    /// the customers.
    pub fn put(&mut self, id: &str, cells: &[&str]) -> Vec<Event> {
        let mut records = self.model.records();
        records.push(id, cells.iter().copied());
        let before = self.grown.row(id);
        if before.is_some_and(|row| self.grown.says(row, &records)) {
            return Vec::new();
        }
        let mut dirty = FxHashSet::default();
        let gone = before.map(|row| self.detach(row, &mut dirty));
        let arriving = Arriving::of(&records, &self.grown, &self.model, &self.settings);
        self.attach(id, arriving, gone, &mut dirty);
        self.settle(dirty, gone)
    }

    /// Takes a record away; nothing happens if it is not there.
    pub fn remove(&mut self, id: &str) -> Vec<Event> {
        let Some(row) = self.grown.row(id) else { return Vec::new() };
        let mut dirty = FxHashSet::default();
        self.detach(row, &mut dirty);
        self.settle(dirty, Some(row))
    }

    /// Keeps what a steward found about two records, whether they are there or not. Fails if it contradicts what was found
    /// before.
    pub fn find(&mut self, a: &str, b: &str, finding: Finding) -> Result<Vec<Event>, String> {
        self.facts.keep(a, b, finding)?;
        Ok(self.settle(self.rows([a, b]), None))
    }

    /// Takes back what was found about two records.
    pub fn forget(&mut self, a: &str, b: &str) -> Vec<Event> {
        self.facts.forget(a, b);
        self.settle(self.rows([a, b]), None)
    }

    fn rows(&self, ids: [&str; 2]) -> FxHashSet<u32> {
        ids.iter().filter_map(|id| self.grown.row(id)).collect()
    }

    /// The customer whose record this is.
    pub fn customer(&self, id: &str) -> Option<CustomerId> {
        self.grown.row(id).map(|row| self.customers.of(row))
    }

    /// The customer that an id stands for now, which may have been merged into another one.
    pub fn current(&self, customer: CustomerId) -> Option<CustomerId> {
        self.customers.current(customer)
    }

    /// The keys of a customer's records, in their order.
    pub fn records(&self, customer: CustomerId) -> Vec<&str> {
        let Some(row) = self.current(customer).and_then(|it| self.customers.anchor(it)) else { return Vec::new() };
        let mine = |it: &u32| self.customers.of(*it) == self.customers.of(row);
        let mut ids: Vec<&str> = self.pieces.with(row).into_iter().filter(mine).map(|it| self.grown.id(it)).collect();
        ids.sort_unstable();
        ids
    }

    /// Whether so much of what was kept belongs to records that changed or went that all of them had better be put into a new
    /// one.
    pub fn is_worn(&self) -> bool {
        self.grown.is_worn()
    }

    /// Takes a row out of everything but the clusters.
    fn detach(&mut self, row: u32, dirty: &mut FxHashSet<u32>) -> u32 {
        dirty.insert(row);
        self.cut(row, dirty);
        let keys = self.grown.take(row);
        let crossed = self.blocks.remove(row, &keys);
        self.cross(&crossed, dirty);
        row
    }

    /// Finds the pairs of a new row, which takes the place of one that is gone.
    fn attach(&mut self, id: &str, arriving: Arriving, gone: Option<u32>, dirty: &mut FxHashSet<u32>) {
        let row = self.grown.put(id, arriving, gone, &self.model);
        dirty.insert(row);
        let crossed = self.blocks.insert(row, self.grown.keys(row));
        self.cross(&crossed, dirty);
        self.link(row, dirty);
    }

    /// What follows from keys that have too many records now, or no longer.
    fn cross(&mut self, crossed: &Crossed, dirty: &mut FxHashSet<u32>) {
        for (hub, is_silent) in &crossed.hubs {
            let bearers = self.blocks.bearers(hub.1).to_vec();
            self.grown.silence(*hub, &bearers, *is_silent);
        }
        if let Some(row) = &crossed.silent {
            self.grown.silence_in(*row, &crossed.silent_keys);
        }
        for key in &crossed.died {
            for row in self.blocks.members(*key).to_vec() {
                self.prune(row, *key, dirty);
            }
        }
        for ((_, key), _) in &crossed.hubs {
            for row in self.blocks.bearers(*key).to_vec() {
                // Also one that only a finding ties to others.
                dirty.insert(row);
                self.cut(row, dirty);
                self.link(row, dirty);
            }
        }
        for key in &crossed.revived {
            let members = self.blocks.members(*key).to_vec();
            let pairs = members.iter().enumerate().flat_map(|(at, a)| members[at + 1..].iter().map(|b| (*a, *b)));
            let open: Vec<(u32, u32)> = pairs.filter(|(a, b)| !self.edges.has(*a, *b)).collect();
            self.weigh(&open, dirty);
        }
    }

    /// Drops the edges of a row to others with a key that is no evidence any more, if no other key stands for them.
    fn prune(&mut self, row: u32, key: u64, dirty: &mut FxHashSet<u32>) {
        let others: Vec<u32> = self.edges.of(row).iter().map(|(other, _)| *other).collect();
        for other in others {
            let (mine, theirs) = (self.grown.keys(row), self.grown.keys(other));
            if theirs.contains(&key) && !self.blocks.share(mine, theirs) {
                self.edges.part(row, other);
                dirty.extend([row, other]);
            }
        }
    }

    /// Drops all edges of a row.
    fn cut(&mut self, row: u32, dirty: &mut FxHashSet<u32>) {
        let others: Vec<u32> = self.edges.of(row).iter().map(|(other, _)| *other).collect();
        for other in others {
            self.edges.part(row, other);
            dirty.extend([row, other]);
        }
    }

    /// Weighs a row against all that share a key with it.
    fn link(&mut self, row: u32, dirty: &mut FxHashSet<u32>) {
        let others = self.blocks.candidates(row, self.grown.keys(row));
        let pairs: Vec<(u32, u32)> =
            others.into_iter().filter(|it| !self.edges.has(row, *it)).map(|it| (row, it)).collect();
        self.weigh(&pairs, dirty);
    }

    fn weigh(&mut self, pairs: &[(u32, u32)], dirty: &mut FxHashSet<u32>) {
        if pairs.is_empty() {
            return;
        }
        let comparer = Comparer::new(&self.grown.features, &self.settings);
        for Edge { a, b, bits } in self.grown.edges(&comparer, pairs, self.model.clusters.link) {
            self.edges.join(a, b, bits);
            dirty.extend([a, b]);
        }
    }

    /// Clusters anew what a change touched; `gone` is the row of a record that went or changed.
    fn settle(&mut self, dirty: FxHashSet<u32>, gone: Option<u32>) -> Vec<Event> {
        let Self { model, settings, facts, grown, edges, pieces, customers, .. } = self;
        let touched = pieces.renew(dirty, grown, edges, facts, model);
        let comparer = Comparer::new(&grown.features, settings);
        let mut out = [Outcome::SILENT; COMPARISONS_MAX];
        let mut clusters: Vec<Vec<u32>> = Vec::new();
        for (members, least) in &touched {
            if let [one] = members.as_slice() {
                clusters.push(vec![*one]);
                continue;
            }
            let mut component = pieces::component(members, *least, grown, edges, facts);
            let bits = |a: u32, b: u32| {
                let pair = (members[a as usize], members[b as usize]);
                model.clamped(grown.bits(&comparer, pair, &mut out))
            };
            let of = cluster::clusters(&mut component, model.clusters.link, bits);
            let mut by_root: Vec<Vec<u32>> = vec![Vec::new(); members.len()];
            for (member, root) in members.iter().zip(of) {
                by_root[root as usize].push(*member);
            }
            clusters.extend(by_root.into_iter().filter(|it| !it.is_empty()));
        }
        let gone = gone.filter(|row| !grown.is_there(*row));
        let events = customers.renew(&clusters, gone, |row| grown.arrived(row));
        if let Some(row) = gone {
            grown.free(row);
        }
        events
    }

    /// The cluster of each record by its key, numbered by the first key: what a run over all of them gives.
    pub fn clusters(&self) -> Vec<(&str, u32)> {
        let mut all: Vec<(&str, CustomerId)> =
            self.grown.all().map(|row| (self.grown.id(row), self.customers.of(row))).collect();
        all.sort_unstable();
        let mut numbers = rustc_hash::FxHashMap::default();
        let mut of = |customer: CustomerId| {
            let next = number(numbers.len());
            *numbers.entry(customer).or_insert(next)
        };
        all.into_iter().map(|(id, customer)| (id, of(customer))).collect()
    }
}
