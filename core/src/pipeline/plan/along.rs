//! Planning within a transaction that also took in what it plans for: what is little costs one commit.
//!
//! What was just settled is in memory, so it is not read again; and where nothing else waits to be sent, what is owed is put
//! on record as what it is about to be: sent.

use std::collections::{BTreeMap, BTreeSet};

use super::{BATCH_CHANGES, Owed, POSITION, in_place, owed_to, receivers, released, step, tell};
use crate::crash::{Point, point};
use crate::engine::{Engine, Errand};
use crate::link::Link;
use crate::pipeline::process::{Batch, Settled};
use crate::pipeline::push;
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, Planned};
use crate::store::{goldens, inbox, streams};

/// What was planned along.
#[derive(Default)]
pub(in crate::pipeline) struct Along {
    /// What waits to be sent.
    pub queued: Vec<Planned>,
    /// What is on record as being sent: it is to be handed over once that is durable.
    pub begun: Vec<Planned>,
}

/// Plans in a transaction that did something else, too, and holds [`super::PLAN_LOCK`], by files that are in force. `just`:
/// what this transaction took in. None: what waits needs a batch of its own. Once it is durable, [`planned_along`] is to
/// be called.
pub(in crate::pipeline) fn along(
    engine: &Engine,
    tx: &mut Tx<'_>,
    just: Option<(&Batch, &Settled)>,
) -> Result<Option<Along>> {
    let position = inbox::progress(tx, POSITION)?;
    if released(engine, tx)?.is_some() {
        return Ok(None);
    }
    match just.filter(|(_, settled)| is_all(settled, position)) {
        Some((batch, settled)) => settled_along(engine, tx, batch, settled).map(Some),
        None => read_along(engine, tx, position),
    }
}

/// Whether what was settled is all that changed since a position, and little.
fn is_all(settled: &Settled, position: i64) -> bool {
    let is_little = i64::try_from(settled.changes.len()).is_ok_and(|count| count < BATCH_CHANGES);
    is_little && settled.changes.first().is_some_and(|change| change.position == position + 1)
}

fn read_along(engine: &Engine, tx: &mut Tx<'_>, position: i64) -> Result<Option<Along>> {
    let changes = goldens::changed_after(tx, position, BATCH_CHANGES)?;
    if i64::try_from(changes.len()).is_ok_and(|count| count >= BATCH_CHANGES) {
        return Ok(None);
    }
    if changes.is_empty() {
        return Ok(Some(Along::default()));
    }
    let queued = step(engine, tx, position, &changes)?.1;
    Ok(Some(Along { queued, begun: Vec::new() }))
}

fn settled_along(engine: &Engine, tx: &mut Tx<'_>, batch: &Batch, settled: &Settled) -> Result<Along> {
    let last = settled.changes.last().map_or(0, |change| change.position);
    inbox::set_progress(tx, POSITION, last)?;
    let receivers = receivers(engine, tx, None)?;
    if receivers.is_empty() {
        return Ok(Along::default());
    }
    let links = |golden: i64| batch.cluster(golden).cloned().collect::<Vec<Link>>();
    let members: BTreeMap<i64, Vec<Link>> =
        settled.goldens.iter().map(|golden| (golden.id, links(golden.id))).collect();
    let Owed { planned, held, over } = owed_to(engine, tx, &settled.goldens, &members, &receivers)?;
    streams::hold(tx, &held)?;
    deliveries::drop_pending(tx, over)?;
    let (mut begun, mut queued) = (Vec::new(), in_place(engine, tx, &planned)?);
    let names: BTreeSet<String> = queued.iter().map(|one| one.connection.clone()).collect();
    for name in names {
        if push::may_begin(engine, tx, &name, &queued)? {
            begun.extend(queued.extract_if(.., |one| one.connection == name));
        }
    }
    let now_us = engine.clock.now_us();
    deliveries::put(tx, &queued, now_us)?;
    deliveries::begin(tx, &mut begun, now_us)?;
    point(Point::PlanWritten);
    if !begun.is_empty() {
        point(Point::AttemptWritten);
    }
    Ok(Along { queued, begun })
}

/// What [`along`] planned is durable, and what is on record as being sent was handed over to these connections.
pub(in crate::pipeline) fn planned_along(engine: &Engine, along: &Along, handed_to: &[String]) {
    point(Point::PlanCommitted);
    tell(engine, &along.queued);
    engine.note_errands(Errand::Tend, handed_to.iter().map(String::as_str));
}

impl Along {
    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.queued.is_empty() && self.begun.is_empty()
    }
}
