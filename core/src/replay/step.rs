//! One step of a replay: some golden records with their links read anew, joined, parted and recomputed, all in one
//! transaction. A look does the same and writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use huiliu_mappings::matching::{self, Candidate, Decision};
use serde_json::Value;

use super::effect::{Told, Write};
use super::fold::{Folded, fold};
use super::{Scope, Then, rematch};
use crate::engine::Engine;
use crate::link::{Link, LinkState, evidence_of};
use crate::pipeline::plan;
use crate::pipeline::process::{self, BLOCK_LINKS_MAX, Batch, block_keys, golden_fields, settle};
use crate::review;
use crate::store::db::{Result, Tx};
use crate::store::deliveries::Planned;
use crate::store::goldens::Golden;
use crate::store::links::JournalLine;
use crate::store::proposals::Overwritten;
use crate::store::{blocks, deliveries, links, proposals, replays, stewards};

/// Blocks of new evidence that a look keeps in mind, since it writes none: some 50 megabytes. Beyond, it may miss
/// records that would join.
const NEAR_MAX: usize = 500_000;

/// What a look would have written where later steps look for candidates.
#[derive(Default)]
pub(super) struct Near {
    blocks: HashMap<i64, BTreeSet<i64>>,
    /// Golden records that an earlier step made part of another.
    absorbed: BTreeSet<i64>,
}

impl Near {
    /// Whether this golden record is part of another by now.
    pub fn is_absorbed(&self, golden: i64) -> bool {
        self.absorbed.contains(&golden)
    }
}

/// What a step works on.
pub(super) enum Page {
    /// Golden records with everything that belongs to them.
    Goldens(BTreeSet<i64>),
    /// Links that belong to no golden record.
    Loose(Vec<i64>),
}

/// How a step is done.
pub(super) struct How<'a> {
    pub engine: &'a Engine,
    pub scope: &'a Scope,
    pub then: Then,
    pub cause: &'a str,
    /// The proposal that keeps what stands where this leads to writes.
    pub keeper: Option<i64>,
}

/// The links of a page before and after.
struct Reading {
    members: Vec<Link>,
    /// New states of those that are others now.
    anew: BTreeMap<i64, LinkState>,
    lines: Vec<JournalLine>,
    /// The records as their systems last showed them.
    shown: BTreeMap<i64, Value>,
}

pub(super) fn step(
    how: &How<'_>,
    tx: &mut Tx<'_>,
    page: &Page,
    near: &mut Near,
    told: &mut Told<'_, '_>,
) -> Result<()> {
    let members = match page {
        Page::Goldens(ids) => links::by_goldens(tx, ids.iter().copied())?,
        Page::Loose(numbers) => links::by_numbers(tx, numbers.iter().copied())?,
    };
    let mut reading = read(how, tx, members, told)?;
    let parted = if how.scope.rematch {
        rematch::parted(how.engine, tx, &reading.members, &reading.anew)?
    } else {
        let parted = parted(how, tx, &reading)?;
        parted.into_iter().map(|(number, home)| (BTreeSet::from([number]), home)).collect()
    };
    let mut batch = gather(how, tx, page, &mut reading, &parted, near)?;
    let known: BTreeSet<i64> = batch.goldens.keys().copied().collect();
    let before: BTreeMap<i64, i64> = batch.links.values().map(|link| (link.number, link.golden)).collect();
    take_in(how, &mut batch, &reading, near);
    for (numbers, home) in &parted {
        let links = numbers.iter().filter_map(|number| batch.links.get(number));
        let from: BTreeSet<i64> = links.map(|link| link.golden).collect();
        let own = batch.part(numbers, *home);
        batch.dirty(own, 0, "split");
        for golden in from {
            batch.dirty(golden, 0, "split");
        }
    }
    let parted: BTreeSet<i64> = parted.into_iter().flat_map(|it| it.0).collect();
    join(how, &mut batch, &reading);
    batch.reblock_moved(how.engine);
    let moved = batch.links.values().filter(|link| before.get(&link.number).is_some_and(|then| *then != link.golden));
    let moved: BTreeSet<i64> = moved.map(|link| link.number).collect();
    told.report.asked += batch.reviews.len() as u64;
    told.report.parted += parted.len() as u64;
    told.report.joined += moved.iter().filter(|number| !parted.contains(number)).count() as u64;
    let regrouped: BTreeSet<i64> = moved.iter().filter_map(|number| before.get(number)).copied().collect();
    let owed = recompute(how, tx, page, &mut batch)?;
    let settled = settle(how.engine, &mut batch, &|_| how.cause.to_owned());
    for change in &settled.changes {
        told.change(change, |golden| !known.contains(&golden));
    }
    let mut writes = Vec::with_capacity(owed.len());
    for one in &owed {
        let link = batch.cluster(one.golden).find(|link| one.is_to(&link.key));
        let write = Write::of(one, link.and_then(|link| reading.shown.get(&link.number)));
        told.write(&write, one.delivery.operation.as_str());
        writes.push(write);
    }
    near.absorbed.extend(batch.goldens.values().filter(|it| it.merged_into.is_some()).map(|it| it.id));
    if how.then == Then::Keep {
        if let Some(proposal) = how.keeper {
            proposals::put_overwritten(tx, &writes.into_iter().map(|it| kept(proposal, it)).collect::<Vec<_>>())?;
        }
        // What waits for records that are grouped otherwise now is planned anew from the change log.
        deliveries::drop_all_of(tx, regrouped.into_iter().filter(|id| *id != 0).collect())?;
        process::write(tx, &mut batch, &settled)?;
        replays::set_details(tx, &reading.lines)?;
    }
    Ok(())
}

