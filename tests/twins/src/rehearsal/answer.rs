//! Which call of the manifest was meant, and what it is answered.

use std::collections::BTreeMap;

use huiliu_core::connector::Operation;
use huiliu_core::manifest::{Batch, Call, Lookup, Manifest, Method, Paginate, Precondition, Pull, StampForm, Stream};
use serde_json::{Value, json};

use super::book::{self, Book, Kept, at, plain, put};
use super::gate;
use super::pattern::{self, Bound, has_holes, settled};

/// Records on a page.
pub const PAGE: usize = 2;

/// The query parameter of a page that a `Link` header leads to.
const LINKED_PAGE: &str = "rehearsal_page";

/// What a call is for.
#[derive(Clone)]
enum Act<'a> {
    Check,
    Pull(&'a Pull, bool),
    Fetch(&'a Call),
    Write(Operation, &'a Call),
    Lookup(&'a Lookup),
    Batch(Operation, &'a Call, &'a Batch),
}

/// A call that came in.
pub struct Asked<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// The path, unescaped.
    pub path: String,
    /// Where the server is, for links.
    pub base: &'a str,
    /// Headers, query, raw body.
    pub call: gate::Call<'a>,
    /// The body's JSON; null if there is none.
    pub body: Value,
}

/// An answer.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// What the headers say about pages.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: Value,
}

impl Answer {
    fn of(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }
}

/// The system, as far as an answer needs it.
pub struct Desk<'a> {
    /// How it speaks.
    pub manifest: &'a Manifest,
    /// Settings and secrets: `config.shop`, `secret.token`.
    pub known: &'a BTreeMap<String, String>,
    /// By stream, where a value is read and where it is written, if these are two places.
    pub moved: &'a BTreeMap<String, Vec<(String, String)>>,
    /// The records.
    pub book: &'a mut Book,
}

/// How well a call fits, and what its placeholders took.
struct Fit<'a> {
    weight: usize,
    stream: String,
    act: Act<'a>,
    bound: Bound,
}

/// What a declared call looks like.
struct Shape<'a> {
    method: Method,
    path: Option<&'a str>,
    params: &'a BTreeMap<String, String>,
    graphql: Option<&'a str>,
    body: Option<&'a Value>,
}

fn shape(call: &Call) -> Shape<'_> {
    Shape {
        method: call.method,
        path: call.path.as_deref(),
        params: &call.params,
        graphql: call.graphql.as_deref(),
        body: call.body.as_ref(),
    }
}

fn shape_of_pull(pull: &Pull) -> Shape<'_> {
    Shape {
        method: pull.method,
        path: pull.path.as_deref(),
        params: &pull.params,
        graphql: pull.graphql.as_deref(),
        body: pull.body.as_ref(),
    }
}

/// A stream's calls.
fn acts(stream: &Stream) -> Vec<(Act<'_>, Shape<'_>)> {
    let mut acts = Vec::new();
    if let Some(pull) = &stream.pull {
        acts.push((Act::Pull(pull, false), shape_of_pull(pull)));
    }
    if let Some(deletes) = &stream.deletes {
        acts.push((Act::Pull(&deletes.pull, true), shape_of_pull(&deletes.pull)));
    }
    if let Some(fetch) = &stream.fetch {
        acts.push((Act::Fetch(fetch), shape(fetch)));
    }
    for (operation, call) in
        [(Operation::Create, &stream.create), (Operation::Update, &stream.update), (Operation::Delete, &stream.delete)]
    {
        let Some(call) = call else { continue };
        acts.push((Act::Write(operation, call), shape(call)));
        if let Some(look) = &call.lookup {
            let shape =
                Shape { method: Method::Get, path: Some(&look.path), params: &look.params, graphql: None, body: None };
            acts.push((Act::Lookup(look), shape));
        }
        if let Some(batch) = &call.batch {
            let shape = Shape {
                method: batch.method,
                path: Some(&batch.path),
                params: &batch.params,
                graphql: None,
                body: None,
            };
            acts.push((Act::Batch(operation, call, batch), shape));
        }
    }
    acts
}

