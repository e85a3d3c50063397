//! What rules see of changes: each golden record as it was before and after, and what it refers to.
//!
//! The change log holds before and after of every field, so a record as it was at any position follows from what it is
//! now. A live batch, a dry run over the past and a replay ask the same function, and so come to the same answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use huiliu_mappings::automation::{Event, Moment, Others, Rule};
use huiliu_mappings::matching::identity_hash;
use huiliu_mappings::value::{FieldName, Fields, Reference};
use serde_json::Value;

use crate::engine::Engine;
use crate::link::{Link, LinkKey};
use crate::pipeline::process::BLOCK_LINKS_MAX;
use crate::store::blocks;
use crate::store::db::{Result, Tx};
use crate::store::firings::Held;
use crate::store::goldens::{self, Change, Golden};
use crate::store::links;

/// A golden record at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub golden: i64,
    pub fields: Fields,
    pub changed: BTreeSet<FieldName>,
    /// What it refers to, by entity.
    pub others: BTreeMap<String, Vec<(i64, Fields)>>,
}

impl View {
    /// Asks something of the moment.
    pub fn ask<T>(&self, ask: impl FnOnce(&Moment<'_>) -> T) -> T {
        let changed = self.changed.iter().collect();
        let others: Others<'_> = self
            .others
            .iter()
            .map(|(entity, all)| (entity.as_str(), all.iter().map(|(_, fields)| fields).collect()))
            .collect();
        ask(&Moment { fields: &self.fields, changed: &changed, others: &others, id: self.golden })
    }
}

/// What a change is to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hears {
    /// It does not listen to it.
    Nothing,
    /// It fires if its condition came true.
    Edge,
    /// It fires if its condition holds, whatever was before.
    Each,
}

/// A rule and a change that it may fire at.
pub(crate) struct Occasion<'r> {
    pub rule: &'r Rule,
    pub change: i64,
    pub at_us: i64,
    pub cause: String,
    /// Whether the change is that the record itself came to be, or that a record was found to be part of it.
    pub is_new: bool,
    hears: Hears,
    holds: bool,
    /// Whether it held before, as far as the change log tells.
    held: bool,
    pub view: View,
}

impl Occasion<'_> {
    /// Whether the rule fires; notes in `known` whether its condition holds now.
    pub fn fires(&self, known: &mut Held) -> bool {
        let mut held = self.held;
        if !self.rule.looks_at().is_empty() {
            let (key, digest) = ((self.rule.name.clone(), self.view.golden), self.rule.digest());
            if let Some((_, told)) = known.get(&key).filter(|(of, _)| *of == digest) {
                held = *told;
            }
            known.insert(key, (digest, self.holds));
        }
        self.holds && (self.hears == Hears::Each || (self.hears == Hears::Edge && !held))
    }
}

/// What these rules see of these changes, in the order of the changes.
pub(crate) fn look<'r>(
    engine: &Engine,
    tx: &mut Tx<'_>,
    rules: &[&'r Rule],
    changes: &[Change],
) -> Result<Vec<Occasion<'r>>> {
    let Some(first) = changes.first().map(|change| change.position) else { return Ok(Vec::new()) };
    // Another record's change matters where it touches what some condition looks at.
    let looked_at: BTreeSet<(&str, &FieldName)> =
        rules.iter().flat_map(|rule| rule.looks_at()).map(|(entity, field)| (entity.as_str(), field)).collect();
    let matters = |change: &&Change| {
        let mut of_entity = looked_at.iter().filter(|(entity, _)| *entity == change.entity.as_str());
        of_entity.any(|(_, field)| change.kind != "update" || change.diff.contains_key(*field))
    };
    let seen_by_others = changes.iter().filter(matters).map(|change| change.golden).collect();
    let referring = referring(tx, &seen_by_others)?;
    let has_rules = |change: &&Change| rules.iter().any(|rule| rule.entity == change.entity);
    let mut subjects: BTreeSet<i64> = changes.iter().filter(has_rules).map(|change| change.golden).collect();
    subjects.extend(referring.values().flatten());
    let referred =
        if rules.iter().any(|rule| rule.refers()) { referred(engine, tx, &subjects)? } else { BTreeMap::new() };
    let past = Past::load(tx, subjects.iter().chain(referred.values().flatten()).copied().collect(), first - 1)?;
    let mut occasions = Vec::new();
    for change in changes.iter().filter(|change| change.kind != "merged") {
        let others = referring.get(&change.golden).into_iter().flatten().copied().filter(|id| *id != change.golden);
        for subject in [change.golden].into_iter().chain(others) {
            let Some(golden) = past.now.get(&subject) else { continue };
            for rule in rules.iter().filter(|rule| rule.entity == golden.entity) {
                occasions.push(occasion(rule, change, subject, &past, referred.get(&subject)));
            }
        }
    }
    Ok(occasions)
}

