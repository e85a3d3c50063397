//! One connection: its streams, what was written to it, what needs a person; pause and resume.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use huiliu_core::quota::forecast;
use huiliu_core::review::{self, ReviewError, Steward};
use huiliu_core::store::console::{self, Chosen, DELIVERY_STATES};

use super::brakes::{self, Brake};
use super::drift;
use super::health::{Card, Reading, card};
use super::letters::Letter;
use super::meter::{self, MeterRow};
use super::quota;
use super::{ASKED, has_more};
use crate::chart::{self, Panel};
use crate::frame::{Moment, Section, Visit};
use crate::language::Language;
use crate::site::{Content, Failed, Result, Site};
use crate::words;

#[derive(Template)]
#[template(path = "connection.html")]
struct Page<'a> {
    t: Language,
    form: &'a str,
    name: &'a str,
    live: String,
    segment: String,
    is_paused: bool,
    brakes: Vec<Brake>,
    findings: Vec<drift::Row>,
    charts: Vec<Panel>,
    deliveries: Vec<Delivery>,
    filters: Vec<Filter>,
    older: Option<String>,
    newest: Option<String>,
    letters: Vec<Letter>,
    all_letters: String,
    back: String,
}

#[derive(Template)]
#[template(path = "connection_live.html")]
struct Live {
    t: Language,
    card: Card,
    meters: Vec<MeterRow>,
    budgets: Vec<quota::Row>,
    reads: Vec<String>,
}

/// A link that shows the deliveries of one state.
struct Filter {
    text: &'static str,
    to: String,
    is_current: bool,
}

/// A delivery in the list.
struct Delivery {
    number: i64,
    golden: i64,
    what: &'static str,
    state: String,
    state_word: &'static str,
    record: Option<String>,
    record_link: String,
    stream: String,
    fields: String,
    at: Moment,
    attempts: i64,
    error: Option<String>,
}

/// The page.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    Path(name): Path<String>,
) -> Response {
    site.page(&visit, Section::Connections, move |site, visit| page(site, visit, &name)).await
}

fn page(site: &Site, visit: &Visit, name: &str) -> Result<Content> {
    let (t, times) = (visit.t, site.times(visit));
    let (live, is_paused) = live_of(site, visit, name)?;
    let state = visit.asked("state").filter(|state| DELIVERY_STATES.contains(state));
    let before = visit.number("before");
    let chosen = Chosen { connection: Some(name), stage: None };
    let (mut sent, letters) = site.engine.store.read(|tx| {
        let sent = console::deliveries(tx, name, state, before.unwrap_or(i64::MAX), ASKED)?;
        Ok((sent, console::letters(tx, chosen, i64::MAX, LETTERS)?))
    })?;
    let more = has_more(&mut sent);
    let last = sent.last().map(|one| one.number.to_string());
    let deliveries = sent
        .into_iter()
        .map(|one| Delivery {
            number: one.number,
            golden: one.golden,
            what: words::operation(t, &one.operation),
            state_word: words::delivery_state(t, &one.state),
            record_link: record_link(name, &one.stream, one.external_id.as_deref()),
            record: one.external_id,
            stream: one.stream,
            fields: words::fields(t, one.fields.iter().map(String::as_str)),
            at: times.at(one.done_us.unwrap_or(one.planned_us)),
            attempts: one.attempts,
            error: one.error,
            state: one.state,
        })
        .collect();
    let filters = std::iter::once(None).chain(DELIVERY_STATES.into_iter().map(Some)).map(|one| Filter {
        text: one.map_or(t.all_states(), |one| words::delivery_state(t, one)),
        to: visit.here(&[("state", one.unwrap_or_default()), ("before", "")]),
        is_current: one == state,
    });
    let html = Page {
        t,
        form: &visit.form,
        name,
        live,
        is_paused,
        segment: crate::frame::segment(name),
        brakes: brakes::rows(site, t, name)?,
        findings: drift::rows(site, t, &times, name)?,
        charts: chart::last_day(site, t, Some(name))?,
        deliveries,
        filters: filters.collect(),
        older: last.filter(|_| more).map(|last| visit.here(&[("before", &last)])),
        newest: before.map(|_| visit.here(&[("before", "")])),
        letters: letters.into_iter().map(|one| Letter::of(t, &times, one)).collect(),
        all_letters: crate::frame::address("/dead-letters", [("connection", name)]),
        back: visit.here(&[]),
    };
    Ok(Content { title: name.to_owned(), html: html.render()? })
}

/// Dead letters shown here; the page of dead letters shows all.
const LETTERS: i64 = 5;

/// Where the story of a record stands; a record that is still to be created has none.
fn record_link(connection: &str, stream: &str, id: Option<&str>) -> String {
    let key = id.map(|id| format!("{connection}/{stream}/{id}")).unwrap_or_default();
    crate::frame::address("/records", [("key", key.as_str())])
}

/// The part of the page that is rendered anew while it is watched.
pub fn live(site: &Site, visit: &Visit, name: &str) -> Result<String> {
    Ok(live_of(site, visit, name)?.0)
}

fn live_of(site: &Site, visit: &Visit, name: &str) -> Result<(String, bool)> {
    let now_us = site.engine.clock.now_us();
    let (reading, meters, standing) = site
        .engine
        .store
        .read(|tx| Ok((Reading::read(tx)?, huiliu_core::store::meter::read(tx)?, forecast::read(tx, now_us)?)))?;
    let known = reading.overview.connections.iter().find(|(known, ..)| known == name);
    let Some((_, state, _)) = known else { return Err(Failed::Missing) };
    let card = card(visit.t, &site.engine, &reading, &site.times(visit), name, *state);
    let is_paused = card.is_paused;
    let meters = meter::rows(visit.t, meters, name);
    let shown = quota::shown(visit.t, &standing, site.engine.connections.get(name), name, now_us);
    let live = Live { t: visit.t, card, meters, budgets: shown.rows, reads: shown.reads };
    Ok((live.render()?, is_paused))
}

type Here = State<Arc<Site>>;

/// Pauses it.
pub async fn pause(State(site): Here, Extension(visit): Extension<Arc<Visit>>, Path(name): Path<String>) -> Response {
    site.act(&visit, move |site, visit| {
        let steward = Steward { name: &visit.user, why: "console" };
        let told = |error| refused(error, visit.t.no_connection());
        review::pause(&site.engine, &name, steward).map_err(told)?;
        Ok(format!("/connections/{}?said=paused", crate::frame::segment(&name)))
    })
    .await
}

/// Ends its pause.
pub async fn resume(State(site): Here, Extension(visit): Extension<Arc<Visit>>, Path(name): Path<String>) -> Response {
    site.act(&visit, move |site, visit| {
        let steward = Steward { name: &visit.user, why: "console" };
        let told = |error| refused(error, visit.t.not_paused());
        review::resume(&site.engine, &name, steward).map_err(told)?;
        Ok(format!("/connections/{}?said=resumed", crate::frame::segment(&name)))
    })
    .await
}

/// A command that was refused, in the reader's words.
pub(super) fn refused(error: ReviewError, told: &str) -> Failed {
    match error {
        ReviewError::Refused(_) => Failed::Refused(told.to_owned()),
        ReviewError::Store(error) => Failed::from(error),
    }
}
