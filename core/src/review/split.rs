//! What is not one is parted: each gets its own golden record back, and what it held of the other is taken back.
//!
//! A look says beforehand what a split does: the golden records as they will be, and every write that other systems get.
//! It computes what the split computes, and keeps nothing.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::value::Fields;
use serde::Serialize;
use serde_json::json;

use super::{Result, Steward, cause, command, drop_deliveries, note, refused};
use crate::engine::Engine;
use crate::link::{Link, LinkKey};
use crate::pipeline::plan;
use crate::pipeline::process::{self, Batch};
use crate::replay::{self, Write};
use crate::store::db::Tx;
use crate::store::{deliveries, goldens, links, stewards};

/// A golden record as a split leaves it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Half {
    /// Its number; of one that is made, the number that it gets if no other is made first.
    pub golden: i64,
    /// Whether it is made.
    pub is_new: bool,
    /// Its records, `connection/stream/id`.
    pub records: Vec<String>,
    /// Its values.
    pub fields: Fields,
}

/// What a split would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parted {
    /// The records that were named.
    pub parted: Half,
    /// The others.
    pub rest: Half,
    /// What other systems are told: every place of their records with what stands there and what is written.
    pub writes: Vec<Write>,
    /// Deliveries that are on their way: what is owed after their answers is planned then.
    pub under_way: usize,
}

/// Who goes where.
struct Parting {
    golden: i64,
    members: Vec<Link>,
    names: Vec<String>,
    parted: BTreeSet<i64>,
    rest: BTreeSet<i64>,
    /// Whether those who were named leave, and not the others.
    named_leave: bool,
    /// Of those who leave: the golden records that they had.
    homes: BTreeMap<i64, i64>,
    /// The lowest of these, to which all of them go: as if only they had been merged.
    home: Option<i64>,
}

impl Parting {
    fn of(tx: &mut Tx<'_>, keys: &[LinkKey]) -> Result<Self> {
        let found = links::by_keys(tx, keys)?;
        if let Some(missing) = keys.iter().find(|key| found.iter().all(|link| link.key != **key)) {
            return refused(format!("{missing}: no such record; write CONNECTION/STREAM/ID as `huiliu show` does"));
        }
        let golden = found.first().map_or(0, |link| link.golden);
        if golden == 0 || found.iter().any(|link| link.golden != golden) {
            return refused("name records of one golden record; see `huiliu show`");
        }
        let parted: BTreeSet<i64> = found.iter().map(|link| link.number).collect();
        let members = links::by_goldens(tx, [golden])?;
        let rest: BTreeSet<i64> = members.iter().map(|it| it.number).filter(|it| !parted.contains(it)).collect();
        if rest.is_empty() {
            return refused(format!("golden record {golden} has no other records: there is nothing to part"));
        }
        let numbers: Vec<i64> = members.iter().map(|link| link.number).collect();
        let origins = origins(golden, &steps(tx, &numbers)?, &numbers);
        let named_leave = !rest_leaves(golden, &parted, &rest, &origins);
        let (leaving, staying) = if named_leave { (&parted, &rest) } else { (&rest, &parted) };
        let homes = homes_of_each(tx, golden, leaving, staying)?;
        let home = homes.values().copied().min();
        let names = found.iter().map(|link| link.key.to_string()).collect();
        Ok(Self { golden, members, names, parted, rest, named_leave, homes, home })
    }

    fn leaving(&self) -> &BTreeSet<i64> {
        if self.named_leave { &self.parted } else { &self.rest }
    }

    fn gather(&self, tx: &mut Tx<'_>) -> Result<Batch> {
        let touched = [self.golden].into_iter().chain(self.homes.values().copied()).collect();
        Ok(Batch::gather(tx, Vec::new(), touched)?)
    }

    /// Returns the golden record of those who were named, and that of the others.
    fn part(&self, batch: &mut Batch) -> (i64, i64) {
        let left = batch.part(self.leaving(), self.home);
        // Whose records go along leads there from now on, and is found again if they are parted, too.
        for (number, origin) in &self.homes {
            batch.homes.push((*number, left, *origin));
            if *origin != left
                && let Some(record) = batch.goldens.get_mut(origin)
            {
                record.merged_into = Some(left);
                batch.dirty(*origin, 0, "merged");
            }
        }
        batch.dirty(left, 0, "split");
        batch.dirty(self.golden, 0, "split");
        if self.named_leave { (left, self.golden) } else { (self.golden, left) }
    }
}

/// Who was always here stays, if the others came from elsewhere.
fn rest_leaves(golden: i64, parted: &BTreeSet<i64>, rest: &BTreeSet<i64>, origins: &BTreeMap<i64, i64>) -> bool {
    let own = |group: &BTreeSet<i64>| group.iter().any(|number| origins.get(number) == Some(&golden));
    let unknown = |group: &BTreeSet<i64>| group.iter().any(|number| !origins.contains_key(number));
    match (own(parted), own(rest)) {
        (true, false) => true,
        (false, false) => unknown(parted) && !unknown(rest),
        _ => false,
    }
}

