//! `rules/linkage.toml`, checked.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::diagnose::Diagnostic;

/// What the batch matcher knows before it sees the data.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) compare: BTreeMap<String, Expected>,
    pub(super) learning: Learning,
    pub(super) clusters: Bounds,
    pub(super) streets: BTreeMap<String, String>,
    /// Sets by name: names that share a set may be one person's.
    pub(super) nicknames: FxHashMap<String, Vec<u16>>,
}

/// A comparison's levels before the data were seen.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub shared: bool,
    /// The shares of the levels, in the order of [`LEVELS`].
    pub shares: Vec<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Learning {
    /// Whether the shares of the levels are learned; how many pairs are expected is always.
    #[serde(default = "yes")]
    pub levels: bool,
    pub strength: f64,
    pub personal_differs_most: f64,
    pub random_pairs: usize,
    pub training_pairs: usize,
    pub rounds: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bounds {
    pub link: f64,
    pub low: f64,
    pub high: f64,
    pub component_most: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    compare: BTreeMap<String, Spanned<RawExpected>>,
    learning: Learning,
    clusters: Bounds,
    #[serde(default)]
    streets: BTreeMap<String, String>,
    nicknames: Nicknames,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpected {
    shared: bool,
    levels: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nicknames {
    sets: Vec<String>,
}

/// The comparisons and their levels from the strongest to "anything else", as the code counts them from 1.
pub(super) const LEVELS: &[(&str, &[&str])] = &[
    ("given_name", &["equal", "nickname", "initial", "slip", "alike", "swapped", "different"]),
    ("family_name", &["equal", "part", "initial", "slip", "alike", "swapped", "different"]),
    ("middle_name", &["equal", "initial", "different"]),
    ("birth_date", &["equal", "slip", "month_or_day", "day_and_month", "year", "different"]),
    ("identifier", &["equal", "slip", "two_slips", "different"]),
    ("email", &["equal", "slip", "same_mailbox", "alike", "different"]),
    ("phone", &["equal", "slip", "different"]),
    (
        "address",
        &[
            "place_and_unit",
            "place",
            "other_unit",
            "place_alike",
            "street",
            "street_alike",
            "other_number",
            "number",
            "part",
            "different",
        ],
    ),
    (
        "locality",
        &[
            "postcode",
            "postcode_other_city",
            "city_postcode_slip",
            "city",
            "city_other_postcode",
            "city_alike",
            "postcode_slip",
            "region",
            "different",
        ],
    ),
    ("name", WORDS),
    ("words", WORDS),
    ("sex", &["equal", "different"]),
    ("host", &["equal", "different"]),
    ("category", &["equal", "one_word", "different"]),
    ("number", &["equal", "close", "near", "different"]),
];

const WORDS: &[&str] = &["equal", "same_letters", "nearly_all", "contained", "most", "some", "few", "different"];

fn yes() -> bool {
    true
}

impl Settings {
    /// The same, that leans on the expected shares alone instead of learning them from the records.
    pub fn untrained(mut self) -> Self {
        self.learning.levels = false;
        self
    }

    /// The settings that come with the program.
    pub fn shipped() -> Self {
        Self::parse("rules/linkage.toml", include_str!("../../../rules/linkage.toml"))
            .expect("the shipped file is tested")
    }

    /// Reads a file of the same shape.
    pub fn parse(file: &str, text: &str) -> Result<Self, Diagnostic> {
        let raw: File = toml::from_str(text).map_err(|error| Diagnostic::from_toml(file, text, &error))?;
        let mut compare = BTreeMap::new();
        for (name, levels) in LEVELS {
            let given = raw
                .compare
                .get(*name)
                .ok_or_else(|| Diagnostic::at(file, text, &(0..0), format!("[compare.{name}] is missing")))?;
            let known: BTreeSet<&str> = levels.iter().copied().collect();
            let told: BTreeSet<&str> = given.get_ref().levels.keys().map(String::as_str).collect();
            if known != told {
                let told = format!("[compare.{name}] has the levels {}", levels.join(", "));
                return Err(Diagnostic::at(file, text, &given.span(), told));
            }
            let shares: Vec<f64> = levels.iter().map(|level| given.get_ref().levels[*level]).collect();
            if shares.iter().any(|share| !(*share > 0.0 && *share < 1.0)) {
                let told = format!("[compare.{name}] needs shares between 0 and 1");
                return Err(Diagnostic::at(file, text, &given.span(), told));
            }
            compare.insert((*name).to_owned(), Expected { shared: given.get_ref().shared, shares });
        }
        if let Some((name, given)) = raw.compare.iter().find(|(name, _)| !compare.contains_key(*name)) {
            let told = format!(
                "nothing called `{name}` is compared{}",
                crate::diagnose::suggest(name, compare.keys().map(String::as_str))
            );
            return Err(Diagnostic::at(file, text, &given.span(), told));
        }
        let mut nicknames: FxHashMap<String, Vec<u16>> = FxHashMap::default();
        for (number, set) in raw.nicknames.sets.iter().enumerate() {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            for name in set.split_whitespace() {
                nicknames.entry(name.to_owned()).or_default().push(number);
            }
        }
        Ok(Self { compare, learning: raw.learning, clusters: raw.clusters, streets: raw.streets, nicknames })
    }
}
