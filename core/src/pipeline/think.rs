//! Think: what few arrivals mean, and what follows from it, in one transaction.
//!
//! Whoever waits at the other end waits for each commit on the way. So where little waits it is taken in, planned, and
//! claimed for those who have nothing else to send, and all of it is durable at once; what is much, or special, is left to
//! the stages themselves, in batches that let others write in between.

use std::collections::BTreeMap;

use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::pipeline::plan::PLAN_LOCK;
use crate::pipeline::process::{Arrived, Few, MEANING_LOCK, Processed};
use crate::pipeline::{plan, process, push};
use crate::store::db::{Result, Tx};
use crate::store::deliveries::Planned;

/// What a pass did, and left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// What was taken in.
    pub processed: Processed,
    /// Whether nothing waits for [`process::batch`] or [`plan::batch`].
    pub is_whole: bool,
    /// Whether more waits for another pass.
    pub is_cut: bool,
}

/// Takes in what arrived, plans what follows, and hands over what is to be sent.
pub fn pass(engine: &Engine) -> Result<Pass> {
    process::mended(engine)?;
    let turn = engine.meaning();
    let taken_in = |tx: &mut Tx<'_>| {
        tx.lock(MEANING_LOCK)?;
        engine.check_files(tx)?;
        let arrived = Few::take(engine, tx)?;
        if matches!(arrived, Arrived::Many) {
            return Ok((arrived, None, Vec::new()));
        }
        tx.lock(PLAN_LOCK)?;
        let just = if let Arrived::Few(few) = &arrived { Some(few.settled()) } else { None };
        let planned = plan::along(engine, tx, just)?;
        let queued = planned.as_ref().map_or(&[][..], |along| &along.queued);
        let claimed = push::claim_along(engine, tx, queued)?;
        Ok((arrived, planned, claimed))
    };
    // Others go on while it is on its way to the disk: what they build on it is there no earlier.
    let (arrived, planned, claimed) = engine.store.write_then(taken_in, || drop(turn))?;
    let (processed, is_cut) = match arrived {
        Arrived::Few(few) => {
            let is_cut = few.is_cut;
            (few.tell(engine), is_cut)
        }
        Arrived::None | Arrived::Many => (Processed::default(), false),
    };
    let is_whole = planned.is_some();
    let mut along = planned.unwrap_or_default();
    let is_owed = !along.is_empty();
    let mut handed: BTreeMap<String, Vec<Planned>> = claimed.into_iter().collect();
    for one in std::mem::take(&mut along.begun) {
        handed.entry(one.connection.clone()).or_default().push(one);
    }
    if !handed.is_empty() {
        point(Point::AttemptCommitted);
    }
    let handed_to: Vec<String> = handed.keys().cloned().collect();
    for (connection, deliveries) in handed {
        engine.hand_over(&connection, deliveries);
    }
    // Not before: whoever is called is to find what was handed over.
    if is_owed {
        plan::planned_along(engine, &along, &handed_to);
    }
    Ok(Pass { processed, is_whole, is_cut })
}
