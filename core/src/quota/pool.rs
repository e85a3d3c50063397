//! What one process may take of a budget that several share: grants, good for a moment.
//!
//! A grant's end is counted by the taker's own clock from before it asked. So a process that was stopped in the middle finds
//! its grant void when it goes on, and what it left is never used by two.

use std::collections::VecDeque;

use super::Lane;
use super::ledger::{Back, Grant};

const SECOND_US: i64 = 1_000_000;

/// At least so long between two questions: the store sees a few writes a second, not one a call.
const ASK_US: i64 = 200_000;

/// The same where somebody waits who is not in a hurry for nothing.
const ASK_SOON_US: i64 = 20_000;

/// Whether anybody else was asked for silence is looked up this often where nothing else is to be asked.
const GLANCE_US: i64 = 2 * SECOND_US;

/// Calls that a process without a habit asks for beside those that wait.
const STOCK: u64 = 2;

/// Grants of which something was left, until it is given back; older ones are forgotten.
const BACKS_MAX: usize = 16;

/// The part of a shared budget that is here.
#[derive(Debug, Default)]
pub struct Pool {
    /// Calls left, by lane.
    left: [u64; 4],
    /// By this process's clock.
    good_until_us: i64,
    /// When they were counted, by the ledger's clock.
    counted_us: i64,
    /// Calls made since the last question, by lane.
    made: [u64; 4],
    /// When that was.
    asked_us: i64,
    /// Whether an answer is awaited.
    is_asking: bool,
    /// Not to be asked again for a lane before.
    again_us: [i64; 4],
    /// Nothing is counted: only the silence is shared.
    is_free: bool,
    /// Silence, by this process's clock.
    pub silent_until_us: i64,
    /// What was left of grants.
    back: VecDeque<Back>,
}

impl Pool {
    /// An empty one; `is_free`: there is no limit.
    pub fn new(is_free: bool) -> Self {
        Self { is_free, ..Self::default() }
    }

    /// Whether a lane may make a call now.
    pub fn has(&self, now_us: i64, lane: Lane) -> bool {
        let is_granted = now_us < self.good_until_us && self.left[lane.at()..].iter().any(|left| *left > 0);
        now_us >= self.silent_until_us && (self.is_free || is_granted)
    }

    /// Makes a call: of the lane's own, else of one after it. Only after [`Pool::has`] said yes.
    pub fn take(&mut self, lane: Lane) {
        self.made[lane.at()] += 1;
        if let Some(left) = self.left[lane.at()..].iter_mut().find(|left| **left > 0) {
            *left -= 1;
        }
    }

    /// Takes back a call that was not made after all.
    pub fn give(&mut self, lane: Lane) {
        self.made[lane.at()] = self.made[lane.at()].saturating_sub(1);
        self.left[lane.at()] += u64::from(!self.is_free);
    }

    /// Puts what is left of the present grant aside, to be given back.
    fn close(&mut self) {
        let calls = std::mem::take(&mut self.left);
        if calls.iter().any(|left| *left > 0) {
            self.back.push_back(Back { at_us: self.counted_us, calls });
            if self.back.len() > BACKS_MAX {
                self.back.pop_front();
            }
        }
    }

    /// When to ask, if that is to be done; `waiting`: who waits here, by lane.
    pub fn ask_at_us(&self, now_us: i64, waiting: &[u64; 4]) -> Option<i64> {
        if self.is_asking {
            return None;
        }
        let spent = self.made.iter().sum::<u64>();
        if self.is_free {
            return (spent > 0).then_some(self.asked_us + GLANCE_US);
        }
        let left = self.left.iter().sum::<u64>();
        // Those who wait are answered by what is here if it is enough; before it runs out the next is asked for.
        let rest = |lane: &Lane| if *lane <= Lane::Live { ASK_SOON_US } else { ASK_US };
        let lanes = Lane::ALL.into_iter().filter(|lane| waiting[lane.at()] > 0 && !self.has(now_us, *lane));
        let wanted = lanes.map(|lane| (self.asked_us + rest(&lane)).max(self.again_us[lane.at()])).min();
        let soon = (spent > 0 && left * 3 <= spent).then_some(self.asked_us + ASK_US);
        let at_us = wanted.into_iter().chain(soon).min()?;
        Some(at_us.max(self.silent_until_us))
    }

    /// Asks: what is wanted for the next moment, and what goes back. The answer must come to [`Pool::answered`].
    pub fn ask(&mut self, now_us: i64, waiting: &[u64; 4]) -> ([u64; 4], Vec<Back>) {
        let since_us = (now_us - self.asked_us).clamp(ASK_US, SECOND_US);
        let wants = std::array::from_fn(|at| {
            let habit = self.made[at].saturating_mul(SECOND_US.unsigned_abs()) / since_us.unsigned_abs();
            let wanted = habit + habit / 4 + waiting[at];
            if wanted > 0 { wanted + STOCK } else { 0 }
        });
        self.close();
        (self.made, self.is_asking, self.asked_us) = ([0; 4], true, now_us);
        (wants, self.back.drain(..).collect())
    }

    /// The answer to a question of `asked_us`, by this process's clock.
    pub fn answered(&mut self, asked_us: i64, now_us: i64, grant: &Grant) {
        self.is_asking = false;
        self.left = grant.calls;
        self.counted_us = grant.at_us;
        self.good_until_us = asked_us + grant.good_us;
        self.again_us = grant.again_us.map(|again_us| if again_us > 0 { now_us + again_us } else { 0 });
        // What was heard here meanwhile is not known there yet.
        if grant.silent_us > 0 {
            self.silent_until_us = self.silent_until_us.max(now_us + grant.silent_us);
        }
        if now_us >= self.good_until_us {
            // It came too late to be used.
            self.close();
        }
    }

    /// The store did not answer: it is asked again a little later.
    pub fn unanswered(&mut self, now_us: i64) {
        self.is_asking = false;
        self.again_us = [now_us + SECOND_US; 4];
    }

    /// Everybody here is silent at once; what is left is given back.
    pub fn hush(&mut self, until_us: i64) {
        self.silent_until_us = self.silent_until_us.max(until_us);
        self.close();
    }
}