/// The golden record that each of these links had at first, as far as it was absorbed since by others up to this one; this
/// one itself, for those who were here when it absorbed others. Who came later is not in it.
pub(crate) fn origins(golden: i64, steps: &Steps, numbers: &[i64]) -> BTreeMap<i64, i64> {
    let first = |steps: &BTreeMap<i64, i64>| {
        let mut at = *steps.get(&golden)?;
        // Only the lower number absorbs: the way leads upwards, and ends.
        while let Some(further) = steps.get(&at).filter(|further| **further > at) {
            at = *further;
        }
        Some(at)
    };
    numbers.iter().filter_map(|number| Some((*number, first(steps.get(number)?)?))).collect()
}

/// By link: the golden records that absorbed it or whose it was then, and which one it had before.
pub(crate) type Steps = BTreeMap<i64, BTreeMap<i64, i64>>;

/// What is kept of the way of these links.
pub(crate) fn steps(tx: &mut Tx<'_>, numbers: &[i64]) -> crate::store::db::Result<Steps> {
    let mut steps = Steps::new();
    for (link, by, home) in stewards::homes(tx, numbers.iter().copied())? {
        steps.entry(link).or_default().insert(by, home);
    }
    Ok(steps)
}

/// The golden record that each of these links goes back to when it leaves this one: the one that it had at first, if
/// nobody else's who stays, and if it still is part of this one. Others are left out.
pub(crate) fn homes_of_each(
    tx: &mut Tx<'_>,
    golden: i64,
    leaving: &BTreeSet<i64>,
    staying: &BTreeSet<i64>,
) -> crate::store::db::Result<BTreeMap<i64, i64>> {
    let numbers: Vec<i64> = leaving.union(staying).copied().collect();
    let mut origins = origins(golden, &steps(tx, &numbers)?, &numbers);
    let taken: BTreeSet<i64> = staying.iter().filter_map(|number| origins.get(number)).copied().collect();
    origins.retain(|number, home| leaving.contains(number) && *home != golden && !taken.contains(home));
    let alive = goldens::all_alive(tx, origins.values().copied())?;
    origins.retain(|_, home| alive.get(home) == Some(&golden));
    Ok(origins)
}

/// Parts links from their golden record. They get the record that they had before it absorbed them, or a new one, and
/// they never join the others again unless a steward links them. Returns the golden record of the parted links, and that
/// of the rest.
pub fn split(engine: &Engine, parted: &[LinkKey], steward: Steward<'_>) -> Result<(i64, i64)> {
    command(engine, |tx| {
        let parting = Parting::of(tx, parted)?;
        let now_us = engine.clock.now_us();
        let pairs = parting.parted.iter().flat_map(|a| parting.rest.iter().map(move |b| (*a, *b)));
        stewards::rule(tx, &pairs.collect::<Vec<_>>(), "different", steward.name, now_us)?;
        drop_deliveries(tx, &parting.members)?;
        let batch = parting.gather(tx)?;
        let mut both = (0, 0);
        let change = process::regroup(engine, tx, batch, &cause(steward), |batch| both = parting.part(batch))?;
        process::settle_questions(tx, parting.members.iter().map(|link| link.number), now_us)?;
        let (ours, theirs) = both;
        let detail = json!({ "from": parting.golden, "links": parting.names, "parted": ours, "rest": theirs });
        note(engine, tx, steward, "split", &detail, change)?;
        Ok(both)
    })
}

/// What [`split`] would do. Nothing is changed.
///
/// # Errors
/// Those of a split.
pub fn look(engine: &Engine, parted: &[LinkKey]) -> Result<Parted> {
    let _turn = engine.meaning();
    engine.store.read(|tx| Ok(looked(engine, tx, parted)))?
}

fn looked(engine: &Engine, tx: &mut Tx<'_>, parted: &[LinkKey]) -> Result<Parted> {
    let parting = Parting::of(tx, parted)?;
    let mut batch = parting.gather(tx)?;
    let (ours, theirs) = parting.part(&mut batch);
    let settled = process::settle(engine, &mut batch, &|_| String::new());
    let members: BTreeMap<i64, Vec<Link>> =
        [ours, theirs].map(|golden| (golden, batch.cluster(golden).cloned().collect())).into();
    let owed = plan::owed_anew(engine, tx, &settled.goldens, &members)?;
    let writes = replay::writes(engine, tx, &owed, &members)?;
    let under_way = deliveries::open_of(tx, [parting.golden])?.iter().filter(|one| one.state == "sending").count();
    let is_made = |golden: i64| golden != parting.golden && parting.home.is_none();
    let half = |golden: i64| Half {
        golden,
        is_new: is_made(golden),
        records: members[&golden].iter().map(|link| link.key.to_string()).collect(),
        fields: settled.goldens.iter().find(|it| it.id == golden).map(|it| it.fields.clone()).unwrap_or_default(),
    };
    Ok(Parted { parted: half(ours), rest: half(theirs), writes, under_way })
}
