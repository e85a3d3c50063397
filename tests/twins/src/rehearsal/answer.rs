//! What a call of the manifest is answered.

use std::collections::BTreeMap;

use huiliu_core::connector::Operation;
use huiliu_core::manifest::{Batch, Call, Lookup, Manifest, Precondition, Stream};
use serde_json::{Value, json};

use super::book::{Book, Kept, at, number, plain, put};
use super::calls::{Act, Fit, meant};
use super::pattern::{self, Bound};
use super::{gate, pages};

/// Records on a page.
pub const PAGE: usize = 2;

/// A call that came in.
pub struct Asked<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// The path, unescaped.
    pub path: String,
    /// Where the caller thinks that the server is, for links.
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
    /// An answer without headers of its own.
    pub fn of(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    fn missing() -> Self {
        Self::of(404, json!({ "message": "there is no such record" }))
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

impl Desk<'_> {
    /// Answers, or none if no call of the manifest is meant.
    pub fn answer(&mut self, asked: &Asked<'_>) -> Option<Answer> {
        let manifest = self.manifest;
        let streams: Vec<(String, Stream)> =
            manifest.streams.keys().filter_map(|name| Some((name.clone(), manifest.stream(name)?))).collect();
        let Fit { stream: name, act, bound, .. } = meant(manifest, &streams, self.known, asked)?;
        let declared = streams.iter().find(|(known, _)| *known == name).map(|(_, stream)| stream);
        let Some(stream) = declared else { return Some(Answer::of(200, json!({}))) };
        Some(match act {
            Act::Check => Answer::of(200, json!({})),
            Act::Pull(list) => pages::page(self.book, &name, stream, &list, asked, &bound),
            Act::Fetch(call) => {
                let id = bound.get("record.id").and_then(plain).unwrap_or_default();
                shown(call.record.as_deref(), call.graphql.is_some(), self.kept(&name, &id))
            }
            Act::Write(Operation::Create, call) => self.create(&name, stream, call, asked, &bound),
            Act::Write(operation, call) => self.change(&name, stream, call, operation, asked, &bound),
            Act::Lookup(look) => self.found(&name, look, &bound),
            Act::Batch(operation, call, batch) => {
                let items = at(&asked.body, &batch.items).and_then(Value::as_array).cloned().unwrap_or_default();
                let each =
                    items.iter().filter_map(|item| self.one_of_many(&name, stream, operation, call, batch, item));
                let results: Vec<Value> = each.collect();
                let mut reply = Value::Null;
                put(&mut reply, &batch.results, Value::Array(results));
                Answer::of(200, reply)
            }
        })
    }

    fn kept(&mut self, name: &str, id: &str) -> Option<Value> {
        self.book.shelf(name).records.get(id).map(|it| it.body.clone())
    }

    fn create(&mut self, name: &str, stream: &Stream, call: &Call, asked: &Asked<'_>, bound: &Bound) -> Answer {
        let patch = self.as_read(name, patch_of(call, &asked.body, bound));
        let header = call.idempotency_header.as_ref().and_then(|header| asked.call.header(header));
        let key = header.or_else(|| asked.call.header("webhook-id")).map(str::to_owned);
        // A create that names a value of the record beside its body is by that value.
        let beside = call.body.is_none() || bound.contains_key("body");
        let named = bound.iter().filter(|(name, _)| beside && name.starts_with("record."));
        let natural: Vec<String> = named.map(|(_, value)| value.to_string()).collect();
        let key = key.or_else(|| (!natural.is_empty()).then(|| natural.join("\n")));
        let id = self.book.create(name, stream, key, bound.get("record.id").and_then(plain), &patch);
        if let Some(place) = &call.id {
            let mut reply = Value::Null;
            put(&mut reply, place, number(&id));
            return Answer::of(200, reply);
        }
        shown(call.record.as_deref(), false, self.kept(name, &id))
    }

    fn change(
        &mut self,
        name: &str,
        stream: &Stream,
        call: &Call,
        operation: Operation,
        asked: &Asked<'_>,
        bound: &Bound,
    ) -> Answer {
        let mut patch = patch_of(call, &asked.body, bound);
        let told = bound.get("record.id").or_else(|| at(&patch, call.id_at.as_deref()?)).and_then(plain);
        let id = told.unwrap_or_default();
        if operation == Operation::Delete {
            let was_there = self.book.remove(name, stream, &id);
            return Answer::of(if was_there { 200 } else { 404 }, json!({}));
        }
        let Some(held) = self.book.shelf(name).records.get(&id).cloned() else { return Answer::missing() };
        if is_stale(call, stream, &held, asked) {
            return Answer::of(412, json!({ "message": "the record is newer" }));
        }
        patch = self.as_read(name, patch);
        self.book.write(name, stream, &id, &patch);
        if call.read_back {
            return Answer::of(200, Value::Bool(true));
        }
        shown(call.record.as_deref(), false, self.kept(name, &id))
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
        let hit =
            |it: &&Kept| wanted.is_empty() || wanted.iter().any(|value| it.body.to_string().contains(value.as_str()));
        let found: Vec<Value> = shelf.records.values().filter(hit).map(|it| it.body.clone()).collect();
        // A path that names the value leads to the one record.
        let is_one = look.path.as_ref().is_some_and(|path| path.contains("{record."));
        let mut reply = Value::Null;
        match (is_one, found.first()) {
            (true, None) => return Answer::missing(),
            (true, Some(one)) => put(&mut reply, &look.records, one.clone()),
            (false, _) => put(&mut reply, &look.records, Value::Array(found)),
        }
        Answer::of(200, reply)
    }

    fn one_of_many(
        &mut self,
        name: &str,
        stream: &Stream,
        operation: Operation,
        call: &Call,
        batch: &Batch,
        item: &Value,
    ) -> Option<Value> {
        let told = batch.id_at.as_ref().and_then(|place| at(item, place)).and_then(plain);
        let mut bound = Bound::new();
        let patch = match (&batch.item, &call.body) {
            (Some(form), _) => {
                pattern::json(form, Some(item), &mut bound);
                named(&bound)
            }
            (None, template) => {
                if let Some(template) = template {
                    pattern::json(template, Some(item), &mut bound);
                }
                patch_of(call, item, &bound)
            }
        };
        let patch = self.as_read(name, patch);
        let id = match (operation, told) {
            (Operation::Create, id) => self.book.create(name, stream, None, id, &patch),
            (Operation::Update, id) => {
                let id = id?;
                self.book.write(name, stream, &id, &patch);
                id
            }
            (Operation::Delete, id) => {
                let id = id?;
                self.book.remove(name, stream, &id);
                id
            }
        };
        let mut result = Value::Null;
        match (&batch.record, self.kept(name, &id)) {
            (Some(place), Some(kept)) => put(&mut result, place, kept),
            (None, Some(kept)) => result = kept,
            (_, None) => put(&mut result, stream.key.as_deref().unwrap_or_default(), Value::from(id)),
        }
        if let Some(trace) = &batch.trace {
            put(&mut result, &trace.result, at(item, &trace.item).cloned().unwrap_or_default());
        }
        Some(result)
    }
}

/// A record in a reply, where the manifest says that it stands.
fn shown(place: Option<&str>, graphql: bool, found: Option<Value>) -> Answer {
    let mut reply = Value::Null;
    match (place, found) {
        (None, Some(found)) => return Answer::of(200, found),
        (Some(place), Some(found)) => put(&mut reply, place, found),
        // GraphQL has no status for what is not there.
        (Some(place), None) if graphql => put(&mut reply, place, Value::Null),
        (_, None) => return Answer::missing(),
    }
    Answer::of(200, reply)
}

/// The values that were named one by one (`{record.email}`), each where it stands in a record.
fn named(bound: &Bound) -> Value {
    let mut patch = json!({});
    for (name, value) in bound {
        if let Some(place) = name.strip_prefix("record.").filter(|place| *place != "id") {
            put(&mut patch, &format!("/{}", place.replace('.', "/")), value.clone());
        }
    }
    patch
}

/// What a write brings: the delivery's body, out of the manifest's wrapping.
fn patch_of(call: &Call, sent: &Value, bound: &Bound) -> Value {
    let whole = match &call.body {
        Some(_) => bound.get("body").cloned().unwrap_or_else(|| named(bound)),
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
            let bare = |tag: &str| tag.trim_start_matches("W/").trim_matches('"').to_owned();
            let given = asked.call.header("if-match").map(bare);
            given.is_some() && given != version.as_deref().map(bare)
        }
        Some(Precondition::IfUnmodifiedSince) => {
            let given = asked.call.header("if-unmodified-since").and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
            given.is_some_and(|given| held.order / 1_000_000 > given.timestamp().as_second())
        }
        Some(Precondition::ReadCompare) | None => false,
    }
}
