//! The connection's share of the vendor's quota, in process.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota as GovernorQuota, RateLimiter};

/// Spaces the calls of one connection, and stands still when the vendor says so.
pub struct Quota {
    limiter: Option<DefaultDirectRateLimiter>,
    pause_until: Mutex<Option<Instant>>,
    /// The quota that this one is a part of.
    whole: Option<Arc<Self>>,
    calls: AtomicU64,
}

impl Quota {
    /// No declared limit.
    pub fn unlimited() -> Self {
        Self { limiter: None, pause_until: Mutex::new(None), whole: None, calls: AtomicU64::new(0) }
    }

    /// So many calls in a second, with a burst of one second's worth.
    pub fn per_second(calls: NonZeroU32) -> Self {
        Self { limiter: Some(RateLimiter::direct(GovernorQuota::per_second(calls))), ..Self::unlimited() }
    }

    /// A part of a quota that counts its own calls: each of them is one of the whole, too.
    pub fn part_of(whole: Arc<Self>) -> Self {
        Self { whole: Some(whole), ..Self::unlimited() }
    }

    /// How many calls were allowed so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Waits until a call is allowed.
    pub async fn acquire(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.calls.fetch_add(1, Ordering::Relaxed);
            return whole.wait().await;
        }
        self.wait().await;
    }

    async fn wait(&self) {
        loop {
            let wait = self.pause_left();
            if wait.is_zero() {
                break;
            }
            tokio::time::sleep(wait).await;
        }
        if let Some(limiter) = &self.limiter {
            limiter.until_ready().await;
        }
    }

    /// The vendor asked for silence: nobody calls for this long.
    pub fn pause(&self, wait: Duration) {
        if let Some(whole) = &self.whole {
            return whole.pause(wait);
        }
        let until = Instant::now() + wait.min(PAUSE_MAX);
        if let Ok(mut pause) = self.pause_until.lock() {
            *pause = Some(pause.map_or(until, |known| known.max(until)));
        }
    }

    fn pause_left(&self) -> Duration {
        let until = self.pause_until.lock().ok().and_then(|pause| *pause);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

/// A vendor that asks for more than an hour of silence is asked again after an hour: a garbled header must not stop a
/// connection for a year.
const PAUSE_MAX: Duration = Duration::from_hours(1);
