//! How long things are kept, and letting go of what is older: in small pieces, so that nothing waits behind it.
//!
//! The keys of events are walked in their order, since an index by age would cost the way in at every call. Of the inbox
//! the oldest goes first: on Postgres whole ranges of it at once, elsewhere and at its edge row by row. What something
//! still waits for stays: arrivals that a brake holds back, that drift set aside, that failed or are to be fetched; and
//! always the last one. Golden records, links, journal, change log and deliveries are never touched. A record whose arrivals are
//! gone stays as it is when a replay comes by.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::engine::Engine;
use crate::pipeline::process;
use crate::store::db::{Result, partitions};
use crate::store::retention::{self as rows, Seen};
use crate::store::{Tx, inbox};

/// How long things are kept; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The keys by which a repeated event is known. A repeat that comes later is taken in as if it were new: mostly it says
    /// nothing that is not known.
    pub repeats: Option<Duration>,
    /// What arrived, in its own bytes. A replay cannot read what is gone.
    pub inbox: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { repeats: Some(Duration::from_hours(30 * 24)), inbox: None }
    }
}

/// Rows of a piece: on the order of a few milliseconds of the writer.
const PIECE: i64 = 1000;

/// A range of the inbox holds about as much as arrives in a day, within these bounds.
const RANGE: RangeInclusive<i64> = 100_000..=10_000_000;

/// A day, in microseconds.
const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// What one pass let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Keys of events.
    pub repeats: u64,
    /// Items of the inbox, as far as they went row by row.
    pub items: u64,
    /// Ranges of the inbox that went as a whole.
    pub ranges: u64,
}

impl Gone {
    /// Whether anything went.
    pub fn is_some(self) -> bool {
        self != Self::default()
    }
}

/// One pass over everything, piece by piece.
pub struct Pass {
    keep: Retention,
    at: At,
    gone: Gone,
}

enum At {
    Room,
    Ranges,
    Items { after: i64 },
    Repeats { last: Seen },
    End,
}

impl Pass {
    /// A pass that has not begun.
    pub fn new(keep: Retention) -> Self {
        Self { keep, at: At::Room, gone: Gone::default() }
    }

    /// Does one piece, and says what the pass let go when it is over. Between pieces others may write.
    ///
    /// # Errors
    /// The store failed. The pass may go on.
    pub fn piece(&mut self, engine: &Engine) -> Result<Option<Gone>> {
        self.at = match std::mem::replace(&mut self.at, At::End) {
            At::Room => {
                later(make_room(engine, RANGE))?;
                At::Ranges
            }
            At::Ranges => {
                self.gone.ranges += later(drop_ranges(engine, self.keep.inbox))?;
                At::Items { after: 0 }
            }
            At::Items { after } => match self.items(engine, after)? {
                Some(after) => At::Items { after },
                None => At::Repeats { last: Seen::default() },
            },
            At::Repeats { last } => match self.repeats(engine, &last)? {
                Some(last) => At::Repeats { last },
                None => At::End,
            },
            At::End => At::End,
        };
        Ok(matches!(self.at, At::End).then_some(self.gone))
    }

    fn items(&mut self, engine: &Engine, after: i64) -> Result<Option<i64>> {
        let Some(before_us) = before(engine, self.keep.inbox) else { return Ok(None) };
        let next = engine.store.read(|tx| {
            let through = old(tx, before_us)?;
            rows::step(tx, after, through, PIECE)
        })?;
        if let Some(next) = next {
            self.gone.items += engine.store.write(|tx| rows::drop_items(tx, after, next))?;
        }
        Ok(next)
    }

    fn repeats(&mut self, engine: &Engine, last: &Seen) -> Result<Option<Seen>> {
        let Some(before_us) = before(engine, self.keep.repeats) else { return Ok(None) };
        let found = engine.store.read(|tx| rows::seen_after(tx, last, PIECE))?;
        let old: Vec<&Seen> = found.iter().filter(|(_, us)| *us < before_us).map(|(key, _)| key).collect();
        if !old.is_empty() {
            self.gone.repeats += engine.store.write(|tx| rows::forget_seen(tx, old, before_us))?;
        }
        Ok(found.into_iter().next_back().map(|(key, _)| key))
    }
}

/// The instant before which things are old, microseconds since 1970 UTC.
fn before(engine: &Engine, keep: Option<Duration>) -> Option<i64> {
    let keep_us = i64::try_from(keep?.as_micros()).ok()?;
    Some(engine.clock.now_us() - keep_us)
}

/// The last position that is old, was processed, and is not the newest of all.
fn old(tx: &mut Tx<'_>, before_us: i64) -> Result<i64> {
    let processed = inbox::progress(tx, process::POSITION)?;
    let newest = tx.max("position", "inbox")?;
    Ok(rows::position_before(tx, before_us)?.min(processed).min(newest - 1))
}

/// Makes room on Postgres for what will come: a range for about as much as came in a day.
///
/// # Errors
/// The store failed, or the table was in use for too long.
pub fn make_room(engine: &Engine, range: RangeInclusive<i64>) -> Result<u64> {
    let day_ago = engine.clock.now_us() - DAY_US;
    engine.store.write(|tx| {
        let came = tx.max("position", "inbox")? - rows::position_before(tx, day_ago)?;
        partitions::make_room(tx, came.clamp(*range.start(), *range.end())).map(u64::from)
    })
}

/// Drops the ranges of the inbox on Postgres that are old as a whole.
fn drop_ranges(engine: &Engine, keep: Option<Duration>) -> Result<u64> {
    let Some(before_us) = before(engine, keep) else { return Ok(0) };
    engine.store.write(|tx| {
        let through = old(tx, before_us)?;
        partitions::drop_through(tx, through, rows::is_awaited)
    })
}

/// What could not be done because the table was in use is left to the next pass.
fn later(done: Result<u64>) -> Result<u64> {
    match done {
        Err(error) if partitions::is_busy(&error) => Ok(0),
        other => other,
    }
}
