//! What stewards do: settle doubts, split and link, pin values, release a brake.
//!
//! Each command is one transaction: what it rules, what it recomputes, the change log with the steward as its cause, and
//! a line that says what was done and why. What other systems must be told afterwards follows from the change log, as
//! for any change.

mod brake;
pub mod learn;
mod queue;
mod split;

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::merge::Pin;
use huiliu_mappings::value::FieldName;
use serde_json::{Value, json};

use crate::connection::State;
use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::link::Link;
use crate::pipeline::process::{self, Batch, MEANING_LOCK};
use crate::store::db::{StoreError, Tx};
use crate::store::goldens::{self, Golden};
use crate::store::stewards::{self, Command};
use crate::store::{deliveries, inbox, links, streams};

pub use brake::{Held, dismiss, held, release};
pub use queue::{
    Filter, SELECTED_MAX, Said, Selected, Settled, Until, decide_all, later, most_worth, only_candidate, select,
};
pub use split::{Half, Parted, look, split};
pub(crate) use split::{homes_of_each, origins, steps};

/// Who gives a command, and why.
#[derive(Clone, Copy, Debug)]
pub struct Steward<'a> {
    /// The person's name.
    pub name: &'a str,
    /// The reason, for those who ask later.
    pub why: &'a str,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// What the command names is not as it supposes. The text says what to do.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a command returns.
pub type Result<T> = std::result::Result<T, ReviewError>;

pub(crate) fn refused<T>(reason: impl Into<String>) -> Result<T> {
    Err(ReviewError::Refused(reason.into()))
}

/// Runs a command in one transaction, alone among those who compute meaning, on this node and on others.
pub(crate) fn command<T>(engine: &Engine, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
    let _turn = engine.meaning();
    let mut refusal = None;
    let done = engine.store.write(|tx| {
        tx.lock(MEANING_LOCK)?;
        let given = inbox::progress(tx, stewards::COMMANDS)?;
        inbox::set_progress(tx, stewards::COMMANDS, given + 1)?;
        match work(tx) {
            Ok(done) => {
                point(Point::CommandWritten);
                Ok(done)
            }
            Err(ReviewError::Store(error)) => Err(error),
            Err(error) => {
                refusal = Some(error);
                Err(StoreError::Refused)
            }
        }
    });
    match refusal {
        Some(refusal) => Err(refusal),
        None => {
            let done = done?;
            point(Point::CommandCommitted);
            Ok(done)
        }
    }
}

pub(crate) fn note(
    engine: &Engine,
    tx: &mut Tx<'_>,
    steward: Steward<'_>,
    what: &str,
    detail: &Value,
    change: i64,
) -> Result<()> {
    let made_us = engine.clock.now_us();
    let (made_by, why) = (steward.name.to_owned(), steward.why.to_owned());
    let command = Command { number: 0, what: what.to_owned(), detail: detail.clone(), made_by, why, change, made_us };
    Ok(stewards::put_command(tx, &command)?)
}

/// What a steward says to a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The record belongs to this golden record, one of the candidates.
    Same(i64),
    /// It is none of them.
    Apart,
}

/// Settles a review. Returns the golden record that the link belongs to from now on.
pub fn decide(engine: &Engine, number: i64, verdict: Verdict, steward: Steward<'_>) -> Result<i64> {
    command(engine, |tx| {
        let Some((review, state)) = stewards::review_by_number(tx, number)? else {
            return refused(format!("there is no review {number}; see `huiliu review`"));
        };
        if state != "waiting" {
            return refused(format!("review {number} is settled already ({state}); split or link instead"));
        }
        let Some(link) = links::by_numbers(tx, [review.link])?.into_iter().next() else {
            return refused(format!("review {number}: its record is not in the store any more"));
        };
        let now_us = engine.clock.now_us();
        let mut candidates = BTreeMap::new();
        for (named, _) in &review.candidates {
            candidates.insert(*named, alive(tx, *named)?);
        }
        let detail = json!({ "review": number, "link": link.key.to_string(), "candidates": candidates });
        match verdict {
            Verdict::Same(chosen) => {
                let Some(target) = candidates.iter().find(|(named, now)| **named == chosen || **now == chosen) else {
                    let known: Vec<String> = candidates.values().map(ToString::to_string).collect();
                    return refused(format!("review {number} asks about {}, not {chosen}", known.join(", ")));
                };
                let (survivor, change) = join(engine, tx, link.golden, *target.1, &[link.number], steward)?;
                stewards::close_review(tx, number, "same", steward.name, now_us)?;
                note(engine, tx, steward, "decide", &detail, change)?;
                Ok(survivor)
            }
            Verdict::Apart => {
                let others: BTreeSet<i64> = candidates.values().copied().filter(|id| *id != link.golden).collect();
                let others = links::by_goldens(tx, others)?;
                let pairs: Vec<(i64, i64)> = others.iter().map(|other| (link.number, other.number)).collect();
                stewards::rule(tx, &pairs, "different", steward.name, now_us)?;
                stewards::close_review(tx, number, "different", steward.name, now_us)?;
                process::settle_questions(tx, others.iter().map(|other| other.number), now_us)?;
                note(engine, tx, steward, "decide", &detail, 0)?;
                Ok(link.golden)
            }
        }
    })
}

/// Pauses a connection: nothing is read from it or written to it until it is resumed.
pub fn pause(engine: &Engine, connection: &str, steward: Steward<'_>) -> Result<()> {
    command(engine, |tx| {
        let reason = format!("{PAUSED_BY}{}", steward.name);
        if streams::set_state(tx, connection, State::Paused, Some(&reason), engine.clock.now_us())? == 0 {
            return refused(format!("there is no connection {connection}; see `huiliu status`"));
        }
        note(engine, tx, steward, "pause", &json!({ "connection": connection }), 0)
    })
}

