//! What was used of one declared limit, and how much of it is believed to be there.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Lane;

/// A limit of a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// So many calls in a stretch of time. The vendor's own window may begin at any instant, by a clock that is not ours, so
    /// the limit is kept in every stretch of that length.
    Window {
        /// Calls.
        calls: u64,
        /// The stretch, microseconds.
        span_us: i64,
    },
    /// A bucket that so many calls fill, and that leaks so many a second.
    Bucket {
        /// Calls that fill it.
        calls: u64,
        /// Calls that leak out of it a second.
        per_second: u64,
    },
}

impl Limit {
    /// Calls in one stretch, or in the bucket.
    pub fn calls(self) -> u64 {
        match self {
            Self::Window { calls, .. } | Self::Bucket { calls, .. } => calls,
        }
    }

    /// The stretch, or the time in which a full bucket runs empty, microseconds.
    pub fn span_us(self) -> i64 {
        match self {
            Self::Window { span_us, .. } => span_us.max(1),
            Self::Bucket { calls, per_second } => {
                signed(calls.saturating_mul(SECOND_US.unsigned_abs()) / per_second.max(1))
            }
        }
    }
}

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;

/// Parts of a window that are counted apart: what is older than the window by less than one of them still counts.
const SLOTS: i64 = 100;

/// A call counts this much longer than the window lasts: a permit is used within a second, and on its way a call may be late
/// by half a second more than another. At most a fortieth of the window.
const SLACK_US: i64 = 1_500_000;

/// Windows from this length on are not spread evenly, but keep something back: who has used up a day by noon has nothing
/// left for what a person waits for.
const LONG_US: i64 = 10 * MINUTE_US;

/// The share that is believed in when nobody has said otherwise, in thousandths.
const WHOLE: u64 = 1000;

/// A limit is never believed to be less than this share of what was declared, in thousandths.
const LEAST: u64 = 10;

/// How long what was refused is remembered: until then the share grows to nine tenths of it, and not beyond.
const REMEMBERED_US: i64 = 30 * MINUTE_US;

/// Counts one limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// The declared limit.
    pub limit: Limit,
    /// Believed thousandths of it.
    share: u64,
    /// The share at which the vendor refused last; 0: never.
    #[serde(default)]
    refused: u64,
    /// When that was.
    #[serde(default)]
    refused_us: i64,
    /// When the share changed last.
    changed_us: i64,
    /// Whether it grew since it was cut.
    #[serde(default)]
    grew: bool,
    /// Whether the vendor itself said it.
    #[serde(default)]
    told: bool,
    /// A window's calls by slot and lane, oldest first.
    #[serde(default)]
    slots: VecDeque<(i64, [u64; 4])>,
    /// What is in the bucket, in thousandths of a call.
    #[serde(default)]
    level: u64,
    /// When that was so.
    #[serde(default)]
    level_us: i64,
}

impl Meter {
    /// An unused limit.
    pub fn new(limit: Limit, now_us: i64) -> Self {
        Self {
            limit,
            share: WHOLE,
            refused: 0,
            refused_us: 0,
            changed_us: now_us,
            grew: false,
            told: false,
            slots: VecDeque::new(),
            level: 0,
            level_us: now_us,
        }
    }

    /// Calls that are believed to be allowed.
    pub fn believed(&self) -> u64 {
        (self.limit.calls().saturating_mul(self.share) / WHOLE).max(1)
    }

    /// Calls that count now, by lane; of a bucket all stand under the first.
    pub fn used(&self, now_us: i64) -> [u64; 4] {
        match self.limit {
            Limit::Window { .. } => {
                let mut used = [0; 4];
                for (_, counts) in self.counting(now_us) {
                    for (sum, count) in used.iter_mut().zip(counts) {
                        *sum += count;
                    }
                }
                used
            }
            Limit::Bucket { .. } => [self.level_at(now_us).div_ceil(1000), 0, 0, 0],
        }
    }

    fn slot_us(&self) -> i64 {
        (self.limit.span_us() / SLOTS).max(1)
    }