fn occasion<'r>(
    rule: &'r Rule,
    change: &Change,
    subject: i64,
    past: &Past,
    referred: Option<&BTreeSet<i64>>,
) -> Occasion<'r> {
    let is_own = change.golden == subject;
    let none = BTreeSet::new();
    let others = referred.unwrap_or(&none);
    let changed = if is_own { change.diff.keys().cloned().collect() } else { BTreeSet::new() };
    let view = past.view(subject, others, change.position, changed);
    let hears = hears(rule, change, is_own);
    let holds = view.ask(|moment| rule.holds(moment));
    let came_to_be = is_own && change.kind == "create";
    let before = || past.view(subject, others, change.position - 1, BTreeSet::new());
    let held = holds && !came_to_be && before().ask(|moment| rule.holds(moment));
    Occasion {
        rule,
        change: change.position,
        at_us: change.at_us,
        cause: change.cause.clone(),
        is_new: is_own && ["create", "link"].contains(&change.kind.as_str()),
        hears,
        holds,
        held,
        view,
    }
}

/// Whether a rule listens to a change.
fn hears(rule: &Rule, change: &Change, is_own: bool) -> Hears {
    let kind = change.kind.as_str();
    let heard = |event: &&Event| match event {
        Event::Created => is_own && kind == "create",
        Event::Changed => !is_own || kind != "create",
        Event::Fields(fields) => is_own && kind != "create" && fields.iter().any(|it| change.diff.contains_key(it)),
        Event::Merged => is_own && kind == "merge",
        Event::Deleted => is_own && kind == "delete",
    };
    let heard: Vec<&Event> = rule.on.iter().filter(heard).collect();
    let once = heard.iter().any(|event| matches!(event, Event::Merged | Event::Deleted));
    if heard.is_empty() {
        return Hears::Nothing;
    }
    if rule.each || rule.when.is_none() || once { Hears::Each } else { Hears::Edge }
}

/// Golden records as they were.
struct Past {
    now: BTreeMap<i64, Golden>,
    later: BTreeMap<i64, Vec<Change>>,
}

impl Past {
    /// These records, with what happened to them after a position.
    fn load(tx: &mut Tx<'_>, ids: BTreeSet<i64>, position: i64) -> Result<Self> {
        let mut later: BTreeMap<i64, Vec<Change>> = BTreeMap::new();
        for change in goldens::later_changes(tx, ids.iter().copied(), position)? {
            later.entry(change.golden).or_default().push(change);
        }
        let now = goldens::by_ids(tx, ids)?.into_iter().map(|golden| (golden.id, golden)).collect();
        Ok(Self { now, later })
    }

    /// A record's values once everything up to a position had happened.
    fn at(&self, id: i64, position: i64) -> Fields {
        let mut fields = self.now.get(&id).map(|golden| golden.fields.clone()).unwrap_or_default();
        let later = self.later.get(&id).into_iter().flatten().rev();
        for change in later.take_while(|change| change.position > position) {
            for (field, (before, _)) in &change.diff {
                match before {
                    Value::Null => fields.remove(field),
                    before => fields.insert(field.clone(), before.clone()),
                };
            }
        }
        fields
    }

    fn view(&self, id: i64, referred: &BTreeSet<i64>, position: i64, changed: BTreeSet<FieldName>) -> View {
        let mut others: BTreeMap<String, Vec<(i64, Fields)>> = BTreeMap::new();
        for other in referred.iter().filter_map(|other| self.now.get(other)) {
            let entity = others.entry(other.entity.as_str().to_owned()).or_default();
            entity.push((other.id, self.at(other.id, position)));
        }
        View { golden: id, fields: self.at(id, position), changed, others }
    }
}

