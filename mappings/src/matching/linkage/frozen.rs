//! What a run over many records learned, kept, so that others are judged by it later: all at once or one by one.

mod apply;
mod file;

pub use apply::Records;
pub(super) use apply::is_hub;
pub use file::MODEL_BYTES_MAX;

use rustc_hash::FxHashMap;

use super::block::{self, Part};
use super::calibrate::Aim;
use super::columns::Kind;
use super::features::Features;
use super::model::Weights;
use super::settings::Bounds;
use super::slots;
use super::table::{Shape, Table};
use super::{Progress, Settings, choose};
use crate::chinese::company::Company;

/// A value is counted by itself from so many records on: of two records that share a rarer one, nothing is lost.
const COUNT_LEAST: u32 = 3;

/// So many values of a feature are counted by themselves, the most frequent ones; a file stays small by it.
const VALUES_MAX: usize = 20_000;

/// A telephone number, an e-mail address or an identifier that more records bear than these belongs to nobody.
const HUB_MOST: usize = 40;

/// A learned model, apart from the records that it was learned from.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// Records that it was learned from.
    pub(super) rows: usize,
    /// Header and kind of each column, the record's key left out.
    pub(super) columns: Vec<(String, Kind)>,
    pub(super) shape: Shape,
    /// By the name of the feature, in the order of [`Features::slots`].
    pub(super) features: Vec<(String, Frequencies)>,
    /// The names of the comparisons, and what was learned of their levels.
    pub(super) comparisons: Vec<String>,
    pub(super) weights: Weights,
    /// The names of the parts of each blocking rule.
    pub(super) rules: Vec<Vec<String>>,
    /// Of each rule: more records than this behind one key are no reason to compare them.
    pub(super) most: Vec<usize>,
    /// The sources that were seen; the first one is none.
    pub(super) sources: Vec<String>,
    pub(super) hub_most: usize,
    pub(super) clusters: Bounds,
    /// What its bounds in the pipeline aim at, if it says.
    pub(super) aim: Option<Aim>,
}

/// How common the values of a feature were, and the words in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Frequencies {
    /// Records with any value.
    pub filled: u32,
    pub values: Counts,
    /// Where values are compared word by word.
    pub words: Option<Counts>,
    /// Where values are names of Chinese companies: of their 字号.
    pub brands: Option<Counts>,
}

/// Counts of the frequent ones and one for all others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub usual: u32,
    /// By the mark of the text: a model tells nobody's address.
    pub known: FxHashMap<u64, u32>,
}

impl Frequencies {
    /// How many records bear this word.
    pub(super) fn word(&self, word: &str) -> u32 {
        self.words.as_ref().map_or(2, |words| words.of(word))
    }

    /// How common the 字号 of a company is, 0 to 1; `enough` records are all.
    pub(super) fn brand(&self, company: Option<&Company>, enough: f64) -> f64 {
        let of = |company: &Company| self.brands.as_ref().map_or(2, |brands| brands.of(&company.brand));
        company.map_or(0.0, |company| f64::from(of(company)) / enough)
    }
}

/// A number for a text that is the same in every version of the program (FNV-1a).
pub(super) fn mark(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Counts {
    /// How many records bear this value. A blank at its end is no part of it.
    pub(super) fn of(&self, text: &str) -> u32 {
        self.known.get(&mark(text.trim_end())).copied().unwrap_or(self.usual)
    }

    /// Counts of texts as they were seen.
    fn learned<'a>(texts: impl Iterator<Item = &'a str>, counts: &[u32]) -> Self {
        let mut all: Vec<(u32, u64)> = Vec::new();
        // Of two records that share a value of no mark: how many bear it, on the mean over such pairs.
        let (mut pairs, mut bearers) = (0.0, 0.0);
        let mut rare = |count: u32| {
            let of = f64::from(count) * (f64::from(count) - 1.0);
            pairs += of;
            bearers += of * f64::from(count);
        };
        for (text, count) in texts.zip(counts).filter(|(text, _)| !text.is_empty()) {
            if *count >= COUNT_LEAST { all.push((*count, mark(text))) } else { rare(*count) }
        }
        all.sort_unstable_by(|x, y| y.cmp(x));
        all.iter().skip(VALUES_MAX).for_each(|(count, _)| rare(*count));
        all.truncate(VALUES_MAX);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Between two and the number of rows.
        let usual = if pairs > 0.0 { (bearers / pairs).round().max(2.0) as u32 } else { 2 };
        Self { usual, known: all.into_iter().map(|(count, mark)| (mark, count)).collect() }
    }
}

/// The name of a feature as it stands in a file: `phone.2` for the second column of telephone numbers.
pub(super) fn told((name, at): slots::Name) -> String {
    if at == 0 { name.to_owned() } else { format!("{name}.{}", at + 1) }
}

