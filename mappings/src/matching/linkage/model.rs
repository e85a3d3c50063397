//! Fellegi and Sunter's weights (JASA 1969): how much likelier a level is among records of one customer than among
//! strangers, learned from the records themselves by expectation and maximisation.
//!
//! A pair is one of three things: one customer, relatives (one household, one organisation), or strangers. Relatives agree
//! in what is shared as one customer does, and in everything else as strangers do, so that an address or a family name in
//! common never makes two people one.

use std::collections::BTreeMap;

use super::choose::number;
use super::compare::{Comparer, Comparison, Outcome};
use super::settings::Learning;
use super::table::Feature;

/// A small, good, portable generator (splitmix64): the same numbers on every machine.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scrambled(self.0)
    }

    /// A row of `rows`.
    pub(super) fn below(&mut self, rows: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(rows.max(1)).unwrap_or(1)).unwrap_or_default()
    }
}

pub(super) fn scrambled(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How far the rarity of an equal value goes, bits either way.
const RARITY_MOST: f64 = 8.0;

/// Pairs of strangers who differ in everything, added to the random pairs.
const STRANGERS: f64 = 100.0;

/// Of so few pairs what was seen counts for half.
const PAIRS_FEW: f64 = 1000.0;

/// Learning ends when the expected pairs of one customer change by less than this share.
const SETTLED: f64 = 1e-5;

/// Levels of a comparison, the silent one too.
const LEVELS: usize = 16;

/// A compared pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub a: u32,
    pub b: u32,
    /// Four bits a comparison.
    levels: u64,
    /// Bits by which the equal values are rarer than usual, all of them and the shared ones.
    rare: f32,
    rare_shared: f32,
}

impl Pair {
    fn level(&self, comparison: usize) -> usize {
        (self.levels >> (4 * comparison) & 15) as usize
    }
}

/// A pair of which somebody ruled what it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ruled {
    pub pair: Pair,
    pub same: bool,
    /// How many pairs it counts for.
    pub weight: f64,
}

/// Learned weights. All logarithms are to the base of two.
#[derive(Debug)]
pub(super) struct Model {
    /// Log shares of the levels among pairs of one customer, and among strangers.
    same: Vec<[f64; LEVELS]>,
    strangers: Vec<[f64; LEVELS]>,
    shared: Vec<bool>,
    /// Pairs of one customer that are expected, by the sources of the two.
    priors: BTreeMap<(u32, u32), f64>,
    /// Pairs of relatives that are expected.
    related: f64,
    space: Space,
    /// What was settled before, in place of the counts above.
    odds: Option<Odds>,
}

/// How likely a pair is to be one customer or relatives before anything of it is compared, bits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Odds {
    /// By the sources of the two, the smaller first.
    pub same: BTreeMap<(u32, u32), f64>,
    /// Of sources that nobody knows.
    pub usual: f64,
    pub related: f64,
}

/// What a model learned, apart from the rows that it learned from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Weights {
    /// Log shares of the levels of each comparison among pairs of one customer and among strangers, the silent one left out.
    pub levels: Vec<[Vec<f64>; 2]>,
    pub shared: Vec<bool>,
    pub odds: Odds,
}

impl Weights {
    /// The same to six digits behind the point, as they are kept: so a model and its file judge alike.
    pub(super) fn rounded(mut self) -> Self {
        let round = |bits: &mut f64| *bits = (*bits * 1e6).round() / 1e6;
        self.levels.iter_mut().flatten().flatten().for_each(round);
        self.odds.same.values_mut().for_each(round);
        [&mut self.odds.usual, &mut self.odds.related].into_iter().for_each(round);
        self
    }
}

/// How many pairs there are.
#[derive(Debug)]
pub(super) struct Space {
    sources: Vec<u32>,
    sizes: BTreeMap<u32, f64>,
    rows: f64,
}

impl Space {
    fn new(source: Option<&Feature>, rows: usize) -> Self {
        let sources = source.map_or(Vec::new(), |it| it.ids.clone());
        let mut sizes: BTreeMap<u32, f64> = BTreeMap::new();
        for row in 0..rows {
            *sizes.entry(sources.get(row).copied().unwrap_or_default()).or_default() += 1.0;
        }
        Self { sources, sizes, rows: count(rows) }
    }

    fn key(&self, a: u32, b: u32) -> (u32, u32) {
        let of = |row: u32| self.sources.get(row as usize).copied().unwrap_or_default();
        let (x, y) = (of(a), of(b));
        (x.min(y), x.max(y))
    }

    fn of(&self, (x, y): (u32, u32)) -> f64 {
        let pairs =
            if x == y { self.sizes[&x] * (self.sizes[&x] - 1.0) / 2.0 } else { self.sizes[&x] * self.sizes[&y] };
        pairs.max(1.0)
    }

