//! Why two records are one customer or two: what speaks for it and against it, by how many bits, and what would have to be
//! otherwise.
//!
//! Nothing here is computed in a way of its own: the pair is weighed by the comparer and the model of the run, and the
//! clusters are those that the run formed.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use super::block;
use super::choose::number;
use super::cluster::{self, Edge};
use super::compare::{COMPARISONS_MAX, Comparer, Outcome};
use super::facts::Finding;
use super::frozen;
use super::guard::Guards;
use super::model::Model;
use super::settings::{Bounds, LEVELS};
use super::{Progress, Settings, Table};

/// Why two records are one customer or two. Bits are logarithms to the base of two of how much likelier one customer is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// Before anything is compared.
    pub prior: f64,
    /// In the order in which they are made.
    pub comparisons: Vec<Weighed>,
    /// What relatives (one household, one organisation) share speaks for relatives, too; 0 or less.
    pub relatives: f64,
    /// The sum: what the run weighed the pair with.
    pub bits: f64,
    /// From so many bits on a pair is linked.
    pub link: f64,
    /// The chance that the two are one customer, 0 to 1, going by the pair alone.
    pub probability: f64,
    /// Whether the run compared them.
    pub compared: bool,
    /// The blocking rules by which they share a key.
    pub rules: Vec<String>,
    /// What a steward found.
    pub found: Option<Finding>,
    /// Numbers of which one customer has one, where the two have different ones.
    pub contradictions: Vec<[String; 2]>,
    /// Whether they ended in one cluster.
    pub together: bool,
    /// From the first to the second, through whom they hang together; empty if they do not.
    pub through: Vec<Hop>,
    /// What keeps their clusters apart, if the pair itself was linked.
    pub apart: Option<Apart>,
}

/// One comparison of the two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weighed {
    /// Its name in `rules/linkage.toml`.
    pub name: &'static str,
    /// Which of several of that name it is, from 1.
    pub number: usize,
    /// Both values in the form in which they are compared; an empty one is none.
    pub values: [String; 2],
    /// The level that they reach; none if one of the two says nothing.
    pub level: Option<&'static str>,
    /// Bits of that level, for values that are as common as usual.
    pub usual: f64,
    /// Bits more because the value that both have is rarer than usual, fewer because it is more common.
    pub rarity: f64,
    /// Whether relatives may share it.
    pub shared: bool,
    /// What the pair would weigh if this comparison alone came out otherwise, strongest level first; last, if one of the two
    /// said nothing.
    pub otherwise: Vec<Otherwise>,
}

impl Weighed {
    /// What this comparison adds.
    pub fn bits(&self) -> f64 {
        self.usual + self.rarity
    }
}

/// Another outcome of one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Otherwise {
    /// The level; none if one of the two said nothing.
    pub level: Option<&'static str>,
    /// What the pair would weigh.
    pub bits: f64,
    /// Whether the pair would be linked if it is not, or not if it is.
    pub turns: bool,
}

/// One step on the way from one record to the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Hop {
    /// The row that it leads to, in the order in which rows came, from 0.
    pub row: usize,
    /// What that pair weighs.
    pub bits: f64,
}

/// What keeps the clusters of two linked records apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Apart {
    /// Their records have different numbers of which one customer has one.
    Contradiction([String; 2]),
    /// A steward found that two of their records are two customers.
    Found,
    /// The pairs across the two weigh so much on the mean, less than a link.
    Mean(f64),
    /// Too many records hang together there: only surer pairs counted.
    Crowd,
}

/// Levels of a comparison, from the strongest to "anything else"; none of a name that is not known.
pub fn levels(comparison: &str) -> &'static [&'static str] {
    LEVELS.iter().find(|(name, _)| *name == comparison).map_or(&[], |(_, levels)| levels)
}

/// The names of all comparisons.
pub fn comparisons() -> impl Iterator<Item = &'static str> {
    LEVELS.iter().map(|(name, _)| *name)
}

/// Why two rows of a table, by their places from 0, are one customer or two, when the table is clustered by
/// [`super::run`]. `None` if there is nothing to compare them by.
pub fn explain(table: Table, settings: &Settings, pair: (usize, usize), progress: Progress<'_>) -> Option<Why> {
    judged(table, settings, progress, |it| it.why(pair))
}

