//! A change of the rules, planned before it is made, and taken back if it was none.
//!
//! Whoever edits a mapping, a rule, an authority or a schedule lets [`plan`] say what it would do: a [`replay`] that
//! writes nothing compares what is stored with what the files say now, value by value, in golden records and in the
//! records of live systems. [`apply`] carries it out if neither files nor records moved since. It is a replay with the
//! cause `apply:NUMBER`: the change log keeps the golden values before and after, and beside each write that it leads to
//! stands what the record showed there (`overwritten`). Push sends these writes like any others. [`undo`] wants the
//! former files back in their place. Everything known is computed anew under them, and what the apply wrote is put back
//! word for word ([`restore`]), where nobody else edited since.
//!
//! All three go step by step, and go on where they were stopped.

mod restore;

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::value::FieldName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::pipeline::process;
use crate::replay::{self, Each, Effect, Order, Report, Sample, Scope, Write};
use crate::review::{self, Result, refused};
use crate::store::db::Tx;
use crate::store::proposals::{self, Proposal};
use crate::store::{StoreError, goldens, inbox, stewards};

/// Changes looked through at once for values that somebody edited since.
const PAGE: i64 = 500;

/// How often streams are pulled, in seconds, by `connection/stream`.
pub type Schedule = BTreeMap<String, i64>;

/// The deployment's files, as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Their digest.
    pub digest: String,
    /// What they say about pulling.
    pub schedule: Schedule,
}

impl Files {
    /// Files by name and text, in the order of their names.
    pub fn of(texts: &BTreeMap<String, String>, schedule: Schedule) -> Self {
        let mut hash = Sha256::new();
        for (name, text) in texts {
            hash.update(format!("{name} {}\n{text}", text.len()));
        }
        Self { digest: hex::encode(&hash.finalize()[..16]), schedule }
    }
}

/// A stream that would be pulled in another rhythm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescheduled {
    /// `connection/stream`.
    pub stream: String,
    /// Seconds from pull to pull by the files in force; none if it is not pulled by them.
    pub before: Option<i64>,
    /// Seconds by the files as they are now.
    pub after: Option<i64>,
}

/// What a change of the rules would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// In numbers.
    pub report: Report,
    /// Some golden records.
    pub samples: Vec<Sample>,
    /// Some writes, of each kind.
    pub writes: Vec<Write>,
    /// Other rhythms.
    pub schedule: Vec<Rescheduled>,
    /// Items of the inbox and changes that waited when it was planned: what becomes of them is no part of it.
    pub waiting: i64,
}

/// Where the data stands: whoever changes a record moves something of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Basis {
    changes: i64,
    links: i64,
    deliveries: i64,
    commands: i64,
}

impl Basis {
    fn here(tx: &mut Tx<'_>) -> crate::store::db::Result<Self> {
        Ok(Self {
            changes: tx.max("position", "change_log")?,
            links: tx.max("id", "link")?,
            deliveries: tx.max("id", "delivery")?,
            commands: inbox::progress(tx, stewards::COMMANDS)?,
        })
    }
}

/// Plans a change of the rules: what the engine says by now, against what is stored. `effects` gets every value that
/// would be another. Nothing is changed but the list of plans.
pub fn plan(
    engine: &Engine,
    files: &Files,
    made_by: &str,
    samples: usize,
    each: Each<'_>,
    effects: &mut dyn FnMut(Effect),
) -> Result<Proposal> {
    let (basis, waiting) = engine.store.read(|tx| Ok((Basis::here(tx)?, waiting(tx)?)))?;
    let seen = replay::look_closely(engine, &Scope::default(), samples, each, effects)?;
    let (report, samples, writes) = (seen.report, seen.samples, seen.writes);
    let planned = engine.store.write(|tx| {
        let before = former(tx, files)?;
        let known = before.as_ref().map(|it| serde_json::from_str::<Schedule>(&it.schedule)).transpose()?;
        let schedule = known.map(|known| rescheduled(&known, &files.schedule)).unwrap_or_default();
        let told = Told { report, samples, writes, schedule, waiting };
        let proposal = Proposal {
            number: proposals::next(tx)?,
            files: files.digest.clone(),
            rules: replay::digest(engine),
            former: before.map(|it| it.files),
            basis: serde_json::to_string(&basis)?,
            told: serde_json::to_string(&told)?,
            state: "planned".to_owned(),
            replay: None,
            last_change: None,
            undo: None,
            made: (made_by.to_owned(), engine.clock.now_us()),
            applied: None,
            undone: None,
        };
        proposals::put(tx, &proposal)?;
        Ok(proposal)
    });
    Ok(planned?)
}