/// The reason of a pause by a person begins so; the name follows.
pub const PAUSED_BY: &str = "paused by ";

/// Ends the pause of a connection, which returns to the state that it had before.
pub fn resume(engine: &Engine, connection: &str, steward: Steward<'_>) -> Result<()> {
    command(engine, |tx| {
        if streams::resume(tx, connection, engine.clock.now_us())? == 0 {
            return refused(format!("{connection} is not paused"));
        }
        note(engine, tx, steward, "resume", &json!({ "connection": connection }), 0)
    })
}

/// Makes two golden records one, whatever was ruled before. Returns the one that survives: the lower number.
pub fn link(engine: &Engine, a: i64, b: i64, steward: Steward<'_>) -> Result<i64> {
    command(engine, |tx| {
        let (a, b) = (alive(tx, a)?, alive(tx, b)?);
        if a == b {
            return refused(format!("both are golden record {a} already"));
        }
        let (survivor, change) = join(engine, tx, a, b, &[], steward)?;
        note(engine, tx, steward, "link", &json!({ "a": a, "b": b }), change)?;
        Ok(survivor)
    })
}

/// Fixes a value of a golden record, written as a person writes it; null pins "empty". Returns its canonical form.
pub fn pin(engine: &Engine, golden: i64, field: &FieldName, value: &Value, steward: Steward<'_>) -> Result<Value> {
    command(engine, |tx| {
        let golden = living(tx, golden)?;
        let lenses = engine.connections.values().flat_map(|it| &it.lenses);
        let read = lenses.filter(|lens| *lens.entity() == golden.entity).find_map(|lens| lens.canonical(field, value));
        let value = match read {
            Some(Ok(value)) => value,
            Some(Err(problem)) => {
                let expected = problem.message;
                return refused(format!(
                    "{field} cannot be pinned to this value: {expected}; write null to pin that there is none"
                ));
            }
            None => return refused(format!("no mapping of a {} knows the field {field}", golden.entity)),
        };
        let pin = Pin { value: value.clone(), by: steward.name.to_owned(), at_us: engine.clock.now_us() };
        goldens::put_pin(tx, golden.id, field, &pin)?;
        recompute(engine, tx, golden.id, "pin", field, steward)?;
        Ok(value)
    })
}

/// Lets the rules choose a value again.
pub fn unpin(engine: &Engine, golden: i64, field: &FieldName, steward: Steward<'_>) -> Result<()> {
    command(engine, |tx| {
        let golden = living(tx, golden)?.id;
        if !goldens::drop_pin(tx, golden, field)? {
            return refused(format!("golden record {golden} has no pin on {field}"));
        }
        recompute(engine, tx, golden, "unpin", field, steward)
    })
}

pub(crate) fn recompute(
    engine: &Engine,
    tx: &mut Tx<'_>,
    golden: i64,
    what: &'static str,
    field: &FieldName,
    steward: Steward<'_>,
) -> Result<()> {
    let batch = Batch::gather(tx, Vec::new(), BTreeSet::from([golden]))?;
    let change = process::regroup(engine, tx, batch, &cause(steward), |batch| batch.dirty(golden, 0, what))?;
    note(engine, tx, steward, what, &json!({ "golden": golden, "field": field }), change)
}

/// Makes two golden records one. `known`: the links whose sameness was judged; else all of both.
fn join(engine: &Engine, tx: &mut Tx<'_>, a: i64, b: i64, known: &[i64], steward: Steward<'_>) -> Result<(i64, i64)> {
    let (first, second) = (living(tx, a)?, living(tx, b)?);
    if first.entity != second.entity {
        return refused(format!("{a} is a {}, {b} a {}: they cannot be one", first.entity, second.entity));
    }
    if a == b {
        return Ok((a, 0));
    }
    let members = links::by_goldens(tx, [a, b])?;
    let of = |golden: i64| members.iter().filter(move |link| link.golden == golden).map(|link| link.number);
    let pairs: Vec<(i64, i64)> = of(a).flat_map(|x| of(b).map(move |y| (x, y))).collect();
    let now_us = engine.clock.now_us();
    stewards::withdraw(tx, &pairs)?;
    let judged: Vec<(i64, i64)> =
        pairs.into_iter().filter(|(x, y)| known.is_empty() || known.contains(x) || known.contains(y)).collect();
    stewards::rule(tx, &judged, "same", steward.name, now_us)?;
    drop_deliveries(tx, &members)?;
    let batch = Batch::gather(tx, Vec::new(), BTreeSet::from([a, b]))?;
    let mut survivor = a;
    let change = process::regroup(engine, tx, batch, &cause(steward), |batch| {
        survivor = batch.absorb(&[a.min(b), a.max(b)], 0);
    })?;
    Ok((survivor, change))
}

/// What waits to be sent was planned for golden records that are different now; it is planned anew from the change log.
fn drop_deliveries(tx: &mut Tx<'_>, members: &[Link]) -> Result<()> {
    deliveries::drop_all_of(tx, members.iter().map(|link| link.golden).collect())?;
    Ok(())
}

fn cause(steward: Steward<'_>) -> String {
    format!("steward:{}", steward.name)
}

fn living(tx: &mut Tx<'_>, id: i64) -> Result<Golden> {
    let id = alive(tx, id)?;
    match goldens::by_ids(tx, [id])?.into_iter().next() {
        Some(golden) => Ok(golden),
        None => refused(format!("there is no golden record {id}")),
    }
}

/// The golden record, or the one that absorbed it.
fn alive(tx: &mut Tx<'_>, id: i64) -> Result<i64> {
    Ok(goldens::alive(tx, id)?)
}
