//! `/metrics`: what is counted as it happens, and what is read from the store when asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use huiliu_core::connection::State;
use huiliu_core::engine::Engine;
use huiliu_core::manifest::Ability;
use huiliu_core::pipeline::reconcile;
use huiliu_core::store::brakes;
use huiliu_core::store::logs::LogState;
use huiliu_core::store::meter::Meter;
use huiliu_core::store::overview::{self, Overview};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::sync::watch;

/// A family of series.
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// How a family behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// The word in `/metrics`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

const fn family(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, labels, help }
}

/// Every family there is; hub/README.md shows them.
pub const FAMILIES: &[Family] = &[
    family("huiliu_store_up", Kind::Gauge, &[], "1 while the store answers; the gauges below are its last answer."),
    family(
        "huiliu_intake_waiting",
        Kind::Gauge,
        &[],
        "Messages (groups of calls) of the stream before the inbox that wait to be taken in; 0 where there is none.",
    ),
    family("huiliu_intake_stopped", Kind::Gauge, &[], "1 while nothing of the stream before the inbox is taken in."),
    family("huiliu_inbox_waiting", Kind::Gauge, &[], "Items of the inbox that wait to be processed."),
    family("huiliu_inbox_age_seconds", Kind::Gauge, &[], "Age of the oldest item that waits; 0 when none does."),
    family("huiliu_changes_waiting", Kind::Gauge, &[], "Changes of golden records that wait to be planned."),
    family("huiliu_fetches_waiting", Kind::Gauge, &[], "Hinted keys whose content must still be fetched."),
    family(
        "huiliu_deliveries",
        Kind::Gauge,
        &["connection", "state"],
        "Deliveries that wait (pending), are under way (sending) or gave up (dead).",
    ),
    family(
        "huiliu_dead_letters",
        Kind::Gauge,
        &["stage"],
        "Items that need a person, by the stage that gave them up: intake, import, process, fetch, push, automate.",
    ),
    family(
        "huiliu_drift_findings",
        Kind::Gauge,
        &["connection"],
        "Changes in the form of records that wait for a person.",
    ),
    family(
        "huiliu_drift_waiting",
        Kind::Gauge,
        &["connection"],
        "Records, values and deliveries that wait because of them.",
    ),
    family("huiliu_reviews_waiting", Kind::Gauge, &[], "Records that may be somebody known and wait for a steward."),
    family(
        "huiliu_connection_state",
        Kind::Gauge,
        &["connection", "state"],
        "1 at the connection's state (observing, live, paused), 0 at the others.",
    ),
    family(
        "huiliu_stream_lag_seconds",
        Kind::Gauge,
        &["connection", "stream"],
        "Time since the last pull that worked; before the first one, since this process began.",
    ),
    family(
        "huiliu_reconcile_compared",
        Kind::Gauge,
        &["connection", "stream"],
        "Records that the last whole comparison with the system went over, or the first one so far.",
    ),
    family(
        "huiliu_reconcile_divergences",
        Kind::Gauge,
        &["connection", "stream", "state"],
        "Records that differ in their system and here: suspected, repairing, or stuck until a person looks.",
    ),
    family(
        "huiliu_reconcile_age_seconds",
        Kind::Gauge,
        &["connection", "stream"],
        "Time since the last whole comparison ended; before the first one, since this process began.",
    ),
    family(
        "huiliu_held_back",
        Kind::Gauge,
        &["connection", "stream", "kind"],
        "Records that the brake holds back: missing (they would be gone) or changing. Above 0 somebody must look.",
    ),
    family("huiliu_stream_failures", Kind::Gauge, &["connection", "stream"], "Failed pulls in a row."),
    family(
        "huiliu_pulled_records_total",
        Kind::Counter,
        &["connection", "stream"],
        "Records and deletions that pulls brought into the inbox.",
    ),
    family("huiliu_processed_items_total", Kind::Counter, &[], "Items of the inbox that were processed."),
    family("huiliu_golden_records_made_total", Kind::Counter, &[], "Golden records made."),
    family("huiliu_changes_total", Kind::Counter, &[], "Changes of golden records."),
    family("huiliu_firings_total", Kind::Counter, &[], "How often automation rules fired."),
    family(
        "huiliu_pushed_total",
        Kind::Counter,
        &["connection", "outcome"],
        "Attempts to deliver: done, or the kind of the error.",
    ),
    family(
        "huiliu_webhook_requests_total",
        Kind::Counter,
        &["connection", "outcome"],
        "Webhook calls by how they ended; an unknown address counts as connection `unknown`.",
    ),
    family(
        "huiliu_webhook_answer_seconds",
        Kind::Histogram,
        &["connection"],
        "Time from the head of a webhook call to its answer; the answer waits for the append.",
    ),
];