pub(super) fn judged<T>(
    table: Table,
    settings: &Settings,
    progress: Progress<'_>,
    use_it: impl FnOnce(&Judged<'_>) -> T,
) -> Option<T> {
    let link = settings.clusters.link;
    let used = super::learned(table, settings, progress, |learned, progress| {
        let edges = super::all_edges(learned.model, learned.comparer, learned.pairs, learned.seen, link);
        progress(6, "form clusters");
        let of = super::formed(learned, &edges, link, settings);
        let rules: Vec<Vec<String>> =
            learned.rules.iter().map(|rule| rule.iter().map(|name| frozen::part(*name)).collect()).collect();
        use_it(&Judged {
            order: learned.order,
            comparer: learned.comparer,
            model: learned.model,
            pairs: learned.pairs,
            edges: &edges,
            found: [&[], &[]],
            of: &of,
            rules: &rules,
            rows_learned: learned.order.len(),
            bounds: &settings.clusters,
        })
    });
    used.map(|(_, used)| used)
}

/// A run that is over, while all that it used is at hand. Rows are numbered in the order of the run.
pub(super) struct Judged<'a> {
    /// Where each row was when it came.
    pub order: &'a [u32],
    pub comparer: &'a Comparer<'a>,
    pub model: &'a Model,
    /// Those that were compared, ascending if there are many rows.
    pub pairs: &'a [u64],
    pub edges: &'a [Edge],
    /// Pairs that stewards found to be one customer, and two; the smaller row first.
    pub found: [&'a [(u32, u32)]; 2],
    /// The cluster of each row.
    pub of: &'a [u32],
    pub rules: &'a [Vec<String>],
    /// Rows of which the model was learned.
    pub rows_learned: usize,
    pub bounds: &'a Bounds,
}

impl Judged<'_> {
    /// Why two rows, by the places at which they came, are one customer or two.
    pub(super) fn why(&self, (a, b): (usize, usize)) -> Why {
        let place = |came: usize| number(self.order.iter().position(|row| *row as usize == came).unwrap_or_default());
        let (a, b) = (place(a), place(b));
        let ends = (a.min(b), a.max(b));
        let mut out = [Outcome::SILENT; COMPARISONS_MAX];
        let pair = super::compared(self.model, self.comparer, ends, &mut out);
        let sum = self.model.sum(&pair, &out);
        let link = self.bounds.link;
        let mut of_name: FxHashMap<&'static str, usize> = FxHashMap::default();
        let mut weighed = |at: usize| {
            let of = &self.comparer.comparisons[at];
            let count = of_name.entry(of.name).or_default();
            *count += 1;
            Weighed {
                name: of.name,
                number: *count,
                values: [a, b].map(|row| self.comparer.text(at, row as usize)),
                level: level(of.name, out[at].level),
                usual: sum.each[at][0],
                rarity: sum.each[at][1],
                shared: of.shared,
                otherwise: self.otherwise(ends, &out, at, sum.bits >= link),
            }
        };
        let comparisons = (0..self.comparer.comparisons.len()).map(&mut weighed).collect();
        let guards = Guards::of(self.comparer.features);
        let together = self.of[a as usize] == self.of[b as usize];
        let key = u64::from(ends.0) << 32 | u64::from(ends.1);
        // Where all pairs of a few rows are compared, they stand in no order.
        let is_few = self.order.len() <= super::ROWS_ALL_PAIRS;
        let compared = if is_few { self.pairs.contains(&key) } else { self.pairs.binary_search(&key).is_ok() };
        let through = if together { self.through(a, b) } else { Vec::new() };
        let is_linked = compared && sum.bits >= link;
        Why {
            prior: sum.prior,
            comparisons,
            relatives: sum.relatives,
            bits: sum.bits,
            link,
            probability: sum.chance,
            compared,
            rules: self.shared_rules(ends),
            found: self.finding(ends),
            contradictions: self.contradictions(&guards, &[a], &[b]),
            together,
            through,
            apart: (is_linked && !together).then(|| self.apart(&guards, a, b)),
        }
    }

    /// What the pair would weigh at every other level of one comparison.
    fn otherwise(&self, (a, b): (u32, u32), out: &[Outcome], at: usize, is_linked: bool) -> Vec<Otherwise> {
        let of = &self.comparer.comparisons[at];
        let own = out[at].level;
        let levels = (1..=of.levels()).filter_map(|level| u8::try_from(level).ok()).chain([0]);
        let weigh = |it: u8| {
            let mut out = out.to_vec();
            out[at] = Outcome::of(it);
            let bits = self.model.bits(&self.model.pair(a, b, &out));
            Otherwise { level: level(of.name, it), bits, turns: (bits >= self.bounds.link) != is_linked }
        };
        levels.filter(|it| *it != own).map(weigh).collect()
    }

    fn shared_rules(&self, (a, b): (u32, u32)) -> Vec<String> {
        let parts = block::parts(self.comparer.features, self.rows_learned);
        let at = |name: &String| parts.iter().position(|part| frozen::part(part.name) == *name);
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        let mut share = |rule: &Vec<String>| {
            let places: Option<Vec<usize>> = rule.iter().map(at).collect();
            let Some(places) = places else { return false };
            block::keys(&parts, &places, a as usize, &mut mine);
            block::keys(&parts, &places, b as usize, &mut theirs);
            mine.iter().any(|key| *key != 0 && theirs.contains(key))
        };
        self.rules.iter().filter(|rule| share(rule)).map(|rule| rule.join(" + ")).collect()
    }

    fn finding(&self, ends: (u32, u32)) -> Option<Finding> {
        let [same, different] = self.found.map(|pairs| pairs.contains(&ends));
        if different { Some(Finding::Different) } else { same.then_some(Finding::Same) }
    }

    fn contradictions(&self, guards: &Guards, mine: &[u32], theirs: &[u32]) -> Vec<[String; 2]> {
        let features = self.comparer.features;
        let of = |rows: &[u32]| -> Vec<(u8, u32)> {
            rows.iter().flat_map(|row| guards.row(features, *row as usize)).collect()
        };
        let text =
            |(at, value): (u8, u32)| features.identifiers[usize::from(at)].feature.values[value as usize].to_owned();
        let (mine, theirs) = (of(mine), of(theirs));
        let pairs = mine.iter().flat_map(|x| theirs.iter().map(move |y| (*x, *y)));
        pairs.filter(|(x, y)| x.0 == y.0 && x.1 != y.1).map(|(x, y)| [text(x), text(y)]).collect()
    }

    fn members(&self, row: u32) -> Vec<u32> {
        let mine = self.of[row as usize];
        (0..number(self.of.len())).filter(|it| self.of[*it as usize] == mine).collect()
    }

    /// The way with the fewest steps from one row to another of its cluster, the surest step first where there are several.
    fn through(&self, a: u32, b: u32) -> Vec<Hop> {
        let members: FxHashSet<u32> = self.members(a).into_iter().collect();
        let inside = |x: &u32, y: &u32| members.contains(x) && members.contains(y);
        let mut next: FxHashMap<u32, Vec<(u32, f64)>> = FxHashMap::default();
        let mut tie = |x: u32, y: u32, bits: f64| {
            next.entry(x).or_default().push((y, bits));
            next.entry(y).or_default().push((x, bits));
        };
        for it in self.edges.iter().filter(|it| inside(&it.a, &it.b)) {
            tie(it.a, it.b, f64::from(it.bits));
        }
        for (x, y) in self.found[0].iter().filter(|(x, y)| inside(x, y)) {
            let mut out = [Outcome::SILENT; COMPARISONS_MAX];
            tie(*x, *y, self.model.bits(&super::compared(self.model, self.comparer, (*x, *y), &mut out)));
        }
        for of in next.values_mut() {
            of.sort_by(|x, y| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0)));
        }
        let mut from: FxHashMap<u32, (u32, f64)> = FxHashMap::default();
        let mut open = VecDeque::from([a]);
        while let Some(at) = open.pop_front().filter(|at| *at != b) {
            for (to, bits) in next.get(&at).into_iter().flatten() {
                if *to != a && !from.contains_key(to) {
                    from.insert(*to, (at, *bits));
                    open.push_back(*to);
                }
            }
        }
        let (mut hops, mut at) = (Vec::new(), b);
        while let Some((before, bits)) = from.get(&at) {
            hops.push(Hop { row: self.order[at as usize] as usize, bits: *bits });
            at = *before;
        }
        hops.reverse();
        hops
    }

    fn apart(&self, guards: &Guards, a: u32, b: u32) -> Apart {
        let (mine, theirs) = (self.members(a), self.members(b));
        if let Some(clash) = self.contradictions(guards, &mine, &theirs).into_iter().next() {
            return Apart::Contradiction(clash);
        }
        let across =
            |(x, y): &(u32, u32)| (mine.contains(x) && theirs.contains(y)) || (mine.contains(y) && theirs.contains(x));
        if self.found[1].iter().any(across) {
            return Apart::Found;
        }
        let mut out = [Outcome::SILENT; COMPARISONS_MAX];
        let mut bits = |x: u32, y: u32| {
            let pair = super::compared(self.model, self.comparer, (x, y), &mut out);
            self.model.bits(&pair).clamp(self.bounds.low, self.bounds.high)
        };
        let (big, small) = if mine.len() >= theirs.len() { (&mine, &theirs) } else { (&theirs, &mine) };
        let mean = cluster::mean(big, small, &mut bits);
        if mean < self.bounds.link { Apart::Mean(mean) } else { Apart::Crowd }
    }
}

