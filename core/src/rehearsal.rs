//! What would these records lead to? The same stages run over a scratch store, which is lent what they touch; the store
//! that the question is about is only read, and goes on living beside it.
//!
//! The scratch store numbers far behind the other one, so what it made can be told from what it was lent.

use std::collections::BTreeMap;

use huiliu_mappings::value::{FieldName, Fields};
use serde::Serialize;
use serde_json::Value;

use crate::engine::Engine;
use crate::link::Link;
use crate::pipeline::process::{self, Processed};
use crate::store::db::{Result, Tx};
use crate::store::rehearsal::{self, Ends};
use crate::store::{Store, goldens, inbox, links, stewards};

/// Golden records looked at in one step of the search for conflicts.
const STEP: i64 = 1000;

/// A rehearsal that is under way.
pub struct Rehearsal {
    engine: Engine,
    from: Store,
    ends: Ends,
}

/// What the records would lead to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Golden records that would be made.
    pub creates: i64,
    /// Records that would join a golden record that is there.
    pub joins: i64,
    /// Records that would join one that another of these records makes.
    pub within: i64,
    /// Golden records that would be found to be the same as another one.
    pub merges: i64,
    /// Golden records that would get other values.
    pub updates: i64,
    /// Records that say nothing new.
    pub unchanged: i64,
    /// Values that lose against another one, where one of the two is from these records.
    pub conflicts: u64,
    /// Questions to a steward: the record may be somebody known.
    pub reviews: i64,
    /// Some of each.
    pub samples: Samples,
}

/// The first of each kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Samples {
    /// Golden records that would be made.
    pub creates: Vec<Made>,
    /// Records that would join a golden record that is there.
    pub joins: Vec<Joined>,
    /// Golden records that would get other values.
    pub updates: Vec<Updated>,
    /// Values that lose against another one.
    pub conflicts: Vec<Conflict>,
    /// Questions to a steward.
    pub reviews: Vec<Asked>,
}

/// A golden record that would be made.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// The record that makes it, `connection/stream/id`.
    pub record: String,
    /// Its values.
    pub fields: Fields,
}

/// A record that would join a golden record that is there.
#[derive(Clone, Debug, Serialize)]
pub struct Joined {
    /// `connection/stream/id`.
    pub record: String,
    /// The golden record.
    pub golden: i64,
    /// The values it would have.
    pub fields: Fields,
}

/// A golden record that would get other values.
#[derive(Clone, Debug, Serialize)]
pub struct Updated {
    /// Its number.
    pub golden: i64,
    /// Before and after by field.
    pub diff: BTreeMap<FieldName, (Value, Value)>,
}

/// A value that loses against another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conflict {
    /// The field.
    pub field: FieldName,
    /// Who wins, `connection/stream/id`, or `pin`.
    pub winner: String,
    /// The value that wins.
    pub value: Value,
    /// The rule by which it wins.
    pub rule: String,
    /// Who loses.
    pub loser: String,
    /// The value that loses; it is kept.
    pub lost: Value,
}

/// A question to a steward.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    /// The record.
    pub record: String,
    /// The golden records that it may be, best first; 0: one that these records make.
    pub candidates: Vec<i64>,
}

impl Rehearsal {
    /// Begins one about the store of an engine, in an empty store.
    pub fn begin(about: &Engine, scratch: Store) -> Result<Self> {
        let ends = about.store.read(rehearsal::ends)?;
        scratch.write(|tx| rehearsal::begin(tx, &ends))?;
        Ok(Self { engine: about.over(scratch), from: about.store.clone(), ends })
    }

    /// The engine over the scratch store: what is appended to its inbox is rehearsed.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Processes until nothing waits, and hands over what each batch did.
    pub fn drain(&self, each: &mut dyn FnMut(&Processed)) -> Result<()> {
        loop {
            let done = process::rehearse(&self.engine, &self.from)?;
            if done.items == 0 {
                return Ok(());
            }
            each(&done);
        }
    }

    /// What happened, with so many samples of each kind.
    pub fn outcome(&self, samples: usize) -> Result<Outcome> {
        let counts = self.engine.store.read(|tx| rehearsal::counts(tx, &self.ends))?;
        let mut outcome = Outcome {
            creates: counts.creates,
            joins: counts.joins,
            within: counts.within,
            merges: counts.merges,
            updates: counts.updates,
            unchanged: counts.unchanged,
            reviews: counts.reviews,
            ..Outcome::default()
        };
        let most = i64::try_from(samples).unwrap_or(i64::MAX);
        self.engine.store.read(|tx| self.samples(tx, most, &mut outcome.samples))?;
        self.conflicts(samples, &mut outcome)?;
        Ok(outcome)
    }

