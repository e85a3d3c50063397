//! What a table without labels looks like: how many are somebody else's repeat, how sure that is, and where it is in doubt.

use serde::Serialize;

use super::compare::{COMPARISONS_MAX, Outcome};
use super::explain::{Judged, judged};
use super::model::count;
use super::{Found, Progress, Settings, Table, as_they_came, compared, ends};

/// Pairs that are shown because nobody can be sure about them.
const DOUBTS_MAX: usize = 20;

/// Of a larger cluster only so many records are held against each other; the others count as they do.
const CLUSTER_MOST: usize = 100;

/// A profile of repeats. Estimates are the model's own: they are as good as what it learned from these records.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The clusters.
    pub found: Found,
    /// Customers by the number of their records: how many have one, two and so on; the last one stands for all that have more.
    pub sizes: Vec<usize>,
    /// Pairs of records that are in one cluster.
    pub together: f64,
    /// Of these, so many are expected to be one customer.
    pub right: f64,
    /// Pairs that were compared and are in two clusters, of which so many are expected to be one customer.
    pub missed: f64,
    /// Compared pairs by their bits: up to −10, −3, 0, 3, 10, and above.
    pub bits: [usize; 6],
    /// The pairs that are the nearest to the bound, by the places of their rows.
    pub doubts: Vec<Doubt>,
}

/// A pair about which nobody can be sure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Doubt {
    /// The rows, in the order in which rows came, from 0.
    pub rows: (usize, usize),
    /// What the pair weighs.
    pub bits: f64,
    /// Whether the two ended in one cluster.
    pub together: bool,
}

/// The bounds of [`Profile::bits`].
pub const BITS: [f64; 5] = [-10.0, -3.0, 0.0, 3.0, 10.0];

/// Sizes that are counted one by one.
const SIZES: usize = 6;

impl Profile {
    /// Of the pairs in one cluster, the share that is expected to be one customer.
    pub fn precision(&self) -> f64 {
        if self.together > 0.0 { self.right / self.together } else { 1.0 }
    }

    /// Of the compared pairs that are expected to be one customer, the share that is in one cluster.
    pub fn recall(&self) -> f64 {
        let all = self.right + self.missed;
        if all > 0.0 { self.right / all } else { 1.0 }
    }

    /// The number of customers.
    pub fn customers(&self) -> usize {
        self.sizes.iter().sum()
    }

    /// Records that are another record's repeat.
    pub fn repeats(&self) -> usize {
        self.found.clusters.len() - self.customers()
    }
}

/// Clusters a table as [`super::run`] does, and says how sure it is. `None` if there is nothing to compare.
pub fn profile(table: Table, settings: &Settings, progress: Progress<'_>) -> Option<Profile> {
    judged(table, settings, progress, of)
}

fn of(judged: &Judged<'_>) -> Profile {
    let link = judged.bounds.link;
    let (mut right, mut together) = (0.0, 0.0);
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); judged.of.len()];
    for (row, cluster) in (0..).zip(judged.of) {
        members[*cluster as usize].push(row);
    }
    let mut out = [Outcome::SILENT; COMPARISONS_MAX];
    let mut weigh = |pair: (u32, u32)| judged.model.bits(&compared(judged.model, judged.comparer, pair, &mut out));
    let mut sizes = vec![0; SIZES + 1];
    for rows in members.iter().filter(|rows| !rows.is_empty()) {
        sizes[(rows.len() - 1).min(SIZES)] += 1;
        let looked = &rows[..rows.len().min(CLUSTER_MOST)];
        let (mut sum, mut seen) = (0.0, 0.0);
        for (at, a) in looked.iter().enumerate() {
            for b in &looked[at + 1..] {
                sum += chance(weigh((*a, *b)));
                seen += 1.0;
            }
        }
        let pairs = count(rows.len()) * (count(rows.len()) - 1.0) / 2.0;
        together += pairs;
        right += if seen > 0.0 { sum / seen * pairs } else { 0.0 };
    }
    let (mut missed, mut bits) = (0.0, [0; BITS.len() + 1]);
    let mut doubts: Vec<Doubt> = Vec::new();
    for pair in judged.pairs {
        let (a, b) = ends(*pair);
        let weighs = weigh((a, b));
        let is_together = judged.of[a as usize] == judged.of[b as usize];
        missed += if is_together { 0.0 } else { chance(weighs) };
        bits[BITS.iter().filter(|bound| weighs > **bound).count()] += 1;
        let place = |row: u32| judged.order[row as usize] as usize;
        let (x, y) = (place(a), place(b));
        doubts.push(Doubt { rows: (x.min(y), x.max(y)), bits: weighs, together: is_together });
        if doubts.len() >= DOUBTS_MAX * 50 {
            keep_nearest(&mut doubts, link);
        }
    }
    keep_nearest(&mut doubts, link);
    let clusters = as_they_came(judged.order, judged.of);
    let (pairs, linked) = (judged.pairs.len(), judged.edges.len());
    let found = Found { clusters, compared: pairs, linked, rules: judged.rules.len() };
    Profile { found, sizes, together, right, missed, bits, doubts }
}

/// The chance of one customer.
fn chance(bits: f64) -> f64 {
    1.0 / (1.0 + (-bits).exp2())
}

fn keep_nearest(doubts: &mut Vec<Doubt>, link: f64) {
    let far = |it: &Doubt| (it.bits - link).abs();
    doubts.sort_by(|x, y| far(x).total_cmp(&far(y)).then_with(|| x.rows.cmp(&y.rows)));
    doubts.truncate(DOUBTS_MAX);
}