fn level(comparison: &str, level: u8) -> Option<&'static str> {
    usize::from(level).checked_sub(1).and_then(|at| levels(comparison).get(at)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::linkage::{Facts, Frozen, Kind, Records, train};

    const HEADERS: [&str; 6] = ["given", "family", "born", "email", "card", "address"];
    const KINDS: [Kind; 6] =
        [Kind::GivenName, Kind::FamilyName, Kind::BirthDate, Kind::Email, Kind::SoleIdentifier, Kind::Address];

    /// Households of two, each of whom stands twice: with a slip, a gap, a card.
    fn rows() -> Vec<[String; 6]> {
        const GIVEN: [&str; 8] = ["Lei", "Mei", "Anna", "Bert", "Carla", "Dirk", "Emil", "Frieda"];
        const FAMILY: [&str; 7] = ["Kranz", "Sommer", "Winter", "Vogtel", "Bergau", "Holm", "Adler"];
        let mut rows = Vec::new();
        for at in 0..200usize {
            let (home, given) = (at / 2, GIVEN[(at * 3 + at / 8) % 8]);
            let row = [
                given.to_owned(),
                format!("{}{}", FAMILY[home % 7], ["", "er", "mann"][home / 7 % 3]),
                format!("19{}-{:02}-{:02}", 40 + at * 37 % 60, 1 + at * 5 % 12, 1 + at * 11 % 28),
                format!("{given}{at}@example.com"),
                if at % 5 == 0 { format!("CARD{at:05}") } else { String::new() },
                format!("{} {} Road", home * 7 % 90 + 3, ["Harbour", "Mill", "Garden"][home % 3]),
            ];
            let mut again = row.clone();
            again[4].clear();
            match at % 3 {
                0 => again[1].push('e'),
                1 => again[3].clear(),
                _ => again[2].clear(),
            }
            rows.extend([row, again]);
        }
        rows
    }

    fn table(rows: &[[String; 6]]) -> Table {
        let mut table = Table::new(&KINDS);
        for row in rows {
            table.push(row.iter().map(String::as_str));
        }
        table
    }

    fn model() -> Frozen {
        let headers = HEADERS.map(str::to_owned);
        train(table(&rows()), &headers, &Settings::shipped(), &mut |_, _| ()).unwrap()
    }

    fn records(model: &Frozen, rows: &[[String; 6]]) -> Records {
        let mut records = model.records();
        for (at, row) in rows.iter().enumerate() {
            records.push(&at.to_string(), row.iter().map(String::as_str));
        }
        records
    }

    fn total(why: &Why) -> f64 {
        why.prior + why.comparisons.iter().map(Weighed::bits).sum::<f64>() + why.relatives
    }

    #[test]
    fn the_parts_add_up_to_what_the_run_weighed_each_pair_with() {
        let (rows, settings) = (rows(), Settings::shipped());
        let clusters = super::super::run(table(&rows), &settings, &mut |_, _| ()).clusters;
        let mut whole = 0;
        judged(table(&rows), &settings, &mut |_, _| (), |it| {
            assert!(it.edges.len() >= 150, "{}", it.edges.len());
            for edge in it.edges {
                let [a, b] = [edge.a, edge.b].map(|row| it.order[row as usize] as usize);
                let why = it.why((a, b));
                assert!((why.bits - f64::from(edge.bits)).abs() < 1e-4, "{} {why:?}", edge.bits);
                assert!((total(&why) - why.bits).abs() < 1e-4, "{why:?}");
                assert!(why.compared && why.bits >= why.link && !why.rules.is_empty(), "{why:?}");
                assert_eq!(why.together, clusters[a] == clusters[b]);
                assert_eq!(why.through.last().map(|hop| hop.row), why.together.then_some(b));
                assert!((why.probability - 1.0 / (1.0 + (-why.bits).exp2())).abs() < 1e-9);
                whole += usize::from(why.through.len() == 1);
            }
            let strangers = it.why((0, 100));
            assert!(!strangers.together && strangers.through.is_empty() && strangers.apart.is_none(), "{strangers:?}");
            assert!((total(&strangers) - strangers.bits).abs() < 1e-4);
        });
        assert!(whole > 100, "{whole}");
    }

    #[test]
    fn of_a_few_rows_all_pairs_are_compared() {
        let few = &rows()[..60];
        judged(table(few), &Settings::shipped(), &mut |_, _| (), |it| {
            for edge in it.edges {
                let why = it.why((it.order[edge.a as usize] as usize, it.order[edge.b as usize] as usize));
                assert!(why.compared, "{why:?}");
            }
            let strangers = it.why((0, 31));
            assert!(strangers.compared && strangers.bits < strangers.link, "{strangers:?}");
        });
    }

    #[test]
    fn what_another_level_would_give_is_what_it_gives() {
        let (model, settings) = (model(), Settings::shipped());
        let mut rows = vec![rows()[2].clone(), rows()[2].clone()];
        let why = |rows: &[[String; 6]]| {
            model.explain(records(&model, rows), &Facts::default(), &settings, (0, 1), &mut |_, _| ())
        };
        let same = why(&rows);
        let birth = same.comparisons.iter().find(|it| it.name == "birth_date").unwrap();
        let told = |level: Option<&str>| birth.otherwise.iter().find(|it| it.level == level).unwrap();
        let (different, silent) = (told(Some("different")), told(None));
        rows[1][2] = "1971-10-30".to_owned();
        let other = why(&rows);
        assert!((other.bits - different.bits).abs() < 1e-4, "{} {}", other.bits, different.bits);
        assert_eq!(different.turns, (other.bits >= other.link) != (same.bits >= same.link));
        rows[1][2].clear();
        assert!((why(&rows).bits - silent.bits).abs() < 1e-4);
    }

    #[test]
    fn stewards_and_numbers_of_one_customer_stand_above_the_weights() {
        let (model, settings) = (model(), Settings::shipped());
        let mut rows = vec![rows()[0].clone(), rows()[1].clone(), rows()[0].clone()];
        let why = |rows: &[[String; 6]], facts: &Facts, pair| {
            model.explain(records(&model, rows), facts, &settings, pair, &mut |_, _| ())
        };
        let mut facts = Facts::default();
        assert!(why(&rows, &facts, (0, 1)).together);
        facts.keep("0", "1", Finding::Different).unwrap();
        let found = why(&rows, &facts, (0, 1));
        assert_eq!((found.found, found.together), (Some(Finding::Different), false));
        assert_eq!(found.apart, Some(Apart::Found), "{found:?}");
        rows[2][4] = "CARD99999".to_owned();
        let clash = why(&rows, &Facts::default(), (0, 2));
        assert_eq!(clash.contradictions, [["card00000".to_owned(), "card99999".to_owned()]]);
        assert!(!clash.together && clash.apart.is_none_or(|it| matches!(it, Apart::Contradiction(_))));
        // A steward's word ties what nothing else does, and the way leads over it.
        let strangers = vec![rows[0].clone(), super::tests::rows()[77].clone()];
        let mut facts = Facts::default();
        assert!(!why(&strangers, &facts, (0, 1)).together);
        facts.keep("0", "1", Finding::Same).unwrap();
        let tied = why(&strangers, &facts, (0, 1));
        assert_eq!((tied.found, tied.together, tied.through.len()), (Some(Finding::Same), true, 1), "{tied:?}");
        assert!(tied.bits < tied.link);
    }

    #[test]
    fn every_level_has_a_name() {
        assert!(comparisons().all(|name| !levels(name).is_empty()));
        assert_eq!((level("sex", 2), level("sex", 0)), (Some("different"), None));
    }
}
