//! Replay: what is kept, through today's rules.
//!
//! After a mapping, the model or a rule changed, every link is folded anew from its arrivals and from what was written
//! to it ([`fold`]); golden records are recomputed, and what differs is written with the cause `replay:NUMBER`, from
//! where plan tells the live connections. Nothing is asked of any system. [`look`] shows what would change, [`apply`]
//! does it, step by step: a step is one transaction with the place of the replay, so a stop at any point leaves whole
//! steps, and the same command goes on. Newer data is safe: a step reads links, arrivals and writes as they are when its
//! turn comes, alone among those who compute meaning. Since every step is idempotent, so is the whole.

mod effect;
mod fold;
mod rematch;
mod scope;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::value::{EntityName, FieldName, Issue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::link::{Link, LinkKey};
use crate::pipeline::process::{self, MEANING_LOCK, received};
use crate::retry;
use crate::store::db::{Result, StoreError, Tx};
use crate::store::inbox::{self, InboxItem, ItemKind};
use crate::store::replays::{self, Run, Stretch};
use crate::store::{links, stewards, streams};

pub use effect::{Effect, Sum, Write};
use effect::{Samples, Told};
pub(crate) use fold::own_words;
pub use scope::Scope;
pub(crate) use step::writes;
use step::{How, Near, Page, step};

/// Golden records, or links without one, in a step: some milliseconds each, so that live traffic hardly waits.
const STEP: i64 = 100;

/// Positions of the inbox looked through in a step for records that no mapping read when they came.
const STRETCH: i64 = 20_000;

/// Kept items that run again in a step.
const AGAIN: usize = 500;

/// How often values of a field change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldCounts {
    /// There was none, now there is one.
    pub filled: u64,
    /// It is another one.
    pub changed: u64,
    /// There is none any more.
    pub emptied: u64,
}

/// How often an issue of a mapping comes and goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueCounts {
    /// Records that have it by today's rules only.
    pub appeared: u64,
    /// Records that had it by the former rules only.
    pub vanished: u64,
}

/// What a replay changes, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Records read anew.
    pub records: u64,
    /// What became of them: `unchanged`, `changed`, or why they stay as they are: `not_kept`, `no_mapping`,
    /// `not_readable`.
    pub outcomes: BTreeMap<String, u64>,
    /// Changes written to the change log.
    pub changes: u64,
    /// Golden records whose values differ.
    pub goldens: u64,
    /// By `entity.field`.
    pub fields: BTreeMap<String, FieldCounts>,
    /// Records that belong to another golden record since they have something in common with it.
    pub joined: u64,
    /// Records that belong to a golden record of their own since they have nothing in common with the others any more.
    pub parted: u64,
    /// Records about which a steward is asked, where it is decided anew who is who.
    #[serde(default)]
    pub asked: u64,
    /// By `connection/lens field code`.
    pub issues: BTreeMap<String, IssueCounts>,
    /// What live connections are owed on account of it, by `connection/stream operation`.
    pub writes: BTreeMap<String, u64>,
    /// The same by place of the system's record: `connection/stream /pointer`.
    #[serde(default)]
    pub places: BTreeMap<String, FieldCounts>,
    /// All of it, value by value.
    #[serde(default)]
    pub sum: Sum,
    /// Kept items that no mapping read when they came, and that run again.
    pub unread: u64,
    /// Dead letters that today's rules can read, and that run again.
    pub letters: u64,
}

/// One golden record that changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The golden record.
    pub golden: i64,
    /// What it is.
    pub entity: EntityName,
    /// Before and after.
    pub diff: BTreeMap<FieldName, (Value, Value)>,
}

/// What a replay did or would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Replayed {
    /// The number of the replay; 0 if it only looked.
    pub number: i64,
    /// Whether it came to its end.
    pub done: bool,
    /// The numbers, those of its part before a stop included.
    pub report: Report,
    /// Some of the golden records that change.
    pub samples: Vec<Sample>,
    /// Some of the writes that are owed, of each kind.
    pub writes: Vec<Write>,
}

/// How far a replay is: `at` of about `of` golden records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Passed.
    pub at: i64,
    /// In all.
    pub of: i64,
}

/// Called between steps; a break stops there.
pub type Each<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Forget,
    Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Goldens,
    Loose,
    Unread,
    Letters,
    Done,
}

/// Where a replay is, and where everything stood when it began.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    stage: Stage,
    after: i64,
    inbox: i64,
    link: i64,
    golden: i64,
}

/// What would change, with so many samples. Writes nothing.
pub fn look(engine: &Engine, scope: &Scope, samples: usize, each: Each<'_>) -> Result<Replayed> {
    look_closely(engine, scope, samples, each, &mut |_| {})
}

