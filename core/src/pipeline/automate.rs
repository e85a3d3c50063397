//! Automate: what rules say is to happen when golden records change becomes deliveries and tags.
//!
//! The stage follows the change log. A batch's firings, their deliveries, its tags and the stage's position are one
//! transaction, and a firing is unique by rule, record and change: whatever dies, none is lost and none doubled.
//!
//! Rules may lead to each other: a tag is a change, and a record that a rule made comes back as news. Each firing knows how
//! many led to it, one after the other; beyond a depth it does nothing and says so.

pub(crate) mod act;
pub(crate) mod look;

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::automation::{Action, Rule};
use huiliu_mappings::merge::{ADDED, Pin};
use huiliu_mappings::value::FieldName;
use serde_json::{Value, json};

use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::link::Link;
use crate::manifest::Ability;
use crate::pipeline::plan::PLAN_LOCK;
use crate::pipeline::process::{self, Batch, MEANING_LOCK};
use crate::store::db::{Result, Tx};
use crate::store::firings::{self, Done, Firing, Place, State};
use crate::store::goldens::Change;
use crate::store::inbox::DeadLetter;
use crate::store::{console, deliveries, goldens, inbox, links, streams};

use look::{Occasion, look};

pub use act::{EVENTS, MAILS, NOTICES, check};

/// Changes in a batch; each may touch some tens of records that refer to it.
pub const BATCH_CHANGES: i64 = 500;

/// The name of this stage's position.
pub const POSITION: &str = "automate";

/// Rules that may lead to each other, one after the other, before that is taken for a loop.
pub const DEPTH_MAX: i64 = 3;

/// A record that a rule is making may be told by webhook before the answer is in; the stage waits so long for it.
const ANSWER_US: i64 = 120_000_000;

/// The field to which tags are added.
const TAGS: &str = "tags";

/// Sees to the next changes; returns how many were read, and how often rules fired.
pub fn batch(engine: &Engine) -> Result<(usize, usize)> {
    if engine.automates_nothing() {
        return Ok((0, 0));
    }
    let rules: Vec<&Rule> = engine.automation.all().iter().collect();
    let _turn = engine.meaning();
    let known = engine.store.read(firings::known)?;
    if rules.is_empty() {
        if !known.is_empty() {
            engine.store.write(firings::forget_all)?;
        }
        engine.note_no_rules();
        return Ok((0, 0));
    }
    if rules.iter().any(|rule| !known.contains_key(&rule.name)) {
        engine.store.write(|tx| acquaint(tx, &rules))?;
    }
    let (position, known) = engine.store.read(|tx| Ok((inbox::progress(tx, POSITION)?, firings::known(tx)?)))?;
    batch_from(engine, &rules, position, &known)
}

/// A rule looks at what happens from the moment on at which it is first there.
fn acquaint(tx: &mut Tx<'_>, rules: &[&Rule]) -> Result<()> {
    let last = tx.max("position", "change_log")?;
    for rule in rules {
        firings::introduce(tx, &rule.name, last)?;
    }
    // While there was no rule nobody moved the position.
    let now = firings::known(tx)?;
    let first = rules.iter().filter_map(|rule| now.get(&rule.name)).min().copied().unwrap_or(last);
    if inbox::progress(tx, POSITION)? < first {
        inbox::set_progress(tx, POSITION, first)?;
    }
    Ok(())
}

