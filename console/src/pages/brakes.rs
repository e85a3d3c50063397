//! What the brake holds back of a connection: shown, and taken in or forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use huiliu_core::review::{self, Held, Steward};
use huiliu_core::store::brakes::Kind;
use huiliu_core::store::overview::{self, Overview};

use super::connection::refused;
use super::health;
use crate::frame::{Visit, address, segment};
use crate::language::Language;
use crate::site::{Failed, Form, Result, Site};
use crate::words;

/// Records of a stream that are shown: enough to see what kind of accident it is. The command line shows all.
const SHOWN: usize = 10;

/// A stream of which something is held back.
pub struct Brake {
    pub(super) stream: String,
    pub(super) told: Vec<String>,
    pub(super) records: Vec<Row>,
    pub(super) has_more: bool,
}

/// A record that would go or change.
pub struct Row {
    pub(super) key: String,
    pub(super) to: String,
    pub(super) what: String,
}

/// The brakes of a connection.
pub fn rows(site: &Site, t: Language, name: &str) -> Result<Vec<Brake>> {
    let now = site.engine.store.read(overview::standing)?;
    let caught = now.brakes.iter().filter(|it| it.connection == name).map(|it| it.stream.as_str());
    let scanned = now.streams.iter().filter(|(known, _, state)| known == name && state.brake.is_some());
    let streams: BTreeSet<&str> = caught.chain(scanned.map(|(_, stream, _)| stream.as_str())).collect();
    streams.into_iter().map(|stream| brake(site, t, &now, name, stream)).collect()
}

fn brake(site: &Site, t: Language, now: &Overview, name: &str, stream: &str) -> Result<Brake> {
    let asked = i64::try_from(SHOWN + 1).unwrap_or(i64::MAX);
    let mut held = review::held(&site.engine, name, stream, asked).map_err(|error| refused(error, t.no_brake()))?;
    let has_more = held.len() > SHOWN;
    held.truncate(SHOWN);
    let is_here = |known: &str, of: &str| known == name && of == stream;
    let scans = now.streams.iter().filter(|(known, of, _)| is_here(known, of)).filter_map(|(.., state)| state.brake);
    let scans = scans.map(|brake| t.brake(brake.missing, brake.open, stream));
    let caught = now.brakes.iter().filter(|it| is_here(&it.connection, &it.stream));
    let told = scans.chain(caught.map(|it| health::held(t, it))).collect();
    Ok(Brake { stream: stream.to_owned(), told, records: held.into_iter().map(|one| row(t, one)).collect(), has_more })
}

fn row(t: Language, one: Held) -> Row {
    let what = match one.kind {
        Kind::Missing => t.would_go().to_owned(),
        Kind::Changing => {
            let fields = one.fields.iter().map(|(field, (before, after))| {
                let (name, field) = (words::field(t, field.as_str()), field.as_str());
                let (before, after) = (words::value(t, field, before), words::value(t, field, after));
                format!("{name}{}{before} → {after}", t.colon())
            });
            fields.collect::<Vec<_>>().join(t.comma())
        }
    };
    Row { to: address("/records", [("key", one.record.as_str())]), key: one.record, what }
}

/// Takes in what is held back of a stream, or forgets it.
pub async fn settle(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    Extension(form): Extension<Arc<Form>>,
    Path(name): Path<String>,
) -> Response {
    site.act(&visit, move |site, visit| {
        let (stream, why) = (form.get("stream"), form.get("why").trim());
        let steward = Steward { name: &visit.user, why: if why.is_empty() { "console" } else { why } };
        let (word, done) = match form.get("verdict") {
            "release" => ("released", review::release(&site.engine, &name, stream, steward)),
            "dismiss" => ("dismissed", review::dismiss(&site.engine, &name, stream, steward)),
            _ => return Err(Failed::Refused(visit.t.no_choice().to_owned())),
        };
        let count = done.map_err(|error| refused(error, visit.t.no_brake()))?;
        Ok(format!("/connections/{}?said={word}.{count}", segment(&name)))
    })
    .await
}
