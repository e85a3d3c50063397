//! What would be said for each call of a flood is said once a second: else the log would be the next thing to drown.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the same is said at most.
const EVERY: Duration = Duration::from_secs(1);

/// Counts what was not said.
#[derive(Default)]
pub(crate) struct Calm(Mutex<State>);

#[derive(Default)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
}

impl Calm {
    /// It happened once more. Some: it is time to say so, and how often it happened since it was said last.
    pub(crate) fn times(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.unsaid += 1;
        if state.said.is_some_and(|said| now.saturating_duration_since(said) < EVERY) {
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_of_once_a_second_with_its_size() {
        let (calm, begun) = (Calm::default(), Instant::now());
        let told: Vec<Option<u64>> = (0..25).map(|tenth| calm.times(begun + EVERY / 10 * tenth)).collect();
        let said: Vec<(usize, u64)> = told.iter().enumerate().filter_map(|(at, it)| Some((at, (*it)?))).collect();
        assert_eq!(said, [(0, 1), (10, 10), (20, 10)], "the first at once, then how often it happened meanwhile");
    }
}