fn waiting(tx: &mut Tx<'_>) -> crate::store::db::Result<i64> {
    let inbox = tx.max("position", "inbox")? - inbox::progress(tx, process::POSITION)?;
    let changes = tx.max("position", "change_log")? - inbox::progress(tx, crate::pipeline::plan::POSITION)?;
    Ok(inbox.max(0) + changes.max(0))
}

/// The files that these would take the place of.
fn former(tx: &mut Tx<'_>, files: &Files) -> crate::store::db::Result<Option<proposals::InForce>> {
    proposals::in_force_before(tx, &files.digest)
}

fn rescheduled(before: &Schedule, after: &Schedule) -> Vec<Rescheduled> {
    let streams: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let both = streams.into_iter().map(|stream| Rescheduled {
        stream: stream.clone(),
        before: before.get(stream).copied(),
        after: after.get(stream).copied(),
    });
    both.filter(|it| it.before != it.after).collect()
}

/// What a proposal said that it would do.
///
/// # Errors
/// A store that holds something else.
pub fn told(proposal: &Proposal) -> crate::store::db::Result<Told> {
    Ok(serde_json::from_str(&proposal.told)?)
}

/// Notes that these files are in force: whoever works by others stops. Returns their number.
pub fn come_into_force(engine: &Engine, files: &Files) -> crate::store::db::Result<i64> {
    let schedule = serde_json::to_string(&files.schedule)?;
    engine.store.write(|tx| proposals::come_into_force(tx, &files.digest, &schedule, engine.clock.now_us()))
}

/// What to do about records that changed since a plan was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The plan is made again first.
    Refused,
    /// What it does is computed from what is there now.
    Accepted,
}

/// What an apply did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Applied {
    /// The plan.
    pub number: i64,
    /// Whether it came to its end.
    pub done: bool,
    /// What it did, in numbers.
    pub report: Report,
    /// Whether every value is what the plan said, and no other.
    pub as_planned: bool,
}

/// Carries a plan out, or goes on with it after a stop.
///
/// # Errors
/// Files or records are others than when it was planned, or it is done already; the text says what to do.
pub fn apply(engine: &Engine, number: i64, files: &Files, by: &str, moved: Moved, each: Each<'_>) -> Result<Applied> {
    let (run, wanted) = review::command(engine, |tx| {
        let begun = begin(engine, tx, number, files, by, moved)?;
        point(Point::ApplyWritten);
        Ok(begun)
    })?;
    point(Point::ApplyBegun);
    let cause = format!("apply:{number}");
    let done = replay::carry_out(engine, run, &Order { cause: &cause, keeper: Some(number) }, each)?;
    if done.done {
        point(Point::ApplyThrough);
        engine.store.write(|tx| {
            let mut proposal = known(tx, number)?;
            proposal.last_change = Some(tx.max("position", "change_log")?);
            "applied".clone_into(&mut proposal.state);
            proposals::put(tx, &proposal)
        })?;
    }
    let as_planned = done.done && done.report == wanted.report;
    Ok(Applied { number, done: done.done, report: done.report, as_planned })
}

/// The replay that applies it, and what it was to do.
fn begin(engine: &Engine, tx: &mut Tx<'_>, number: i64, files: &Files, by: &str, moved: Moved) -> Result<(i64, Told)> {
    let mut proposal = named(tx, number)?;
    alone(tx, number)?;
    match proposal.state.as_str() {
        "planned" | "applying" => {}
        "applied" => {
            return refused(format!("plan {number} is applied already; `huiliu undo {number}` takes it back"));
        }
        _ => return refused(format!("plan {number} was taken back; run `huiliu plan` again")),
    }
    if proposal.files != files.digest || proposal.rules != replay::digest(engine) {
        return refused(format!("the files are others than when plan {number} was made; run `huiliu plan` again"));
    }
    let wanted = told(&proposal)?;
    if let Some(run) = proposal.replay {
        return Ok((run, wanted));
    }
    let mut here = Basis::here(tx)?;
    // This command is one of those that are counted.
    here.commands -= 1;
    let basis: Basis = serde_json::from_str(&proposal.basis).map_err(StoreError::from)?;
    if here != basis && moved == Moved::Refused {
        return refused(format!(
            "records changed since plan {number} was made, so it may do something else than it says; run `huiliu plan` \
             again, or `huiliu apply {number} --anyway`"
        ));
    }
    let run = replay::open(engine, tx, format!("{{\"apply\":{number}}}"), by)?;
    let now_us = engine.clock.now_us();
    let schedule = serde_json::to_string(&files.schedule).map_err(StoreError::from)?;
    proposals::come_into_force(tx, &files.digest, &schedule, now_us)?;
    "applying".clone_into(&mut proposal.state);
    (proposal.replay, proposal.applied) = (Some(run.number), Some((by.to_owned(), now_us)));
    proposals::put(tx, &proposal)?;
    Ok((run.number, wanted))
}