    fn counting(&self, now_us: i64) -> impl Iterator<Item = &(i64, [u64; 4])> {
        let span_us = self.limit.span_us();
        let (slot_us, slack_us) = (self.slot_us(), SLACK_US.min(span_us / 40));
        self.slots.iter().filter(move |(slot, _)| (slot + 1) * slot_us + span_us + slack_us > now_us)
    }

    fn level_at(&self, now_us: i64) -> u64 {
        let Limit::Bucket { per_second, .. } = self.limit else { return 0 };
        let leaked =
            (now_us - self.level_us).max(0).unsigned_abs().saturating_mul(per_second.saturating_mul(self.share));
        self.level.saturating_sub(leaked / SECOND_US.unsigned_abs())
    }

    /// Up to where a lane may fill the limit: a little is never used, and the rest of what a lane leaves is for those before
    /// it.
    fn ceiling(&self, lane: Lane) -> u64 {
        let calls = self.believed();
        let kept = match (self.limit, lane) {
            (_, Lane::Interactive) => 0,
            (Limit::Bucket { .. }, Lane::Live) => 0,
            (Limit::Bucket { .. }, Lane::Repair) => calls / 8,
            (Limit::Bucket { .. }, Lane::Backfill) => calls / 4,
            (Limit::Window { span_us, .. }, Lane::Live) if span_us >= LONG_US => calls / 50,
            (Limit::Window { span_us, .. }, Lane::Repair) if span_us >= LONG_US => calls / 10,
            (Limit::Window { span_us, .. }, Lane::Backfill) if span_us >= LONG_US => calls / 5,
            (Limit::Window { .. }, Lane::Live) => 0,
            (Limit::Window { .. }, Lane::Repair) => calls / 100,
            (Limit::Window { .. }, Lane::Backfill) => calls / 50,
        };
        let margin = match self.limit {
            Limit::Window { .. } => calls / 100,
            // What leaks while a permit is on its way.
            Limit::Bucket { per_second, .. } => (per_second * self.share * 3 / 2 / WHOLE).min(calls / 2),
        };
        calls.saturating_sub(kept + margin).max(1)
    }

    /// Lanes in which nobody waits are spread evenly over a short window; what is left of a slot is made up for in the next
    /// few.
    fn even(&self, lane: Lane) -> Option<u64> {
        let is_short = matches!(self.limit, Limit::Window { span_us, .. } if span_us < LONG_US);
        let spread = is_short && matches!(lane, Lane::Repair | Lane::Backfill);
        spread.then(|| self.ceiling(lane).div_ceil(SLOTS.unsigned_abs()).max(1))
    }

    /// Calls that a lane may make now.
    pub fn room(&self, now_us: i64, lane: Lane) -> u64 {
        let ceiling = self.ceiling(lane);
        if let Limit::Bucket { .. } = self.limit {
            return ceiling.saturating_mul(1000).saturating_sub(self.level_at(now_us)) / 1000;
        }
        let used: u64 = self.used(now_us).iter().sum();
        let room = ceiling.saturating_sub(used);
        let Some(even) = self.even(lane) else { return room };
        room.min((even * CATCH_UP.unsigned_abs()).saturating_sub(self.lately(now_us)))
    }

    fn lately(&self, now_us: i64) -> u64 {
        let since = now_us.div_euclid(self.slot_us()) - CATCH_UP;
        let recent = self.slots.iter().rev().take_while(|(slot, _)| *slot > since);
        recent.map(|(_, counts)| counts.iter().sum::<u64>()).sum()
    }

    /// When a lane that has no room may have some, at the earliest.
    pub fn next_us(&self, now_us: i64, lane: Lane) -> i64 {
        if self.room(now_us, lane) > 0 {
            return now_us;
        }
        if let Limit::Bucket { per_second, .. } = self.limit {
            let over = (self.level_at(now_us) + 1000).saturating_sub(self.ceiling(lane).saturating_mul(1000));
            let rate = per_second.saturating_mul(self.share).max(1);
            return now_us + signed(over.saturating_mul(SECOND_US.unsigned_abs()).div_ceil(rate)).max(1);
        }
        let slot_us = self.slot_us();
        let used: u64 = self.used(now_us).iter().sum();
        if used < self.ceiling(lane) {
            return (now_us.div_euclid(slot_us) + 1) * slot_us;
        }
        let span_us = self.limit.span_us();
        let oldest = self.counting(now_us).next().map_or(now_us, |(slot, _)| (slot + 1) * slot_us);
        (oldest + span_us + SLACK_US.min(span_us / 40)).max(now_us + 1)
    }

