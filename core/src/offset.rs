//! How far a system's clock is from ours, measured from the time that its replies tell.
//!
//! A reply that tells the time was written between our question and its arrival here; that bounds the offset from both
//! sides, and each further reply narrows the bounds. HTTP tells whole seconds, so the offset is known to about one.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How far a clock may be off and still be believed: further is a broken clock, not another one.
const OFF_US_MAX: i64 = 24 * 3600 * 1_000_000;

/// A reply that took longer says too little about when it was written.
const TRIP_US_MAX: i64 = 10 * 1_000_000;

/// Servers tell a time that they looked up up to a second ago. Within this much of zero both clocks agree, so that
/// ordinary systems are not corrected by noise.
const SLACK_US: i64 = 1_000_000;

/// HTTP's `Date` has whole seconds.
const TICK_US: i64 = 1_000_000;

/// The offset of one system's clock: what is to be taken from its stamps. Clones of a connection share it.
#[derive(Debug, Default)]
pub struct ClockOffset(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// What was known before this process measured.
    known_us: i64,
    bounds: Option<Bounds>,
    /// Bounds that contradict: a second reply that agrees with them shows that the clock was set.
    contrary: Option<Bounds>,
    /// What the store holds.
    kept_us: i64,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    from_us: i64,
    to_us: i64,
}

impl Bounds {
    fn and(self, other: Self) -> Option<Self> {
        let both = Self { from_us: self.from_us.max(other.from_us), to_us: self.to_us.min(other.to_us) };
        (both.from_us <= both.to_us).then_some(both)
    }

    fn is_near(self, other: Self) -> bool {
        let wide = Self { from_us: self.from_us - SLACK_US, to_us: self.to_us + SLACK_US };
        wide.and(other).is_some()
    }
}

impl ClockOffset {
    /// An offset that was measured before.
    pub fn known(known_us: i64) -> Self {
        Self(Mutex::new(State { known_us, kept_us: known_us, ..State::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves whole bounds behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reply told this time, in whole seconds, to a question that we asked and had answered then by our clock; all in
    /// microseconds since 1970 UTC.
    pub fn told(&self, told_us: i64, asked_us: i64, answered_us: i64) {
        if !(0..=TRIP_US_MAX).contains(&(answered_us - asked_us)) {
            return;
        }
        let seen = Bounds { from_us: told_us - answered_us, to_us: told_us + TICK_US - asked_us };
        if seen.from_us < -OFF_US_MAX || seen.to_us > OFF_US_MAX {
            return;
        }
        let mut state = self.state();
        let Some(bounds) = state.bounds else {
            state.bounds = Some(seen);
            return;
        };
        if let Some(both) = bounds.and(seen) {
            (state.bounds, state.contrary) = (Some(both), None);
        } else if !bounds.is_near(seen) {
            let again = state.contrary.and_then(|contrary| contrary.and(seen));
            match again {
                Some(both) => (state.bounds, state.contrary) = (Some(both), None),
                None => state.contrary = Some(seen),
            }
        }
    }

    /// By how much the system's clock is ahead of ours, microseconds; 0 while nothing else is known.
    pub fn us(&self) -> i64 {
        let state = self.state();
        match state.bounds {
            None => state.known_us,
            Some(bounds) if bounds.is_near(Bounds { from_us: 0, to_us: 0 }) => 0,
            Some(Bounds { from_us, to_us }) => i64::midpoint(from_us, to_us),
        }
    }

    /// The offset, if the store holds another one by more than the measure's own grain.
    pub fn to_keep(&self) -> Option<i64> {
        let (now_us, kept_us) = (self.us(), self.state().kept_us);
        ((now_us - kept_us).abs() > SLACK_US || (now_us == 0 && kept_us != 0)).then_some(now_us)
    }

    /// Another node measures it, and the store holds this: what was measured here is older.
    pub fn follow(&self, us: i64) {
        *self.state() = State { known_us: us, kept_us: us, ..State::default() };
    }

    /// The store holds this one.
    pub fn kept(&self, us: i64) {
        self.state().kept_us = us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    /// A clock that is off by `off_us`, asked `times` times, every 777 ms, with 80 ms each way.
    fn asked(offset: &ClockOffset, off_us: i64, times: i64) {
        for at in (0..times).map(|n| 1_000_000 * S + n * 777_000) {
            let told = (at + 80_000 + off_us) / S * S;
            offset.told(told, at, at + 160_000);
        }
    }

    #[test]
    fn an_offset_is_found_to_half_a_second_and_the_right_clock_is_left_alone() {
        for off_us in [600 * S, -600 * S, 95 * S + 400_000, -3 * S] {
            let offset = ClockOffset::default();
            asked(&offset, off_us, 1);
            assert!((offset.us() - off_us).abs() <= 700_000, "{off_us}: {}", offset.us());
            asked(&offset, off_us, 20);
            assert!((offset.us() - off_us).abs() <= 250_000, "{off_us}: {}", offset.us());
        }
        let right = ClockOffset::default();
        for off_us in [0, 300_000, -300_000] {
            asked(&right, off_us, 5);
            assert_eq!(right.us(), 0);
        }
        assert_eq!(right.to_keep(), None);
    }

    #[test]
    fn one_odd_reply_changes_nothing_and_a_clock_that_was_set_is_followed() {
        let offset = ClockOffset::known(5 * S);
        assert_eq!(offset.us(), 5 * S);
        asked(&offset, 600 * S, 5);
        let before = offset.us();
        asked(&offset, -40 * S, 1);
        assert_eq!(offset.us(), before);
        asked(&offset, 600 * S, 1);
        asked(&offset, 0, 3);
        assert_eq!(offset.us(), 0);
        assert_eq!(offset.to_keep(), Some(0), "the store still holds what was known first");
        offset.kept(0);
        assert_eq!(offset.to_keep(), None);
    }

    #[test]
    fn a_broken_clock_and_a_slow_reply_are_not_believed() {
        let offset = ClockOffset::default();
        asked(&offset, 40 * 24 * 3600 * S, 3);
        offset.told(1_000_600 * S, 1_000_000 * S, 1_000_011 * S);
        offset.told(1_000_600 * S, 1_000_000 * S, 999_999 * S);
        assert_eq!(offset.us(), 0);
    }
}
