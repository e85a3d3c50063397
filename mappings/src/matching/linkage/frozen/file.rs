//! A model as a file: JSON, with a version, and checked when it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::block;
use super::super::calibrate::Aim;
use super::super::choose::number;
use super::super::columns::Kind;
use super::super::compare::Comparer;
use super::super::features::Features;
use super::super::model::Weights;
use super::super::settings::{Bounds, LEVELS, Settings};
use super::super::table::Shape;
use super::{Counts, Frequencies, Frozen, part, told};

/// The only version there is.
const VERSION: u32 = 1;

/// What every such file says of itself.
const FORMAT: &str = "huiliu-match-model";

/// A longer file is refused unread: the fullest model of thirty columns is a fifth of it.
pub const MODEL_BYTES_MAX: u64 = 64 << 20;

/// Pairs of sources.
const SOURCES_MAX: usize = 100_000;

/// Logarithms beyond this are no shares of anything.
const BITS_MAX: f64 = 64.0;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    rows: u32,
    columns: Vec<Column>,
    shape: Shape,
    comparisons: Vec<Levels>,
    prior: f64,
    related: f64,
    sources: Vec<String>,
    /// Two sources and the bits for one customer of a pair out of them.
    priors: Vec<(u32, u32, f64)>,
    rules: Vec<Rule>,
    hub_most: u32,
    clusters: Bounds,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aim: Option<Aim>,
    features: Vec<Feature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    header: String,
    kind: String,
}

/// A blocking rule: the names of its parts, and how many records behind one key are compared at most.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    parts: Vec<String>,
    most: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Levels {
    name: String,
    shared: bool,
    same: Vec<f64>,
    strangers: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Feature {
    name: String,
    filled: u32,
    values: Marked,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<Marked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    brands: Option<Marked>,
}

/// Counts by the marks of values, and that of all others.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marked {
    usual: u32,
    counts: BTreeMap<String, u32>,
}

impl Marked {
    fn of(counts: &Counts) -> Self {
        let marks = counts.known.iter().map(|(mark, count)| (format!("{mark:016x}"), *count));
        Self { usual: counts.usual, counts: marks.collect() }
    }

    fn counts(&self, at: &str) -> Result<Counts, String> {
        if self.usual == 0 || self.counts.values().any(|count| *count == 0) {
            return Err(format!("`{at}` has a count of 0"));
        }
        let known = self.counts.iter().map(|(mark, count)| {
            let number = u64::from_str_radix(mark, 16);
            number.map(|number| (number, *count)).map_err(|_| format!("`{at}`: `{mark}` is not the mark of a value"))
        });
        Ok(Counts { usual: self.usual, known: known.collect::<Result<_, _>>()? })
    }
}

impl Frozen {
    /// The model as the text of a file, the same for the same model.
    pub fn to_json(&self) -> String {
        let column = |(header, kind): &(String, Kind)| Column { header: header.clone(), kind: kind.word().to_owned() };
        let levels = self.comparisons.iter().zip(&self.weights.levels).zip(&self.weights.shared);
        let feature = |(name, it): &(String, Frequencies)| Feature {
            name: name.clone(),
            filled: it.filled,
            values: Marked::of(&it.values),
            words: it.words.as_ref().map(Marked::of),
            brands: it.brands.as_ref().map(Marked::of),
        };
        let rule = |(parts, most): (&Vec<String>, &usize)| Rule { parts: parts.clone(), most: number(*most) };
        let file = File {
            format: FORMAT.to_owned(),
            version: VERSION,
            rows: number(self.rows),
            columns: self.columns.iter().map(column).collect(),
            shape: self.shape.clone(),
            comparisons: levels
                .map(|((name, [same, strangers]), shared)| Levels {
                    name: name.clone(),
                    shared: *shared,
                    same: same.clone(),
                    strangers: strangers.clone(),
                })
                .collect(),
            prior: self.weights.odds.usual,
            related: self.weights.odds.related,
            sources: self.sources.clone(),
            priors: self.weights.odds.same.iter().map(|((x, y), bits)| (*x, *y, *bits)).collect(),
            rules: self.rules.iter().zip(&self.most).map(rule).collect(),
            hub_most: number(self.hub_most),
            clusters: self.clusters.clone(),
            aim: self.aim.clone(),
            features: self.features.iter().map(feature).collect(),
        };
        serde_json::to_string_pretty(&file).expect("numbers and texts become JSON") + "\n"
    }

