//! Where a system changed the form of its records, and what waits because of it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use huiliu_core::drift::{self, Finding, Kind};
use huiliu_core::review::Steward;
use huiliu_core::store::{StoreError, drifts};
use huiliu_mappings::lens::places;

use crate::frame::{Moment, Times, Visit, segment};
use crate::language::Language;
use crate::site::{Failed, Form, Result, Site};

/// A finding that waits for a person.
pub struct Row {
    pub(super) number: i64,
    pub(super) lens: String,
    pub(super) text: String,
    pub(super) policy: &'static str,
    pub(super) waiting: i64,
    pub(super) at: Moment,
}

/// The findings of a connection, oldest first.
pub fn rows(site: &Site, t: Language, times: &Times, name: &str) -> Result<Vec<Row>> {
    let (mut found, waiting) = site.engine.store.read(|tx| Ok((drifts::open(tx)?, drifts::waiting_counts(tx)?)))?;
    found.retain(|one| one.connection == name);
    found.sort_by_key(|one| one.number);
    let row = |one: Finding| Row {
        number: one.number,
        text: sentence(t, &one),
        policy: one.policy.as_str(),
        waiting: waiting.get(&one.number).copied().unwrap_or(0),
        at: times.ago(one.made_us),
        lens: one.lens,
    };
    Ok(found.into_iter().map(row).collect())
}

fn sentence(t: Language, one: &Finding) -> String {
    let place = &one.place;
    let words = |bits: u8| places::Kind::of_bits(bits).map(places::Kind::word).collect::<Vec<_>>().join("/");
    match (one.kind, &one.detail.suggestion) {
        (Kind::Vanished, Some(to)) => t.drift_became(place, to),
        (Kind::Vanished, None) => t.drift_vanished(place),
        (Kind::Retyped, _) if one.detail.before == 0 => t.drift_items(place),
        (Kind::Retyped, _) => t.drift_retyped(place, words(one.detail.before), words(one.detail.now)),
        (Kind::UnknownValue, _) => t.drift_value(place),
        (Kind::Refused, _) => t.drift_refused(place),
    }
}

/// Takes the new form as it is.
pub async fn accept(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    Extension(form): Extension<Arc<Form>>,
    Path(name): Path<String>,
) -> Response {
    site.act(&visit, move |site, visit| {
        let over = || Failed::Refused(visit.t.finding_over().to_owned());
        let number: i64 = form.get("finding").parse().map_err(|_| over())?;
        let why = form.get("why").trim();
        let steward = Steward { name: &visit.user, why: if why.is_empty() { "console" } else { why } };
        let done = drift::accept(&site.engine, number, steward).map_err(|error| match error {
            StoreError::Refused => over(),
            error => Failed::from(error),
        })?;
        let again = done.rows + done.values + done.deliveries;
        Ok(format!("/connections/{}?said=accepted.{again}", segment(&name)))
    })
    .await
}
