//! The stages of thought, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use huiliu_core::engine::Engine;
use huiliu_core::pipeline::process::ReadAhead;
use huiliu_core::pipeline::{automate, index, plan, process, think};
use huiliu_core::store::StoreError;
use tokio::sync::watch;

use super::{Bells, GLANCE};
use crate::memory;

/// Whether names are entered for those who search: only where there is a console to search in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// There is one.
    Entered,
    /// There is none.
    Left,
}

/// Names are entered so long after the first of them changed: nobody who sends waits for it, and what changes within this
/// time is one commit.
const NAMES_AFTER: Duration = Duration::from_millis(200);

/// What one pass through the stages of thought did.
struct Thought {
    /// How often rules fired: their actions may go anywhere.
    fired: usize,
    /// Whether it left something that nobody rings for.
    more: bool,
}

/// `is_due`: whether it is time to enter names.
fn think_once(
    engine: &Engine,
    bells: &Bells,
    is_due: bool,
    ahead: &mut ReadAhead,
) -> huiliu_core::store::db::Result<Thought> {
    let pass = match think::pass(engine) {
        // What follows from arrivals may fail where these alone do not: then the stages go their own ways.
        Err(error) if !matches!(error, StoreError::Superseded) => {
            tracing::warn!("arrivals are taken in by themselves: {error}");
            think::Pass::default()
        }
        pass => pass?,
    };
    let mut items = pass.processed.items;
    if pass.is_whole {
        *ahead = ReadAhead::default();
    } else {
        items += ahead.batch(engine)?.items;
        // A stream that was read to its end for the first time comes before what changed.
        while plan::batch(engine)?.0 > 0 {}
    }
    // Nobody who is to send waits for what comes behind.
    bells.call_for(&engine.take_errands());
    let (seen, fired) = automate::batch(engine)?;
    let entered = if is_due { index::batch(engine)? } else { 0 };
    if items > 0 {
        process::tidy(engine)?;
    }
    // Whoever adds to the inbox rings. What a pass itself leaves is the rest of a batch that was full, and what rules changed.
    let more = pass.is_cut
        || is_full(items, process::PIECE_ITEMS)
        || is_full(seen, automate::BATCH_CHANGES)
        || is_full(entered, index::BATCH_CHANGES)
        || fired > 0;
    Ok(Thought { fired, more })
}

fn is_full(count: usize, most: i64) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= most)
}

/// Processes and plans whatever the others brought, and wakes those who must fetch or send. It has a thread of its own:
/// an event that comes in waits for no other to be found.
pub fn think(engine: &Engine, bells: &Bells, names: Names, stop: &watch::Receiver<bool>) {
    let mut names_at = (names == Names::Entered).then(Instant::now);
    let mut ahead = ReadAhead::default();
    // Whoever was to stop it may be gone himself.
    while !*stop.borrow() && stop.has_changed().is_ok() {
        let is_due = names_at.is_some_and(|at| at <= Instant::now());
        let thought = catch_unwind(AssertUnwindSafe(|| think_once(engine, bells, is_due, &mut ahead)));
        match thought {
            Ok(Ok(thought)) => {
                if thought.fired > 0 {
                    bells.call();
                }
                bells.call_for(&engine.take_errands());
                if thought.more {
                    continue;
                }
            }
            Ok(Err(error)) => tracing::error!("processing failed, trying again: {error}"),
            Err(_) => {
                tracing::error!("processing stopped in the middle, trying again");
                ahead = ReadAhead::default();
            }
        }
        if is_due {
            names_at = None;
        }
        let longest = names_at.map_or(GLANCE, |at| at.saturating_duration_since(Instant::now()).min(GLANCE));
        let is_rung = bells.think.wait(longest);
        if !is_rung && longest == GLANCE {
            if let Err(error) = engine.store.give_pages_back() {
                tracing::warn!("the store keeps more in memory than an idle hub needs: {error}");
            }
            memory::give_back();
        }
        if names == Names::Entered && (is_rung || longest == GLANCE) {
            names_at.get_or_insert_with(|| Instant::now() + NAMES_AFTER);
        }
    }
}