    fn all(&self) -> f64 {
        (self.rows * (self.rows - 1.0) / 2.0).max(1.0)
    }
}

pub(super) fn count(rows: usize) -> f64 {
    f64::from(u32::try_from(rows).unwrap_or(u32::MAX))
}

/// What a pair's bits are made of: `prior`, both of `each` and `relatives` add up to `bits`.
pub(super) struct Sum {
    pub prior: f64,
    /// Of each comparison the bits of its level, and those of how rare its value is.
    pub each: Vec<[f64; 2]>,
    pub relatives: f64,
    pub bits: f64,
    /// Of one customer, 0 to 1.
    pub chance: f64,
}

/// What the model says of a pair: the chances of one customer and of relatives, and the bits for one customer.
struct Verdict {
    same: f64,
    related: f64,
    bits: f64,
    /// Bits that speak for relatives or strangers.
    against: f64,
}

impl Model {
    /// Before learning: levels of one customer as expected, of strangers as random pairs show them.
    pub(super) fn new(comparer: &Comparer<'_>, learning: &Learning) -> Self {
        let rows = comparer.features.rows;
        let count_of = comparer.comparisons.len();
        let mut seen = vec![[0.0; LEVELS]; count_of];
        let mut dice = Dice::new(7);
        let random = 0..learning.random_pairs.min(rows.saturating_mul(rows));
        let pairs = random.map(|_| (number(dice.below(rows)), number(dice.below(rows)))).filter(|(a, b)| a != b);
        comparer.each(pairs, |_, out| {
            for (seen, outcome) in seen.iter_mut().zip(out) {
                seen[usize::from(outcome.level)] += 1.0;
            }
        });
        let logs = |seen: &[f64; LEVELS], levels: usize| {
            let mut logs = [0.0; LEVELS];
            // Half a pair more of each level, so that what was never seen is rare and not impossible; and strangers who differ, so
            // that a few rows, most of which may be one customer's, do not pass for strangers who agree.
            let all: f64 = seen[1..=levels].iter().sum::<f64>() + 0.5 * count(levels) + STRANGERS;
            for (level, (log, seen)) in logs.iter_mut().zip(seen).enumerate().take(levels + 1).skip(1) {
                *log = ((seen + 0.5 + if level == levels { STRANGERS } else { 0.0 }) / all).log2();
            }
            logs
        };
        let strangers = seen.iter().zip(&comparer.comparisons).map(|(seen, it)| logs(seen, it.levels())).collect();
        let expected = |shares: &[f64]| {
            let mut logs = [0.0; LEVELS];
            for (log, share) in logs[1..].iter_mut().zip(shares) {
                *log = share.log2();
            }
            logs
        };
        Self {
            same: comparer.comparisons.iter().map(|it| expected(it.expected)).collect(),
            strangers,
            shared: comparer.comparisons.iter().map(|it| it.shared).collect(),
            priors: BTreeMap::new(),
            related: 0.2 * count(rows),
            space: Space::new(comparer.features.source.as_ref(), rows),
            odds: None,
        }
    }

    /// What was learned. Pairs of sources are those that were seen.
    pub(super) fn weights(&self, comparer: &Comparer<'_>) -> Weights {
        let logs = |logs: &[f64; LEVELS], levels: usize| logs[1..=levels].to_vec();
        let both = self.same.iter().zip(&self.strangers).zip(&comparer.comparisons);
        let odds = |key: &(u32, u32)| self.prior(*key);
        Weights {
            levels: both
                .map(|((same, strangers), it)| [same, strangers].map(|it_logs| logs(it_logs, it.levels())))
                .collect(),
            shared: self.shared.clone(),
            odds: Odds {
                same: self.priors.keys().map(|key| (*key, odds(key))).collect(),
                usual: (self.priors.values().sum::<f64>().max(1.0) / self.space.all()).log2(),
                related: self.related_prior(),
            },
        }
    }

    /// A model that was learned before; `sources` of the rows.
    pub(super) fn known(weights: &Weights, sources: Vec<u32>) -> Self {
        let logs = |at: usize| {
            let of = |levels: &[Vec<f64>; 2]| {
                let mut logs = [0.0; LEVELS];
                logs[1..=levels[at].len()].copy_from_slice(&levels[at]);
                logs
            };
            weights.levels.iter().map(of).collect()
        };
        Self {
            same: logs(0),
            strangers: logs(1),
            shared: weights.shared.clone(),
            priors: BTreeMap::new(),
            related: 0.0,
            space: Space { sources, sizes: BTreeMap::new(), rows: 0.0 },
            odds: Some(weights.odds.clone()),
        }
    }

