//! A log before the inbox: what stands in it is taken into the inbox in order, each batch in one transaction with the
//! position that it reaches.
//!
//! So it does not matter where a crash strikes, nor how often a message is read: the inbox knows each event by its key, and
//! of two readers only the one whose position still holds may append.

use crate::crash::{Point, point};
use crate::pipeline::intake::{self, Call};
use crate::store::Store;
use crate::store::db::Result;
use crate::store::inbox::{self, DeadLetter};
use crate::store::logs::{self, LogState};

/// A step of the reader: what lies between two positions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// The position that it reaches.
    pub to: i64,
    /// What marks the message there.
    pub anchor: i64,
    /// The last position that was seen in the log.
    pub last: i64,
    /// The calls, in order.
    pub calls: Vec<Call>,
    /// Messages that nobody can read: position, and what is wrong.
    pub unreadable: Vec<(i64, String)>,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the inbox; so many calls were new.
    In {
        /// New calls.
        fresh: usize,
        /// Where the log stands now.
        state: LogState,
    },
    /// Somebody else has moved the position meanwhile: nothing was written.
    Overtaken,
}

/// Takes a step from where the log stood when it was read.
pub fn take(store: &Store, from: &LogState, step: &Step, now_us: i64) -> Result<Taken> {
    let taken = store.write(|tx| {
        let known = logs::hold(tx, &from.name)?;
        let is_ours = |it: &LogState| it.identity == from.identity && it.position == from.position && !it.accepted;
        if !known.as_ref().is_some_and(is_ours) {
            return Ok(Taken::Overtaken);
        }
        let calls: Vec<_> = step.calls.iter().map(|call| (&call.item, call.dedupe.as_str())).collect();
        let fresh = intake::take_in(tx, &calls, now_us)?.into_iter().filter(|new| *new).count();
        let letters: Vec<_> = step.unreadable.iter().map(|(at, told)| letter(&from.name, *at, told, now_us)).collect();
        inbox::bury(tx, &letters)?;
        let state = LogState {
            position: step.to,
            anchor: step.anchor,
            last: step.last.max(step.to),
            looked_us: now_us,
            trouble: None,
            ..from.clone()
        };
        logs::put(tx, &state)?;
        point(Point::LogWritten);
        Ok(Taken::In { fresh, state })
    })?;
    point(Point::LogCommitted);
    Ok(taken)
}

fn letter(log: &str, at: i64, told: &str, now_us: i64) -> DeadLetter {
    DeadLetter {
        number: 0,
        stage: "intake".to_owned(),
        connection: log.to_owned(),
        stream: None,
        external_id: None,
        item: at,
        reason: told.to_owned(),
        at_us: now_us,
    }
}

/// Notes why nothing is taken in, or that nothing stands in the way any more. A log that was never taken in has no state.
pub fn note(store: &Store, name: &str, last: Option<i64>, trouble: Option<&str>, now_us: i64) -> Result<()> {
    store.write(|tx| {
        let Some(known) = logs::hold(tx, name)? else { return Ok(()) };
        let state = LogState {
            last: last.unwrap_or(known.last),
            looked_us: now_us,
            trouble: trouble.map(str::to_owned),
            ..known.clone()
        };
        if (&state.trouble, state.last) == (&known.trouble, known.last) { Ok(()) } else { logs::put(tx, &state) }
    })
}

/// A person wants the log to be taken in as it is now. False: it was never taken in.
pub fn accept(store: &Store, name: &str) -> Result<bool> {
    store.write(|tx| {
        let Some(known) = logs::hold(tx, name)? else { return Ok(false) };
        logs::put(tx, &LogState { accepted: true, ..known })?;
        Ok(true)
    })
}