    /// Reads such a file; the error says what is wrong with it and what to do.
    pub fn parse(text: &str, settings: &Settings) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let damaged = |what: String| format!("the model is damaged: {what}; `huiliu match train` makes a new one");
        match serde_json::from_str::<Head>(text) {
            Ok(head) if head.format == FORMAT && head.version == VERSION => {}
            Ok(head) if head.format == FORMAT => {
                let version = head.version;
                return Err(format!(
                    "the model has version {version}, this program reads {VERSION}; `huiliu match train` makes a new one"
                ));
            }
            // Cut off, or edited by hand.
            Err(error) if text.contains(FORMAT) => return Err(damaged(error.to_string())),
            _ => return Err("this is not a model; `huiliu match train` makes one".to_owned()),
        }
        let file: File = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        let frozen = file.checked().map_err(damaged)?;
        frozen.fits(settings).map_err(damaged)?;
        Ok(frozen)
    }

    /// Whether this program compares and blocks by what the model knows.
    fn fits(&self, settings: &Settings) -> Result<(), String> {
        let known: Vec<&str> = self.features.iter().map(|(name, _)| name.as_str()).collect();
        let mut features = Features::of(&self.table(), &settings.streets);
        features.retain(|name, _| known.contains(&name));
        let names: Vec<String> = features.slots().into_iter().map(|(name, _)| told(name)).collect();
        if names != known {
            return Err(format!("the columns bring {}, the model has {}", names.join(", "), known.join(", ")));
        }
        let compared: Vec<&str> = Comparer::new(&features, settings).comparisons.iter().map(|it| it.name).collect();
        if compared != self.comparisons {
            let known = self.comparisons.join(", ");
            return Err(format!("the columns are compared by {}, the model has {known}", compared.join(", ")));
        }
        let parts: Vec<String> = block::parts(&features, self.rows).into_iter().map(|it| part(it.name)).collect();
        match self.rules.iter().flatten().find(|name| !parts.contains(name)) {
            Some(name) => Err(format!("no part of a blocking rule is called `{name}`")),
            None => Ok(()),
        }
    }
}

impl File {
    fn checked(self) -> Result<Frozen, String> {
        let (comparisons, weights) = self.weights()?;
        let columns = self.columns.into_iter().map(|it| Ok((it.header, Kind::parse(&it.kind)?)));
        let columns: Vec<(String, Kind)> = columns.collect::<Result<_, String>>()?;
        if let Some((_, kind)) = columns.iter().find(|(_, kind)| matches!(kind, Kind::RecordId | Kind::Ignore)) {
            return Err(format!("a column of the kind `{}` is not compared", kind.word()));
        }
        if self.rules.iter().any(|rule| rule.parts.is_empty() || rule.parts.len() > 3) {
            return Err("a blocking rule has one part to three".to_owned());
        }
        let features = self.features.into_iter().map(|it| {
            let counts = |of: Option<Marked>| of.map(|of| of.counts(&it.name)).transpose();
            let (values, words, brands) = (it.values.counts(&it.name)?, counts(it.words)?, counts(it.brands)?);
            Ok((it.name, Frequencies { filled: it.filled, values, words, brands }))
        });
        Ok(Frozen {
            rows: self.rows as usize,
            columns,
            shape: self.shape,
            features: features.collect::<Result<_, String>>()?,
            comparisons,
            weights,
            most: self.rules.iter().map(|rule| in_bounds("most", rule.most, 10_000)).collect::<Result<_, _>>()?,
            rules: self.rules.into_iter().map(|rule| rule.parts).collect(),
            sources: self.sources,
            hub_most: in_bounds("hub_most", self.hub_most, 10_000)?,
            clusters: Bounds {
                link: bits("link", self.clusters.link)?,
                low: bits("low", self.clusters.low)?,
                high: bits("high", self.clusters.high)?,
                component_most: number(in_bounds("component_most", self.clusters.component_most, 5_000)?),
            },
            aim: self.aim.map(aimed).transpose()?,
        })
    }

    fn weights(&self) -> Result<(Vec<String>, Weights), String> {
        let mut weights = Weights::default();
        for it in &self.comparisons {
            let levels = LEVELS.iter().find(|(name, _)| *name == it.name).map(|(_, levels)| levels.len());
            if levels != Some(it.same.len()) || levels != Some(it.strangers.len()) {
                return Err(format!("the comparison `{}` has other levels", it.name));
            }
            it.same.iter().chain(&it.strangers).try_for_each(|log| bits(&it.name, *log).map(|_| ()))?;
            weights.levels.push([it.same.clone(), it.strangers.clone()]);
            weights.shared.push(it.shared);
        }
        weights.odds.usual = bits("prior", self.prior)?;
        weights.odds.related = bits("related", self.related)?;
        if self.priors.len() > SOURCES_MAX {
            return Err(format!("{} pairs of sources, {SOURCES_MAX} at most", self.priors.len()));
        }
        for (x, y, prior) in &self.priors {
            let known = |it: u32| it == 0 || (it as usize) < self.sources.len();
            if x > y || !known(*x) || !known(*y) {
                return Err(format!("there are no sources {x} and {y}"));
            }
            weights.odds.same.insert((*x, *y), bits("priors", *prior)?);
        }
        Ok((self.comparisons.iter().map(|it| it.name.clone()).collect(), weights))
    }
}

fn aimed(aim: Aim) -> Result<Aim, String> {
    if !(0.0..1.0).contains(&aim.precision) {
        return Err(format!("`precision` is {}, not a share below 1", aim.precision));
    }
    if let Some([link, review]) = aim.bounds
        && bits("bounds", link)? < bits("bounds", review)?
    {
        return Err("`bounds` are the link and the question, which is not above it".to_owned());
    }
    Ok(aim)
}

fn bits(what: &str, bits: f64) -> Result<f64, String> {
    if bits.abs() <= BITS_MAX { Ok(bits) } else { Err(format!("`{what}`: {bits} bits is out of bounds")) }
}

fn in_bounds(what: &str, number: u32, most: u32) -> Result<usize, String> {
    if (2..=most).contains(&number) {
        Ok(number as usize)
    } else {
        Err(format!("`{what}` is {number}, not 2 to {most}"))
    }
}
