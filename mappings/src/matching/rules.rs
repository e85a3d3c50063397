//! `rules/match.toml`, checked and compiled to tables.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::Evidence;
use super::blocks::Block;
use super::features::line_type;
use crate::chinese::ids;
use crate::diagnose::Diagnostic;
use crate::value::Identity;

/// How far an equal identity goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Strength {
    Weak,
    Medium,
    Strong,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityRule {
    pub strength: Strength,
    #[serde(default)]
    pub conflicts: bool,
    #[serde(default)]
    pub shared: bool,
    #[serde(default)]
    pub claim: bool,
    pub of: Option<String>,
    pub scope: Option<Scope>,
}

/// Whether a value means something only inside of an account, a corp or an app, which stands before its first colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scope {
    /// Without it the value is no evidence.
    Needed,
    /// Values without it are of one account.
    Optional,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    Identity,
    Kind,
    Name,
    BirthDate,
    Company,
    Organization,
    City,
}

impl Measure {
    pub(super) const ALL: [Self; 7] =
        [Self::Identity, Self::Kind, Self::Name, Self::BirthDate, Self::Company, Self::Organization, Self::City];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Kind => "kind",
            Self::Name => "name",
            Self::BirthDate => "birth_date",
            Self::Company => "company",
            Self::Organization => "organization",
            Self::City => "city",
        }
    }

    /// The levels that this comparison can reach, from the strongest to "anything else".
    fn levels(self) -> &'static [Level] {
        match self {
            Self::Identity => &[Level::Strong, Level::Medium, Level::Conflict],
            Self::Kind => &[Level::Different],
            Self::Name => &[Level::Same, Level::Similar, Level::Partial, Level::Different],
            Self::BirthDate | Self::Company | Self::Organization => &[Level::Same, Level::Similar, Level::Different],
            Self::City => &[Level::Same, Level::Different],
        }
    }
}