impl Desk<'_> {
    /// Answers, or none if no call of the manifest is meant.
    pub fn answer(&mut self, asked: &Asked<'_>) -> Option<Answer> {
        let manifest = self.manifest.clone();
        let streams: Vec<(String, Stream)> =
            manifest.streams.keys().filter_map(|name| Some((name.clone(), manifest.stream(name)?))).collect();
        let mut fits = Vec::new();
        for (name, stream) in &streams {
            fits.extend(acts(stream).into_iter().filter_map(|(act, shape)| self.fit(name, act, &shape, asked)));
        }
        if let Some(check) = &manifest.connector.check {
            fits.extend(self.fit("", Act::Check, &shape(check), asked));
        }
        // The most particular one; of equals the first.
        let best = fits.into_iter().min_by_key(|fit| std::cmp::Reverse(fit.weight));
        let Fit { stream: name, act, bound, .. } = best?;
        let declared = streams.iter().find(|(known, _)| *known == name).map(|(_, stream)| stream);
        let Some(stream) = declared else { return Some(Answer::of(200, json!({}))) };
        Some(match act {
            Act::Check => Answer::of(200, json!({})),
            Act::Pull(pull, deletes) => self.page(&name, stream, pull, deletes, asked),
            Act::Fetch(call) => {
                let id = bound.get("record.id").and_then(plain).unwrap_or_default();
                let found = self.book.shelf(&name).records.get(&id).map(|it| it.body.clone());
                shown(call.record.as_deref(), call.graphql.is_some(), found)
            }
            Act::Write(operation, call) => {
                let patch = patch_of(call, &asked.body, &bound);
                self.write(&name, stream, call, operation, asked, &bound, patch)
            }
            Act::Lookup(look) => self.found(&name, look, &bound),
            Act::Batch(operation, call, batch) => self.batch(&name, stream, operation, call, batch, &asked.body),
        })
    }

    fn fit<'s>(&self, stream: &str, act: Act<'s>, shape: &Shape<'_>, asked: &Asked<'_>) -> Option<Fit<'s>> {
        let method = match (shape.graphql, shape.method) {
            (Some(_), _) | (None, Method::Post) => "POST",
            (None, Method::Get) => "GET",
            (None, Method::Put) => "PUT",
            (None, Method::Patch) => "PATCH",
            (None, Method::Delete) => "DELETE",
        };
        let mut bound = Bound::new();
        let path = settled(shape.path.unwrap_or_default(), self.known);
        let path = format!("/{}", path.trim_start_matches('/'));
        if method != asked.method || !pattern::text(&path, &asked.path, &mut bound) {
            return None;
        }
        let mut weight = 1 + path.split(['{', '}']).step_by(2).map(str::len).sum::<usize>();
        for (name, template) in shape.params {
            let template = settled(template, self.known);
            match asked.call.param(name) {
                Some(given) if pattern::text(&template, given, &mut bound) => weight += 10,
                None if has_holes(&template) => {}
                // A page's own parameters replace the manifest's.
                Some(_) if matches!(act, Act::Pull(..)) => {}
                _ => return None,
            }
        }
        let variables = shape.graphql.map_or(&asked.body, |_| &asked.body["variables"]);
        if shape.graphql.is_some_and(|document| asked.body["query"] != document) {
            return None;
        }
        if let Some(body) = shape.body.filter(|_| !matches!(act, Act::Pull(..))) {
            if !pattern::json(body, Some(variables).filter(|it| !it.is_null()), &mut bound) {
                return None;
            }
            weight += 10;
        }
        // Of two calls that look alike the one whose placeholders all have their values was meant.
        weight += bound.len();
        Some(Fit { weight, stream: stream.to_owned(), act, bound })
    }

    fn page(&mut self, name: &str, stream: &Stream, pull: &Pull, deletes: bool, asked: &Asked<'_>) -> Answer {
        let listed = if deletes { stream.deletes.as_ref() } else { None };
        let records = listed.and_then(|it| it.records.clone()).or_else(|| stream.records.clone()).unwrap_or_default();
        let paginate = listed.and_then(|it| it.paginate.clone()).or_else(|| stream.paginate.clone());
        let variables = pull.graphql.as_ref().map_or(&asked.body, |_| &asked.body["variables"]);
        let given = |param: &str| {
            if param.starts_with('/') {
                at(variables, param).and_then(plain)
            } else {
                asked.call.param(param).map(str::to_owned)
            }
        };
        let since = pull.since.as_ref().and_then(|since| {
            let mut bound = Bound::new();
            let text = given(&since.param)?;
            pattern::text(&since.write, &text, &mut bound)
                .then(|| bound.get("stamp").and_then(plain))
                .flatten()
                .and_then(|stamp| match since.form {
                    StampForm::Seconds => stamp.parse::<i64>().ok()?.checked_mul(1_000_000),
                    StampForm::Millis => stamp.parse::<i64>().ok()?.checked_mul(1_000),
                    StampForm::Rfc3339 | StampForm::Local => book::instant(stream, &stamp),
                })
        });
        let mut list: Vec<(i64, String, Value)> = if deletes {
            let gone = self.book.shelf(name).gone.clone();
            gone.into_iter().map(|(id, order)| (order, id.clone(), tombstone(stream, &id, order))).collect()
        } else {
            let shelf = self.book.shelf(name);
            shelf.records.iter().map(|(id, Kept { body, order })| (*order, id.clone(), body.clone())).collect()
        };
        list.retain(|(order, ..)| since.is_none_or(|since| *order >= since));
        list.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let list: Vec<Value> = list.into_iter().map(|(_, _, body)| body).collect();
        paged(&list, &records, paginate.as_ref(), &given, asked)
    }

    #[allow(clippy::too_many_arguments)] // One call in all its parts.
    fn write(
        &mut self,
        name: &str,
        stream: &Stream,
        call: &Call,
        operation: Operation,
        asked: &Asked<'_>,
        bound: &Bound,
        patch: Value,
    ) -> Answer {
        let id = bound.get("record.id").and_then(plain);
        let patch = self.as_read(name, patch);
        match operation {
            Operation::Create => {
                let header = call.idempotency_header.as_ref().and_then(|header| asked.call.header(header));
                let key = header.or_else(|| asked.call.header("webhook-id")).map(str::to_owned);
                // A create that names a value of the record beside its body is by that value.
                let natural: Vec<String> = bound
                    .iter()
                    .filter(|(name, _)| name.starts_with("record."))
                    .map(|(_, value)| value.to_string())
                    .collect();
                let key = key.or_else(|| (!natural.is_empty()).then(|| natural.join("\n")));
                let id = self.book.create(name, stream, key, id, &patch);
                let made = self.book.shelf(name).records.get(&id).map(|it| it.body.clone());
                shown(call.record.as_deref(), false, made)
            }
            Operation::Update => {
                let id = id.unwrap_or_default();
                let Some(held) = self.book.shelf(name).records.get(&id).cloned() else {
                    return Answer::of(404, json!({ "message": "there is no such record" }));
                };
                if is_stale(call, stream, &held, asked) {
                    return Answer::of(412, json!({ "message": "the record is newer" }));
                }
                self.book.write(name, stream, &id, &patch);
                let kept = self.book.shelf(name).records.get(&id).map(|it| it.body.clone());
                shown(call.record.as_deref(), false, kept)
            }
            Operation::Delete => {
                let was_there = self.book.remove(name, stream, &id.unwrap_or_default());
                Answer::of(if was_there { 200 } else { 404 }, json!({}))
            }
        }
    }

    /// What was written, where it is read.
    fn as_read(&self, name: &str, mut patch: Value) -> Value {
        for (from, to) in self.moved.get(name).into_iter().flatten() {
            if let Some(value) = at(&patch, to).cloned() {
                put(&mut patch, from, value);
            }
        }
        patch
    }

    fn found(&mut self, name: &str, look: &Lookup, bound: &Bound) -> Answer {
        let shelf = self.book.shelf(name);
        let wanted: Vec<String> = bound.values().filter_map(plain).collect();
        let hit = |it: &&Kept| wanted.iter().any(|value| it.body.to_string().contains(value.as_str()));
        let found: Vec<Value> = shelf.records.values().filter(hit).map(|it| it.body.clone()).collect();
        let mut reply = json!({});
        put(&mut reply, &look.records, Value::Array(found));
        Answer::of(200, reply)
    }

    fn batch(
        &mut self,
        name: &str,
        stream: &Stream,
        operation: Operation,
        call: &Call,
        batch: &Batch,
        body: &Value,
    ) -> Answer {
        let mut results = Vec::new();
        for item in at(body, &batch.items).and_then(Value::as_array).into_iter().flatten() {
            let id = batch.id_at.as_ref().and_then(|place| at(item, place)).and_then(plain);
            let mut bound = Bound::new();
            if let Some(template) = &call.body {
                pattern::json(template, Some(item), &mut bound);
            }
            let patch = self.as_read(name, patch_of(call, item, &bound));
            let id = match (operation, id) {
                (Operation::Create, id) => self.book.create(name, stream, None, id, &patch),
                (Operation::Update, Some(id)) => {
                    self.book.write(name, stream, &id, &patch);
                    id
                }
                (Operation::Delete, Some(id)) => {
                    self.book.remove(name, stream, &id);
                    id
                }
                (_, None) => continue,
            };
            let kept = self.book.shelf(name).records.get(&id).map(|it| it.body.clone());
            let mut result = json!({});
            match (&batch.record, kept) {
                (Some(place), Some(kept)) => put(&mut result, place, kept),
                (None, Some(kept)) => result = kept,
                (_, None) => put(&mut result, stream.key.as_deref().unwrap_or_default(), Value::from(id)),
            }
            results.push(result);
        }
        let mut reply = json!({});
        put(&mut reply, &batch.results, Value::Array(results));
        Answer::of(200, reply)
    }
}

