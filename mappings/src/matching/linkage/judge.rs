//! A learned model as the pipeline asks it: a handful of records side by side, each of one row or several (a customer has
//! several addresses, and several systems tell of her), and what each comparison says of two of them.
//!
//! Batch matching, record by record in memory and the pipeline so compare by one and the same code and the same weights.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use super::columns::Kind;
use super::compare::{COMPARISONS_MAX, Comparer, Outcome, are_two};
use super::features::{Features, Spelled};
use super::forms;
use super::frozen::Frozen;
use super::model::{Model, count};
use super::settings::{LEVELS, Settings};
use super::table::Place;
use crate::chinese::person;

/// A model that is kept ready.
#[derive(Debug)]
pub(in crate::matching) struct Judge {
    model: Frozen,
    weights: Model,
    settings: Settings,
    /// Where the columns of the model are among those that records have cells for.
    columns: Vec<usize>,
}

/// What the names in a comparison say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::matching) enum Says {
    /// Nothing against one customer.
    Nothing,
    /// Perhaps two people: names that are only alike, another family name.
    Doubt,
    /// Two people, or two organisations.
    Two,
}

/// What one comparison says of two records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::matching) struct Said {
    /// The comparison's name in `rules/linkage.toml`.
    pub name: &'static str,
    /// Its level there.
    pub level: &'static str,
    /// Bits for one customer and against two strangers.
    pub bits: f64,
    /// Whether members of one household, or of one organisation, may have it in common.
    pub is_shared: bool,
    /// What it says where it compares names.
    pub says: Says,
    /// Whether it compares what many have in common: a name, a town.
    pub is_common: bool,
}

/// Comparisons that belong together: the parts of a name, and of an address, are those of one row.
const TOGETHER: [&[&str]; 2] = [&["given_name", "middle_name", "family_name"], &["address", "locality"]];

/// A slip in a shorter name is as often another name: Lina and Lisa.
const SLIP_LETTERS_MIN: usize = 5;

/// No part of a name in pinyin is taken for rarer than this, as none in characters is.
const PINYIN_SHARE: f64 = 1.0 / 64.0;

/// Levels of a part of a name, as the code counts them.
const EQUAL: u8 = 1;
const SLIP: u8 = 4;
const ALIKE: u8 = 5;

impl Judge {
    /// Keeps a model ready for records that have cells for these columns.
    ///
    /// # Errors
    /// The model compares a column that is not among them.
    pub(in crate::matching) fn new(model: Frozen, offered: &[(&str, Kind)]) -> Result<Self, String> {
        let mut columns = Vec::with_capacity(offered.len());
        for (header, kind) in model.columns() {
            let Some(at) = offered.iter().position(|it| *it == (header, kind)) else {
                let known: Vec<&str> = offered.iter().map(|(header, _)| *header).collect();
                let (kind, known) = (kind.word(), known.join(", "));
                return Err(format!(
                    "the model has the column `{header}` ({kind}); a model of customers has no others than {known}"
                ));
            };
            columns.push(at);
        }
        Ok(Self { weights: Model::known(&model.weights, Vec::new()), model, settings: Settings::shipped(), columns })
    }

    /// The model itself.
    pub(in crate::matching) fn model(&self) -> &Frozen {
        &self.model
    }

    /// Whether the names tell two people apart whose given names these are and whose family name is one; never by a model
    /// that does not compare both.
    pub(in crate::matching) fn tells_apart(&self, a: &str, b: &str) -> bool {
        let compared = self.model.comparisons.iter().map(String::as_str);
        compared.take(2).eq(["given_name", "family_name"]) && are_two(a, b, &self.settings.nicknames)
    }

    /// House number and street of an address, none if it does not tell both.
    pub(in crate::matching) fn house(&self, line: &str) -> Option<[String; 2]> {
        let [number, street, _] = forms::address(line, &self.settings.streets);
        (!number.is_empty() && !street.is_empty()).then_some([number, street])
    }

    /// Bits for one customer among so many before anything of a pair is compared, and for relatives. Of twice as many customers
    /// there are four times as many pairs, and twice as many of one customer.
    pub(in crate::matching) fn chances(&self, customers: u32) -> [f64; 2] {
        let more = (f64::from(customers) / count(self.model.rows)).log2();
        [self.model.weights.odds.usual - more, self.model.weights.odds.related - more]
    }

