//! Conflicts: what two systems said differently, which word a rule let stand, and what a person says to it.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use huiliu_core::conflict::{self, Conflict, Wanted, Word};
use huiliu_core::review::Steward;

use super::connection::refused;
use super::{LISTED, has_more};
use crate::frame::{Moment, Section, Times, Visit, address};
use crate::language::Language;
use crate::site::{Content, Failed, Form, Site};
use crate::words;

#[derive(Template)]
#[template(path = "conflicts.html")]
struct List {
    t: Language,
    rows: Vec<Row>,
    more: Option<String>,
    first: Option<String>,
}

/// A conflict in the list.
struct Row {
    number: i64,
    title: String,
    golden: i64,
    stands: String,
    rule: String,
    lost: Vec<String>,
    at: Moment,
}

/// The list.
pub async fn list(State(site): State<Arc<Site>>, Extension(visit): Extension<Arc<Visit>>) -> Response {
    site.page(&visit, Section::Conflicts, |site, visit| {
        let (t, times) = (visit.t, site.times(visit));
        let before = visit.number("before");
        let wanted = Wanted { golden: visit.number("customer"), ..Wanted::default() };
        let mut found = conflict::list(&site.engine, &wanted, before.unwrap_or(i64::MAX), LISTED + 1)?;
        let more = has_more(&mut found);
        let last = found.last().map(|one| one.number.to_string());
        let rows = found.iter().map(|one| Row {
            number: one.number,
            title: words::field(t, one.field.as_str()),
            golden: one.golden,
            stands: said(t, one, &one.winner),
            rule: words::rule(t, &one.rule),
            lost: one.lost.iter().map(|word| said(t, one, word)).collect(),
            at: times.ago(one.made_us),
        });
        let html = List {
            t,
            rows: rows.collect(),
            more: last.filter(|_| more).map(|last| visit.here(&[("before", &last)])),
            first: before.map(|_| visit.here(&[("before", "")])),
        };
        Ok(Content { title: t.conflicts().to_owned(), html: html.render()? })
    })
    .await
}

fn said(t: Language, one: &Conflict, word: &Word) -> String {
    if word.value.is_null() { t.cleared().to_owned() } else { words::value(t, one.field.as_str(), &word.value) }
}

#[derive(Template)]
#[template(path = "conflict.html")]
struct One<'a> {
    t: Language,
    form: &'a str,
    number: i64,
    field: String,
    golden: i64,
    at: Moment,
    rule: String,
    sides: Vec<Side>,
    decided: Option<String>,
}

/// What one system said.
struct Side {
    key: String,
    to: String,
    value: String,
    at: Moment,
    stands: bool,
    /// The line of rules/survive.toml by which it would always stand.
    line: Option<String>,
}

/// One conflict.
pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    Path(number): Path<String>,
) -> Response {
    site.page(&visit, Section::Conflicts, move |site, visit| {
        let number: i64 = number.parse().map_err(|_| Failed::Missing)?;
        let (t, times) = (visit.t, site.times(visit));
        let Some(found) = conflict::one(&site.engine, number)? else { return Err(Failed::Missing) };
        let side = |word: &Word, stands: bool| side(site, &times, t, &found, word, stands);
        let sides = std::iter::once(side(&found.winner, true)).chain(found.lost.iter().map(|word| side(word, false)));
        let html = One {
            t,
            form: &visit.form,
            number,
            field: words::field(t, found.field.as_str()),
            golden: found.golden,
            at: times.at(found.made_us),
            rule: words::rule(t, &found.rule),
            sides: sides.collect(),
            decided: found.decided.as_ref().map(|(_, by, _)| t.conflict_decided(by)),
        };
        Ok(Content { title: t.conflict_title(number), html: html.render()? })
    })
    .await
}

fn side(site: &Site, times: &Times, t: Language, one: &Conflict, word: &Word, stands: bool) -> Side {
    let strategies = one.strategies(&site.engine, word).ok();
    Side {
        key: word.record.clone(),
        to: address("/records", [("key", word.record.as_str())]),
        value: said(t, one, word),
        at: times.at(word.said_us),
        stands,
        line: strategies.map(|words| format!("{} = {words:?}", one.field)),
    }
}

/// Takes what a person says.
pub async fn decide(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    Extension(form): Extension<Arc<Form>>,
    Path(number): Path<String>,
) -> Response {
    site.act(&visit, move |site, visit| {
        let number: i64 = number.parse().map_err(|_| Failed::Missing)?;
        let (why, winner) = (form.get("why").trim(), form.get("winner"));
        if winner.is_empty() {
            return Err(Failed::Refused(visit.t.no_verdict().to_owned()));
        }
        let steward = Steward { name: &visit.user, why: if why.is_empty() { "console" } else { why } };
        let done = conflict::decide(&site.engine, number, winner, steward);
        let done = done.map_err(|error| refused(error, visit.t.conflict_over()))?;
        Ok(format!("/conflicts?said={}.{}", done.verdict, done.golden))
    })
    .await
}