fn batch_from(
    engine: &Engine,
    rules: &[&Rule],
    position: i64,
    known: &BTreeMap<String, i64>,
) -> Result<(usize, usize)> {
    let now_us = engine.clock.now_us();
    let Some((last, count, due, held)) = engine.store.read(|tx| {
        let mut changes = console::changes_after(tx, position, BATCH_CHANGES)?;
        let under_way = firings::under_way(tx, now_us.saturating_sub(ANSWER_US))?;
        if !under_way.is_empty() {
            changes.truncate(unanswered(engine, tx, &changes, &under_way)?);
        }
        let Some(last) = changes.last().map(|change| change.position) else { return Ok(None) };
        let mut occasions = look(engine, tx, rules, &changes)?;
        occasions.retain(|it| known.get(&it.rule.name).is_some_and(|since| it.change > *since));
        let mut held = firings::held(tx, occasions.iter().map(|it| it.view.golden).collect::<BTreeSet<_>>())?;
        let before = held.clone();
        occasions.retain(|it| it.fires(&mut held));
        held.retain(|key, value| before.get(key) != Some(value));
        Ok(Some((last, changes.len(), judged(engine, tx, occasions)?, held)))
    })?
    else {
        return Ok((0, 0));
    };
    let fired = due.len();
    let is_done = engine.store.write(|tx| {
        tx.lock(MEANING_LOCK)?;
        tx.lock(PLAN_LOCK)?;
        // Another node was here meanwhile.
        if inbox::progress(tx, POSITION)? != position {
            return Ok(false);
        }
        fire(engine, tx, &due)?;
        firings::put_held(tx, &held)?;
        inbox::set_progress(tx, POSITION, last)?;
        if fired > 0 {
            point(Point::FiringWritten);
        }
        Ok(true)
    })?;
    if is_done && fired > 0 {
        point(Point::FiringCommitted);
        metrics::counter!("huiliu_firings_total").increment(fired as u64);
    }
    Ok(if is_done { (count, fired) } else { (0, 0) })
}

/// How many changes come before the first that may show a record which a rule is making right now: only once its id is
/// known can it be told whose it is.
fn unanswered(
    engine: &Engine,
    tx: &mut Tx<'_>,
    changes: &[Change],
    under_way: &BTreeSet<(String, String)>,
) -> Result<usize> {
    let is_new = |change: &&Change| ["create", "link"].contains(&change.kind.as_str());
    let new: BTreeSet<i64> = changes.iter().filter(is_new).map(|change| change.golden).collect();
    let members = links::by_goldens(tx, new)?;
    let near = members.iter().filter(|link| {
        let (connection, stream, _) = place(engine, link);
        under_way.contains(&(connection, stream))
    });
    let near: BTreeSet<i64> = near.map(|link| link.golden).collect();
    let first = changes.iter().position(|change| is_new(&change) && near.contains(&change.golden));
    Ok(first.unwrap_or(changes.len()))
}

/// An occasion at which a rule fires, or would but for its depth or the first read.
pub(crate) struct Due<'r> {
    pub occasion: Occasion<'r>,
    pub depth: i64,
    pub state: State,
}

/// Says of each firing how deep it is, and whether it may act.
pub(crate) fn judged<'r>(engine: &Engine, tx: &mut Tx<'_>, occasions: Vec<Occasion<'r>>) -> Result<Vec<Due<'r>>> {
    let number = |cause: &str, word: &str| cause.strip_prefix(word).and_then(|rest| rest.parse::<i64>().ok());
    let causes: BTreeSet<i64> = occasions.iter().filter_map(|it| number(&it.cause, CAUSE)).collect();
    let depths: BTreeMap<i64, i64> =
        firings::by_numbers(tx, causes)?.into_iter().map(|firing| (firing.number, firing.depth)).collect();
    let made = made_by_rules(engine, tx, &occasions)?;
    let positions: BTreeSet<i64> = occasions.iter().filter_map(|it| number(&it.cause, "inbox:")).collect();
    let sources = inbox::read_from(tx, positions)?;
    let states = streams::all(tx)?;
    let is_first_read = |position: i64| {
        let Some((name, stream)) = sources.get(&position) else { return false };
        let pulls = engine.connections.get(name).is_some_and(|it| it.can(stream, Ability::Pull));
        let read_to = states.get(&(name.clone(), stream.clone())).and_then(|state| state.read_to);
        pulls && read_to.is_none_or(|to| position <= to)
    };
    Ok(occasions
        .into_iter()
        .map(|occasion| {
            let by_rule = number(&occasion.cause, CAUSE).and_then(|firing| depths.get(&firing)).copied();
            let by_record = made.get(&occasion.view.golden).copied().filter(|_| occasion.is_new);
            let depth = by_rule.max(by_record).map_or(0, |depth| depth + 1);
            let state = if depth > DEPTH_MAX {
                State::TooDeep
            } else if number(&occasion.cause, "inbox:").is_some_and(is_first_read) {
                State::FirstRead
            } else {
                State::Fired
            };
            Due { occasion, depth, state }
        })
        .collect())
}

