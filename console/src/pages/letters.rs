//! Dead letters: what needs a person, why, and another try once it is mended.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use huiliu_core::retry;
use huiliu_core::review::Steward;
use huiliu_core::store::console::{self, Chosen};
use huiliu_core::store::inbox::DeadLetter;

use super::{ASKED, has_more};
use crate::frame::{Moment, Section, Times, Visit, address};
use crate::language::Language;
use crate::site::{Content, Failed, Form, Site};
use crate::words;

/// The stages that give up.
const STAGES: [&str; 5] = ["push", "process", "fetch", "import", "intake"];

/// Letters that one click on "all" retries: as many as a transaction takes in a second.
const RETRIED_MAX: i64 = 1000;

/// A letter in a list.
pub struct Letter {
    pub(super) number: i64,
    pub(super) stage: &'static str,
    pub(super) connection: String,
    pub(super) segment: String,
    pub(super) record: Option<String>,
    pub(super) record_link: String,
    pub(super) reason: String,
    pub(super) advice: &'static str,
    pub(super) at: Moment,
    pub(super) can_retry: bool,
}

impl Letter {
    /// As a list shows it.
    pub(super) fn of(t: Language, times: &Times, one: DeadLetter) -> Self {
        let (stage, advice) = words::stage(t, &one.stage);
        let stream = one.stream.as_deref().unwrap_or_default();
        let record = one.external_id.as_ref().map(|id| format!("{}/{stream}/{id}", one.connection));
        Self {
            number: one.number,
            stage,
            segment: crate::frame::segment(&one.connection),
            record_link: address("/records", [("key", record.as_deref().unwrap_or_default())]),
            record,
            connection: one.connection,
            reason: one.reason,
            advice,
            at: times.at(one.at_us),
            can_retry: !["import", "intake"].contains(&one.stage.as_str()),
        }
    }
}

struct Choice {
    value: String,
    text: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "letters.html")]
struct Page<'a> {
    t: Language,
    form: &'a str,
    letters: Vec<Letter>,
    connections: Vec<Choice>,
    stages: Vec<Choice>,
    connection: &'a str,
    stage: &'a str,
    older: Option<String>,
    newest: Option<String>,
    back: String,
    is_filtered: bool,
    most: i64,
}

/// The page.
pub async fn show(State(site): State<Arc<Site>>, Extension(visit): Extension<Arc<Visit>>) -> Response {
    site.page(&visit, Section::Letters, |site, visit| {
        let (t, times) = (visit.t, site.times(visit));
        let chosen = Chosen { connection: visit.asked("connection"), stage: visit.asked("stage") };
        let before = visit.number("before");
        let (mut letters, names) = site.engine.store.read(|tx| {
            let letters = console::letters(tx, chosen, before.unwrap_or(i64::MAX), ASKED)?;
            Ok((letters, console::letters_waiting(tx)?))
        })?;
        let more = has_more(&mut letters);
        let last = letters.last().map(|one| one.number.to_string());
        let choice = |value: &str, text: String, wanted: Option<&str>| Choice {
            is_chosen: wanted.unwrap_or_default() == value,
            value: value.to_owned(),
            text,
        };
        let mut connections = vec![choice("", t.every_connection().to_owned(), chosen.connection)];
        let known = names.keys().map(String::as_str).chain(chosen.connection).collect::<BTreeSet<_>>();
        connections.extend(known.into_iter().map(|name| choice(name, name.to_owned(), chosen.connection)));
        let mut stages = vec![choice("", t.every_stage().to_owned(), chosen.stage)];
        stages.extend(STAGES.map(|stage| choice(stage, words::stage(t, stage).0.to_owned(), chosen.stage)));
        let html = Page {
            t,
            form: &visit.form,
            letters: letters.into_iter().map(|one| Letter::of(t, &times, one)).collect(),
            connections,
            stages,
            connection: chosen.connection.unwrap_or_default(),
            stage: chosen.stage.unwrap_or_default(),
            older: last.filter(|_| more).map(|last| visit.here(&[("before", &last)])),
            newest: before.map(|_| visit.here(&[("before", "")])),
            back: visit.here(&[]),
            is_filtered: chosen.connection.is_some() || chosen.stage.is_some(),
            most: RETRIED_MAX,
        };
        Ok(Content { title: t.dead_letters().to_owned(), html: html.render()? })
    })
    .await
}

/// Tries one, several, or all that a filter shows once more.
pub async fn retry(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    Extension(form): Extension<Arc<Form>>,
) -> Response {
    site.act(&visit, move |site, visit| {
        let wanted = |name: &'static str| Some(form.get(name)).filter(|value| !value.is_empty());
        let mut choice = retry::Choice::Named;
        let numbers: BTreeSet<i64> = if form.get("which") == "all" {
            choice = retry::Choice::Together;
            let chosen = Chosen { connection: wanted("connection"), stage: wanted("stage") };
            let all = site.engine.store.read(|tx| console::letters(tx, chosen, i64::MAX, RETRIED_MAX))?;
            all.into_iter().map(|one| one.number).collect()
        } else {
            let single = wanted("one").into_iter();
            let chosen = if form.get("one").is_empty() { form.all("letter").collect() } else { Vec::new() };
            single.chain(chosen).filter_map(|text| text.parse().ok()).collect()
        };
        if numbers.is_empty() {
            return Err(Failed::Refused(visit.t.none_chosen().to_owned()));
        }
        let steward = Steward { name: &visit.user, why: "console" };
        let done = retry::by_steward(&site.engine, &numbers, choice, steward)?;
        let (again, left) = (done.deliveries + done.items + done.fetches, done.left.len() + done.asked.len());
        if again == 0 && left == 0 {
            return Err(Failed::Refused(visit.t.retried_already().to_owned()));
        }
        let back = form.get("back");
        let back =
            if back.starts_with("/connections/") || back.starts_with("/dead-letters") { back } else { "/dead-letters" };
        let mark = if back.contains('?') { '&' } else { '?' };
        Ok(format!("{back}{mark}said=retried.{again}.{left}"))
    })
    .await
}
