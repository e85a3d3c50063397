//! Whether it goes. It is said once when it does not, and once when it does again.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// So many different reasons of one outage are told.
const REASONS_MAX: usize = 8;

/// A reason that ends with the next connection.
const LOST: &str = "the line to the NATS server broke";

/// See the module.
pub(crate) struct Stand {
    state: Mutex<State>,
    broken: &'static str,
    mended: &'static str,
}

#[derive(Default)]
struct State {
    /// Why nothing goes, and since when.
    away: Option<(String, Instant)>,
    told: BTreeSet<String>,
}

impl Stand {
    /// That of the way in. Nothing was tried yet.
    pub(crate) fn writer() -> Self {
        let away = Some(("the stream was not reached yet".to_owned(), Instant::now()));
        Self {
            state: Mutex::new(State { away, told: BTreeSet::new() }),
            broken: "calls cannot be kept, their senders are told to try again",
            mended: "calls are kept again",
        }
    }

    /// That of the way on.
    pub(crate) fn reader() -> Self {
        Self {
            state: Mutex::default(),
            broken: "nothing of the stream is taken into the inbox",
            mended: "the stream is taken into the inbox again",
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing goes.
    pub(crate) fn reason(&self) -> Option<String> {
        self.state().away.as_ref().map(|(reason, _)| reason.clone())
    }

    /// Nothing goes. A reason is told once in an outage.
    pub(crate) fn away(&self, reason: &str) {
        let mut state = self.state();
        let since = state.away.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        state.away = Some((reason.to_owned(), since));
        if state.told.len() < REASONS_MAX && state.told.insert(reason.to_owned()) {
            tracing::error!("{}: {reason}", self.broken);
        }
    }

    /// It goes.
    pub(crate) fn reached(&self) {
        let mut state = self.state();
        if let Some((_, since)) = state.away.take()
            && !state.told.is_empty()
        {
            tracing::warn!(seconds = since.elapsed().as_secs(), "{}", self.mended);
        }
        state.told.clear();
    }

    /// The line broke.
    pub(crate) fn lost(&self) {
        self.away(LOST);
    }

    /// There is a line again: if that was all, it goes.
    pub(crate) fn connected(&self) {
        if self.reason().is_some_and(|reason| reason == LOST) {
            self.reached();
        }
    }
}
