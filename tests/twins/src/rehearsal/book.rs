//! What the stand-in holds: records by stream and id, with versions written as the fixtures write them.

use std::collections::BTreeMap;

use huiliu_core::manifest::{Stream, VersionKind};
use huiliu_mappings::lens::laws::overlay;
use huiliu_mappings::lens::path::Path;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

/// 2026-01-02 in microseconds: writes are stamped from here, or from the newest fixture on, a second apart.
const BEGINS_US: i64 = 1_767_312_000_000_000;

/// One record.
#[derive(Clone, Debug)]
pub struct Kept {
    /// As the system shows it.
    pub body: Value,
    /// Its place in order: microseconds since 1970, or its number.
    pub order: i64,
}

/// One stream's records.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// By id.
    pub records: BTreeMap<String, Kept>,
    /// What a create's key made, so that a repeat finds it.
    pub made: BTreeMap<String, String>,
    /// What was removed, and when.
    pub gone: Vec<(String, i64)>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct Book {
    shelves: BTreeMap<String, Shelf>,
    newest: i64,
    numbers: i64,
    /// Writes so far.
    pub writes: u64,
}

/// The text of a text or a number.
pub fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The value at a pointer, and a value put there. A manifest's pointers were checked when it was loaded.
pub fn at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    Path::parse(pointer).ok().and_then(|path| path.get(value))
}

/// See [`at`].
pub fn put(value: &mut Value, pointer: &str, new: Value) {
    if let Ok(path) = Path::parse(pointer) {
        path.put(value, new);
    }
}

impl Book {
    /// A stream's shelf.
    pub fn shelf(&mut self, stream: &str) -> &mut Shelf {
        self.shelves.entry(stream.to_owned()).or_default()
    }

    /// How many records a stream has.
    pub fn count(&self, stream: &str) -> usize {
        self.shelves.get(stream).map_or(0, |shelf| shelf.records.len())
    }

    /// Puts a fixture in; one whose id is taken gets another.
    pub fn preload(&mut self, name: &str, stream: &Stream, mut body: Value) {
        let key = stream.key.as_deref().unwrap_or_default();
        let taken = |book: &mut Self, id: &str| book.shelf(name).records.contains_key(id);
        let mut id = at(&body, key).and_then(plain).unwrap_or_default();
        if id.is_empty() || taken(self, &id) {
            id = self.new_id(name, &id);
            put_id(&mut body, key, &id);
        }
        let order = version(stream, &body).unwrap_or(0);
        self.newest = self.newest.max(order);
        self.shelf(name).records.insert(id, Kept { body, order });
    }

    /// An id like the given one: other digits at its end.
    fn new_id(&mut self, name: &str, like: &str) -> String {
        let head = like.trim_end_matches(|c: char| c.is_ascii_digit());
        loop {
            self.numbers += 1;
            let id = format!("{head}{}", 700_000 + self.numbers);
            if !self.shelf(name).records.contains_key(&id) {
                return id;
            }
        }
    }

    /// Makes a record, or changes the one that this key made before.
    pub fn create(
        &mut self,
        name: &str,
        stream: &Stream,
        key: Option<String>,
        id: Option<String>,
        patch: &Value,
    ) -> String {
        let known = key.as_ref().and_then(|key| self.shelf(name).made.get(key).cloned());
        let like = self.shelf(name).records.keys().next().cloned().unwrap_or_default();
        let own = stream.key.as_deref().and_then(|at_key| at(patch, at_key)).and_then(plain);
        let id = known.or(id).or(own).unwrap_or_else(|| self.new_id(name, &like));
        if let Some(key) = key {
            self.shelf(name).made.insert(key, id.clone());
        }
        self.write(name, stream, &id, patch);
        id
    }

    /// Changes a record, or makes it under this id.
    pub fn write(&mut self, name: &str, stream: &Stream, id: &str, patch: &Value) {
        self.writes += 1;
        let key = stream.key.clone().unwrap_or_default();
        let mut body = self
            .shelf(name)
            .records
            .get(id)
            .map_or_else(|| Value::Object(serde_json::Map::new()), |it| it.body.clone());
        overlay(&mut body, patch);
        let numeric =
            self.shelf(name).records.values().next().is_some_and(|it| at(&it.body, &key).is_some_and(Value::is_number));
        put(&mut body, &key, if numeric { number(id) } else { Value::from(id) });
        let order = self.stamp(name, stream, &mut body);
        self.shelf(name).records.insert(id.to_owned(), Kept { body, order });
    }