/// Values that an undo left as they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Left {
    /// As in an [`Effect`].
    pub record: String,
    /// The field or place; of a record that was made, none.
    pub place: Option<String>,
    /// What stood there before the apply.
    pub before: Value,
    /// `edited`: somebody else wrote there since. `made`: the apply made the record. `gone`: there is none any more.
    pub why: &'static str,
}

/// What an undo did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Undone {
    /// The plan that was taken back.
    pub number: i64,
    /// Whether it came to its end. Records that `under_way` counts need the same command once more.
    pub done: bool,
    /// What became of golden records, in numbers.
    pub report: Report,
    /// Records of other systems that show again what they showed before.
    pub restored: i64,
    /// Records whose former values wait to be sent.
    pub queued: i64,
    /// Records that never were written, or show what they showed before.
    pub same: i64,
    /// Records with a write that has no answer yet, or whose restoring was refused.
    pub under_way: i64,
    /// Records in which somebody else edited since what the apply wrote.
    pub edited: i64,
    /// Records that the apply made.
    pub made: i64,
    /// Records that are gone.
    pub gone: i64,
    /// Values of golden records that are not what they were, because somebody said otherwise since.
    pub goldens_edited: i64,
    /// Some of what was left.
    pub left: Vec<Left>,
}

/// Takes an applied plan back, or goes on with that after a stop. The engine works by the former files.
///
/// # Errors
/// The files are not the former ones, or another plan must be taken back first; the text says what to do.
pub fn undo(engine: &Engine, number: i64, files: &Files, by: &str, samples: usize, each: Each<'_>) -> Result<Undone> {
    let proposal = review::command(engine, |tx| begin_undo(engine, tx, number, files, by))?;
    point(Point::UndoBegun);
    let run = proposal.undo.unwrap_or_default();
    let cause = format!("undo:{number}");
    let replayed = replay::carry_out(engine, run, &Order { cause: &cause, keeper: None }, each)?;
    if replayed.done {
        // The golden records first: what is planned of them in between is what the former rules say, not what they undo.
        restore::restore(engine, &proposal)?;
    }
    let mut undone = outcome(engine, &proposal, samples)?;
    (undone.done, undone.report) = (replayed.done, replayed.report);
    if replayed.done && proposal.state == "undoing" {
        point(Point::UndoThrough);
        engine.store.write(|tx| proposals::put(tx, &Proposal { state: "undone".to_owned(), ..proposal.clone() }))?;
    }
    Ok(undone)
}

/// A plan that can be taken back, once its files are.
///
/// # Errors
/// It was never applied, or another one must be taken back first; the text says what to do.
pub fn undoable(engine: &Engine, number: i64) -> Result<Proposal> {
    engine.store.read(|tx| Ok(to_undo(tx, number)))?
}

fn to_undo(tx: &mut Tx<'_>, number: i64) -> Result<Proposal> {
    let proposal = named(tx, number)?;
    alone(tx, number)?;
    let Some(run) = proposal.replay else {
        return refused(format!("plan {number} was never applied: there is nothing to take back"));
    };
    match proposals::applied_after(tx, run)? {
        Some(later) => {
            refused(format!("plan {later} was applied after plan {number}; take it back first: `huiliu undo {later}`"))
        }
        None => Ok(proposal),
    }
}

fn begin_undo(engine: &Engine, tx: &mut Tx<'_>, number: i64, files: &Files, by: &str) -> Result<Proposal> {
    let mut proposal = to_undo(tx, number)?;
    if proposal.state == "undone" {
        return Ok(proposal);
    }
    if files.digest == proposal.files {
        return refused(format!(
            "the files still say what plan {number} made of them; put back what was changed first"
        ));
    }
    if proposal.former.as_ref().is_some_and(|former| *former != files.digest) {
        return refused(format!(
            "the files are neither those of plan {number} nor those that were in force before; put the latter back first"
        ));
    }
    let now_us = engine.clock.now_us();
    let schedule = serde_json::to_string(&files.schedule).map_err(StoreError::from)?;
    proposals::come_into_force(tx, &files.digest, &schedule, now_us)?;
    if proposal.undo.is_none() {
        let undo = replay::open(engine, tx, format!("{{\"undo\":{number}}}"), by)?;
        (proposal.undo, proposal.undone) = (Some(undo.number), Some((by.to_owned(), now_us)));
        proposal.last_change = Some(proposal.last_change.unwrap_or(tx.max("position", "change_log")?));
    }
    "undoing".clone_into(&mut proposal.state);
    proposals::put(tx, &proposal)?;
    Ok(proposal)
}