/// What the cause of a change says that a rule made.
const CAUSE: &str = "rule:";

/// Golden records whose first sight is of a record that a rule made: with the depth of the firing.
fn made_by_rules(engine: &Engine, tx: &mut Tx<'_>, occasions: &[Occasion<'_>]) -> Result<BTreeMap<i64, i64>> {
    let new: BTreeSet<i64> = occasions.iter().filter(|it| it.is_new).map(|it| it.view.golden).collect();
    let members = links::by_goldens(tx, new)?;
    let places: BTreeMap<Place, i64> = members.iter().map(|link| (place(engine, link), link.golden)).collect();
    let makers = firings::makers(tx, &places.keys().cloned().collect())?;
    Ok(makers.into_iter().filter_map(|(place, depth)| Some((*places.get(&place)?, depth))).collect())
}

/// Where a link's record stands.
fn place(engine: &Engine, link: &Link) -> Place {
    let name = link.key.connection.as_str();
    let lens = engine.connections.get(name).and_then(|it| it.lens(&link.key.lens));
    let stream = lens.map(|lens| lens.stream().to_owned()).unwrap_or_default();
    (name.to_owned(), stream, link.key.id.as_str().to_owned())
}

/// Writes firings with all that follows from them. What fired before does not fire again; what did nothing then, and may
/// now, keeps its number.
pub(crate) fn fire(engine: &Engine, tx: &mut Tx<'_>, due: &[Due<'_>]) -> Result<usize> {
    if due.is_empty() {
        return Ok(0);
    }
    let now_us = engine.clock.now_us();
    let goldens: BTreeSet<i64> = due.iter().map(|it| it.occasion.view.golden).collect();
    let known: BTreeMap<(i64, String, i64), Firing> = firings::of_goldens(tx, goldens)?
        .into_iter()
        .map(|firing| ((firing.golden, firing.rule.clone(), firing.change), firing))
        .collect();
    let mut work = Work {
        next_firing: tx.max("id", "firing")? + 1,
        next_delivery: tx.max("id", "delivery")? + 1,
        ..Work::default()
    };
    for it in due {
        let (rule, view) = (it.occasion.rule, &it.occasion.view);
        let before = known.get(&(view.golden, rule.name.clone(), it.occasion.change));
        if before.is_some_and(|before| before.state == State::Fired || before.state == it.state) {
            continue;
        }
        let number = before.map_or(work.next_firing, |before| before.number);
        work.next_firing = work.next_firing.max(number + 1);
        work.firings.push(Firing {
            number,
            rule: rule.name.clone(),
            golden: view.golden,
            change: it.occasion.change,
            depth: it.depth,
            state: it.state,
            at_us: now_us,
        });
        if it.state == State::Fired {
            work.act(engine, number, &it.occasion, now_us);
        }
    }
    firings::put(tx, &work.firings)?;
    firings::put_actions(tx, &work.actions)?;
    deliveries::put(tx, &work.planned, now_us)?;
    inbox::bury(tx, &work.letters)?;
    tag(engine, tx, &work.tags, now_us)?;
    Ok(work.firings.iter().filter(|it| it.state == State::Fired).count())
}

/// What firings come to.
#[derive(Default)]
struct Work {
    next_firing: i64,
    next_delivery: i64,
    firings: Vec<Firing>,
    actions: Vec<Done>,
    planned: Vec<deliveries::Planned>,
    letters: Vec<DeadLetter>,
    /// Golden record, tag, firing, rule.
    tags: Vec<(i64, String, i64, String)>,
}