    /// A model that was learned before and goes on learning, from other rows: how many pairs of one customer there are is found
    /// out anew.
    pub(super) fn again(weights: &Weights, comparer: &Comparer<'_>) -> Self {
        let rows = comparer.features.rows;
        Self {
            related: 0.2 * count(rows),
            space: Space::new(comparer.features.source.as_ref(), rows),
            odds: None,
            ..Self::known(weights, Vec::new())
        }
    }

    /// Log shares of the levels of each comparison among pairs of one customer, the silent one left out.
    pub(super) fn same(&self, comparer: &Comparer<'_>) -> Vec<Vec<f64>> {
        let of = |(logs, it): (&[f64; LEVELS], &Comparison<'_>)| logs[1..=it.levels()].to_vec();
        self.same.iter().zip(&comparer.comparisons).map(of).collect()
    }

    /// Tells the source of a row.
    pub(super) fn place(&mut self, row: usize, source: u32) {
        if row >= self.space.sources.len() {
            self.space.sources.resize(row + 1, 0);
        }
        self.space.sources[row] = source;
    }

    /// Bits for one customer before anything is compared.
    fn prior(&self, key: (u32, u32)) -> f64 {
        if let Some(odds) = &self.odds {
            return odds.same.get(&key).copied().unwrap_or(odds.usual);
        }
        let space = self.space.of(key);
        let usual = 0.2 * self.space.rows * space / self.space.all();
        let prior = if self.priors.is_empty() { usual } else { self.priors.get(&key).copied().unwrap_or(0.5) };
        (prior / space).log2()
    }

    fn related_prior(&self) -> f64 {
        self.odds.as_ref().map_or_else(|| (self.related / self.space.all()).log2(), |odds| odds.related)
    }

    /// What the bits of a pair are made of, which had these outcomes.
    pub(super) fn sum(&self, pair: &Pair, outcomes: &[Outcome]) -> Sum {
        let level = |at: usize, outcome: &Outcome| match usize::from(outcome.level) {
            0 => 0.0,
            level => self.same[at][level] - self.strangers[at][level],
        };
        let each = outcomes.iter().enumerate().take(self.same.len());
        let Verdict { same: chance, bits, against, .. } = self.verdict(pair);
        Sum {
            prior: self.prior(self.space.key(pair.a, pair.b)),
            each: each.map(|(at, it)| [level(at, it), f64::from(self.rare(at, *it))]).collect(),
            relatives: -against,
            bits,
            chance,
        }
    }

    /// Keeps what the model needs of a compared pair.
    pub(super) fn pair(&self, a: u32, b: u32, outcomes: &[Outcome]) -> Pair {
        let mut pair = Pair { a, b, levels: 0, rare: 0.0, rare_shared: 0.0 };
        for (at, outcome) in outcomes.iter().enumerate().take(self.same.len()) {
            pair.levels |= u64::from(outcome.level) << (4 * at);
            let bits = self.rare(at, *outcome);
            pair.rare += bits;
            pair.rare_shared += if self.shared[at] { bits } else { 0.0 };
        }
        pair
    }

    /// Bits by which an equal value is rarer than usual; 0 where none is equal.
    fn rarity(&self, at: usize, outcome: Outcome) -> f64 {
        if outcome.share > 0.0 {
            let usual = self.strangers[at][usize::from(outcome.level)];
            (usual - outcome.share.log2()).clamp(-RARITY_MOST, RARITY_MOST)
        } else {
            0.0
        }
    }

    /// The same as a pair keeps it.
    #[allow(clippy::cast_possible_truncation)] // Within the bounds of a few bits.
    fn rare(&self, at: usize, outcome: Outcome) -> f32 {
        self.rarity(at, outcome) as f32
    }

    /// Bits by which what one comparison shows is likelier of one customer than of strangers; 0 where it is silent.
    pub(super) fn weigh(&self, at: usize, outcome: Outcome) -> f64 {
        let level = usize::from(outcome.level);
        if level == 0 { 0.0 } else { self.same[at][level] - self.strangers[at][level] + self.rarity(at, outcome) }
    }

    /// Whether relatives share what a comparison looks at.
    pub(super) fn is_shared(&self, at: usize) -> bool {
        self.shared.get(at).copied().unwrap_or_default()
    }

    /// The most that a comparison may say; where `is_equal_known`, of values that are not equal.
    pub(super) fn most(&self, at: usize, is_equal_known: bool) -> f64 {
        let (from, rarity) = if is_equal_known { (2, 0.0) } else { (1, RARITY_MOST) };
        let levels = self.same[at].iter().zip(&self.strangers[at]).skip(from);
        levels.map(|(same, strangers)| same - strangers + rarity).fold(0.0, f64::max)
    }

    /// Bits by which a pair is likelier one customer than relatives before anything is compared.
    pub(super) fn head_start(&self, (a, b): (u32, u32)) -> f64 {
        self.prior(self.space.key(a, b)) - self.related_prior()
    }

    fn verdict(&self, pair: &Pair) -> Verdict {
        let key = self.space.key(pair.a, pair.b);
        let (mut all, mut shared) = (0.0, 0.0);
        for (at, same) in self.same.iter().enumerate() {
            let level = pair.level(at);
            if level > 0 {
                let bits = same[level] - self.strangers[at][level];
                all += bits;
                shared += if self.shared[at] { bits } else { 0.0 };
            }
        }
        let same = self.prior(key) + all + f64::from(pair.rare);
        let related = self.related_prior() + shared + f64::from(pair.rare_shared);
        let top = same.max(related).max(0.0);
        let chances = [same, related, 0.0].map(|bits| (bits - top).exp2());
        let sum: f64 = chances.iter().sum();
        let against = related.max(0.0) + (1.0 + (-related.abs()).exp2()).log2();
        Verdict { same: chances[0] / sum, related: chances[1] / sum, bits: same - against, against }
    }

    /// Bits by which the pair is likelier one customer than anything else.
    pub(super) fn bits(&self, pair: &Pair) -> f64 {
        self.verdict(pair).bits
    }

    /// Learns from pairs, each of which stands for `each` of its like.
    pub(super) fn learn(
        &mut self,
        comparer: &Comparer<'_>,
        pairs: &[Pair],
        each: f64,
        learning: &Learning,
        rounds: usize,
    ) {
        self.learn_by(comparer, (pairs, each), &[], learning, rounds);
    }

    /// The same, beside pairs of which somebody ruled what they are: they stand for themselves, and nothing is guessed of them.
    pub(super) fn learn_by(
        &mut self,
        comparer: &Comparer<'_>,
        (pairs, each): (&[Pair], f64),
        ruled: &[Ruled],
        learning: &Learning,
        rounds: usize,
    ) {
        let all = pairs.iter().chain(ruled.iter().map(|it| &it.pair));
        let mut keys: Vec<(u32, u32)> = all.map(|pair| self.space.key(pair.a, pair.b)).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut last = f64::INFINITY;
        for _ in 0..rounds {
            let mut levels: Vec<[f64; LEVELS]> = vec![[0.0; LEVELS]; self.same.len()];
            let mut found: BTreeMap<(u32, u32), f64> = BTreeMap::new();
            let (mut related, mut matched) = (0.0, 0.0);
            for Ruled { pair, same, weight } in ruled {
                let verdict = self.verdict(pair);
                if *same {
                    *found.entry(self.space.key(pair.a, pair.b)).or_default() += weight;
                    matched += weight;
                    for (at, levels) in levels.iter_mut().enumerate() {
                        levels[pair.level(at)] += weight / each;
                    }
                } else {
                    related += weight * verdict.related / (1.0 - verdict.same).max(f64::MIN_POSITIVE);
                }
            }
            for pair in pairs {
                let verdict = self.verdict(pair);
                *found.entry(self.space.key(pair.a, pair.b)).or_default() += each * verdict.same;
                related += each * verdict.related;
                matched += each * verdict.same;
                if verdict.same > 1e-4 {
                    for (at, levels) in levels.iter_mut().enumerate() {
                        levels[pair.level(at)] += verdict.same;
                    }
                }
            }
            let learned = self.same.iter_mut().zip(&levels).zip(&comparer.comparisons);
            for ((same, seen), it) in learned.filter(|_| learning.levels) {
                let all: f64 = seen[1..].iter().sum::<f64>() + learning.strength;
                let share = |at: usize| (seen[at + 1] + learning.strength * it.expected[at]) / all;
                let last = it.levels() - 1;
                // One customer is one person: where relatives are many, they must not be learned as what she looks like.
                let most = if it.shared { 1.0 } else { learning.personal_differs_most.max(it.expected[last]) };
                let scale = if share(last) > most { (1.0 - most) / (1.0 - share(last)) } else { 1.0 };
                for (at, same) in same[1..=last + 1].iter_mut().enumerate() {
                    *same = if at == last { share(at).min(most) } else { scale * share(at) }.log2();
                }
            }
            for key in &keys {
                let (space, all) = (self.space.of(*key), self.space.all());
                let seen = found.get(key).copied().unwrap_or_default() + 0.01 * matched * space / all + 0.5;
                // Few pairs say little about how many there are: then it is the first guess that counts.
                let trust = space / (space + PAIRS_FEW);
                self.priors.insert(*key, trust * seen + (1.0 - trust) * 0.2 * self.space.rows * space / all);
            }
            self.related = related.max(1.0);
            if (matched - last).abs() < SETTLED * matched {
                break;
            }
            last = matched;
        }
    }
}