    fn samples(&self, tx: &mut Tx<'_>, most: i64, samples: &mut Samples) -> Result<()> {
        let made = rehearsal::made(tx, &self.ends, most)?;
        let joined = rehearsal::joined(tx, &self.ends, most)?;
        let asked = stewards::waiting_after(tx, self.ends.review, most)?;
        let pairs = made.iter().map(|(golden, link)| (*link, *golden)).chain(joined.iter().copied());
        let numbers = pairs.clone().map(|(link, _)| link).chain(asked.iter().map(|it| it.link));
        let names: BTreeMap<i64, String> =
            links::by_numbers(tx, numbers)?.into_iter().map(|link| (link.number, link.key.to_string())).collect();
        let fields: BTreeMap<i64, Fields> =
            goldens::by_ids(tx, pairs.map(|(_, golden)| golden))?.into_iter().map(|it| (it.id, it.fields)).collect();
        let name = |link: i64| names.get(&link).cloned().unwrap_or_default();
        let of = |golden: i64| fields.get(&golden).cloned().unwrap_or_default();
        samples.creates = made.iter().map(|(golden, link)| Made { record: name(*link), fields: of(*golden) }).collect();
        samples.joins = joined
            .iter()
            .map(|(link, golden)| Joined { record: name(*link), golden: *golden, fields: of(*golden) })
            .collect();
        let updated = rehearsal::updated(tx, &self.ends, most)?;
        samples.updates = updated.into_iter().map(|it| Updated { golden: it.golden, diff: it.diff }).collect();
        let number = |golden: i64| if golden > self.ends.golden { 0 } else { golden };
        samples.reviews = asked
            .iter()
            .map(|it| Asked {
                record: name(it.link),
                candidates: it.candidates.iter().map(|(golden, _)| number(*golden)).collect(),
            })
            .collect();
        Ok(())
    }

    /// Looks through the golden records that changed, step by step.
    fn conflicts(&self, samples: usize, outcome: &mut Outcome) -> Result<()> {
        let mut after = 0;
        loop {
            let (ids, clusters, records, pins, heard) = self.engine.store.read(|tx| {
                let ids = rehearsal::changed(tx, after, STEP)?;
                let mut clusters: BTreeMap<i64, Vec<Link>> = BTreeMap::new();
                for link in links::by_goldens(tx, ids.iter().copied())? {
                    clusters.entry(link.golden).or_default().push(link);
                }
                clusters.retain(|_, links| links.len() > 1);
                let heard = rehearsal::heard(tx, clusters.values().flatten().map(|link| link.number))?;
                let records = goldens::by_ids(tx, clusters.keys().copied())?;
                let pins = goldens::pins(tx, ids.iter().copied())?;
                Ok((ids, clusters, records, pins, heard))
            })?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            let none = BTreeMap::new();
            for record in records {
                let members = &clusters[&record.id];
                let pins = pins.get(&record.id).unwrap_or(&none);
                let golden = process::golden_record(&self.engine, &record.entity, members.iter(), pins);
                let ours: Vec<String> =
                    members.iter().filter(|it| heard.contains(&it.number)).map(|it| it.key.to_string()).collect();
                for (field, provenance) in &golden.provenance {
                    for lost in &provenance.lost {
                        if !ours.contains(&provenance.link) && !ours.contains(&lost.link) {
                            continue;
                        }
                        outcome.conflicts += 1;
                        if outcome.samples.conflicts.len() < samples {
                            outcome.samples.conflicts.push(Conflict {
                                field: field.clone(),
                                winner: provenance.link.clone(),
                                value: golden.fields.get(field).cloned().unwrap_or(Value::Null),
                                rule: provenance.rule.clone(),
                                loser: lost.link.clone(),
                                lost: lost.value.clone(),
                            });
                        }
                    }
                }
            }
        }
    }

    /// The rows that could not be taken in, oldest first.
    pub fn dead(&self, count: i64) -> Result<Vec<inbox::DeadLetter>> {
        self.engine.store.read(|tx| inbox::dead_letters(tx, count))
    }
}
