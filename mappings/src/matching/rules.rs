//! `rules/match.toml`, checked and compiled to tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use toml::Spanned;

use super::Evidence;
use super::blocks::Block;
use super::features::line_type;
use super::linkage::{Frozen, Judge, Settings};
use super::subject::Subject;
use crate::chinese::ids;
use crate::diagnose::{Diagnostic, suggest};
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

/// What the rules weigh themselves; everything else is weighed by what was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Identity,
    Kind,
}

impl Measure {
    const ALL: [Self; 2] = [Self::Identity, Self::Kind];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Kind => "kind",
        }
    }

    /// The levels that this comparison can reach, from the strongest to "anything else".
    fn levels(self) -> &'static [Level] {
        match self {
            Self::Identity => &[Level::Strong, Level::Medium, Level::Conflict],
            Self::Kind => &[Level::Different],
        }
    }
}

/// What the rules say of an identity or a kind, from the weakest up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Conflict,
    Different,
    Medium,
    Strong,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Different => "different",
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
    compare: BTreeMap<String, Spanned<BTreeMap<String, f64>>>,
    expected: Expected,
    #[serde(default)]
    shared: Shared,
    thresholds: Thresholds,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Shared {
    customers_max: usize,
}

impl Default for Shared {
    fn default() -> Self {
        Self { customers_max: 40 }
    }
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
    /// The sound of the given name: of one in characters and one in pinyin it is the same.
    Given,
    /// The sound of the family name.
    Surname,
    /// House number and street of the first address.
    House,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    people: Spanned<u32>,
    organizations: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Thresholds {
    link: Spanned<f64>,
    review: Spanned<f64>,
}

/// The models that ship with the hub, in the order of [`Subject::ALL`], read once.
fn shipped_judges() -> &'static [Judge; 2] {
    static SHIPPED: OnceLock<[Judge; 2]> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        let texts =
            [include_str!("../../rules/person.model.json"), include_str!("../../rules/organization.model.json")];
        let [person, organization] = texts.map(|text| Frozen::parse(text, &Settings::shipped()));
        [(person, Subject::Person), (organization, Subject::Organization)].map(|(model, subject)| {
            let judge = model.and_then(|model| Judge::new(model, subject.columns()));
            judge.expect("the shipped files are tested")
        })
    })
}

/// Matching rules, compiled.
#[derive(Clone, Debug)]
pub struct Rules {
    identities: BTreeMap<String, IdentityRule>,
    shared_mailboxes: BTreeSet<String>,
    phones: Phones,
    pub(super) unknown_dates: BTreeSet<String>,
    pub(super) blocks: Vec<Block>,
    weights: [[f64; 4]; 2],
    /// How many customers are expected, in the order of [`Subject::ALL`].
    customers: [u32; 2],
    shared_by_max: usize,
    pub(super) link: f64,
    pub(super) review: f64,
    /// Models of the deployment's own, in place of those that ship.
    own: [Option<Arc<Judge>>; 2],
    /// What the own models say in place of `link` and `review`.
    bounds: [Option<[f64; 2]>; 2],
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
            weights: [[0.0; 4]; 2],
            customers: [1, 1],
            shared_by_max: Shared::default().customers_max,
            link: f64::INFINITY,
            review: f64::INFINITY,
            own: [None, None],
            bounds: [None, None],
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
        let mut weights = [[0.0; 4]; 2];
        for measure in Measure::ALL {
            let Some(levels) = parsed.compare.get(measure.word()) else {
                wrong(0..0, format!("`[compare.{}]` is missing: give each level its weight", measure.word()));
                continue;
            };
            for message in weigh(measure, levels.get_ref(), &mut weights[measure as usize]) {
                wrong(levels.span(), message);
            }
        }
        let known = |word: &str| Measure::ALL.iter().any(|it| it.word() == word);
        for (word, table) in parsed.compare.iter().filter(|(word, _)| !known(word)) {
            let words = Measure::ALL.iter().map(|it| it.word());
            let message = if LEARNED.contains(&word.as_str()) {
                format!("the weights of `{word}` are learned and stand in the model: take this table out")
            } else {
                format!("nothing called `{word}` is weighed here{}", suggest(word, words))
            };
            wrong(table.span(), message);
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
        let expected = [&parsed.expected.people, &parsed.expected.organizations];
        for none in expected.iter().filter(|it| *it.get_ref() == 0) {
            wrong(none.span(), "a number of customers is 1 at least".to_owned());
        }
        let customers = expected.map(|it| *it.get_ref());
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
            customers,
            shared_by_max: parsed.shared.customers_max,
            link,
            review,
            own: [None, None],
            bounds: [None, None],
        })
    }

    /// The same that judge by another model, one that was learned from a deployment's own customers.
    ///
    /// # Errors
    /// The model compares a column that is not one of [`Subject::columns`].
    pub fn with_model(mut self, subject: Subject, model: Frozen) -> Result<Self, String> {
        self.bounds[subject as usize] = model.aim().and_then(|aim| aim.bounds);
        self.own[subject as usize] = Some(Arc::new(Judge::new(model, subject.columns())?));
        Ok(self)
    }

    /// The same with other sums from which a pair is linked, and shown to a steward.
    pub(super) fn with_bounds(mut self, subject: Subject, bounds: [f64; 2]) -> Self {
        self.bounds[subject as usize] = Some(bounds);
        self
    }

    /// From which sums on a pair is linked, and shown to a steward: as a deployment's own model says, else as the file does.
    pub fn bounds(&self, subject: Subject) -> [f64; 2] {
        self.bounds[subject as usize].unwrap_or([self.link, self.review])
    }

    /// The model of people or of organizations.
    pub fn model(&self, subject: Subject) -> &Frozen {
        self.judge(subject).model()
    }

    /// Bits for one customer before anything of a pair is compared, and for relatives.
    pub(super) fn chances(&self, subject: Subject) -> [f64; 2] {
        self.judge(subject).chances(self.customers[subject as usize])
    }

    pub(super) fn judge(&self, subject: Subject) -> &Judge {
        self.own[subject as usize].as_deref().unwrap_or_else(|| &shipped_judges()[subject as usize])
    }

    /// What more customers than this have in common is no evidence about any of them.
    pub fn shared_by_max(&self) -> usize {
        self.shared_by_max
    }

    /// Whether several customers may have this identity in common: a phone, a mailbox.
    pub fn may_be_shared(&self, identity: &Identity) -> bool {
        let base = self.base(identity.kind.as_str());
        self.identity(base).is_some_and(|rule| rule.shared)
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

/// Comparisons of which older files told the weights.
const LEARNED: [&str; 5] = ["name", "birth_date", "company", "organization", "city"];

fn weigh(measure: Measure, given: &BTreeMap<String, f64>, weights: &mut [f64; 4]) -> Vec<String> {
    let name = measure.word();
    let words: Vec<&str> = measure.levels().iter().map(|level| level.word()).collect();
    let mut wrong = Vec::new();
    for level in given.keys().filter(|level| !words.contains(&level.as_str())) {
        let hint = suggest(level, words.iter().copied());
        wrong.push(format!("`{name}` never reaches the level `{level}`{hint}; its levels are {}", words.join(", ")));
    }
    let mut above = f64::INFINITY;
    for &level in measure.levels() {
        match given.get(level.word()) {
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
