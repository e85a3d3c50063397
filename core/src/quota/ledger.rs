//! What is known about one budget: its limits, a silence that the vendor asked for, and who takes from it.
//!
//! Pure: every function is told the time. One process holds it in memory; several keep it in a row of the store and take
//! grants from it.

use serde::{Deserialize, Serialize};

use super::Lane;
use super::meter::{Limit, Meter};

const SECOND_US: i64 = 1_000_000;

/// A vendor that asks for more than an hour of silence is asked again after an hour: a garbled header must not stop a
/// connection for a year.
pub const PAUSE_US_MAX: i64 = 3_600 * SECOND_US;

/// Without a told wait the first silence lasts a second, and each that follows at once twice as long, up to a minute.
const BACKOFF_US_MAX: i64 = 60 * SECOND_US;

/// After a refusal calls begin with one in the first second, and twice as many in each that follows: if the vendor still
/// refuses, it is asked once and not by everybody at the same time.
const RAMP_SECONDS: i64 = 14;

/// What is refused so soon after a silence says that it was too short, not that the limit is lower yet.
const STILL_US: i64 = 3 * SECOND_US;

/// A node that has not asked for so long wants nothing any more.
const FORGOTTEN_US: i64 = 3 * SECOND_US;

/// A grant is used within this time: what is left of it then is void.
const GRANT_US: i64 = SECOND_US;

/// So many calls of lanes before it let a lane have one, however busy they are.
pub const PATIENCE: u64 = 50;

/// One budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Its limits.
    pub meters: Vec<Meter>,
    /// The vendor asked for silence until then; 0: never.
    #[serde(default)]
    pub paused_until_us: i64,
    /// How long the last silence was that nobody told.
    #[serde(default)]
    backoff_us: i64,
    /// When calls began again after a refusal; 0: they go on as ever.
    #[serde(default)]
    ramp_us: i64,
    /// Calls since then.
    #[serde(default)]
    ramped: u64,
    /// Lanes after the first of these stand still for a while: the vendor said that little is left.
    #[serde(default)]
    held_until_us: i64,
    /// Refusals ever.
    #[serde(default)]
    pub refusals: u64,
    /// Calls of lanes before it since a lane had one, while it waited.
    #[serde(default)]
    passed: [u64; 4],
    /// Who takes grants.
    #[serde(default)]
    takers: Vec<Taker>,
}

/// A node that takes grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Taker {
    node: u64,
    at_us: i64,
    wants: [u64; 4],
}

/// Calls that a node may make until a grant ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Calls by lane; a lane may use those of lanes after it.
    pub calls: [u64; 4],
    /// When it was counted, by the ledger's clock: what is given back names it.
    pub at_us: i64,
    /// How long it is good, microseconds after it was asked for.
    pub good_us: i64,
    /// When to ask again for what was not granted, by lane, microseconds from now; 0: everything was.
    pub again_us: [i64; 4],
    /// How long everybody is silent from now; 0: nobody is.
    pub silent_us: i64,
}

/// Calls of an earlier grant that were never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Back {
    /// [`Grant::at_us`].
    pub at_us: i64,
    /// Calls by lane.
    pub calls: [u64; 4],
}

impl Ledger {
    /// A budget that nobody used yet.
    pub fn new(limits: &[Limit], now_us: i64) -> Self {
        let mut ledger = Self::default();
        ledger.declare(limits, now_us);
        ledger
    }

    /// Takes over the declared limits: what is known about those that stayed is kept.
    pub fn declare(&mut self, limits: &[Limit], now_us: i64) {
        let mut known = std::mem::take(&mut self.meters);
        let take = |limit: &Limit| match known.iter().position(|meter| meter.limit == *limit) {
            Some(at) => known.swap_remove(at),
            None => Meter::new(*limit, now_us),
        };
        self.meters = limits.iter().map(take).collect();
    }

    /// Calls that a lane may make now.
    pub fn room(&self, now_us: i64, lane: Lane) -> u64 {
        if now_us < self.paused_until_us || (now_us < self.held_until_us && lane > Lane::Live) {
            return 0;
        }
        let room = self.meters.iter().map(|meter| meter.room(now_us, lane)).min().unwrap_or(u64::MAX);
        room.min(self.ramp(now_us).saturating_sub(self.ramped))
    }

    /// Calls that may have been made since a silence ended.
    fn ramp(&self, now_us: i64) -> u64 {
        let seconds = (now_us - self.ramp_us) / SECOND_US;
        if self.ramp_us == 0 || seconds >= RAMP_SECONDS { u64::MAX } else { (2 << seconds.max(0)) - 1 }
    }

    /// Makes calls: they are counted.
    pub fn add(&mut self, now_us: i64, lane: Lane, calls: u64) {
        for meter in &mut self.meters {
            meter.recover(now_us);
            meter.add(now_us, lane, calls);
        }
        if self.ramp(now_us) == u64::MAX {
            (self.ramp_us, self.backoff_us) = (0, 0);
        } else {
            self.ramped += calls;
        }
    }