/// Senders give up after 5 s at the earliest, and an append takes milliseconds.
const ANSWER_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The states of a delivery that are no end, and the one that needs a person.
const DELIVERY_STATES: &[&str] = &["pending", "sending", "dead"];

/// The stages that can give an item up.
const STAGES: &[&str] = &["intake", "import", "process", "fetch", "push"];

/// The metrics of this process over one engine. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    engine: Engine,
    began_us: i64,
}

/// How often what was measured is folded into the sums. At ten thousand calls a second half a megabyte waits for it.
const UPKEEP: Duration = Duration::from_secs(5);

/// One recorder in a process, whoever asks first.
fn handle() -> Result<PrometheusHandle, String> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let buckets = Matcher::Full("huiliu_webhook_answer_seconds".to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(buckets, ANSWER_SECONDS);
    let recorder = builder.map_err(|error| format!("metrics: {error}"))?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| format!("metrics: {error}"))?;
    Ok(HANDLE.get_or_init(|| handle).clone())
}

impl Metrics {
    /// Begins to count. Every family is there from the beginning, so that a dashboard shows 0 and not a gap.
    pub fn install(engine: &Engine) -> Result<Self, String> {
        let handle = handle()?;
        for Family { name, kind, help, .. } in FAMILIES {
            match kind {
                Kind::Counter => metrics::describe_counter!(*name, *help),
                Kind::Gauge => metrics::describe_gauge!(*name, *help),
                Kind::Histogram => metrics::describe_histogram!(*name, *help),
            }
        }
        for family in FAMILIES.iter().filter(|it| it.kind == Kind::Counter && it.labels.is_empty()) {
            metrics::counter!(family.name).increment(0);
        }
        for (name, stream) in pulled_streams(engine) {
            metrics::counter!("huiliu_pulled_records_total", "connection" => name, "stream" => stream).increment(0);
        }
        for (name, connection) in engine.connections.iter().filter(|(_, it)| it.writes && it.connector.is_some()) {
            let name = name.clone();
            metrics::counter!("huiliu_pushed_total", "connection" => name, "outcome" => "done").increment(0);
            if connection.connector.as_ref().is_some_and(|it| it.manifest().webhook.is_some()) {
                let name = connection.name.to_string();
                let labels = [("connection", name.clone()), ("outcome", "fresh".to_owned())];
                metrics::counter!("huiliu_webhook_requests_total", &labels).increment(0);
            }
        }
        Ok(Self { handle, engine: engine.clone(), began_us: engine.clock.now_us() })
    }

    /// Folds what was measured into the sums, again and again, until told to stop. Whether anybody asks for `/metrics` or
    /// not: what is not folded is kept call by call.
    pub async fn keep_small(self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(UPKEEP) => self.handle.run_upkeep(),
                _ = stop.changed() => return,
            }
        }
    }

    /// The text of `/metrics`. Blocks while the store is read.
    pub fn render(&self) -> String {
        match self.engine.store.read(overview::read) {
            Ok(overview) => {
                metrics::gauge!("huiliu_store_up").set(1.0);
                self.set(&overview);
            }
            Err(error) => {
                tracing::error!("metrics: the store does not answer: {error}");
                metrics::gauge!("huiliu_store_up").set(0.0);
            }
        }
        self.handle.run_upkeep();
        self.handle.render()
    }

    fn set(&self, now: &Overview) {
        let now_us = self.engine.clock.now_us();
        metrics::gauge!("huiliu_intake_waiting").set(number(now.logs.iter().map(LogState::waiting).sum()));
        let stopped = now.logs.iter().filter(|it| it.trouble.is_some()).count();
        metrics::gauge!("huiliu_intake_stopped").set(number(i64::from(stopped > 0)));
        metrics::gauge!("huiliu_inbox_waiting").set(number(now.inbox_waiting));
        metrics::gauge!("huiliu_inbox_age_seconds").set(now.inbox_oldest_us.map_or(0.0, |it| seconds(now_us - it)));
        metrics::gauge!("huiliu_changes_waiting").set(number(now.changes_waiting));
        metrics::gauge!("huiliu_fetches_waiting").set(number(now.fetches_waiting));
        metrics::gauge!("huiliu_reviews_waiting").set(number(now.reviews_waiting));
        for (name, ..) in &now.connections {
            let found = now.drift.iter().find(|(known, ..)| known == name).map_or((0, 0), |it| (it.1, it.2));
            metrics::gauge!("huiliu_drift_findings", "connection" => name.clone()).set(number(found.0));
            metrics::gauge!("huiliu_drift_waiting", "connection" => name.clone()).set(number(found.1));
        }
        let dead: BTreeMap<&str, i64> =
            now.dead_letters.iter().map(|(stage, count)| (stage.as_str(), *count)).collect();
        for stage in STAGES {
            let count = dead.get(stage).copied().unwrap_or(0);
            metrics::gauge!("huiliu_dead_letters", "stage" => *stage).set(number(count));
        }
        let deliveries: BTreeMap<(&str, &str), i64> =
            now.deliveries.iter().map(|(name, state, count)| ((name.as_str(), state.as_str()), *count)).collect();
        for (name, current, _) in &now.connections {
            for state in DELIVERY_STATES {
                let count = deliveries.get(&(name.as_str(), *state)).copied().unwrap_or(0);
                let labels = [("connection", name.clone()), ("state", (*state).to_owned())];
                metrics::gauge!("huiliu_deliveries", &labels).set(number(count));
            }
            for state in [State::Observing, State::Live, State::Paused] {
                let labels = [("connection", name.clone()), ("state", state.as_str().to_owned())];
                metrics::gauge!("huiliu_connection_state", &labels).set(if state == *current { 1.0 } else { 0.0 });
            }
        }
        set_meters(&self.engine, now, self.began_us);
        let streams: BTreeMap<(&str, &str), _> =
            now.streams.iter().map(|(name, stream, state)| ((name.as_str(), stream.as_str()), state)).collect();
        for (name, stream) in pulled_streams(&self.engine) {
            let state = streams.get(&(name.as_str(), stream.as_str()));
            let since_us = state.and_then(|state| state.ok_us).unwrap_or(self.began_us);
            let failures = state.map_or(0, |state| state.failures);
            let labels = [("connection", name), ("stream", stream)];
            metrics::gauge!("huiliu_stream_lag_seconds", &labels).set(seconds(now_us - since_us));
            metrics::gauge!("huiliu_stream_failures", &labels).set(number(failures));
        }
        set_held_back(&self.engine, now);
    }
}