    /// Removes a record; false if there is none.
    pub fn remove(&mut self, name: &str, stream: &Stream, id: &str) -> bool {
        let Some(mut kept) = self.shelf(name).records.get(id).cloned() else { return false };
        self.writes += 1;
        let order = self.stamp(name, stream, &mut kept.body);
        self.shelf(name).gone.push((id.to_owned(), order));
        // A system that marks what is deleted goes on showing it.
        if let Some(rule) = &stream.deleted_when {
            put(&mut kept.body, &rule.at, rule.equals.as_deref().map_or(Value::Bool(true), mark));
            self.shelf(name).records.insert(id.to_owned(), Kept { order, ..kept });
        } else {
            self.shelf(name).records.remove(id);
        }
        true
    }

    /// The next version, written into a record as its neighbours write theirs.
    fn stamp(&mut self, name: &str, stream: &Stream, body: &mut Value) -> i64 {
        let Some(pointer) = stream.version.as_deref() else { return 0 };
        let kind = stream.version_kind.unwrap_or(VersionKind::Instant);
        let is_instant = !matches!(kind, VersionKind::Sequence | VersionKind::Tag);
        let step = if is_instant { 1_000_000 } else { 1 };
        self.newest = self.newest.max(if is_instant { BEGINS_US } else { 0 }) + step;
        let order = self.newest;
        let sample =
            self.shelf(name).records.values().find_map(|it| at(&it.body, pointer).filter(|it| !it.is_null()).cloned());
        put(body, pointer, written(stream, kind, sample.as_ref(), order));
        if kind == VersionKind::Tag { 0 } else { order }
    }
}

/// An id as a number, if it is one.
pub fn number(id: &str) -> Value {
    serde_json::from_str::<serde_json::Number>(id).map_or_else(|_| Value::from(id), Value::Number)
}

fn mark(equals: &str) -> Value {
    match equals {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        other => Value::from(other),
    }
}

/// Writes an id as a number where the record had one.
fn put_id(body: &mut Value, key: &str, id: &str) {
    let is_number = at(body, key).is_some_and(Value::is_number);
    put(body, key, if is_number { number(id) } else { Value::from(id) });
}

fn zone(stream: &Stream) -> TimeZone {
    let named = stream.pull.as_ref().and_then(|pull| pull.since.as_ref()?.zone.as_deref());
    named.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
}

/// The instant of a text, in microseconds.
pub fn instant(stream: &Stream, text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_microsecond());
    }
    let civil = text.parse::<DateTime>().ok()?;
    Some(civil.to_zoned(zone(stream)).ok()?.timestamp().as_microsecond())
}

/// A record's place in order.
pub fn version(stream: &Stream, body: &Value) -> Option<i64> {
    let text = at(body, stream.version.as_deref()?).and_then(plain)?;
    match stream.version_kind.unwrap_or(VersionKind::Instant) {
        VersionKind::Instant => instant(stream, &text),
        VersionKind::Seconds => text.parse::<i64>().ok()?.checked_mul(1_000_000),
        VersionKind::Millis => text.parse::<i64>().ok()?.checked_mul(1_000),
        VersionKind::Sequence => text.parse().ok(),
        VersionKind::Tag => None,
    }
}

fn written(stream: &Stream, kind: VersionKind, sample: Option<&Value>, order: i64) -> Value {
    let numeric = sample.is_none_or(Value::is_number);
    let counted = |count: i64| if numeric { Value::from(count) } else { Value::from(count.to_string()) };
    match kind {
        VersionKind::Seconds => counted(order / 1_000_000),
        VersionKind::Millis => counted(order / 1_000),
        VersionKind::Sequence => counted(order),
        VersionKind::Tag => Value::from(format!("version-{order}")),
        VersionKind::Instant => {
            let at = Timestamp::from_microsecond(order).unwrap_or(Timestamp::UNIX_EPOCH);
            let sample = sample.and_then(Value::as_str).unwrap_or_default();
            if sample.is_empty() || sample.parse::<Timestamp>().is_ok() {
                return Value::from(at.to_string());
            }
            let form = if sample.contains('T') { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
            Value::from(at.to_zoned(zone(stream)).strftime(form).to_string())
        }
    }
}
