//! A table judged by a model that was learned before.

use rustc_hash::FxHashMap;

use super::super::choose::number;
use super::super::cluster::{self, Component, Edge};
use super::super::compare::{COMPARISONS_MAX, Comparer, Outcome};
use super::super::explain::{Judged, Why};
use super::super::facts::Facts;
use super::super::features::Features;
use super::super::guard::Guards;
use super::super::model::Model;
use super::super::table::Table;
use super::super::{Found, Progress, Settings, as_they_came, block, compared, edges, ends, pairs};
use super::Frozen;

/// Records to be judged by a model, each under a key of its own.
#[derive(Clone, Debug)]
pub struct Records {
    pub(in super::super) table: Table,
    pub(in super::super) ids: Vec<Box<str>>,
}

impl Records {
    /// Adds a record: its key, then a cell for each column of the model, in their order.
    pub fn push<'a>(&mut self, id: &'a str, cells: impl IntoIterator<Item = &'a str>) {
        self.table.push(std::iter::once(id).chain(cells));
        self.ids.push(id.into());
    }

    /// Records that were added.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl Frozen {
    /// No records yet.
    pub fn records(&self) -> Records {
        Records { table: self.table(), ids: Vec::new() }
    }

    /// Clusters the records by what was learned before; what stewards found is kept to.
    pub fn run(&self, records: Records, facts: &Facts, settings: &Settings, progress: Progress<'_>) -> Found {
        self.judged(records, facts, settings, progress, |it| Found {
            clusters: as_they_came(it.order, it.of),
            compared: it.pairs.len(),
            linked: it.edges.len(),
            rules: it.rules.len(),
        })
    }

    /// Why two records, by their places from 0, are one customer or two, when all are clustered by [`Frozen::run`].
    pub fn explain(
        &self,
        records: Records,
        facts: &Facts,
        settings: &Settings,
        pair: (usize, usize),
        progress: Progress<'_>,
    ) -> Why {
        self.judged(records, facts, settings, progress, |it| it.why(pair))
    }

    fn judged<T>(
        &self,
        records: Records,
        facts: &Facts,
        settings: &Settings,
        progress: Progress<'_>,
        use_it: impl FnOnce(&Judged<'_>) -> T,
    ) -> T {
        let Records { mut table, ids } = records;
        let rows = table.rows();
        let order = table.put_in_order();
        progress(1, "bring values into form");
        let mut features = self.features(&table, settings);
        drop(table);
        progress(4, "find pairs");
        let parts = block::parts(&features, self.rows);
        let rules = self.rules(&parts);
        let pairs = pairs(&parts, rules.iter().map(Vec::as_slice).zip(self.most.iter().copied()), rows, 0);
        drop(parts);
        self.silence(&mut features);
        progress(5, "compare pairs");
        let model = Model::known(&self.weights, self.sources_of(&features));
        let comparer = Comparer::new(&features, settings);
        let edges = edges(&model, &comparer, pairs.iter().map(|pair| ends(*pair)), self.clusters.link);
        progress(6, "form clusters");
        let (same, different) = ruled(facts, &ids, &order);
        let guards = Guards::of(&features);
        let mut of: Vec<u32> = (0..number(rows)).collect();
        let most = self.clusters.component_most as usize;
        let pieces = cluster::pieces(rows, &edges, &same, self.clusters.link, most);
        let mut components = components(&pieces, rows, &edges, [&same, &different]);
        let mut out = [Outcome::SILENT; COMPARISONS_MAX];
        for ((members, _), component) in pieces.iter().zip(&mut components) {
            if !guards.is_empty() {
                component.guards = members.iter().map(|row| guards.row(&features, *row as usize)).collect();
            }
            let bits = |a: u32, b: u32| {
                let pair = (members[a as usize], members[b as usize]);
                self.clamped(model.bits(&compared(&model, &comparer, pair, &mut out)))
            };
            for (member, root) in members.iter().zip(cluster::clusters(component, self.clusters.link, bits)) {
                of[*member as usize] = members[root as usize];
            }
        }
        use_it(&Judged {
            order: &order,
            comparer: &comparer,
            model: &model,
            pairs: &pairs,
            edges: &edges,
            found: [&same, &different],
            of: &of,
            rules: &self.rules,
            rows_learned: self.rows,
            bounds: &self.clusters,
        })
    }

    /// What one pair may count for and against a join.
    pub(in super::super) fn clamped(&self, bits: f64) -> f64 {
        bits.clamp(self.clusters.low, self.clusters.high)
    }

    fn sources_of(&self, features: &Features) -> Vec<u32> {
        features.source.as_ref().map_or(Vec::new(), |it| {
            let numbers: Vec<u32> = it.values.iter().map(|name| self.source(name)).collect();
            it.ids.iter().map(|id| numbers[*id as usize]).collect()
        })
    }

    /// Takes away what too many records bear to tell who they are.
    fn silence(&self, features: &mut Features) {
        for (_, slot) in features.slots().iter_mut().filter(|(name, _)| is_hub(name.0)) {
            let feature = slot.feature();
            let mut counts = vec![0usize; feature.values.len()];
            feature.ids.iter().for_each(|id| counts[*id as usize] += 1);
            feature.ids.iter_mut().filter(|id| counts[**id as usize] > self.hub_most).for_each(|id| *id = 0);
        }
    }
}