/// How well two values agree, from the weakest up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Conflict,
    Different,
    Partial,
    Similar,
    Same,
    Medium,
    Strong,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Different => "different",
            Self::Partial => "partial",
            Self::Similar => "similar",
            Self::Same => "same",
            Self::Medium => "medium",
            Self::Strong => "strong",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    identities: BTreeMap<String, IdentityRule>,
    #[serde(default)]
    mailboxes: Mailboxes,
    phones: Option<Phones>,
    #[serde(default)]
    dates: Dates,
    #[serde(default, rename = "block")]
    blocks: Vec<BlockFile>,
    compare: BTreeMap<Measure, Spanned<BTreeMap<Level, f64>>>,
    thresholds: Thresholds,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mailboxes {
    shared: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Phones {
    landline: Strength,
    toll_free: Strength,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dates {
    unknown: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockFile {
    fields: Spanned<Vec<BlockField>>,
}

/// What blocks are made of: values of which a record has at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BlockField {
    Name,
    BirthDate,
    Company,
    Organization,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Thresholds {
    link: Spanned<f64>,
    review: Spanned<f64>,
}

/// Matching rules, compiled.
#[derive(Clone, Debug)]
pub struct Rules {
    identities: BTreeMap<String, IdentityRule>,
    shared_mailboxes: BTreeSet<String>,
    phones: Phones,
    pub(super) unknown_dates: BTreeSet<String>,
    pub(super) blocks: Vec<Block>,
    weights: [[f64; 7]; 7],
    pub(super) link: f64,
    pub(super) review: f64,
}

impl Rules {
    /// The rules that ship with the hub.
    pub fn shipped() -> Self {
        // The shipped file is part of the program and parsed by a test; without it nothing would link.
        Self::parse("match.toml", include_str!("../../rules/match.toml")).unwrap_or_else(|_| Self {
            identities: BTreeMap::new(),
            shared_mailboxes: BTreeSet::new(),
            phones: Phones { landline: Strength::Weak, toll_free: Strength::Weak },
            unknown_dates: BTreeSet::new(),
            blocks: Vec::new(),
            weights: [[0.0; 7]; 7],
            link: f64::INFINITY,
            review: f64::INFINITY,
        })
    }

    /// Compiles a rules file. Every comparison states a weight for each level that it can reach, and none for others.
    ///
    /// # Errors
    /// All mistakes found, each with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let parsed: File = toml::from_str(text).map_err(|error| vec![Diagnostic::from_toml(file, text, &error)])?;
        let mut mistakes = Vec::new();
        let mut wrong = |place: std::ops::Range<usize>, message: String| {
            mistakes.push(Diagnostic::at(file, text, &place, message));
        };
        let mut weights = [[0.0; 7]; 7];
        for measure in Measure::ALL {
            let Some(levels) = parsed.compare.get(&measure) else {
                wrong(0..0, format!("`[compare.{}]` is missing: give each level its weight", measure.word()));
                continue;
            };
            for message in weigh(measure, levels.get_ref(), &mut weights[measure as usize]) {
                wrong(levels.span(), message);
            }
        }
        for (kind, rule) in &parsed.identities {
            // A claim of a claim would be compared with nothing.
            let of = rule.of.as_deref().map(|of| parsed.identities.get(of));
            if of.is_some_and(|of| of.is_none_or(|base| base.of.is_some())) {
                wrong(0..0, format!("`identities.{kind}`: `of` names no kind of identity that stands for itself"));
            }
        }
        for block in parsed.blocks.iter().filter(|block| block.fields.get_ref().is_empty()) {
            wrong(block.fields.span(), "a block needs at least one field".to_owned());
        }
        let (link, review) = (*parsed.thresholds.link.get_ref(), *parsed.thresholds.review.get_ref());
        if !link.is_finite() || !review.is_finite() || review > link {
            let message = "`review` must be a number not above `link`, or nothing would ever be reviewed";
            wrong(parsed.thresholds.review.span(), message.to_owned());
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self {
            identities: parsed.identities,
            shared_mailboxes: parsed.mailboxes.shared,
            phones: parsed.phones.unwrap_or(Phones { landline: Strength::Medium, toll_free: Strength::Weak }),
            unknown_dates: parsed.dates.unknown,
            blocks: parsed.blocks.into_iter().map(|block| Block::new(block.fields.into_inner())).collect(),
            weights,
            link,
            review,
        })
    }

    /// Whether the rules name this kind of identity. Others are never evidence, which is worth a warning to whoever
    /// declares one in a mapping file of customers.
    pub fn knows(&self, kind: &str) -> bool {
        self.identities.contains_key(kind)
    }

    pub(super) fn identity(&self, kind: &str) -> Option<&IdentityRule> {
        self.identities.get(kind)
    }

    /// Whether these are the words of somebody who proved nothing: an identity of its record says so.
    pub(super) fn is_claim(&self, evidence: &Evidence) -> bool {
        let marked = |identity: &Identity| self.identity(identity.kind.as_str()).is_some_and(|rule| rule.claim);
        evidence.identities.iter().any(marked)
    }

    /// The kind whose values a claimed identity is compared with; any other kind stands for itself.
    pub(super) fn base<'a>(&'a self, kind: &'a str) -> &'a str {
        self.identity(kind).and_then(|rule| rule.of.as_deref()).unwrap_or(kind)
    }

    /// Whether two identities name the same, claimed or not; an organisation has one number in several forms.
    pub(super) fn same(&self, a: &Identity, b: &Identity) -> bool {
        let kinds = a.kind == b.kind || self.base(a.kind.as_str()) == self.base(b.kind.as_str());
        kinds && (a.value == b.value || self.number(a).is_some_and(|number| self.number(b) == Some(number)))
    }

    /// What the forms of one number have in common: the organisation code in a tax number, the newer form of the number of a
    /// resident's card. `None` for other kinds, and for numbers with a wrong check character.
    pub(super) fn number(&self, identity: &Identity) -> Option<String> {
        match self.base(identity.kind.as_str()) {
            "tax_id" => ids::organization(&ids::clean(&identity.value)).map(str::to_owned),
            "resident_id" => ids::resident(&ids::clean(&identity.value)),
            _ => None,
        }
    }

    /// What stands before the colon of a value that has a scope; empty where none is told.
    pub(super) fn scope<'a>(&self, identity: &'a Identity) -> &'a str {
        let is_scoped = self.identity(identity.kind.as_str()).is_some_and(|rule| rule.scope.is_some());
        identity.value.split_once(':').filter(|_| is_scoped).map_or("", |(scope, _)| scope)
    }

    /// Whether this is a number with a wrong check character: mistyped or made up, and no evidence.
    fn is_mistaken(&self, identity: &Identity) -> bool {
        let kind = self.base(identity.kind.as_str());
        matches!(kind, "tax_id" | "resident_id") && ids::is_mistaken(&ids::clean(&identity.value))
    }

    /// Whether a customer has only one value of this kind, and this is a right one.
    pub(super) fn is_only_one(&self, identity: &Identity) -> bool {
        self.identity(identity.kind.as_str()).is_some_and(|rule| rule.conflicts) && !self.is_mistaken(identity)
    }

    /// The strength of an identity in the mouth of this evidence, which may tell what kind of line a phone is.
    pub(super) fn strength(&self, identity: &Identity, evidence: &Evidence) -> Strength {
        let Some(rule) = self.identities.get(identity.kind.as_str()) else { return Strength::Weak };
        if self.is_mistaken(identity) || (rule.scope == Some(Scope::Needed) && self.scope(identity).is_empty()) {
            return Strength::Weak;
        }
        match self.base(identity.kind.as_str()) {
            "email" if self.is_shared_mailbox(&identity.value) => Strength::Weak,
            "phone" => match line_type(evidence, &identity.value) {
                "landline" => rule.strength.min(self.phones.landline),
                "toll_free" => rule.strength.min(self.phones.toll_free),
                "virtual" | "masked" => Strength::Weak,
                _ => rule.strength,
            },
            _ => rule.strength,
        }
    }

    fn is_shared_mailbox(&self, address: &str) -> bool {
        let local = address.split(['@', '+']).next().unwrap_or(address);
        self.shared_mailboxes.contains(local)
    }

    pub(super) fn weight(&self, measure: Measure, level: Level) -> f64 {
        self.weights[measure as usize][level as usize]
    }
}

fn weigh(measure: Measure, given: &BTreeMap<Level, f64>, weights: &mut [f64; 7]) -> Vec<String> {
    let name = measure.word();
    let words: Vec<&str> = measure.levels().iter().map(|level| level.word()).collect();
    let mut wrong = Vec::new();
    for level in given.keys().filter(|level| !measure.levels().contains(level)) {
        wrong.push(format!("`{name}` never reaches the level `{}`; its levels are {}", level.word(), words.join(", ")));
    }
    let mut above = f64::INFINITY;
    for &level in measure.levels() {
        match given.get(&level) {
            None => wrong.push(format!(
                "`{name}` lacks a weight for the level `{}`; its levels are {}",
                level.word(),
                words.join(", ")
            )),
            Some(weight) if !weight.is_finite() => {
                wrong.push(format!("`{name}.{}` is not a finite number", level.word()));
            }
            Some(&weight) if weight > above => {
                wrong.push(format!("`{name}.{}` weighs more than the level above it", level.word()));
            }
            Some(&weight) => {
                above = weight;
                weights[level as usize] = weight;
            }
        }
    }
    wrong
}