/// What an undo has come to by now.
///
/// # Errors
/// There is no such plan.
pub fn undone(engine: &Engine, number: i64, samples: usize) -> Result<Undone> {
    let proposal = engine.store.read(|tx| known(tx, number))?;
    outcome(engine, &proposal, samples)
}

fn outcome(engine: &Engine, proposal: &Proposal, samples: usize) -> Result<Undone> {
    let mut undone = Undone { number: proposal.number, done: proposal.state == "undone", ..Undone::default() };
    let most = i64::try_from(samples).unwrap_or(i64::MAX);
    let (fates, edited, rows) = engine.store.read(|tx| {
        let number = proposal.number;
        Ok((proposals::fates(tx, number)?, proposals::count_edited(tx, number)?, proposals::left(tx, number, most)?))
    })?;
    for (fate, delivery, count) in fates {
        *match (fate.as_str(), delivery.as_deref()) {
            ("asked", Some("done")) => &mut undone.restored,
            ("asked", Some("pending" | "sending")) => &mut undone.queued,
            ("same", _) => &mut undone.same,
            ("made", _) => &mut undone.made,
            ("gone", _) => &mut undone.gone,
            _ => &mut undone.under_way,
        } += count;
    }
    undone.edited = edited;
    undone.left = rows.iter().flat_map(restore::left).take(samples).collect();
    let room = samples.saturating_sub(undone.left.len());
    let (count, left) = engine.store.read(|tx| goldens_left(tx, proposal, room))?;
    undone.goldens_edited = count;
    undone.left.extend(left);
    Ok(undone)
}

/// Golden values that are not what they were before the apply: somebody said otherwise since. How many, and some.
fn goldens_left(tx: &mut Tx<'_>, proposal: &Proposal, room: usize) -> crate::store::db::Result<(i64, Vec<Left>)> {
    let basis: Basis = serde_json::from_str(&proposal.basis)?;
    let (cause, to) = (format!("apply:{}", proposal.number), proposal.last_change.unwrap_or(0));
    let (mut after, mut count, mut left) = (basis.changes, 0, Vec::new());
    loop {
        let changes = goldens::caused(tx, &cause, after, to, PAGE)?;
        let Some(last) = changes.last() else { return Ok((count, left)) };
        after = last.position;
        let ids: BTreeSet<i64> = changes.iter().map(|change| change.golden).collect();
        let now: BTreeMap<i64, goldens::Golden> =
            goldens::by_ids(tx, ids)?.into_iter().map(|golden| (golden.id, golden)).collect();
        for change in &changes {
            let Some(golden) = now.get(&change.golden).filter(|golden| golden.merged_into.is_none()) else { continue };
            let value = |field: &FieldName| golden.fields.get(field).unwrap_or(&Value::Null);
            for (field, (before, _)) in change.diff.iter().filter(|(field, (before, _))| value(field) != before) {
                count += 1;
                if left.len() < room {
                    let record = format!("{}/{}", golden.entity, golden.id);
                    let place = Some(field.as_str().to_owned());
                    left.push(Left { record, place, before: before.clone(), why: "edited" });
                }
            }
        }
    }
}

/// One proposal, if there is one.
pub fn one(engine: &Engine, number: i64) -> Result<Proposal> {
    engine.store.read(|tx| Ok(named(tx, number)))?
}

/// The last proposals, newest first.
pub fn list(engine: &Engine, count: i64) -> crate::store::db::Result<Vec<Proposal>> {
    engine.store.read(|tx| proposals::latest(tx, count))
}

fn named(tx: &mut Tx<'_>, number: i64) -> Result<Proposal> {
    match proposals::by_number(tx, number)? {
        Some(proposal) => Ok(proposal),
        None => refused(format!("there is no plan {number}; see `huiliu plan list`")),
    }
}

fn known(tx: &mut Tx<'_>, number: i64) -> crate::store::db::Result<Proposal> {
    proposals::by_number(tx, number)?
        .ok_or_else(|| StoreError::Corrupt(format!("plan {number} vanished from the store")))
}

/// Nobody else is half applied or half taken back.
fn alone(tx: &mut Tx<'_>, number: i64) -> Result<()> {
    match proposals::under_way(tx)? {
        Some((other, state)) if other != number => {
            let command = if state == "applying" { "apply" } else { "undo" };
            refused(format!("plan {other} was stopped half-way; finish it first: `huiliu {command} {other}`"))
        }
        _ => Ok(()),
    }
}