/// Features whose values stop being evidence when too many records bear them.
pub(in super::super) fn is_hub(feature: &str) -> bool {
    matches!(feature, "phone" | "email" | "identifier")
}

type Pairs = Vec<(u32, u32)>;

/// What was found of pairs that are there, as rows.
fn ruled(facts: &Facts, ids: &[Box<str>], order: &[u32]) -> (Pairs, Pairs) {
    if facts.is_empty() {
        return Default::default();
    }
    let rows: FxHashMap<&str, u32> = order.iter().map(|row| &*ids[*row as usize]).zip(0..).collect();
    let pairs = |partners: &dyn Fn(&str) -> Vec<u32>| {
        let mut pairs: Pairs =
            rows.iter().flat_map(|(id, row)| partners(id).into_iter().map(|it| (*row, it))).collect();
        pairs.retain(|(a, b)| a < b);
        pairs.sort_unstable();
        pairs
    };
    let known = |id: &str| rows.get(id).copied();
    (
        pairs(&|id| facts.same(id).filter_map(known).collect()),
        pairs(&|id| facts.different(id).filter_map(known).collect()),
    )
}

/// The pieces with the edges and findings inside each, in numbers of its own.
fn components(pieces: &[(Vec<u32>, f64)], rows: usize, edges: &[Edge], found: [&Pairs; 2]) -> Vec<Component> {
    let mut components: Vec<Component> =
        pieces.iter().map(|(members, _)| Component { size: members.len(), ..Component::default() }).collect();
    let mut at: Vec<(u32, u32)> = vec![(u32::MAX, 0); rows];
    for (piece, (members, _)) in (0..).zip(pieces) {
        for (place, row) in (0..).zip(members) {
            at[*row as usize] = (piece, place);
        }
    }
    let inside = |a: u32, b: u32| {
        let ((piece, x), (other, y)) = (at[a as usize], at[b as usize]);
        (piece == other && piece != u32::MAX).then_some((piece as usize, x, y))
    };
    for edge in edges {
        if let Some((piece, a, b)) = inside(edge.a, edge.b).filter(|it| f64::from(edge.bits) >= pieces[it.0].1) {
            components[piece].edges.push(Edge { a, b, bits: edge.bits });
        }
    }
    for (is_same, pairs) in [(true, found[0]), (false, found[1])] {
        for (piece, a, b) in pairs.iter().filter_map(|(a, b)| inside(*a, *b)) {
            let it = &mut components[piece];
            if is_same { it.same.push((a, b)) } else { it.different.push((a, b)) }
        }
    }
    components
}