fn kept(proposal: i64, write: Write) -> Overwritten {
    let Write { connection, lens, stream, golden, id, fields, places } = write;
    let (id, fate) = (id.unwrap_or_default(), "kept".to_owned());
    Overwritten {
        proposal,
        golden,
        connection,
        lens,
        id,
        stream,
        fields,
        places,
        fate,
        edited: Vec::new(),
        delivery: None,
    }
}

fn read(how: &How<'_>, tx: &mut Tx<'_>, members: Vec<Link>, told: &mut Told<'_, '_>) -> Result<Reading> {
    let folded = fold(how.engine, tx, members.iter().filter(|link| how.scope.holds(how.engine, &link.key)))?;
    let known: BTreeMap<i64, &Link> = members.iter().map(|link| (link.number, link)).collect();
    let (mut anew, mut lines, mut seen) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for (number, folded) in folded {
        told.report.records += 1;
        let Some(link) = known.get(&number) else { continue };
        let outcome = match folded {
            Folded::Left(why) => why,
            Folded::Anew { state, line, issues, shown } => {
                seen.insert(number, shown);
                told.report.issues(&link.key, &issues.0, &issues.1);
                lines.extend(line);
                if state.is_same(&link.state) {
                    "unchanged"
                } else {
                    anew.insert(number, *state);
                    "changed"
                }
            }
        };
        *told.report.outcomes.entry(outcome.to_owned()).or_default() += 1;
    }
    Ok(Reading { members, anew, lines, shown: seen })
}