/// The golden records that refer to each of these.
fn referring(tx: &mut Tx<'_>, ids: &BTreeSet<i64>) -> Result<BTreeMap<i64, BTreeSet<i64>>> {
    let members = links::by_goldens(tx, ids.iter().copied())?;
    let by_hash = by_hash(&members);
    let numbers = links::referring(tx, by_hash.keys().copied().collect::<BTreeSet<_>>())?;
    let mut found: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for link in links::by_numbers(tx, numbers)?.iter().filter(|link| link.open && link.golden != 0) {
        for member in meant(&by_hash, link) {
            found.entry(member.golden).or_default().insert(link.golden);
        }
    }
    Ok(found)
}

/// The golden records to which each of these refers.
fn referred(engine: &Engine, tx: &mut Tx<'_>, ids: &BTreeSet<i64>) -> Result<BTreeMap<i64, BTreeSet<i64>>> {
    let members = links::by_goldens(tx, ids.iter().copied())?;
    let mut keys = BTreeSet::new();
    let mut hashes = BTreeSet::new();
    for link in members.iter().filter(|link| link.open) {
        for reference in &link.state.references {
            match reference {
                Reference::Record { lens, id } => {
                    let connection = link.key.connection.clone();
                    keys.insert(LinkKey { connection, lens: lens.clone(), id: id.as_str().into() });
                }
                Reference::Identity(identity) => drop(hashes.insert(identity_hash("customer", identity))),
            }
        }
    }
    let mut targets = links::by_keys(tx, &keys)?;
    let near = blocks::candidates(tx, engine.store.tail(), hashes, BLOCK_LINKS_MAX)?;
    targets.extend(links::by_goldens(tx, near.into_iter().map(|(_, golden)| golden).collect::<BTreeSet<_>>())?);
    let by_hash = by_hash(&targets);
    let mut found: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for link in members.iter().filter(|link| link.open) {
        for target in meant(&by_hash, link).filter(|target| target.golden != 0) {
            found.entry(link.golden).or_default().insert(target.golden);
        }
    }
    Ok(found)
}

/// Links by the hashes under which others refer to them.
fn by_hash(targets: &[Link]) -> HashMap<i64, Vec<&Link>> {
    let mut found: HashMap<i64, Vec<&Link>> = HashMap::new();
    for target in targets {
        for hash in target.referred_by() {
            found.entry(hash).or_default().push(target);
        }
    }
    found
}

/// Those of them that a link refers to. Equal hashes prove nothing: the links say whom they mean.
fn meant<'a>(by_hash: &'a HashMap<i64, Vec<&'a Link>>, link: &'a Link) -> impl Iterator<Item = &'a Link> {
    link.state.references.iter().flat_map(move |reference| {
        let near = by_hash.get(&link.reference_hash(reference)).into_iter().flatten().copied();
        near.filter(move |target| target.is_meant(link, reference))
    })
}

/// Living golden records of a rule's entity as they are now, after an id: what its condition says of each.
pub(crate) fn present(engine: &Engine, tx: &mut Tx<'_>, rule: &Rule, ids: &BTreeSet<i64>) -> Result<Vec<(View, bool)>> {
    let referred = if rule.refers() { referred(engine, tx, ids)? } else { BTreeMap::new() };
    let all: BTreeSet<i64> = ids.iter().chain(referred.values().flatten()).copied().collect();
    let past =
        Past { now: goldens::by_ids(tx, all)?.into_iter().map(|it| (it.id, it)).collect(), later: BTreeMap::new() };
    let none = BTreeSet::new();
    let views = ids.iter().filter(|id| past.now.get(id).is_some_and(|it| it.entity == rule.entity));
    Ok(views
        .map(|id| {
            let view = past.view(*id, referred.get(id).unwrap_or(&none), i64::MAX, BTreeSet::new());
            let holds = view.ask(|moment| rule.holds(moment));
            (view, holds)
        })
        .collect())
}
