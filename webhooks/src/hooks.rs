//! The connections that can be called, exchangeable while the server runs.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use huiliu_core::connector::{ConnectionName, Connector, Cx};
use metrics::{Counter, Histogram};

/// One connection that can be called.
pub struct Hook {
    /// Its name, the last part of the URL.
    pub connection: ConnectionName,
    /// The connector: its manifest says how a call proves its origin.
    pub connector: Arc<dyn Connector>,
    /// Settings, secrets and time of the connection.
    pub cx: Cx,
    /// How much it may call.
    pub limits: Limits,
}

/// How much one connection may call; what is beyond is told to come again. Only proven calls count: nobody uses up what
/// is another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls that wait for the disk at one time.
    pub at_once: usize,
    /// Calls in a second, and as many in one burst; none: no limit.
    pub per_second: Option<NonZeroU32>,
}

impl Default for Limits {
    /// Three quarters of all that may wait: whoever pours leaves room for the others.
    fn default() -> Self {
        Self { at_once: huiliu_core::pipeline::intake::WAITING_MAX / 4 * 3, per_second: None }
    }
}

/// All of them. Clones share the list, so a change of configuration reaches a running router.
#[derive(Clone, Default)]
pub struct Hooks(Arc<RwLock<BTreeMap<ConnectionName, Arc<Known>>>>);

/// What waits for the disk is there by then.
const AGAIN_SECONDS: u32 = 1;

/// A hook with its counters.
pub(crate) struct Known {
    pub(crate) hook: Hook,
    counters: Counters,
    waiting: AtomicUsize,
    rate: Option<DefaultDirectRateLimiter>,
}

/// A call that waits for the disk.
pub(crate) struct Turn<'k>(&'k Known);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Known {
    fn of(hook: Hook) -> Self {
        let rate = hook.limits.per_second.map(|calls| RateLimiter::direct(Quota::per_second(calls)));
        Self { hook, counters: Counters::default(), waiting: AtomicUsize::new(0), rate }
    }

    /// Lets a proven call in, or says after how many seconds another try makes sense.
    pub(crate) fn turn(&self) -> Result<Turn<'_>, u32> {
        if let Some(rate) = &self.rate {
            rate.check().map_err(|until| {
                let wait = until.wait_time_from(DefaultClock::default().now());
                u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1)
            })?;
        }
        let turn = Turn(self);
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        if before < self.hook.limits.at_once { Ok(turn) } else { Err(AGAIN_SECONDS) }
    }

    /// After how many seconds another try makes sense, while as many calls wait as may.
    pub(crate) fn crowded(&self) -> Option<u32> {
        (self.waiting.load(Ordering::Relaxed) >= self.hook.limits.at_once).then_some(AGAIN_SECONDS)
    }
}

/// Counters by the outcomes that are frequent. To find one by its labels costs more than all else that is counted, so each
/// is looked for once: at the first call, when the program counts.
#[derive(Default)]
struct Counters {
    seconds: OnceLock<Histogram>,
    fresh: OnceLock<Counter>,
    repeat: OnceLock<Counter>,
    full: OnceLock<Counter>,
    too_many: OnceLock<Counter>,
}

impl Hooks {
    /// A list with these connections.
    pub fn new(hooks: impl IntoIterator<Item = Hook>) -> Self {
        let list = Self::default();
        list.replace(hooks);
        list
    }

    /// Takes these connections instead of the former ones; calls in flight end with what they began with.
    pub fn replace(&self, hooks: impl IntoIterator<Item = Hook>) {
        let fresh = hooks.into_iter().map(|hook| (hook.connection.clone(), Arc::new(Known::of(hook)))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// The connection of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Known>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// Counts a call. Only configured names become labels: a scanner must not be able to grow the list of series.
pub(crate) fn count(known: Option<&Known>, outcome: &'static str, took: Duration) {
    let Some(Known { hook, counters, .. }) = known else {
        histogram("unknown").record(took);
        return counter("unknown", outcome).increment(1);
    };
    let name = hook.connection.as_str();
    counters.seconds.get_or_init(|| histogram(name)).record(took);
    match outcome {
        "fresh" => counters.fresh.get_or_init(|| counter(name, outcome)).increment(1),
        "repeat" => counters.repeat.get_or_init(|| counter(name, outcome)).increment(1),
        "full" => counters.full.get_or_init(|| counter(name, outcome)).increment(1),
        "too_many" => counters.too_many.get_or_init(|| counter(name, outcome)).increment(1),
        _ => counter(name, outcome).increment(1),
    }
}

fn histogram(connection: &str) -> Histogram {
    metrics::histogram!("huiliu_webhook_answer_seconds", "connection" => connection.to_owned())
}

fn counter(connection: &str, outcome: &'static str) -> Counter {
    metrics::counter!("huiliu_webhook_requests_total", "connection" => connection.to_owned(), "outcome" => outcome)
}
