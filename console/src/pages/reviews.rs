//! Reviews: is this record somebody known? Both sides field by field, the reasons, and what a person says to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use huiliu_core::link::Link;
use huiliu_core::review::{self, Said, Steward, Until, Verdict};
use huiliu_core::store::console::{self, Place};
use huiliu_core::store::db::{Result as Stored, Tx};
use huiliu_core::store::goldens::{self, Golden};
use huiliu_core::store::links;
use huiliu_core::store::stewards::{self, Review};
use huiliu_mappings::matching::Explanation;
use huiliu_mappings::value::Fields;
use jiff::civil::Date;

use super::connection::refused;
use super::{ASKED, has_more};
use crate::frame::{Moment, Section, Visit, address};
use crate::language::Language;
use crate::site::{Content, Failed, Form, Site};
use crate::words;

#[derive(Template)]
#[template(path = "reviews.html")]
struct List<'a> {
    t: Language,
    form: &'a str,
    rows: Vec<Row>,
    more: Option<String>,
    first: Option<String>,
}

/// A review in the list.
struct Row {
    number: i64,
    name: String,
    record: String,
    candidates: Vec<String>,
    at: Moment,
    is_later: bool,
}

/// The list.
pub async fn list(State(site): State<Arc<Site>>, Extension(visit): Extension<Arc<Visit>>) -> Response {
    site.page(&visit, Section::Reviews, |site, visit| {
        let (t, times, now_us) = (visit.t, site.times(visit), site.engine.clock.now_us());
        let after = visit.asked("after").and_then(place);
        let (mut waiting, keys, known) = site.engine.store.read(|tx| {
            let waiting = console::reviews(tx, after.unwrap_or_default(), ASKED)?;
            let links = links::by_numbers(tx, waiting.iter().map(|one| one.link))?;
            let keys: BTreeMap<i64, String> = links.into_iter().map(|it| (it.number, it.key.to_string())).collect();
            let ids: BTreeSet<i64> =
                waiting.iter().flat_map(|one| one.candidates.iter().copied().chain([one.golden])).collect();
            let known: BTreeMap<i64, Golden> = goldens::by_ids(tx, ids)?.into_iter().map(|it| (it.id, it)).collect();
            Ok((waiting, keys, known))
        })?;
        let more = has_more(&mut waiting);
        let last = waiting.last().map(|one| format!("{}-{}", one.place.later_us, one.place.number));
        let name = |id: &i64| known.get(id).map_or_else(|| id.to_string(), |golden| words::name_of(t, golden));
        let rows = waiting.iter().map(|one| Row {
            number: one.place.number,
            name: name(&one.golden),
            record: keys.get(&one.link).cloned().unwrap_or_default(),
            candidates: one.candidates.iter().map(name).collect(),
            at: times.ago(one.made_us),
            is_later: one.place.later_us > now_us,
        });
        let html = List {
            t,
            form: &visit.form,
            rows: rows.collect(),
            more: last.filter(|_| more).map(|last| visit.here(&[("after", &last)])),
            first: after.map(|_| visit.here(&[("after", "")])),
        };
        Ok(Content { title: t.reviews().to_owned(), html: html.render()? })
    })
    .await
}

fn place(text: &str) -> Option<Place> {
    let (later, number) = text.split_once('-')?;
    Some(Place { later_us: later.parse().ok()?, number: number.parse().ok()? })
}

#[derive(Template)]
#[template(path = "review.html")]
struct One<'a> {
    t: Language,
    form: &'a str,
    number: i64,
    record: String,
    record_link: String,
    golden: i64,
    name: String,
    candidates: Vec<Side>,
    at: Moment,
    settled: Option<&'static str>,
}

/// A candidate beside the record.
struct Side {
    golden: i64,
    name: String,
    score: String,
    reasons: Vec<Reason>,
    fields: Vec<Compared>,
}

/// A comparison.
struct Reason {
    what: String,
    level: String,
    weight: String,
    class: &'static str,
}

/// One field of both.
struct Compared {
    field: String,
    ours: String,
    theirs: String,
    class: &'static str,
    word: &'static str,
}

/// Everything that a review is about.
struct Matter {
    review: Review,
    state: String,
    link: Option<Link>,
    known: BTreeMap<i64, Golden>,
}

fn matter(tx: &mut Tx<'_>, number: i64) -> Stored<Option<Matter>> {
    let Some((review, state)) = stewards::review_by_number(tx, number)? else { return Ok(None) };
    let link = links::by_numbers(tx, [review.link])?.into_iter().next();
    let mut known = BTreeMap::new();
    let golden = link.as_ref().map_or(review.golden, |link| link.golden);
    for id in review.candidates.iter().map(|(id, _)| *id).chain([golden]) {
        let alive = goldens::alive(tx, id)?;
        known.extend(goldens::by_ids(tx, [alive])?.into_iter().map(|golden| (id, golden)));
    }
    Ok(Some(Matter { review, state, link, known }))
}

/// One review.
pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    Path(number): Path<String>,
) -> Response {
    site.page(&visit, Section::Reviews, move |site, visit| {
        let number: i64 = number.parse().map_err(|_| Failed::Missing)?;
        let (t, times) = (visit.t, site.times(visit));
        let Some(matter) = site.engine.store.read(|tx| matter(tx, number))? else { return Err(Failed::Missing) };
        let Matter { review, state, link, known } = matter;
        let golden = link.as_ref().map_or(review.golden, |link| link.golden);
        let ours: Fields =
            link.iter().flat_map(|link| &link.state.said).map(|(f, it)| (f.clone(), it.value.clone())).collect();
        let record = link.map(|link| link.key.to_string()).unwrap_or_default();
        let html = One {
            t,
            form: &visit.form,
            number,
            record_link: address("/records", [("key", record.as_str())]),
            record,
            golden,
            name: known.get(&golden).map_or_else(String::new, |it| words::name_of(t, it)),
            candidates: review
                .candidates
                .iter()
                .filter_map(|(id, why)| Some(side(t, *id, known.get(id)?, &ours, why)))
                .collect(),
            at: times.at(review.made_us),
            settled: words::settled(t, &state),
        };
        Ok(Content { title: t.review_title(number), html: html.render()? })
    })
    .await
}

