//! The connections that can be called, exchangeable while the server runs.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

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
}

/// All of them. Clones share the list, so a change of configuration reaches a running router.
#[derive(Clone, Default)]
pub struct Hooks(Arc<RwLock<BTreeMap<ConnectionName, Arc<Known>>>>);

/// A hook with its counters.
pub(crate) struct Known {
    pub(crate) hook: Hook,
    counters: Counters,
}

/// Counters by the outcomes that are frequent. To find one by its labels costs more than all else that is counted, so each
/// is looked for once: at the first call, when the program counts.
#[derive(Default)]
struct Counters {
    seconds: OnceLock<Histogram>,
    fresh: OnceLock<Counter>,
    repeat: OnceLock<Counter>,
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
        let known = |hook: Hook| Arc::new(Known { hook, counters: Counters::default() });
        let fresh = hooks.into_iter().map(|hook| (hook.connection.clone(), known(hook))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// The connection of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Known>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// Counts a call. Only configured names become labels: a scanner must not be able to grow the list of series.
pub(crate) fn count(known: Option<&Known>, outcome: &'static str, took: Duration) {
    let Some(Known { hook, counters }) = known else {
        histogram("unknown").record(took);
        return counter("unknown", outcome).increment(1);
    };
    let name = hook.connection.as_str();
    counters.seconds.get_or_init(|| histogram(name)).record(took);
    match outcome {
        "fresh" => counters.fresh.get_or_init(|| counter(name, outcome)).increment(1),
        "repeat" => counters.repeat.get_or_init(|| counter(name, outcome)).increment(1),
        _ => counter(name, outcome).increment(1),
    }
}

fn histogram(connection: &str) -> Histogram {
    metrics::histogram!("huiliu_webhook_answer_seconds", "connection" => connection.to_owned())
}

fn counter(connection: &str, outcome: &'static str) -> Counter {
    metrics::counter!("huiliu_webhook_requests_total", "connection" => connection.to_owned(), "outcome" => outcome)
}
