//! The brake: what would go or change at once beyond a budget is held back until a steward says what it is.
//!
//! Before a batch is taken in, every arrival that would close a link or say something new about it is counted, by stream.
//! A record counts once in an hour, however often it is edited; records that are new, sources of files and what a scan
//! or a steward has judged already do not ask. Where the hour's count goes beyond the budget
//! ([`crate::connection::Budget`]), these arrivals and all later ones of their kind are held back: nothing of them
//! reaches a link, a golden record or another system. What shows the record as it was known, or anything newer, ends a
//! hold; a brake under which nothing waits lifts by itself. [`crate::review`] releases, or dismisses.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::value::Identity;

use super::age::{can_fetch, compare, is_hearsay, is_overtaken, is_stale};
use super::{Arrival, Batch, copies};
use crate::connection::Budget;
use crate::connector::ConnectionName;
use crate::engine::Engine;
use crate::link::Link;
use crate::pipeline::process::expand::Leave;
use crate::store::brakes::{self, BudgetKey, Hold, Kind, Spent};
use crate::store::db::{Result, Tx};
use crate::store::links::{self, JournalLine, Scope};

/// "At once" is within an hour, in microseconds: the poll of a large account and the calls after a bulk edit fit into
/// it, and a day's ordinary edits do not add up.
const WINDOW_US: i64 = 3_600_000_000;

/// What the brake makes of a batch: written with it.
#[derive(Default)]
pub(in crate::pipeline::process) struct Weighed {
    spent: BTreeMap<BudgetKey, Spent>,
    holds: BTreeMap<i64, Hold>,
    over: BTreeSet<i64>,
    journal: Vec<JournalLine>,
}

/// What an arrival would do to a link.
#[derive(Clone, Copy)]
enum Effect {
    /// It shows what is known.
    Shows,
    /// It would be counted.
    Counts(Kind),
}

/// Links of one budget that a batch would touch.
#[derive(Default)]
struct Count {
    links: BTreeSet<i64>,
    at_us: i64,
    is_judged: bool,
}

/// What else a batch says.
#[derive(Default)]
struct Beside {
    /// Links that may close in it.
    closing: BTreeSet<i64>,
    /// Links of records that are one with others now.
    merged: BTreeSet<i64>,
    /// Account, lens and identity of records that may take somebody's place.
    taking: BTreeSet<(ConnectionName, String, String)>,
}

fn taken(arrival: &Arrival, identity: &Identity) -> (ConnectionName, String, String) {
    (arrival.key.connection.clone(), arrival.key.lens.clone(), identity.value.clone())
}

/// What was spent of a budget in the hour that is running at an instant.
pub(in crate::pipeline::process) fn running(spent: &Spent, at_us: i64) -> i64 {
    if at_us - spent.since_us < WINDOW_US { spent.links } else { 0 }
}

impl Batch {
    /// Takes away what must wait.
    pub(in crate::pipeline::process) fn weigh(
        &mut self,
        engine: &Engine,
        tx: &mut Tx<'_>,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<Weighed> {
        let beside = self.beside(arrivals);
        let effects: Vec<Option<(i64, Effect)>> = arrivals.iter().map(|it| self.effect(engine, it, &beside)).collect();
        let touched: BTreeSet<i64> = effects.iter().flatten().map(|(link, _)| *link).collect();
        let mut weighed = Weighed::default();
        if touched.is_empty() {
            return Ok(weighed);
        }
        let held = brakes::held_of(tx, touched)?;
        let mut counts: BTreeMap<BudgetKey, Count> = BTreeMap::new();
        for (arrival, effect) in arrivals.iter().zip(&effects) {
            let Some((link, Effect::Counts(kind))) = *effect else { continue };
            let leave = leave(arrival, held.get(&link));
            if leave == Leave::Given {
                continue;
            }
            let count = counts.entry(key(arrival, kind)).or_default();
            count.links.insert(link);
            count.at_us = count.at_us.max(arrival.received_us);
            count.is_judged |= leave == Leave::Judged;
        }
        weighed.spent = brakes::spent(tx, counts.keys().map(|key| (key.0.as_str(), key.1.as_str())))?;
        weighed.spent.retain(|key, _| counts.contains_key(key));
        for (key, count) in counts {
            let spent = weighed.spent.remove(&key).unwrap_or_default();
            let spent = self.judge(engine, tx, &key, &count, spent)?;
            weighed.spent.insert(key, spent);
        }
        let mut effects = effects.into_iter();
        arrivals.retain(|arrival| weighed.lets_pass(arrival, effects.next().flatten(), &held));
        self.journal.append(&mut weighed.journal);
        Ok(weighed)
    }

    fn beside(&self, arrivals: &[Arrival]) -> Beside {
        let mut beside = Beside::default();
        for arrival in arrivals.iter().filter(|it| it.mapped.is_none()) {
            let link = self.by_key.get(&arrival.key).copied();
            beside.closing.extend(link);
            beside.merged.extend(link.filter(|_| arrival.survivor.is_some()));
        }
        for arrival in arrivals.iter().filter(|it| it.lens.heir().is_some()) {
            let stays = self.by_key.get(&arrival.key).is_none_or(|link| !beside.closing.contains(link));
            let identities = arrival.mapped.iter().filter(|_| stays).flat_map(|shown| &shown.identities);
            let mine = identities.filter(|it| arrival.lens.heir() == Some(&it.kind));
            beside.taking.extend(mine.map(|it| taken(arrival, it)));
        }
        beside
    }