    /// Counts calls.
    pub fn add(&mut self, now_us: i64, lane: Lane, calls: u64) {
        if let Limit::Bucket { .. } = self.limit {
            self.level = self.level_at(now_us) + calls * 1000;
            self.level_us = self.level_us.max(now_us);
            return;
        }
        let dead = self.slots.len() - self.counting(now_us).count();
        self.slots.drain(..dead);
        let slot = now_us.div_euclid(self.slot_us());
        match self.slots.back_mut() {
            // A clock that was set back counts into the newest slot.
            Some((newest, counts)) if *newest >= slot => counts[lane.at()] += calls,
            _ => {
                let mut counts = [0; 4];
                counts[lane.at()] = calls;
                self.slots.push_back((slot, counts));
            }
        }
    }

    /// Takes back calls of an instant that were counted and never made.
    pub fn free(&mut self, at_us: i64, lane: Lane, calls: u64) {
        if let Limit::Bucket { .. } = self.limit {
            self.level = self.level.saturating_sub(calls * 1000);
            return;
        }
        let slot = at_us.div_euclid(self.slot_us());
        if let Some((_, counts)) = self.slots.iter_mut().find(|(known, _)| *known >= slot) {
            counts[lane.at()] = counts[lane.at()].saturating_sub(calls);
        }
    }

    /// How full the limit is by what is believed of it, in thousandths.
    pub fn fullness(&self, now_us: i64) -> u64 {
        self.used(now_us).iter().sum::<u64>().saturating_mul(WHOLE) / self.believed()
    }

    /// The vendor refused although there seemed to be room: there is less than was believed. Half of what had been used by then
    /// is believed from now on, or, where the share had been growing carefully, a little less than it.
    pub fn cut(&mut self, now_us: i64) {
        let used: u64 = self.used(now_us).iter().sum();
        let seen = used.saturating_mul(WHOLE) / self.limit.calls().max(1);
        let was = self.share;
        let reached = if matches!(self.limit, Limit::Bucket { .. }) { was } else { was.min(seen) };
        (self.share, self.refused) = if self.grew {
            (was * 85 / 100, was)
        } else if reached * 2 < was {
            // Somebody else uses it, too.
            (was / 2, was)
        } else {
            (reached / 2, reached)
        };
        self.share = self.share.max(LEAST);
        (self.refused_us, self.changed_us, self.grew, self.told) = (now_us, now_us, false, false);
    }

    /// The vendor said how much it allows.
    pub fn tell(&mut self, now_us: i64, calls: u64) {
        // What a garbled header says may neither stop a connection nor let it loose.
        let share = calls.saturating_mul(WHOLE) / self.limit.calls().max(1);
        if !(LEAST..=100 * WHOLE).contains(&share) || (self.told && share == self.share) {
            return;
        }
        (self.share, self.told, self.grew, self.changed_us) = (share, true, false, now_us);
    }

    /// Lets a share that was cut grow: a hundredth each window, and each minute at most; up to nine tenths of what was refused
    /// until that is forgotten.
    pub fn recover(&mut self, now_us: i64) {
        let step_us = self.limit.span_us().max(MINUTE_US);
        while self.share < WHOLE && !self.told && now_us - self.changed_us >= step_us {
            self.changed_us += step_us;
            let next = (self.share + WHOLE / 100).min(WHOLE);
            if next * 10 <= self.refused * 9 || self.changed_us - self.refused_us >= REMEMBERED_US {
                (self.share, self.grew) = (next, true);
            }
        }
    }
}

/// Slots over which an even lane may make up for what it left.
const CATCH_UP: i64 = 4;

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
