//! What records of one customer look like, learned anew by a model that is in use: from other records, without labels, and
//! beside them from what stewards ruled.
//!
//! Blocking rules, how common values are and what strangers have in common stay as they were learned first, so that a few
//! hundred records of a deployment do not make the model forget how many people are called 王伟. What was known of one
//! customer's pairs counts as some of them ([`FORMER`]).
//!
//! A ruling counts as the one pair that it is about. Counting it as four or fifteen, because others like it wait, was tried
//! on invented customers and made the weights worse judges of the decisions that were held out: stewards are asked about
//! what is in doubt, which is not what most pairs look like.

use std::collections::HashSet;

use super::compare::{COMPARISONS_MAX, Comparer, Outcome};
use super::frozen::{Frozen, Records};
use super::model::{self, Model, Pair, scrambled};
use super::settings::{LEVELS, Settings};
use super::{Progress, block, compared, ends, pairs};

/// Pairs of one customer that the former weights count for, in each comparison.
const FORMER: f64 = 50.0;

/// What somebody ruled of two records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::matching) struct Ruling {
    /// Their places, in the order in which they came.
    pub rows: (usize, usize),
    pub same: bool,
    /// How many pairs it counts for: less than one where many pairs were one decision.
    pub weight: f64,
}

impl Frozen {
    /// The same model once for each set of rulings, each with what it learned anew from all the records and these rulings. The
    /// pairs of all sets are fixed or left out in each, so that what one set lacks is not known to it in another way.
    pub(in crate::matching) fn learned_again(
        &self,
        records: Records,
        sets: &[Vec<Ruling>],
        settings: &Settings,
        progress: Progress<'_>,
    ) -> Vec<Self> {
        let mut table = records.table;
        progress(1, "bring values into form");
        let order = table.put_in_order();
        let features = self.features(&table, settings);
        drop(table);
        progress(4, "find pairs");
        let parts = block::parts(&features, self.rows);
        let rules = self.rules(&parts);
        let found = pairs(&parts, rules.iter().map(Vec::as_slice).zip(self.most.iter().copied()), order.len(), 0);
        drop(parts);
        let settings = self.expected_by(settings);
        let comparer = Comparer::new(&features, &settings);
        progress(5, "compare pairs");
        let mut place = vec![0; order.len()];
        for (now, came) in (0..).zip(&order) {
            place[*came as usize] = now;
        }
        let key = |(a, b): (usize, usize)| {
            let (a, b): (u32, u32) = (place[a], place[b]);
            u64::from(a.min(b)) << 32 | u64::from(a.max(b))
        };
        let model = Model::again(&self.weights, &comparer);
        let ruled: HashSet<u64> = sets.iter().flatten().map(|ruling| key(ruling.rows)).collect();
        let most = settings.learning.training_pairs.max(1);
        let every = u64::try_from(found.len().div_ceil(most).max(1)).unwrap_or(1);
        let mut out = [Outcome::SILENT; COMPARISONS_MAX];
        let mut compare = |pair: u64| compared(&model, &comparer, ends(pair), &mut out);
        let open = found.iter().filter(|pair| scrambled(**pair).is_multiple_of(every) && !ruled.contains(*pair));
        let open: Vec<Pair> = open.map(|pair| compare(*pair)).collect();
        let sets: Vec<Vec<model::Ruled>> = sets
            .iter()
            .map(|set| {
                let of = |it: &Ruling| model::Ruled { pair: compare(key(it.rows)), same: it.same, weight: it.weight };
                set.iter().map(of).collect()
            })
            .collect();
        progress(6, "learn from them");
        let each = f64::from(u32::try_from(every).unwrap_or(u32::MAX));
        let learn = |ruled: &Vec<model::Ruled>| {
            let mut model = Model::again(&self.weights, &comparer);
            model.learn_by(&comparer, (&open, each), ruled, &settings.learning, settings.learning.rounds);
            let mut learned = self.clone();
            for (levels, same) in learned.weights.levels.iter_mut().zip(model.same(&comparer)) {
                levels[0] = same;
            }
            learned.weights = learned.weights.rounded();
            learned
        };
        sets.iter().map(learn).collect()
    }

    /// Settings that expect of one customer's pairs what this model knows of them.
    fn expected_by(&self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        settings.learning.strength = FORMER;
        for (name, [same, _]) in self.comparisons.iter().zip(&self.weights.levels) {
            if let Some(expected) = settings.compare.get_mut(name) {
                let sum: f64 = same.iter().map(|log| log.exp2()).sum();
                expected.shares = same.iter().map(|log| log.exp2() / sum).collect();
            }
        }
        settings
    }

    /// The same with so many bits more for each level, in the order of [`Frozen::level_bits`], and before any comparison.
    #[must_use]
    pub(in crate::matching) fn with_more(&self, bits: &[f64], chance: f64) -> Self {
        let mut other = self.clone();
        let levels = other.weights.levels.iter_mut().flat_map(|[same, _]| same);
        levels.zip(bits).for_each(|(log, more)| *log += more);
        other.weights.odds.usual += chance;
        other.weights = other.weights.rounded();
        other
    }

    /// Every level of every comparison, and the bits by which it is likelier of one customer than of strangers.
    pub fn level_bits(&self) -> impl Iterator<Item = (&'static str, &'static str, f64)> {
        self.comparisons.iter().zip(&self.weights.levels).flat_map(|(name, [same, strangers])| {
            let known = LEVELS.iter().find(|(known, _)| known == name);
            let (name, words) = known.map_or(("", &[][..]), |(name, words)| (*name, *words));
            let bits = same.iter().zip(strangers).map(|(same, strangers)| same - strangers);
            words.iter().zip(bits).map(move |(level, bits)| (name, *level, bits))
        })
    }
}