/// The same, and hands over every single value that would be another.
pub fn look_closely(
    engine: &Engine,
    scope: &Scope,
    samples: usize,
    each: Each<'_>,
    effects: &mut dyn FnMut(Effect),
) -> Result<Replayed> {
    let mut work = Work { effects: Some(effects), ..Work::new(engine, scope, Then::Forget, samples) };
    let mut place = engine.store.read(begin)?;
    while place.stage != Stage::Done {
        place = engine.store.read(|tx| work.step(tx, place))?;
        if each(place.progress()).is_break() {
            break;
        }
    }
    let done = place.stage == Stage::Done;
    Ok(work.told(0, done))
}

/// Reads everything of a scope anew, or goes on with an interrupted replay of the same scope under the same rules.
pub fn apply(engine: &Engine, scope: &Scope, made_by: &str, samples: usize, each: Each<'_>) -> Result<Replayed> {
    let name = serde_json::to_string(scope)?;
    let run = engine.store.write(|tx| {
        tx.lock(MEANING_LOCK)?;
        match replays::unfinished(tx, &name, &digest(engine))? {
            Some(known) => Ok(known),
            None => open(engine, tx, name, made_by),
        }
    })?;
    let cause = format!("replay:{}", run.number);
    drive(Work { cause, ..Work::new(engine, scope, Then::Keep, samples) }, run, each)
}

/// What a replay of everything belongs to.
pub(crate) struct Order<'a> {
    /// What the change log names as the cause.
    pub cause: &'a str,
    /// The proposal that keeps what stands where it leads to writes.
    pub keeper: Option<i64>,
}

/// Goes on with a replay of everything, to its end.
pub(crate) fn carry_out(engine: &Engine, number: i64, order: &Order<'_>, each: Each<'_>) -> Result<Replayed> {
    let run = engine.store.read(|tx| replays::by_number(tx, number))?.ok_or_else(|| vanished(number))?;
    let (scope, cause) = (Scope::default(), order.cause.to_owned());
    drive(Work { cause, keeper: order.keeper, ..Work::new(engine, &scope, Then::Keep, 0) }, run, each)
}

fn vanished(number: i64) -> StoreError {
    StoreError::Corrupt(format!("replay {number} vanished from the store"))
}

fn drive(mut work: Work<'_>, mut run: Run, each: Each<'_>) -> Result<Replayed> {
    let engine = work.engine;
    work.report = serde_json::from_str(&run.report)?;
    let mut done = run.done_us.is_some();
    // What a stop left in the inbox belongs before the next step.
    work.run_again(serde_json::from_str::<Place>(&run.place)?.stage)?;
    while !done {
        let turn = engine.meaning();
        let place = engine.store.write(|tx| {
            tx.lock(MEANING_LOCK)?;
            // What others computed from before this step is void, as after a steward's command.
            let given = inbox::progress(tx, stewards::COMMANDS)?;
            inbox::set_progress(tx, stewards::COMMANDS, given + 1)?;
            // Read again: the same command, given twice, shares the work.
            let known = replays::by_number(tx, run.number)?.ok_or_else(|| vanished(run.number))?;
            work.report = serde_json::from_str(&known.report)?;
            let place = work.step(tx, serde_json::from_str(&known.place)?)?;
            run.place = serde_json::to_string(&place)?;
            run.report = serde_json::to_string(&work.report)?;
            run.done_us = (place.stage == Stage::Done).then(|| engine.clock.now_us());
            replays::put(tx, &run)?;
            point(Point::ReplayWritten);
            Ok(place)
        })?;
        point(Point::ReplayCommitted);
        drop(turn);
        work.run_again(place.stage)?;
        done = place.stage == Stage::Done;
        if each(place.progress()).is_break() {
            break;
        }
    }
    Ok(work.told(run.number, done))
}

fn begin(tx: &mut Tx<'_>) -> Result<Place> {
    let here = streams::here(tx)?;
    let golden = tx.max("id", "golden")?;
    // What still waits in the inbox will be read by today's rules anyway.
    let inbox = inbox::progress(tx, process::POSITION)?;
    Ok(Place { stage: Stage::Goldens, after: 0, inbox, link: here.link, golden })
}

/// Begins a replay under today's rules; `name` tells it from others that were interrupted.
pub(crate) fn open(engine: &Engine, tx: &mut Tx<'_>, name: String, made_by: &str) -> Result<Run> {
    let run = Run {
        number: tx.max("id", "replay")? + 1,
        scope: name,
        rules: digest(engine),
        place: serde_json::to_string(&begin(tx)?)?,
        report: serde_json::to_string(&Report::default())?,
        made_by: made_by.to_owned(),
        started_us: engine.clock.now_us(),
        done_us: None,
    };
    replays::put(tx, &run)?;
    Ok(run)
}