/// What the brake holds back, of streams that only listen too.
fn set_held_back(engine: &Engine, now: &Overview) {
    for (name, connection) in engine.connections.iter().filter(|(_, it)| it.connector.is_some()) {
        let streams: BTreeSet<&str> = connection.lenses.iter().map(|lens| lens.stream()).collect();
        for (stream, kind) in
            streams.into_iter().flat_map(|it| [(it, brakes::Kind::Missing), (it, brakes::Kind::Changing)])
        {
            let labels =
                [("connection", name.clone()), ("stream", stream.to_owned()), ("kind", kind.as_str().to_owned())];
            metrics::gauge!("huiliu_held_back", &labels).set(number(now.held_back(name, stream, kind)));
        }
    }
}

/// How much was compared, and what is not the same.
fn set_meters(engine: &Engine, now: &Overview, began_us: i64) {
    let known: BTreeMap<(&str, &str), _> =
        now.meters.iter().map(|it| ((it.connection.as_str(), it.stream.as_str()), it)).collect();
    for (name, connection) in &engine.connections {
        for stream in reconcile::streams_of(connection) {
            let it = known.get(&(name.as_str(), stream.as_str())).map_or_else(Meter::default, |it| (*it).clone());
            let labels = [("connection", name.clone()), ("stream", stream.to_string())];
            metrics::gauge!("huiliu_reconcile_compared", &labels).set(number(it.compared));
            let age_us = engine.clock.now_us() - it.last_us.unwrap_or(began_us);
            metrics::gauge!("huiliu_reconcile_age_seconds", &labels).set(seconds(age_us));
            for (state, count) in [("suspected", it.suspected), ("repairing", it.repairing), ("stuck", it.stuck)] {
                let [connection, stream] = labels.clone();
                let labels = [connection, stream, ("state", state.to_owned())];
                metrics::gauge!("huiliu_reconcile_divergences", &labels).set(number(count));
            }
        }
    }
}

fn pulled_streams(engine: &Engine) -> Vec<(String, String)> {
    let mut pulled = Vec::new();
    for (name, connection) in &engine.connections {
        let Some(connector) = &connection.connector else { continue };
        let streams = connector.manifest().streams.iter().filter(|(_, stream)| stream.can(Ability::Pull));
        pulled.extend(streams.map(|(stream, _)| (name.clone(), stream.clone())));
    }
    pulled
}

/// Counts beyond 2^53 would lose their last digits, which no dashboard shows.
#[allow(clippy::cast_precision_loss)]
fn number(count: i64) -> f64 {
    count as f64
}

fn seconds(us: i64) -> f64 {
    number(us.max(0)) / 1e6
}

/// The table of hub/README.md.
pub fn table() -> String {
    let mut text = "| Name | Kind | Labels | Says |\n|---|---|---|---|\n".to_owned();
    for Family { name, kind, labels, help } in FAMILIES {
        let _ = writeln!(text, "| `{name}` | {} | {} | {help} |", kind.as_str(), labels.join(", "));
    }
    text
}