    /// Takes back calls that were counted and never made.
    pub fn free(&mut self, back: Back) {
        for meter in &mut self.meters {
            for lane in Lane::ALL {
                meter.free(back.at_us, lane, back.calls[lane.at()]);
            }
        }
        self.ramped = self.ramped.saturating_sub(back.calls.iter().sum());
    }

    /// When a lane may make a call again, at the earliest.
    pub fn next_us(&self, now_us: i64, lane: Lane) -> i64 {
        let held_us = if lane > Lane::Live { self.held_until_us } else { 0 };
        let from_us = now_us.max(self.paused_until_us).max(held_us);
        let free_us = self.meters.iter().map(|meter| meter.next_us(from_us, lane)).max().unwrap_or(from_us);
        if self.ramp(free_us) > self.ramped {
            return free_us;
        }
        let seconds = (free_us - self.ramp_us).max(0) / SECOND_US + 1;
        free_us.max(self.ramp_us + seconds * SECOND_US)
    }

    /// The vendor asked for silence.
    pub fn pause(&mut self, now_us: i64, wait_us: i64) {
        self.paused_until_us = self.paused_until_us.max(now_us.saturating_add(wait_us.clamp(0, PAUSE_US_MAX)));
    }

    /// How full the fullest limit is, in thousandths.
    pub fn fullness(&self, now_us: i64) -> u64 {
        self.meters.iter().map(|meter| meter.fullness(now_us)).max().unwrap_or(0)
    }

    /// The vendor refused a call as one too many; `wait_us`: how long it asked to wait, if it said so.
    pub fn refused(&mut self, now_us: i64, wait_us: Option<i64>) {
        self.refusals += 1;
        if self.meters.is_empty() {
            // Nothing is known to be learned from; whoever was refused tries again later by itself.
            return self.pause(now_us, wait_us.unwrap_or(0));
        }
        if now_us < self.paused_until_us {
            // Calls that were on their way already.
            self.pause(now_us, wait_us.unwrap_or(0));
            (self.ramp_us, self.ramped) = (self.paused_until_us, 0);
            return;
        }
        let is_still = self.ramp_us > 0 && now_us - self.ramp_us < STILL_US;
        if !is_still && let Some(fullest) = self.meters.iter_mut().max_by_key(|meter| meter.fullness(now_us)) {
            fullest.cut(now_us);
        }
        self.backoff_us = (self.backoff_us * 2).clamp(SECOND_US, BACKOFF_US_MAX);
        self.pause(now_us, wait_us.unwrap_or(self.backoff_us));
        (self.ramp_us, self.ramped) = (self.paused_until_us, 0);
    }

    /// The vendor said how many calls it allows in a stretch of time, and how many of them are left for how long.
    pub fn told(&mut self, now_us: i64, told: &super::Told) {
        if let (Some(calls), Some(span_us)) = (told.limit, told.span_us)
            && let Some(meter) = self.meters.iter_mut().find(|meter| meter.limit.span_us() == span_us)
        {
            meter.tell(now_us, calls);
        }
        let Some(left) = told.left else { return };
        let wait_us = told.resets_us.or(told.span_us).unwrap_or(0).clamp(0, PAUSE_US_MAX);
        if left == 0 {
            self.pause(now_us, wait_us);
        } else if told.limit.is_some_and(|limit| left * 10 < limit) {
            self.held_until_us = self.held_until_us.max(now_us + wait_us);
        }
    }

    /// How long a grant is good: a tenth of the shortest window at most.
    fn good_us(&self) -> i64 {
        let windows = self.meters.iter().filter(|meter| matches!(meter.limit, Limit::Window { .. }));
        windows.map(|meter| meter.limit.span_us() / 10).fold(GRANT_US, i64::min).max(SECOND_US / 20)
    }