impl Work {
    fn act(&mut self, engine: &Engine, firing: i64, occasion: &Occasion<'_>, now_us: i64) {
        let (rule, view) = (occasion.rule, &occasion.view);
        for (number, (action, _)) in (1..).zip(&rule.actions) {
            let mut done =
                Done { firing, number, word: action.word().to_owned(), target: target(action), ..Done::default() };
            if let Action::Tag { tag, on } = action {
                let all: Vec<i64> = match on {
                    None => vec![view.golden],
                    Some(entity) => view.others.get(entity.as_str()).into_iter().flatten().map(|it| it.0).collect(),
                };
                if all.is_empty() {
                    done.detail = Some("it refers to nobody who could be tagged".to_owned());
                }
                self.tags.extend(all.into_iter().map(|golden| (golden, tag.clone(), firing, rule.name.clone())));
            }
            match act::outgoing(engine, rule, action, occasion.change, &format!("#{firing}"), view) {
                Ok(None) => {}
                Ok(Some(outgoing)) => {
                    let (golden, change, place) =
                        (view.golden.to_string(), occasion.change.to_string(), number.to_string());
                    let key = ["rule", rule.name.as_str(), &golden, &change, &place];
                    done.delivery = Some(self.next_delivery);
                    self.planned.push(act::delivery(self.next_delivery, &key, occasion.change, outgoing));
                    self.next_delivery += 1;
                }
                Err(told) => {
                    self.letters.push(letter(action, firing, rule, &told, now_us));
                    done.detail = Some(told);
                }
            }
            self.actions.push(done);
        }
    }
}

fn letter(action: &Action, firing: i64, rule: &Rule, told: &str, now_us: i64) -> DeadLetter {
    DeadLetter {
        number: 0,
        stage: POSITION.to_owned(),
        connection: action.connection().unwrap_or_default().to_owned(),
        stream: None,
        external_id: None,
        item: firing,
        reason: format!("rule {}: {told}", rule.name),
        at_us: now_us,
    }
}

/// Where an action goes, for people.
pub(crate) fn target(action: &Action) -> String {
    match action {
        Action::Tag { tag, on: Some(entity) } => format!("{tag} ({entity})"),
        Action::Tag { tag, on: None } => tag.clone(),
        Action::Create { connection, lens, .. } => format!("{connection}.{lens}"),
        action => action.connection().unwrap_or_default().to_owned(),
    }
}

/// Adds tags to golden records and recomputes these; a record that has the tag already does not change.
fn tag(engine: &Engine, tx: &mut Tx<'_>, tags: &[(i64, String, i64, String)], now_us: i64) -> Result<()> {
    if tags.is_empty() {
        return Ok(());
    }
    let alive = goldens::all_alive(tx, tags.iter().map(|(golden, ..)| *golden).collect::<BTreeSet<_>>())?;
    let records = goldens::by_ids(tx, alive.values().copied().collect::<BTreeSet<_>>())?;
    let pins = goldens::pins(tx, records.iter().map(|it| it.id))?;
    let added = FieldName::from(format!("{ADDED}{TAGS}"));
    let mut due: BTreeMap<i64, (BTreeSet<String>, i64, &str)> = BTreeMap::new();
    for (golden, tag, firing, rule) in tags {
        let Some(golden) = alive.get(golden) else { continue };
        let now = records.iter().find(|it| it.id == *golden).and_then(|it| it.fields.get(TAGS)?.as_array());
        if now.is_some_and(|now| now.iter().any(|known| known == tag)) {
            continue;
        }
        due.entry(*golden).or_insert_with(|| (BTreeSet::new(), *firing, rule)).0.insert(tag.clone());
    }
    for (golden, (tags, _, rule)) in &due {
        let before = pins.get(golden).and_then(|pins| pins.get(&added)?.value.as_array().cloned()).unwrap_or_default();
        let before = before.iter().filter_map(Value::as_str).map(str::to_owned);
        let all: BTreeSet<String> = before.chain(tags.iter().cloned()).collect();
        goldens::put_pin(tx, *golden, &added, &Pin { value: json!(all), by: format!("{CAUSE}{rule}"), at_us: now_us })?;
    }
    let mut batch = Batch::gather(tx, Vec::new(), due.keys().copied().collect())?;
    for (golden, (_, firing, _)) in &due {
        batch.dirty(*golden, *firing, "tag");
    }
    let settled = process::settle(engine, &mut batch, &|firing| format!("{CAUSE}{firing}"));
    process::write(tx, &mut batch, &settled)
}