/// Changes whenever a mapping, the model or a rule does.
pub(crate) fn digest(engine: &Engine) -> String {
    let mut hash = Sha256::new();
    for (name, connection) in &engine.connections {
        hash.update(format!("{name} {} {:?} {:?}\n", connection.rank, connection.directions, connection.lenses));
    }
    hash.update(format!("{:?}\n{:?}", engine.matching, engine.survive));
    hex::encode(&hash.finalize()[..16])
}

struct Work<'a> {
    engine: &'a Engine,
    scope: &'a Scope,
    then: Then,
    cause: String,
    near: Near,
    report: Report,
    samples: Samples,
    letters: BTreeSet<i64>,
    /// The proposal that keeps what stands where this leads to writes.
    keeper: Option<i64>,
    /// Gets every value that is or would be another.
    effects: Option<&'a mut dyn FnMut(Effect)>,
}

impl<'a> Work<'a> {
    fn new(engine: &'a Engine, scope: &'a Scope, then: Then, samples: usize) -> Self {
        let (near, report, samples) = (Near::default(), Report::default(), Samples::at_most(samples));
        let (cause, letters) = ("replay".to_owned(), BTreeSet::new());
        Self { engine, scope, then, cause, near, report, samples, letters, keeper: None, effects: None }
    }

    fn told(self, number: i64, done: bool) -> Replayed {
        let Samples { goldens, writes, .. } = self.samples;
        Replayed {
            number,
            done,
            report: self.report,
            samples: goldens,
            writes: writes.into_values().flatten().collect(),
        }
    }

    fn step(&mut self, tx: &mut Tx<'_>, place: Place) -> Result<Place> {
        match place.stage {
            Stage::Goldens => {
                let mut ids = self.goldens(tx, place)?;
                let next = if self.scope.record.is_some() { None } else { ids.last().copied() };
                ids.retain(|id| !self.near.is_absorbed(*id));
                self.page(tx, &Page::Goldens(ids.into_iter().collect()))?;
                Ok(place.then(next, Stage::Loose))
            }
            Stage::Loose => {
                let numbers = self.loose(tx, place)?;
                let next = if self.scope.record.is_some() { None } else { numbers.last().copied() };
                self.page(tx, &Page::Loose(numbers))?;
                Ok(place.then(next, Stage::Unread))
            }
            Stage::Unread => {
                let next = self.unread(tx, place)?;
                Ok(place.then(next, Stage::Letters))
            }
            Stage::Letters => {
                self.letters = letters(self.engine, tx, self.scope)?;
                self.report.letters += self.letters.len() as u64;
                Ok(place.then(None, Stage::Done))
            }
            Stage::Done => Ok(place),
        }
    }

    fn page(&mut self, tx: &mut Tx<'_>, page: &Page) -> Result<()> {
        let (engine, scope, then, keeper) = (self.engine, self.scope, self.then, self.keeper);
        let how = How { engine, scope, then, cause: &self.cause, keeper };
        let (report, samples, effects) = (&mut self.report, &mut self.samples, self.effects.as_deref_mut());
        step(&how, tx, page, &mut self.near, &mut Told { report, samples, effects })
    }

    fn goldens(&self, tx: &mut Tx<'_>, place: Place) -> Result<Vec<i64>> {
        match self.scope.key() {
            Some(key) => Ok(of_record(tx, &key)?.into_iter().map(|link| link.golden).filter(|id| *id != 0).collect()),
            None => replays::goldens_after(tx, &self.scope.pairs(self.engine), place.after, STEP),
        }
    }

    fn loose(&self, tx: &mut Tx<'_>, place: Place) -> Result<Vec<i64>> {
        match self.scope.key() {
            Some(key) => {
                let found = of_record(tx, &key)?.into_iter().filter(|link| link.golden == 0);
                Ok(found.map(|link| link.number).collect())
            }
            None => replays::loose_after(tx, &self.scope.pairs(self.engine), place.after, STEP),
        }
    }

    /// Items of records that no lens read when they came stand at the end of the inbox once more.
    fn unread(&mut self, tx: &mut Tx<'_>, place: Place) -> Result<Option<i64>> {
        if self.scope.record.is_some() || place.after >= place.inbox {
            return Ok(None);
        }
        let to = place.inbox.min(place.after + STRETCH);
        let stretch = Stretch { after: place.after, to, link: place.link };
        let found = replays::unread(tx, &self.scope.lenses(self.engine), stretch)?;
        let mut lenses: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (position, lens) in found {
            lenses.entry(position).or_default().push(lens);
        }
        let to = lenses.keys().nth(AGAIN - 1).copied().unwrap_or(to);
        let mut items = inbox::at_all(tx, lenses.range(..=to).map(|(position, _)| *position))?;
        items.retain(|item| lenses[&item.position].iter().any(|lens| self.reads(item, lens)));
        self.report.unread += items.len() as u64;
        if self.then == Then::Keep {
            inbox::append(tx, &items)?;
        }
        Ok(Some(to))
    }