    /// Gives a node what it wants, as far as there is room and others do not want it more. A lane's room is shared among those
    /// who want it, and what others want in lanes before it is left to them.
    pub fn grant(&mut self, now_us: i64, node: u64, wants: [u64; 4], back: &[Back]) -> Grant {
        for back in back {
            self.free(*back);
        }
        for meter in &mut self.meters {
            meter.recover(now_us);
        }
        self.takers.retain(|taker| taker.node != node && now_us - taker.at_us < FORGOTTEN_US);
        let mut calls = [0; 4];
        let mut again_us = [0; 4];
        for lane in Lane::ALL {
            let at = lane.at();
            if wants[at] == 0 {
                continue;
            }
            let before: u64 = self.takers.iter().map(|taker| taker.wants[..at].iter().sum::<u64>()).sum();
            let beside: u64 = self.takers.iter().map(|taker| taker.wants[at]).sum();
            let room = self.room(now_us, lane).saturating_sub(before);
            let share = u128::from(room) * u128::from(wants[at]) / u128::from(wants[at] + beside);
            let mut fair = u64::try_from(share).unwrap_or(u64::MAX).max(u64::from(room > 0)).min(wants[at]);
            if fair == 0 && self.passed[at] >= PATIENCE {
                fair = self.room(now_us, Lane::Interactive).min(1);
            }
            if fair > 0 {
                self.add(now_us, lane, fair);
                self.passed[at] = 0;
            }
            if fair < wants[at] {
                again_us[at] = self.next_us(now_us, lane).max(now_us + 1) - now_us;
            }
            calls[at] = fair;
        }
        self.count_passed(now_us, &wants, &calls);
        let left = std::array::from_fn(|at| wants[at] - calls[at]);
        self.takers.push(Taker { node, at_us: now_us, wants: left });
        let silent_us = (self.paused_until_us - now_us).max(0);
        Grant { calls, at_us: now_us, good_us: self.good_us(), again_us, silent_us }
    }

    /// Lanes that want something, and saw others go before them.
    fn count_passed(&mut self, now_us: i64, wants: &[u64; 4], calls: &[u64; 4]) {
        let alive = self.takers.iter().filter(|taker| now_us - taker.at_us < FORGOTTEN_US);
        let others: [bool; 4] =
            alive.fold([false; 4], |known, taker| std::array::from_fn(|at| known[at] || taker.wants[at] > 0));
        for at in 1..4 {
            if others[at] || wants[at] > calls[at] {
                self.passed[at] += calls[..at].iter().sum::<u64>();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Told;
    use super::*;

    const MINUTE: Limit = Limit::Window { calls: 100, span_us: 60 * SECOND_US };

    #[test]
    fn what_a_reply_says_stands_above_what_is_declared() {
        let mut ledger = Ledger::new(&[MINUTE], 0);
        let told = Told { limit: Some(200), left: Some(150), span_us: Some(60 * SECOND_US), resets_us: None };
        ledger.told(SECOND_US, &told);
        assert_eq!(ledger.meters[0].believed(), 200);
        ledger.told(SECOND_US, &Told { limit: Some(u64::MAX), left: None, ..told });
        ledger.told(SECOND_US, &Told { limit: Some(0), ..told });
        assert_eq!(ledger.meters[0].believed(), 200, "a garbled header says nothing");
        // Little is left: who is not in a hurry waits until it is free again; nothing is left: everybody does.
        ledger.told(2 * SECOND_US, &Told { left: Some(5), resets_us: Some(10 * SECOND_US), ..told });
        let room = |ledger: &Ledger, seconds: i64, lane| ledger.room(seconds * SECOND_US, lane) > 0;
        assert!(room(&ledger, 3, Lane::Live) && !room(&ledger, 3, Lane::Backfill) && room(&ledger, 12, Lane::Backfill));
        ledger.told(20 * SECOND_US, &Told { left: Some(0), resets_us: Some(10 * SECOND_US), ..told });
        assert!(!room(&ledger, 29, Lane::Interactive) && room(&ledger, 30, Lane::Interactive));
        assert_eq!(ledger.refusals, 0);
    }

    #[test]
    fn a_ledger_is_the_same_after_it_was_kept() {
        let mut ledger = Ledger::new(&[MINUTE, Limit::Bucket { calls: 40, per_second: 2 }], 0);
        ledger.add(5 * SECOND_US, Lane::Live, 7);
        ledger.grant(6 * SECOND_US, 1, [0, 3, 0, 90], &[]);
        ledger.refused(7 * SECOND_US, Some(9 * SECOND_US));
        let kept = serde_json::to_string(&ledger).expect("JSON");
        assert_eq!(serde_json::from_str::<Ledger>(&kept).expect("a ledger"), ledger);
        // Another declaration keeps what it knows of the limits that stayed.
        let used = ledger.meters[0].used(8 * SECOND_US);
        ledger.declare(&[MINUTE], 8 * SECOND_US);
        assert_eq!((ledger.meters.len(), ledger.meters[0].used(8 * SECOND_US)), (1, used));
    }

    #[test]
    fn nothing_that_a_window_of_any_phase_counts_is_more_than_it_allows() {
        let mut ledger = Ledger::new(&[MINUTE], 0);
        let mut made = Vec::new();
        for ms in 0..600_000_i64 {
            let lane = Lane::ALL[usize::try_from(ms % 4).expect("a lane")];
            if ledger.room(ms * 1000, lane) > 0 {
                ledger.add(ms * 1000, lane, 1);
                made.push(ms);
            }
        }
        for (at, begin) in made.iter().enumerate() {
            let count = made[at..].iter().take_while(|ms| **ms < begin + 60_000).count();
            assert!(count <= 100, "{count} calls within a minute from {begin} ms on");
        }
        assert!(made.len() > 900, "{}", made.len());
    }
}
