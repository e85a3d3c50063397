//! The connection's share of the vendor's quota, in process.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota as GovernorQuota, RateLimiter};

/// Spaces the calls of one connection, and stands still when the vendor says so.
pub struct Quota {
    limiter: Option<DefaultDirectRateLimiter>,
    pause_until: Mutex<Option<Instant>>,
}

impl Quota {
    /// No declared limit.
    pub fn unlimited() -> Self {
        Self { limiter: None, pause_until: Mutex::new(None) }
    }

    /// So many calls in a second, with a burst of one second's worth.
    pub fn per_second(calls: NonZeroU32) -> Self {
        Self { limiter: Some(RateLimiter::direct(GovernorQuota::per_second(calls))), pause_until: Mutex::new(None) }
    }

    /// Waits until a call is allowed.
    pub async fn acquire(&self) {
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
