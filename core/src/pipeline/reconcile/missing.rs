//! What a system should have and has not: golden records that may be created there, and were not. It costs no call: the
//! hub knows its own links, and a create looks for the record itself before it makes a second one.

use std::collections::{BTreeMap, BTreeSet};

use super::walk::{begin, close, end, is_still_ours, miss};
use super::{Reconciled, Step, Turn};
use crate::connection::Connection;
use crate::connector::Operation;
use crate::manifest::Ability;
use crate::pipeline::plan;
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, Planned};
use crate::store::divergences::Kind;
use crate::store::rounds::Round;
use crate::store::{goldens, inbox};

/// Golden records looked at in one step.
const GOLDENS: i64 = 500;

/// How a divergence names a record that has no id in its system yet.
fn name_of(golden: i64) -> String {
    format!("golden/{golden}")
}

/// The golden record that such a name is about.
pub(super) fn golden_of(name: &str) -> Option<i64> {
    name.strip_prefix("golden/")?.parse().ok()
}

/// Whether records may be made in a stream.
pub(super) fn may_create(connection: &Connection, stream: &str) -> bool {
    let mut lenses = connection.lenses.iter().filter(|lens| lens.stream() == stream);
    lenses.any(|lens| connection.creates.contains(lens.name())) && connection.can(stream, Ability::Create)
}

/// Creates that golden records are owed in a stream, and what is under way about them.
#[derive(Default)]
pub(super) struct Owing {
    pub owed: BTreeMap<i64, Planned>,
    /// A delivery or a change to plan is under way.
    pub busy: BTreeSet<i64>,
    /// Deliveries that were given up.
    pub dead: BTreeMap<i64, i64>,
}

impl Owing {
    /// Reads it: a handful of queries for all of them.
    pub fn load(turn: &Turn, tx: &mut Tx<'_>, stream: &str, ids: &BTreeSet<i64>) -> Result<Self> {
        let mut owing = Self::default();
        let is_ours = |one: &&Planned| {
            let it = &one.delivery;
            one.connection == turn.name() && it.stream.as_str() == stream && it.operation == Operation::Create
        };
        for one in deliveries::unfinished_of(tx, ids.iter().copied())?.iter().filter(is_ours) {
            if one.state == "dead" {
                owing.dead.insert(one.golden, one.delivery.number);
            } else {
                owing.busy.insert(one.golden);
            }
        }
        let planned_to = inbox::progress(tx, plan::POSITION)?;
        let moved = goldens::by_ids(tx, ids.iter().copied())?.into_iter().filter(|it| it.change > planned_to);
        owing.busy.extend(moved.map(|it| it.id));
        let owed = plan::owed_now(&turn.engine, tx, ids, &turn.connection.name)?;
        owing.owed = owed.into_iter().filter(|one| is_ours(&one)).map(|one| (one.golden, one)).collect();
        Ok(owing)
    }
}

/// The next golden records of a round.
pub(super) fn step(turn: &Turn, step: &Step, mut done: Reconciled) -> Result<Reconciled> {
    let stream = step.stream.as_str();
    let lenses = turn.connection.lenses.iter().filter(|it| it.stream() == stream);
    let lenses = lenses.filter(|it| turn.connection.creates.contains(it.name()));
    let entities: BTreeSet<&str> = lenses.map(|lens| lens.entity().as_str()).collect();
    let entities: Vec<&str> = entities.into_iter().collect();
    let after = step.round.cursor.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let mut round = Round { failures: 0, error: None, ..step.round.clone() };
    turn.engine.store.write(|tx| {
        if !is_still_ours(turn, tx, step)? {
            return Ok(());
        }
        begin(turn, tx, step)?;
        let page = goldens::ids_after(tx, &entities, after, GOLDENS)?;
        let owing = Owing::load(turn, tx, stream, &page.iter().copied().collect())?;
        let missing = owing.owed.keys().filter(|golden| !owing.busy.contains(golden)).map(|golden| name_of(*golden));
        miss(turn, tx, step, &mut round, &mut done, Kind::Uncreated, missing)?;
        match page.last() {
            Some(last) if i64::try_from(page.len()).is_ok_and(|len| len == GOLDENS) => {
                round.cursor = Some(last.to_string());
            }
            _ => end(turn, &mut round),
        }
        close(turn, tx, step, round)
    })?;
    Ok(done)
}
