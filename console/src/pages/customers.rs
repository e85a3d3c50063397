//! Customers: found by number, record, e-mail address, phone, tax id, or by the beginning of a name.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use huiliu_core::explain;
use huiliu_core::explain::called::{self, Place};
use huiliu_core::store::console;
use huiliu_core::store::goldens::{self, Golden};

use super::LISTED;
use crate::frame::{Section, Visit};
use crate::language::Language;
use crate::site::{Content, Result, Site};
use crate::words;

/// Longer texts are no names and no numbers.
const SEARCH_CHARS_MAX: usize = 200;

/// Changes that are looked at for those who changed last.
const RECENT_CHANGES: i64 = 60;

#[derive(Template)]
#[template(path = "customers.html")]
struct Page<'a> {
    t: Language,
    search: &'a str,
    found: Vec<Row>,
    is_recent: bool,
    is_behind: bool,
    more: Option<String>,
    first: Option<String>,
}

/// A customer in the list.
struct Row {
    id: i64,
    name: String,
    facts: Vec<String>,
}

/// The page.
pub async fn show(State(site): State<Arc<Site>>, Extension(visit): Extension<Arc<Visit>>) -> Response {
    site.page(&visit, Section::Customers, page).await
}

fn page(site: &Site, visit: &Visit) -> Result<Content> {
    let t = visit.t;
    let search: String = visit.asked("q").unwrap_or_default().trim().chars().take(SEARCH_CHARS_MAX).collect();
    let after = visit.asked("after").and_then(place);
    let mut is_behind = false;
    let mut more = None;
    let found = if search.is_empty() {
        recent(site)?
    } else {
        let known = if after.is_none() { explain::find(&site.engine, &search)? } else { Vec::new() };
        if known.is_empty() {
            let count = i64::try_from(LISTED).unwrap_or(i64::MAX);
            let named = called::named(&site.engine, &search, after.as_ref(), count)?;
            is_behind = named.is_behind;
            more = named.more.map(|place| visit.here(&[("after", &written(&place))]));
            named.customers
        } else {
            site.engine.store.read(|tx| goldens::by_ids(tx, known))?
        }
    };
    let html = Page {
        t,
        found: found.iter().map(|golden| row(t, golden)).collect(),
        is_recent: search.is_empty(),
        search: &search,
        is_behind,
        more,
        first: after.map(|_| visit.here(&[("after", "")])),
    };
    Ok(Content { title: t.customers().to_owned(), html: html.render()? })
}

fn recent(site: &Site) -> Result<Vec<Golden>> {
    Ok(site.engine.store.read(|tx| {
        let mut ids = console::recent(tx, "customer", RECENT_CHANGES)?;
        ids.truncate(20);
        let mut known = goldens::by_ids(tx, ids.iter().copied())?;
        known.retain(|golden| golden.merged_into.is_none());
        known.sort_by_key(|golden| ids.iter().position(|id| *id == golden.id));
        Ok(known)
    })?)
}

fn row(t: Language, golden: &Golden) -> Row {
    Row { id: golden.id, name: words::name_of(t, golden), facts: words::facts_of(t, &golden.fields) }
}

/// A place in the list as an address carries it: the number, and the name in hexadecimal digits.
fn written(place: &Place) -> String {
    format!("{}-{}", place.golden, hex::encode(&place.name))
}

fn place(text: &str) -> Option<Place> {
    let (golden, name) = text.split_once('-')?;
    Some(Place { name: hex::decode(name).ok()?, golden: golden.parse().ok()? })
}