    fn effect(&self, engine: &Engine, arrival: &Arrival, beside: &Beside) -> Option<(i64, Effect)> {
        let link = self.links.get(self.by_key.get(&arrival.key)?)?;
        // A file is brought by a person, who has seen what it would do.
        engine.connections.get(arrival.key.connection.as_str())?.connector.as_ref()?;
        // Who was merged is not gone, though the system may say so of the id.
        if beside.merged.contains(&link.number) && arrival.mapped.is_none() && !link.is_tombstone() {
            return Some((link.number, Effect::Shows));
        }
        let is_past = is_stale(link, arrival)
            || is_overtaken(engine, link, arrival)
            || ((is_hearsay(link, arrival) || copies::is_under_way(&self.unsure, link, arrival))
                && can_fetch(engine, arrival));
        if is_past || link.is_tombstone() {
            return None;
        }
        let effect = match &arrival.mapped {
            // Who is handed over to somebody else is not gone.
            None if link.open && !self.is_taken_over(link, arrival, beside) => Effect::Counts(Kind::Missing),
            // Nor is a write of ours that nobody answered a change.
            Some(shown)
                if link.state.is_news(shown)
                    && copies::of(&self.unsure, &self.ended, link, arrival, shown).is_empty() =>
            {
                Effect::Counts(Kind::Changing)
            }
            _ => Effect::Shows,
        };
        Some((link.number, effect))
    }

    /// Whether another record takes the place of one that goes: it is there, or comes in the same batch.
    fn is_taken_over(&self, link: &Link, arrival: &Arrival, beside: &Beside) -> bool {
        let comes =
            |it: &Identity| arrival.lens.heir() == Some(&it.kind) && beside.taking.contains(&taken(arrival, it));
        link.state.identities.iter().any(comes) || self.heir(link.number, &arrival.lens, &beside.closing).is_some()
    }

    /// What is spent after this count, and whether the brake catches.
    fn judge(
        &self,
        engine: &Engine,
        tx: &mut Tx<'_>,
        key: &BudgetKey,
        count: &Count,
        mut spent: Spent,
    ) -> Result<Spent> {
        let (connection, stream, kind) = key;
        let Some(known) = engine.connections.get(connection).filter(|_| spent.caught_us.is_none()) else {
            return Ok(spent);
        };
        if count.at_us - spent.since_us >= WINDOW_US {
            spent = Spent { since_us: count.at_us, ..Spent::default() };
        }
        let is_first = |number: &&i64| {
            *kind == Kind::Missing || self.links.get(number).is_some_and(|it| it.state.said_us() < spent.since_us)
        };
        let links = spent.links + i64::try_from(count.links.iter().filter(is_first).count()).unwrap_or(i64::MAX);
        let budget: Budget = match kind {
            Kind::Missing => known.missing,
            Kind::Changing => known.changing,
        };
        if links > i64::from(budget.links) && !count.is_judged {
            // A stream grows: it is counted again before anything is held back.
            let mut open = spent.of_links.unwrap_or(0);
            if !budget.allows(open, links) {
                open = links::count_open(tx, &Scope { connection, lenses: &known.lenses_of(stream) })?;
                spent.of_links = Some(open);
            }
            if !budget.allows(open, links) {
                let kind = kind.as_str();
                tracing::warn!(connection, stream, kind, links, open, "too much at once: it is held back");
                spent.caught_us = Some(engine.clock.now_us());
                return Ok(spent);
            }
        }
        spent.links = links;
        Ok(spent)
    }
}

impl Weighed {
    fn lets_pass(&mut self, arrival: &Arrival, effect: Option<(i64, Effect)>, held: &BTreeMap<i64, Hold>) -> bool {
        let Some((link, effect)) = effect else { return true };
        let former = self.holds.get(&link).or_else(|| held.get(&link));
        let (is_held, is_past) = (former.is_some(), former.is_some_and(|hold| is_older(arrival, hold)));
        if let Effect::Counts(kind) = effect
            && leave(arrival, held.get(&link)) == Leave::Asks
        {
            let key = key(arrival, kind);
            if self.spent.get(&key).is_some_and(|spent| spent.caught_us.is_some()) {
                let (position, received_us) = (arrival.position, arrival.received_us);
                if !is_past {
                    let version = arrival.version.clone();
                    let hold = Hold { link, key, position, version, received_us, released: false };
                    self.holds.insert(link, hold);
                    self.over.remove(&link);
                }
                self.journal.push(JournalLine { link, position, outcome: "held".to_owned(), detail: None });
                return false;
            }
        }
        if is_held && !is_past {
            self.holds.remove(&link);
            self.over.insert(link);
        }
        true
    }

    /// Into the store, with the batch.
    pub(in crate::pipeline::process) fn write(&self, tx: &mut Tx<'_>) -> Result<()> {
        brakes::put_spent(tx, &self.spent)?;
        brakes::hold(tx, self.holds.values())?;
        if !self.over.is_empty() {
            brakes::end(tx, self.over.iter().copied())?;
            brakes::lift(tx)?;
        }
        Ok(())
    }
}

fn key(arrival: &Arrival, kind: Kind) -> BudgetKey {
    (arrival.key.connection.as_str().to_owned(), arrival.lens.stream().to_owned(), kind)
}

fn leave(arrival: &Arrival, hold: Option<&Hold>) -> Leave {
    match hold {
        Some(hold) if hold.released && !is_older(arrival, hold) => Leave::Given,
        _ => arrival.leave,
    }
}

/// Whether an arrival tells an older state of a record than the one that waits.
fn is_older(arrival: &Arrival, hold: &Hold) -> bool {
    let told = compare(arrival.version.as_ref(), hold.version.as_ref());
    told.map_or(arrival.received_us < hold.received_us, |told| told == Ordering::Less)
}