    /// Whether a lens takes an item for one of its own.
    fn reads(&self, item: &InboxItem, lens: &str) -> bool {
        let lens = self.engine.connections.get(&item.connection).and_then(|it| it.lens(lens));
        let is_ours = |lens: &Lens| serde_json::from_slice(&item.body).is_ok_and(|body| lens.reads(&body));
        item.kind == ItemKind::Deleted || lens.is_some_and(|lens| is_ours(lens))
    }

    /// What a step put into the inbox is processed before the next one looks.
    fn run_again(&mut self, stage: Stage) -> Result<()> {
        if stage == Stage::Done && !self.letters.is_empty() {
            retry::dead_letters(self.engine, Some(&std::mem::take(&mut self.letters)))?;
        }
        if matches!(stage, Stage::Unread | Stage::Letters | Stage::Done) {
            while process::batch(self.engine)?.items > 0 {}
        }
        Ok(())
    }
}

/// Reads links of one stream (connection, stream) anew, with the golden records that they belong to, in this transaction.
pub(crate) fn reread(engine: &Engine, tx: &mut Tx<'_>, links: &[Link], of: (&str, &str), cause: &str) -> Result<()> {
    let scope = Scope { connection: Some(of.0.to_owned()), stream: Some(of.1.to_owned()), ..Scope::default() };
    let mut work = Work::new(engine, &scope, Then::Keep, 0);
    cause.clone_into(&mut work.cause);
    let goldens: BTreeSet<i64> = links.iter().map(|link| link.golden).filter(|id| *id != 0).collect();
    let loose: Vec<i64> = links.iter().filter(|link| link.golden == 0).map(|link| link.number).collect();
    if !goldens.is_empty() {
        work.page(tx, &Page::Goldens(goldens))?;
    }
    if !loose.is_empty() {
        work.page(tx, &Page::Loose(loose))?;
    }
    Ok(())
}

fn of_record(tx: &mut Tx<'_>, key: &LinkKey) -> Result<Vec<Link>> {
    links::by_keys(tx, [key])
}

/// Waiting letters of the stage process that can be read today.
fn letters(engine: &Engine, tx: &mut Tx<'_>, scope: &Scope) -> Result<BTreeSet<i64>> {
    let waiting = inbox::dead_letters(tx, i64::MAX)?;
    let waiting: Vec<_> = waiting.into_iter().filter(|one| one.stage == "process" && scope.names(one)).collect();
    let mut readable = BTreeSet::new();
    for part in waiting.chunks(AGAIN) {
        for item in inbox::at_all(tx, part.iter().map(|one| one.item).collect::<BTreeSet<_>>())? {
            let Some(connection) = engine.connections.get(&item.connection) else { continue };
            if received(connection, &item).is_ok() {
                readable.extend(part.iter().filter(|one| one.item == item.position).map(|one| one.number));
            }
        }
    }
    Ok(readable)
}

impl Place {
    /// After `next`, or at the beginning of another stage.
    fn then(self, next: Option<i64>, other: Stage) -> Self {
        match next {
            Some(after) => Self { after, ..self },
            None => Self { stage: other, after: 0, ..self },
        }
    }

    fn progress(self) -> Progress {
        let at = if self.stage == Stage::Goldens { self.after.min(self.golden) } else { self.golden };
        Progress { at, of: self.golden }
    }
}

impl Report {
    /// Whether nothing would be different.
    pub fn is_empty(&self) -> bool {
        [self.changes, self.joined, self.parted, self.asked, self.unread, self.letters].iter().all(|count| *count == 0)
    }

    fn issues(&mut self, key: &LinkKey, then: &[Issue], today: &[Issue]) {
        let words = |issues: &[Issue]| -> BTreeSet<(String, String)> {
            issues.iter().map(|it| (it.field.as_str().to_owned(), it.code.clone())).collect()
        };
        let (then, today) = (words(then), words(today));
        let name = |(field, code): &(String, String)| format!("{}/{} {field} {code}", key.connection, key.lens);
        for new in today.difference(&then) {
            self.issues.entry(name(new)).or_default().appeared += 1;
        }
        for old in then.difference(&today) {
            self.issues.entry(name(old)).or_default().vanished += 1;
        }
    }
}