/// Links that belonged to the others by what they said, and by today's reading have nothing in common with them, each
/// with the golden record that it had before it was absorbed. What a steward ruled to be one stays one, and so does a
/// record that we made: its evidence never was the reason.
fn parted(how: &How<'_>, tx: &mut Tx<'_>, reading: &Reading) -> Result<BTreeMap<i64, Option<i64>>> {
    let mut clusters: BTreeMap<i64, Vec<&Link>> = BTreeMap::new();
    for link in reading.members.iter().filter(|link| link.golden != 0) {
        clusters.entry(link.golden).or_default().push(link);
    }
    let mut leaving = BTreeMap::new();
    for (golden, cluster) in clusters.iter().filter(|(_, cluster)| cluster.len() > 1) {
        let gone: BTreeSet<i64> =
            cluster.iter().filter(|link| lost_touch(how.engine, link, cluster, reading)).map(|it| it.number).collect();
        // Somebody stays: the record itself does not vanish.
        let stays = (gone.len() == cluster.len()).then(|| cluster[0].number);
        leaving.extend(gone.into_iter().filter(|it| Some(*it) != stays).map(|number| (number, *golden)));
    }
    let together: BTreeSet<(i64, i64)> = stewards::ruled_same(tx, leaving.keys().copied())?.into_iter().collect();
    let golden_of: BTreeMap<i64, i64> = reading.members.iter().map(|link| (link.number, link.golden)).collect();
    leaving.retain(|number, golden| {
        !together.iter().any(|(mine, other)| mine == number && golden_of.get(other) == Some(&*golden))
    });
    let mut parted: BTreeMap<i64, Option<i64>> = leaving.keys().map(|number| (*number, None)).collect();
    for golden in leaving.values().copied().collect::<BTreeSet<_>>() {
        let members = clusters[&golden].iter().map(|link| link.number);
        let (gone, stays): (BTreeSet<i64>, BTreeSet<i64>) = members.partition(|number| leaving.contains_key(number));
        let homes = review::homes_of_each(tx, golden, &gone, &stays)?;
        parted.extend(homes.into_iter().map(|(number, home)| (number, Some(home))));
    }
    Ok(parted)
}

fn lost_touch(engine: &Engine, link: &Link, cluster: &[&Link], reading: &Reading) -> bool {
    let Some(state) = reading.anew.get(&link.number).filter(|it| !it.is_same_evidence(&link.state)) else {
        return false;
    };
    let others = || cluster.iter().filter(|it| it.number != link.number);
    let then = evidence_of(others().map(|it| &it.state));
    let today = evidence_of(others().map(|it| reading.anew.get(&it.number).unwrap_or(&it.state)));
    let decide = |state: &LinkState, evidence| {
        let candidates = [Candidate { golden: link.golden, evidence }];
        matching::decide(&engine.matching, link.entity.as_str(), &state.evidence(), &candidates)
    };
    matches!(decide(&link.state, then), Decision::Link { .. }) && decide(state, today) == Decision::Create
}

/// The page with the candidates that its new evidence names, these read anew too.
fn gather(
    how: &How<'_>,
    tx: &mut Tx<'_>,
    page: &Page,
    reading: &mut Reading,
    parted: &[(BTreeSet<i64>, Option<i64>)],
    near: &Near,
) -> Result<Batch> {
    let hashes: BTreeSet<i64> =
        reading.looked_at(how).flat_map(|(link, state)| keys_of(how.engine, link, state)).collect();
    let mut candidates =
        blocks::candidates_in_write(tx, how.engine.store.tail(), hashes.iter().copied(), BLOCK_LINKS_MAX)?;
    for hash in hashes {
        candidates.extend(near.blocks.get(&hash).into_iter().flatten().map(|golden| (hash, *golden)));
    }
    let mut ids: BTreeSet<i64> = candidates.iter().map(|(_, golden)| *golden).collect();
    ids.extend(Batch::bound(tx, &reading.members)?);
    ids.extend(parted.iter().filter_map(|it| it.1));
    let loose = match page {
        Page::Goldens(goldens) => {
            ids.extend(goldens);
            Vec::new()
        }
        Page::Loose(_) => reading.members.clone(),
    };
    ids.remove(&0);
    let mut batch = Batch::gather(tx, loose, ids)?;
    batch.near(candidates);
    let ours: BTreeSet<i64> = reading.members.iter().map(|link| link.number).collect();
    let others: Vec<Link> = batch.links.values().filter(|link| !ours.contains(&link.number)).cloned().collect();
    let others = others.iter().filter(|link| how.scope.holds(how.engine, &link.key));
    for (number, folded) in fold(how.engine, tx, others)? {
        if let (Folded::Anew { state, shown, .. }, Some(link)) = (folded, batch.links.get_mut(&number)) {
            link.state = *state;
            reading.shown.insert(number, shown);
        }
    }
    Ok(batch)
}

