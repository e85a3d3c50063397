//! How a connection does, in words, and what to do about it.

use std::collections::BTreeMap;

use huiliu_core::connection::{Connection, State};
use huiliu_core::engine::Engine;
use huiliu_core::review::PAUSED_BY;
use huiliu_core::store::brakes::{Caught, Kind};
use huiliu_core::store::console;
use huiliu_core::store::db::{Result, Tx};
use huiliu_core::store::overview::{self, Overview};
use huiliu_core::store::streams::StreamState;

use crate::frame::{Moment, Times};
use crate::language::Language;
use crate::words;

/// A pull that is overdue by more than this is not only waiting for its turn.
const OVERDUE_US: i64 = 10 * 60 * 1_000_000;

/// How everything stands at one moment.
pub struct Reading {
    pub overview: Overview,
    pub deliveries: BTreeMap<(String, String), i64>,
    pub inbox: BTreeMap<String, i64>,
    pub fetches: BTreeMap<String, i64>,
    pub letters: BTreeMap<String, i64>,
}

impl Reading {
    /// Reads it: a handful of queries for all connections.
    pub fn read(tx: &mut Tx<'_>) -> Result<Self> {
        let overview = overview::standing(tx)?;
        let names: Vec<String> = overview.connections.iter().map(|(name, ..)| name.clone()).collect();
        Ok(Self {
            deliveries: console::open_deliveries(tx, names.iter().map(String::as_str))?,
            inbox: console::inbox_waiting(tx)?,
            fetches: console::fetches_waiting(tx)?,
            letters: console::letters_waiting(tx)?,
            overview,
        })
    }

    fn streams<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a StreamState)> {
        let all = self.overview.streams.iter();
        all.filter(move |(connection, ..)| connection == name).map(|(_, stream, state)| (stream.as_str(), state))
    }

    /// The brake that holds arrivals of a stream back.
    fn caught(&self, name: &str, stream: Option<&str>) -> Option<&Caught> {
        let mut mine = self.overview.brakes.iter().filter(|it| it.connection == name);
        mine.find(|it| stream.is_none_or(|stream| it.stream == stream))
    }

    fn delivering(&self, name: &str, state: &str) -> i64 {
        self.deliveries.get(&(name.to_owned(), state.to_owned())).copied().unwrap_or(0)
    }
}

/// A connection as a page shows it.
pub struct Card {
    pub name: String,
    pub segment: String,
    pub system: String,
    pub state: &'static str,
    pub state_word: &'static str,
    pub health: Health,
    pub streams: Vec<StreamRow>,
    pub waiting: i64,
    pub fetches: i64,
    pub pending: i64,
    pub sending: i64,
    pub letters: i64,
    pub is_paused: bool,
}

/// Its health.
pub struct Health {
    /// `good`, `watch` or `bad`: the style.
    pub class: &'static str,
    /// The same for those who see no colour.
    pub mark: &'static str,
    pub text: String,
    pub advice: Option<String>,
    /// What the system or the hub said, in its own words.
    pub detail: Option<String>,
}

/// One of its streams.
pub struct StreamRow {
    pub name: String,
    pub records: i64,
    pub last: Option<Moment>,
    pub next: String,
    pub trouble: Option<String>,
    pub detail: Option<String>,
}

/// A connection's card.
pub fn card(t: Language, engine: &Engine, reading: &Reading, times: &Times, name: &str, state: State) -> Card {
    let known = engine.connections.get(name);
    Card {
        name: name.to_owned(),
        segment: crate::frame::segment(name),
        system: known.map_or_else(|| "–".to_owned(), |connection| connection.system.clone()),
        state: state.as_str(),
        state_word: words::state(t, state),
        health: health(t, reading, times, known, name, state),
        streams: reading
            .streams(name)
            .map(|(stream, it)| {
                let held = reading.caught(name, Some(stream)).map(|caught| held(t, caught));
                let row = stream_row(t, times, stream, it, state);
                StreamRow { trouble: held.or(row.trouble), ..row }
            })
            .collect(),
        waiting: reading.inbox.get(name).copied().unwrap_or(0),
        fetches: reading.fetches.get(name).copied().unwrap_or(0),
        pending: reading.delivering(name, "pending"),
        sending: reading.delivering(name, "sending"),
        letters: reading.letters.get(name).copied().unwrap_or(0),
        is_paused: state == State::Paused,
    }
}

/// What one brake says.
pub(super) fn held(t: Language, caught: &Caught) -> String {
    match caught.kind {
        Kind::Missing => t.held_missing(caught.held, caught.of_links, &caught.stream),
        Kind::Changing => t.held_changing(caught.held, caught.of_links, &caught.stream),
    }
}

