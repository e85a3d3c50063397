//! One golden record: every value with who said it and by which rule it won, what lost, its records, what belongs to
//! it, and how it became what it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use huiliu_core::explain::{self, Customer, Surviving};
use huiliu_core::store::console;
use huiliu_core::store::goldens::{self, Change};
use huiliu_mappings::merge::Pin;
use huiliu_mappings::value::FieldName;
use serde_json::Value;

use super::{ASKED, LISTED, has_more};
use crate::frame::{Moment, Section, Times, Visit, address};
use crate::language::Language;
use crate::site::{Content, Failed, Result, Site};
use crate::words;

#[derive(Template)]
#[template(path = "customer.html")]
struct Page {
    t: Language,
    id: i64,
    entity: String,
    name: String,
    merged_into: Option<i64>,
    values: Vec<Shown>,
    records: Vec<Record>,
    timeline: Vec<Entry>,
    history: Vec<Line>,
    older: Option<String>,
    newest: Option<String>,
}

/// A value with its origin.
struct Shown {
    field: String,
    value: String,
    origin: Origin,
    at: Moment,
    rule: String,
    lost: Vec<Lost>,
}

/// Who said it.
enum Origin {
    Pin(String),
    Record { key: String, to: String },
}

/// A value that lost.
struct Lost {
    value: String,
    key: String,
    to: String,
    at: Moment,
}

/// A linked record.
struct Record {
    key: String,
    to: String,
    is_open: bool,
    because: String,
}

/// Something that belongs to the customer.
struct Entry {
    id: i64,
    entity: String,
    at: Option<String>,
    facts: Vec<(String, String)>,
}

/// A change.
struct Line {
    at: Moment,
    kind: String,
    cause: String,
    fields: Vec<Difference>,
}

/// Before and after.
struct Difference {
    field: String,
    before: String,
    after: String,
}

/// The page.
pub async fn show(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    Path(number): Path<String>,
) -> Response {
    site.page(&visit, Section::Customers, move |site, visit| {
        let id: i64 = number.parse().map_err(|_| Failed::Missing)?;
        page(site, visit, id)
    })
    .await
}

fn page(site: &Site, visit: &Visit, id: i64) -> Result<Content> {
    let (t, times) = (visit.t, site.times(visit));
    let Some(told) = explain::customer(&site.engine, id)? else { return Err(Failed::Missing) };
    let before = visit.number("before");
    let (pins, golden, mut changes) = site.engine.store.read(|tx| {
        let pins = goldens::pins(tx, [id])?.remove(&id).unwrap_or_default();
        let golden = goldens::by_ids(tx, [id])?.into_iter().next();
        Ok((pins, golden, console::changes(tx, id, before.unwrap_or(i64::MAX), ASKED)?))
    })?;
    let name = golden.as_ref().map_or_else(String::new, |golden| words::name_of(t, golden));
    let more = has_more(&mut changes);
    let last = changes.last().map(|change| change.position.to_string());
    let Customer { entity, merged_into, values, links, timeline, .. } = told;
    let html = Page {
        t,
        id,
        entity: words::entity(t, &entity),
        merged_into,
        values: values.into_iter().filter(|it| !it.value.is_null()).map(|it| shown(t, &times, &pins, it)).collect(),
        records: links
            .into_iter()
            .map(|link| Record {
                to: address("/records", [("key", link.record.as_str())]),
                because: words::because(t, &link.because),
                key: link.record,
                is_open: link.open,
            })
            .collect(),
        timeline: timeline
            .into_iter()
            .take(LISTED)
            .map(|entry| Entry {
                id: entry.id,
                at: entry.at.map(|at| times.at(at.as_microsecond()).text),
                facts: facts(t, entry.fields.iter()),
                entity: words::entity(t, &entry.entity),
            })
            .collect(),
        history: changes.iter().map(|change| line(t, &times, change)).collect(),
        older: last.filter(|_| more).map(|last| visit.here(&[("before", &last)])),
        newest: before.map(|_| visit.here(&[("before", "")])),
        name: name.clone(),
    };
    Ok(Content { title: name, html: html.render()? })
}

fn shown(t: Language, times: &Times, pins: &BTreeMap<FieldName, Pin>, it: Surviving) -> Shown {
    let by = it.provenance;
    let origin = match pins.get(&it.field).filter(|_| by.rule == "pin") {
        Some(pin) => Origin::Pin(pin.by.clone()),
        None => Origin::Record { to: address("/records", [("key", by.link.as_str())]), key: by.link },
    };
    Shown {
        field: words::field(t, it.field.as_str()),
        value: words::value(t, it.field.as_str(), &it.value),
        origin,
        at: times.at(by.at_us),
        rule: words::rule(t, &by.rule),
        lost: by
            .lost
            .into_iter()
            .map(|lost| Lost {
                value: words::value(t, it.field.as_str(), &lost.value),
                to: address("/records", [("key", lost.link.as_str())]),
                key: lost.link,
                at: times.at(lost.at_us),
            })
            .collect(),
    }
}

/// Texts of the timeline are cut: the beginning of a mail says which one it is.
const FACT_CHARS_MAX: usize = 120;

fn facts<'a>(t: Language, fields: impl Iterator<Item = (&'a FieldName, &'a Value)>) -> Vec<(String, String)> {
    let told = fields.filter(|(_, value)| !value.is_null());
    told.map(|(field, value)| {
        let line = words::value(t, field.as_str(), value).split_whitespace().collect::<Vec<_>>().join(" ");
        (words::field(t, field.as_str()), words::cut(&line, FACT_CHARS_MAX))
    })
    .collect()
}

fn line(t: Language, times: &Times, change: &Change) -> Line {
    let fields = change.diff.iter().map(|(field, (before, after))| Difference {
        field: words::field(t, field.as_str()),
        before: words::cut(&words::value(t, field.as_str(), before), FACT_CHARS_MAX),
        after: words::cut(&words::value(t, field.as_str(), after), FACT_CHARS_MAX),
    });
    Line {
        fields: fields.collect(),
        at: times.at(change.at_us),
        kind: words::change_kind(t, &change.kind),
        cause: words::cause(t, &change.cause),
    }
}