/// A record in a reply, where the manifest says that it stands.
fn shown(place: Option<&str>, graphql: bool, found: Option<Value>) -> Answer {
    match (place, found) {
        (None, Some(found)) => Answer::of(200, found),
        (Some(place), Some(found)) => {
            let mut reply = json!({});
            put(&mut reply, place, found);
            Answer::of(200, reply)
        }
        // GraphQL has no status for what is not there.
        (Some(place), None) if graphql => {
            let mut reply = json!({});
            put(&mut reply, place, Value::Null);
            Answer::of(200, reply)
        }
        (_, None) => Answer::of(404, json!({ "message": "there is no such record" })),
    }
}

/// What a write brings: the delivery's body, out of the manifest's wrapping.
fn patch_of(call: &Call, sent: &Value, bound: &Bound) -> Value {
    let whole = match &call.body {
        Some(_) => bound.get("body").cloned().unwrap_or_default(),
        None => sent.clone(),
    };
    match &call.wrap {
        Some(wrap) => at(&whole, wrap).cloned().unwrap_or_default(),
        None => whole,
    }
}

fn is_stale(call: &Call, stream: &Stream, held: &Kept, asked: &Asked<'_>) -> bool {
    match call.precondition {
        Some(Precondition::IfMatch) => {
            let version = stream.version.as_deref().and_then(|place| at(&held.body, place)).and_then(plain);
            let given = asked.call.header("if-match").map(|tag| tag.trim_start_matches("W/").trim_matches('"'));
            given.is_some() && given != version.as_deref().map(|tag| tag.trim_start_matches("W/").trim_matches('"'))
        }
        Some(Precondition::IfUnmodifiedSince) => {
            let given = asked.call.header("if-unmodified-since").and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
            given.is_some_and(|given| held.order / 1_000_000 > given.timestamp().as_second())
        }
        Some(Precondition::ReadCompare) | None => false,
    }
}