fn take_in(how: &How<'_>, batch: &mut Batch, reading: &Reading, near: &mut Near) {
    for (number, state) in &reading.anew {
        let Some(link) = batch.links.get_mut(number) else { continue };
        link.state = state.clone();
        batch.touched.insert(*number);
    }
    for old in &reading.members {
        let state = reading.state_of(old);
        let is_other = !state.is_same_evidence(&old.state) || state.references != old.state.references;
        if is_other || (how.scope.rematch && old.golden != 0) {
            let (before, after) = (block_keys(how.engine, old), keys_of(how.engine, old, state));
            if how.then == Then::Forget && old.golden != 0 && near.blocks.len() < NEAR_MAX {
                for hash in &after {
                    near.blocks.entry(*hash).or_default().insert(old.golden);
                }
            }
            batch.reblock(old.number, after, &before);
        }
    }
}

fn join(how: &How<'_>, batch: &mut Batch, reading: &Reading) {
    let moved: BTreeSet<i64> = reading.looked_at(how).map(|(link, _)| link.number).collect();
    for link in &reading.members {
        if moved.contains(&link.number) || !batch.partners(link.number).is_empty() {
            batch.join(how.engine, link.number, 0);
        }
        let is_loose = batch.links.get(&link.number).is_some_and(|it| it.golden == 0 && !it.is_tombstone());
        let lens = how.engine.connections.get(link.key.connection.as_str()).and_then(|it| it.lens(&link.key.lens));
        if is_loose && how.scope.holds(how.engine, &link.key) && lens.is_some_and(|it| it.creates_golden()) {
            let golden = batch.create(link.number);
            batch.move_link(link.number, golden);
            batch.dirty(golden, 0, "create");
        }
    }
}

/// Marks what must be written: golden records with other values, and those that live connections are owed something of.
fn recompute(how: &How<'_>, tx: &mut Tx<'_>, page: &Page, batch: &mut Batch) -> Result<Vec<Planned>> {
    let mut ids: BTreeSet<i64> = batch.dirty.keys().copied().collect();
    if let Page::Goldens(page) = page {
        ids.extend(page);
    }
    let mut records: Vec<Golden> = Vec::new();
    for golden in ids.iter().filter_map(|id| batch.goldens.get(id)).filter(|golden| golden.merged_into.is_none()) {
        let fields = golden_fields(how.engine, batch, golden);
        records.push(Golden { fields, ..golden.clone() });
    }
    let members = records.iter().map(|golden| (golden.id, batch.cluster(golden.id).cloned().collect())).collect();
    let owed = plan::would_owe(how.engine, tx, &records, &members)?;
    for one in &owed {
        batch.dirty(one.golden, 0, "update");
    }
    for golden in &records {
        if batch.goldens.get(&golden.id).is_some_and(|before| before.fields != golden.fields) {
            batch.dirty(golden.id, 0, "update");
        }
    }
    Ok(owed)
}

fn keys_of(engine: &Engine, link: &Link, state: &LinkState) -> Vec<i64> {
    block_keys(engine, &Link { state: state.clone(), ..link.clone() })
}

/// What these deliveries write, beside what their records show now.
pub(crate) fn writes(
    engine: &Engine,
    tx: &mut Tx<'_>,
    owed: &[Planned],
    members: &BTreeMap<i64, Vec<Link>>,
) -> Result<Vec<Write>> {
    let folded = fold(engine, tx, owed.iter().filter_map(|one| one.link(members)))?;
    let shown = |one: &Planned| match folded.get(&one.link(members)?.number) {
        Some(Folded::Anew { shown, .. }) => Some(shown),
        _ => None,
    };
    Ok(owed.iter().map(|one| Write::of(one, shown(one))).collect())
}

impl Reading {
    fn state_of<'a>(&'a self, link: &'a Link) -> &'a LinkState {
        self.anew.get(&link.number).unwrap_or(&link.state)
    }

    /// Links of which it is decided who they are: whose evidence is another now, or all.
    fn looked_at<'a>(&'a self, how: &How<'_>) -> impl Iterator<Item = (&'a Link, &'a LinkState)> {
        let all = how.scope.rematch;
        let both = self.members.iter().map(|link| (link, self.state_of(link)));
        both.filter(move |(link, state)| !state.is_same_evidence(&link.state) || (all && !link.is_tombstone()))
    }
}