/// The name of a part of a blocking rule: `family_name/sound`.
pub(super) fn part((name, at, form): block::Name) -> String {
    format!("{}/{form}", told((name, at)))
}

/// Learns a model from a table; `headers` of its columns. Fails if there is nothing to learn from.
pub fn train(
    mut table: Table,
    headers: &[String],
    settings: &Settings,
    progress: Progress<'_>,
) -> Result<Frozen, String> {
    table.settle();
    let rows = table.rows();
    let column = |((header, kind), column): ((&String, &Kind), &super::table::Column)| {
        let is_compared = !matches!(kind, Kind::RecordId | Kind::Ignore) && column.values.len() > 1;
        is_compared.then(|| (header.clone(), *kind))
    };
    let columns = headers.iter().zip(&table.kinds).zip(&table.columns).filter_map(column).collect();
    let learned = super::learned(table, settings, progress, |learned, _| {
        let weights = learned.model.weights(learned.comparer);
        let comparisons = learned.comparer.comparisons.iter().map(|it| it.name.to_owned()).collect();
        let rules = learned.rules.iter().map(|rule| rule.iter().map(|name| part(*name)).collect()).collect();
        (weights, comparisons, (rules, learned.most.to_vec()))
    });
    let (mut features, (weights, comparisons, (rules, most))) =
        learned.ok_or("there is nothing to learn from: two records with a value are the least")?;
    let sources = features.source.as_ref().map_or(Vec::new(), |it| it.values.iter().map(str::to_owned).collect());
    features.name_places();
    let frequencies = |(name, mut slot): (slots::Name, slots::Slot<'_>)| {
        let feature = slot.feature();
        let (filled, values) = (feature.filled, Counts::learned(feature.values.iter(), &feature.counts));
        let (words, brands) = match &slot {
            slots::Slot::Worded(worded) => {
                let (brands, counts): (Vec<&str>, Vec<u32>) = worded.brand_counts().into_iter().unzip();
                let brands = (!brands.is_empty()).then(|| Counts::learned(brands.into_iter(), &counts));
                (Some(Counts::learned(worded.texts.iter(), &worded.counts)), brands)
            }
            _ => (None, None),
        };
        (told(name), Frequencies { filled, values, words, brands })
    };
    let frozen = Frozen {
        rows,
        columns,
        shape: features.shape.clone(),
        features: features.slots().into_iter().map(frequencies).collect(),
        comparisons,
        weights: weights.rounded(),
        rules,
        sources,
        most,
        hub_most: HUB_MOST,
        clusters: settings.clusters.clone(),
        aim: None,
    };
    Ok(frozen)
}

impl Frozen {
    /// Header and kind of each column that is compared.
    pub fn columns(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.columns.iter().map(|(header, kind)| (header.as_str(), *kind))
    }

    /// Records that it was learned from.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What its bounds in the pipeline aim at, if it says.
    pub fn aim(&self) -> Option<&Aim> {
        self.aim.as_ref()
    }

    /// The same that aims at this.
    #[must_use]
    pub fn aiming(self, aim: Aim) -> Self {
        Self { aim: Some(aim), ..self }
    }

    /// An empty table: the record's key first, then the columns of the model.
    pub(super) fn table(&self) -> Table {
        let kinds: Vec<Kind> =
            std::iter::once(Kind::RecordId).chain(self.columns.iter().map(|(_, kind)| *kind)).collect();
        let mut table = Table::new(&kinds);
        table.shape = Some(self.shape.clone());
        table
    }

    /// The features of a table of this model, how common they are as it was learned.
    pub(super) fn features(&self, table: &Table, settings: &Settings) -> Features {
        let mut features = Features::of(table, &settings.streets);
        features.retain(|name, _| self.features.iter().any(|(known, _)| known == name));
        for ((_, mut slot), (_, known)) in features.slots().into_iter().zip(&self.features) {
            slot.settle(known);
        }
        features
    }

    /// The blocking rules as places in `parts`.
    pub(super) fn rules(&self, parts: &[Part<'_>]) -> Vec<Vec<usize>> {
        let names: FxHashMap<String, usize> = parts.iter().enumerate().map(|(at, it)| (part(it.name), at)).collect();
        let rule = |rule: &Vec<String>| rule.iter().filter_map(|name| names.get(name).copied()).collect();
        self.rules.iter().map(rule).collect()
    }

    /// The number of a source; those that were not seen all have one that no pair of sources has.
    pub(super) fn source(&self, name: &str) -> u32 {
        self.sources.iter().position(|it| it == name).map_or(u32::MAX, choose::number)
    }
}