    /// Puts rows side by side; each has a cell for each column that is offered.
    pub(in crate::matching) fn sheet(&self, rows: &[Vec<Cow<'_, str>>]) -> Sheet<'_> {
        let mut table = self.model.table();
        for row in rows {
            let cells = self.columns.iter().map(|at| row[*at].as_ref());
            table.push(std::iter::once("").chain(cells));
        }
        let features = self.model.features(&table, &self.settings);
        Sheet { judge: self, features, places: table.places }
    }
}

/// Rows side by side.
pub(in crate::matching) struct Sheet<'j> {
    judge: &'j Judge,
    features: Features,
    places: Vec<Place>,
}

/// The best of some comparisons so far: the sum of their bits, and the outcome of each.
#[derive(Clone, Copy)]
struct Best {
    /// Whether its first comparison speaks: where a given name is told, one that is not hides nothing.
    is_telling: bool,
    bits: f64,
    outcomes: [Outcome; COMPARISONS_MAX],
}

impl Sheet<'_> {
    /// What each comparison says of two records, at its best over their rows; what is silent is left out. Whichever of the two
    /// comes first, it is the same.
    pub(in crate::matching) fn weigh(&self, mine: Range<usize>, theirs: &Range<usize>) -> Vec<Said> {
        let comparer = Comparer::new(&self.features, &self.judge.settings);
        let groups = groups(&comparer);
        let mut best: Vec<Option<Best>> = vec![None; groups.len()];
        let mut out = [Outcome::SILENT; COMPARISONS_MAX];
        for a in mine {
            for b in theirs.clone() {
                // In an order that the rows decide by what they say.
                let (a, b) = if self.places[a] <= self.places[b] { (a, b) } else { (b, a) };
                comparer.compare(a, b, &mut out);
                self.temper((a, b), &comparer, &mut out);
                for (best, group) in best.iter_mut().zip(&groups) {
                    self.keep_best(best, group.clone(), &out);
                }
            }
        }
        let mut weighed = Vec::with_capacity(comparer.comparisons.len());
        for (best, group) in best.iter().zip(groups) {
            let Some(best) = best else { continue };
            let spoken = group.filter(|at| best.outcomes[*at].level > 0);
            weighed.extend(spoken.map(|at| self.told(comparer.comparisons[at].name, at, best.outcomes[at])));
        }
        weighed
    }

    /// Takes a slip in a short name for no more than a likeness, and an equal name in pinyin for no rarer than one in
    /// characters: each stands for many of these.
    fn temper(&self, (a, b): (usize, usize), of: &Comparer<'_>, out: &mut [Outcome; COMPARISONS_MAX]) {
        for (outcome, comparison) in out.iter_mut().zip(&of.comparisons) {
            let Some(names) = self.names(comparison.name).filter(|_| outcome.level > 0) else { continue };
            let letters = |row: usize| names.letters(names.feature.ids[row] as usize).len();
            match outcome.level {
                SLIP if letters(a).min(letters(b)) < SLIP_LETTERS_MIN => *outcome = Outcome::of(ALIKE),
                EQUAL if outcome.share < PINYIN_SHARE && person::sound(names.feature.get(a)).is_some() => {
                    *outcome = Outcome::equal(EQUAL, PINYIN_SHARE);
                }
                _ => {}
            }
        }
    }

    fn names(&self, comparison: &str) -> Option<&Spelled> {
        match comparison {
            "given_name" => self.features.given.as_ref(),
            "family_name" => self.features.family.as_ref(),
            _ => None,
        }
    }

    fn keep_best(&self, best: &mut Option<Best>, group: Range<usize>, out: &[Outcome; COMPARISONS_MAX]) {
        if group.clone().all(|at| out[at].level == 0) {
            return;
        }
        let is_telling =
            self.names(self.judge.model.comparisons[group.start].as_str()).is_some() && out[group.start].level > 0;
        let bits: f64 = group.clone().map(|at| self.judge.weights.weigh(at, out[at])).sum();
        let levels = |outcomes: &[Outcome]| group.clone().map(|at| outcomes[at].level).collect::<Vec<u8>>();
        let is_better = best.is_none_or(|it| match is_telling.cmp(&it.is_telling).then(bits.total_cmp(&it.bits)) {
            Ordering::Equal => levels(out) < levels(&it.outcomes),
            order => order == Ordering::Greater,
        });
        if is_better {
            *best = Some(Best { is_telling, bits, outcomes: *out });
        }
    }

    fn told(&self, name: &'static str, at: usize, outcome: Outcome) -> Said {
        let words = LEVELS.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, words)| words);
        let level = words.get(usize::from(outcome.level) - 1).copied().unwrap_or_default();
        Said {
            name,
            level,
            bits: self.judge.weights.weigh(at, outcome),
            is_shared: self.judge.model.weights.shared.get(at).copied().unwrap_or_default(),
            says: says(name, level, outcome),
            is_common: matches!(name, "given_name" | "middle_name" | "family_name" | "name" | "locality"),
        }
    }
}

/// Comparisons that stand together, as places.
fn groups(of: &Comparer<'_>) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, it) in of.comparisons.iter().enumerate() {
        let beside = |other: &str| TOGETHER.iter().any(|group| group.contains(&it.name) && group.contains(&other));
        match groups.last_mut() {
            Some(last) if beside(of.comparisons[last.start].name) => last.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

fn says(name: &str, level: &str, outcome: Outcome) -> Says {
    match (name, level) {
        ("given_name" | "name", "different") | ("name", "few") => Says::Two,
        ("family_name", "different") | ("name", "some") => Says::Doubt,
        // What sounds or looks alike in Chinese has a share; elsewhere a likeness is as often another name.
        ("given_name" | "family_name", "alike") if outcome.share == 0.0 => Says::Doubt,
        _ => Says::Nothing,
    }
}