fn stream_row(t: Language, times: &Times, name: &str, state: &StreamState, of: State) -> StreamRow {
    let next = if of == State::Paused {
        t.state_paused().to_owned()
    } else if state.stopped {
        t.next_never().to_owned()
    } else if state.due_us <= times.now_us {
        t.next_now().to_owned()
    } else {
        t.next_in(times.span(state.due_us - times.now_us))
    };
    let trouble = match (&state.brake, &state.error) {
        (Some(brake), _) => Some(t.brake(brake.missing, brake.open, name)),
        (None, Some(_)) => {
            let (what, advice) = words::error(t, state.error_kind.as_deref().unwrap_or_default());
            Some(format!("{what} {advice}"))
        }
        (None, None) => None,
    };
    StreamRow {
        name: name.to_owned(),
        records: state.records,
        last: state.ok_us.map(|us| times.ago(us)),
        next,
        trouble,
        detail: state.error.clone(),
    }
}

fn good(text: String, advice: Option<String>) -> Health {
    Health { class: "good", mark: "✓", text, advice, detail: None }
}

fn watch(text: String, advice: Option<String>, detail: Option<String>) -> Health {
    Health { class: "watch", mark: "!", text, advice, detail }
}

fn bad(text: String, advice: Option<String>, detail: Option<String>) -> Health {
    Health { class: "bad", mark: "✕", text, advice, detail }
}

/// The worst thing first: only one is said, the others are in the lists below it.
fn health(
    t: Language,
    reading: &Reading,
    times: &Times,
    known: Option<&Connection>,
    name: &str,
    state: State,
) -> Health {
    let Some(connection) = known else {
        return watch(t.health_unknown().to_owned(), Some(t.advice_unknown(name)), None);
    };
    if state == State::Paused {
        let reason = reading.overview.connections.iter().find(|(it, ..)| it == name).and_then(|(.., it)| it.clone());
        return paused(t, name, reason);
    }
    if let Some((stream, _)) = reading.streams(name).find(|(_, state)| state.drift.is_some()) {
        return bad(t.drift_stopped(stream), Some(t.advice_drift().to_owned()), None);
    }
    if let Some((stream, state)) = reading.streams(name).find(|(_, state)| state.stopped) {
        let (what, advice) = words::error(t, state.error_kind.as_deref().unwrap_or_default());
        return bad(t.health_stopped(stream, what), Some(advice.to_owned()), state.error.clone());
    }
    if let Some((stream, brake)) = reading.streams(name).find_map(|(stream, state)| Some((stream, state.brake?))) {
        let advice = t.advice_brake(name, stream);
        return watch(t.brake(brake.missing, brake.open, stream), Some(advice), None);
    }
    if let Some(caught) = reading.caught(name, None) {
        return watch(held(t, caught), Some(t.advice_held(name, &caught.stream)), None);
    }
    if let Some((_, findings, waiting)) = reading.overview.drift.iter().find(|(known, ..)| known == name) {
        return watch(t.drift(findings, waiting), Some(t.advice_drift().to_owned()), None);
    }
    if let Some((stream, state)) = reading.streams(name).find(|(_, state)| state.failures > 0) {
        let (what, advice) = words::error(t, state.error_kind.as_deref().unwrap_or_default());
        let text = t.health_failing(stream, state.failures, what);
        return watch(text, Some(advice.to_owned()), state.error.clone());
    }
    if connection.connector.is_none() {
        return good(t.health_files().to_owned(), Some(t.advice_files(name)));
    }
    if let Some((stream, state)) = reading.streams(name).find(|(_, it)| it.due_us + OVERDUE_US < times.now_us) {
        let late = times.span(times.now_us - state.due_us);
        return watch(t.health_overdue(stream, late), Some(t.advice_overdue().to_owned()), None);
    }
    let letters = reading.letters.get(name).copied().unwrap_or(0);
    if letters > 0 {
        return watch(t.health_letters(letters), Some(t.advice_letters().to_owned()), None);
    }
    if reading.streams(name).next().is_none() {
        return good(t.health_new().to_owned(), None);
    }
    match (state, connection.writes) {
        (_, false) => good(t.health_read_only().to_owned(), None),
        (State::Live, _) => good(t.health_live().to_owned(), None),
        _ => good(t.health_observing().to_owned(), Some(t.advice_observing(name))),
    }
}

fn paused(t: Language, name: &str, reason: Option<String>) -> Health {
    match reason.as_deref().and_then(|reason| reason.strip_prefix(PAUSED_BY)) {
        Some(person) => watch(t.health_paused_by(person), Some(t.advice_paused_by().to_owned()), None),
        None => bad(t.health_paused().to_owned(), Some(t.advice_paused(name)), reason),
    }
}
