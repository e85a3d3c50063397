//! The story of one record: from its arrivals to every system that got its values, or why one did not.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use huiliu_core::explain::{self, Arrival, Target};
use huiliu_core::link::LinkKey;

use crate::frame::{Moment, Section, Times, Visit};
use crate::language::Language;
use crate::site::{Content, Failed, Result, Site};
use crate::words;

#[derive(Template)]
#[template(path = "record.html")]
struct Page {
    t: Language,
    key: String,
    segment: String,
    connection: String,
    is_seen: bool,
    backlog: i64,
    golden: i64,
    entity: String,
    arrivals: Vec<Came>,
    targets: Vec<Went>,
}

/// An arrival.
struct Came {
    position: i64,
    at: Option<Moment>,
    outcome: String,
    times: usize,
    issues: Vec<String>,
}

/// What another connection got.
struct Went {
    connection: String,
    segment: String,
    state: &'static str,
    silence: Option<String>,
    deliveries: Vec<Sent>,
}

/// A write.
struct Sent {
    number: i64,
    what: &'static str,
    state: String,
    state_word: &'static str,
    fields: String,
    error: Option<String>,
}

/// The page.
pub async fn show(State(site): State<Arc<Site>>, Extension(visit): Extension<Arc<Visit>>) -> Response {
    site.page(&visit, Section::Customers, page).await
}

fn page(site: &Site, visit: &Visit) -> Result<Content> {
    let (t, times) = (visit.t, site.times(visit));
    let key: LinkKey = visit.asked("key").and_then(|key| key.parse().ok()).ok_or(Failed::Missing)?;
    let told = explain::record(&site.engine, &key)?;
    let html = Page {
        t,
        segment: crate::frame::segment(key.connection.as_str()),
        connection: key.connection.as_str().to_owned(),
        is_seen: told.seen,
        backlog: told.backlog,
        golden: told.golden,
        entity: words::entity(t, &told.entity),
        arrivals: arrivals(t, &times, told.arrivals),
        targets: told.targets.into_iter().map(|target| went(t, target)).collect(),
        key: told.record.clone(),
    };
    Ok(Content { title: told.record, html: html.render()? })
}

/// The arrivals, the latest first; a row of repeats is one line.
fn arrivals(t: Language, times: &Times, told: Vec<Arrival>) -> Vec<Came> {
    let mut shown: Vec<Came> = Vec::new();
    for arrival in told.into_iter().rev().map(|arrival| came(t, times, arrival)) {
        match shown.last_mut().filter(|last| last.outcome == arrival.outcome && last.issues == arrival.issues) {
            Some(last) => last.times += 1,
            None => shown.push(arrival),
        }
    }
    shown
}

fn came(t: Language, times: &Times, told: Arrival) -> Came {
    let issues: Vec<serde_json::Value> =
        told.issues.and_then(|issues| serde_json::from_str(&issues).ok()).unwrap_or_default();
    let issue = |issue: &serde_json::Value| {
        let part = |name: &str| issue[name].as_str().unwrap_or_default();
        t.issue(words::field(t, part("field")), part("at"), part("message"))
    };
    Came {
        position: told.position,
        at: told.received_us.map(|us| times.at(us)),
        outcome: words::outcome(t, &told.outcome),
        times: 1,
        issues: issues.iter().map(issue).collect(),
    }
}

fn went(t: Language, told: Target) -> Went {
    let silence = told.deliveries.is_empty().then(|| match (told.state.as_str(), told.writes) {
        (_, false) => t.silence_read_only().to_owned(),
        ("observing", _) => t.silence_observing(&told.connection),
        ("paused", _) => t.silence_paused().to_owned(),
        _ => t.silence_same().to_owned(),
    });
    let deliveries = told.deliveries.into_iter().rev().map(|one| Sent {
        number: one.number,
        what: words::operation(t, one.operation),
        state_word: words::delivery_state(t, &one.state),
        state: one.state,
        fields: words::fields(t, one.fields.iter().map(huiliu_mappings::value::FieldName::as_str)),
        error: one.error,
    });
    Went {
        segment: crate::frame::segment(&told.connection),
        state: words::state(t, huiliu_core::connection::State::parse(&told.state)),
        silence,
        deliveries: deliveries.collect(),
        connection: told.connection,
    }
}