fn side(t: Language, id: i64, golden: &Golden, ours: &Fields, why: &Explanation) -> Side {
    let reasons = why.comparisons.iter().map(|it| Reason {
        what: words::comparison(t, &it.name),
        level: words::level(t, &it.name, &it.level),
        weight: format!("{:+.1}", it.weight),
        class: if it.weight > 0.0 { "for" } else { "against" },
    });
    let (ours, theirs) = (sides(t, ours), sides(t, &golden.fields));
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let fields = names.into_iter().map(|field| {
        let none = BTreeSet::new();
        let (ours, theirs) = (ours.get(field).unwrap_or(&none), theirs.get(field).unwrap_or(&none));
        let (class, word) = if ours.is_empty() || theirs.is_empty() {
            ("single", t.single())
        } else if ours.is_disjoint(theirs) {
            ("unequal", t.unequal())
        } else {
            ("equal", t.equal())
        };
        let line = |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(t.comma());
        Compared { field: words::field(t, field), ours: line(ours), theirs: line(theirs), class, word }
    });
    Side {
        golden: id,
        name: words::name_of(t, golden),
        score: format!("{:.1}", why.score),
        reasons: reasons.collect(),
        fields: fields.collect(),
    }
}

/// The values of one side by field. A family of addresses is one field: the same number is the same, whether one system
/// calls it mobile and the other main. Parts of a name are put together where there is no whole one.
fn sides(t: Language, fields: &Fields) -> BTreeMap<String, BTreeSet<String>> {
    let mut sides: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let parts = ["family_name", "given_name"];
    for (field, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let family = field.family();
        if parts.contains(&family) {
            continue;
        }
        let name = if ["emails", "phones", "addresses"].contains(&family) { family } else { field.as_str() };
        sides.entry(name.to_owned()).or_default().insert(words::value(t, field.as_str(), value));
    }
    if !sides.contains_key("display_name")
        && let Some(name) = words::whole_name(fields)
    {
        sides.entry("display_name".to_owned()).or_default().insert(name);
    }
    sides
}

/// Takes what a person says, and leads on to the next one that waits.
pub async fn decide(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    Extension(form): Extension<Arc<Form>>,
    Path(number): Path<String>,
) -> Response {
    site.act(&visit, move |site, visit| {
        let number: i64 = number.parse().map_err(|_| Failed::Missing)?;
        let steward = steward(visit, &form);
        let told = |error| refused(error, visit.t.settled_already());
        let said = match form.get("verdict").split_once('-').unwrap_or((form.get("verdict"), "")) {
            ("same", golden) => {
                let golden = golden.parse().map_err(|_| Failed::Missing)?;
                let now = review::decide(&site.engine, number, Verdict::Same(golden), steward).map_err(told)?;
                format!("same.{now}")
            }
            ("apart", _) => {
                review::decide(&site.engine, number, Verdict::Apart, steward).map_err(told)?;
                "apart".to_owned()
            }
            ("later", _) => {
                let until = until(site, visit.t, &form)?;
                review::later(&site.engine, number, until, steward)
                    .map_err(|error| refused(error, visit.t.not_put_off()))?;
                "later".to_owned()
            }
            _ => return Err(Failed::Refused(visit.t.no_verdict().to_owned())),
        };
        Ok(format!("/reviews?said={said}"))
    })
    .await
}

fn steward<'a>(visit: &'a Visit, form: &'a Form) -> Steward<'a> {
    let why = form.get("why").trim();
    Steward { name: &visit.user, why: if why.is_empty() { "console" } else { why } }
}

/// The day that a form names, otherwise until there is news.
fn until(site: &Site, t: Language, form: &Form) -> Result<Until, Failed> {
    let wrong = || Failed::Refused(t.no_day().to_owned());
    match form.get("until").trim() {
        "" => Ok(Until::News),
        day => {
            let day: Date = day.parse().map_err(|_| wrong())?;
            let begin = day.to_zoned(site.zone().clone()).map_err(|_| wrong())?;
            Ok(Until::At(begin.timestamp().as_microsecond()))
        }
    }
}

/// Takes what a person says to all reviews that she ticked.
pub async fn many(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    Extension(form): Extension<Arc<Form>>,
) -> Response {
    site.act(&visit, move |site, visit| {
        let said = match form.get("verdict") {
            "same" => Said::Same,
            "apart" => Said::Apart,
            "later" => Said::Later(until(site, visit.t, &form)?),
            _ => return Err(Failed::Refused(visit.t.no_verdict().to_owned())),
        };
        let ticked: BTreeSet<i64> = form.all("ticked").filter_map(|number| number.parse().ok()).collect();
        if ticked.is_empty() {
            return Err(Failed::Refused(visit.t.none_ticked().to_owned()));
        }
        let settled = review::decide_all(&site.engine, ticked, said, steward(visit, &form))
            .map_err(|error| refused(error, visit.t.settled_already()))?;
        Ok(format!("/reviews?said=many.{}.{}", settled.done.len(), settled.left.len()))
    })
    .await
}