fn tombstone(stream: &Stream, id: &str, order: i64) -> Value {
    let Some(deletes) = &stream.deletes else { return Value::from(id) };
    let key = deletes.key.as_ref().or(stream.key.as_ref());
    let mut entry = json!({});
    match key {
        Some(key) if !key.is_empty() => put(&mut entry, key, Value::from(id)),
        _ => return Value::from(id),
    }
    if let Some(version) = &deletes.version {
        let at = jiff::Timestamp::from_microsecond(order).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        put(&mut entry, version, Value::from(at.to_string()));
    }
    entry
}

/// One page of a list.
fn paged(
    list: &[Value],
    records: &str,
    paginate: Option<&Paginate>,
    given: &dyn Fn(&str) -> Option<String>,
    asked: &Asked<'_>,
) -> Answer {
    let count = |text: Option<String>| text.and_then(|text| text.parse::<usize>().ok());
    let (begin, size) = match paginate {
        Some(Paginate::Cursor { param, .. }) => {
            (given(param).and_then(|text| text.strip_prefix("after-")?.parse().ok()).unwrap_or(0), PAGE)
        }
        Some(Paginate::Page { param, first, size, .. }) => {
            let size = usize::try_from(*size).unwrap_or(PAGE);
            let first = usize::try_from(*first).unwrap_or(0);
            (count(given(param)).unwrap_or(first).saturating_sub(first) * size, size)
        }
        Some(Paginate::Offset { param, size, .. }) => {
            (count(given(param)).unwrap_or(0), usize::try_from(*size).unwrap_or(PAGE))
        }
        Some(Paginate::LinkHeader {}) => (count(given(LINKED_PAGE)).unwrap_or(0), PAGE),
        Some(Paginate::None {}) | None => (0, usize::MAX),
    };
    let shown: Vec<Value> = list.iter().skip(begin).take(size).cloned().collect();
    let end = begin.saturating_add(shown.len());
    let is_last = end >= list.len();
    let mut reply = json!({});
    put(&mut reply, records, Value::Array(shown));
    let mut headers = Vec::new();
    match paginate {
        Some(Paginate::Cursor { from, more, .. }) => {
            put(&mut reply, from, if is_last { Value::Null } else { Value::from(format!("after-{end}")) });
            if let Some(more) = more {
                put(&mut reply, more, Value::Bool(!is_last));
            }
        }
        Some(Paginate::LinkHeader {}) if !is_last => {
            let kept = asked.call.query.iter().filter(|(name, _)| name != LINKED_PAGE);
            let next = (LINKED_PAGE.to_owned(), end.to_string());
            let pairs: Vec<&(String, String)> = kept.chain([&next]).collect();
            let url = reqwest::Url::parse_with_params(&format!("{}{}", asked.base, asked.path), pairs);
            headers.extend(url.ok().map(|url| ("link".to_owned(), format!("<{url}>; rel=\"next\""))));
        }
        Some(Paginate::Page { pages_header: Some(name), .. }) => {
            headers.push((name.clone(), list.len().div_ceil(size).to_string()));
        }
        _ => {}
    }
    Answer { status: 200, headers, body: reply }
}
