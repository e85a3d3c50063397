//! From inbox items to arrivals: records in canonical words, deletions, hints.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::lens::Lens;
use huiliu_mappings::lens::places::Kind as Shown;
use huiliu_mappings::matching::{self, Keys};
use huiliu_mappings::value::{Issue, MappedRecord};
use serde_json::Value;
use std::sync::Arc;

use crate::connection::Connection;
use crate::connector::{RawRequest, Received, Record, Verified, Version};
use crate::engine::Engine;
use crate::link::LinkKey;
use crate::manifest::Ability;
use crate::store::inbox::{ASKED, DeadLetter, InboxItem, ItemKind};

/// One record or deletion for one lens.
pub(super) struct Arrival {
    pub position: i64,
    pub key: LinkKey,
    pub lens: Arc<Lens>,
    /// None: the system says that the record is gone.
    pub mapped: Option<MappedRecord>,
    /// The record that stands for this one now, when the system merged the two.
    pub survivor: Option<LinkKey>,
    pub issues: Vec<Issue>,
    pub version: Option<Version>,
    pub received_us: i64,
    /// By how much the system's clock was ahead of ours then.
    pub clock_offset_us: i64,
    pub source: Source,
    pub leave: Leave,
    /// The blocks that the record's own evidence names.
    pub keys: Keys,
    /// What stands at each place that the lens reads; empty where nobody watches.
    pub shape: Vec<Shown>,
}

/// How an arrival came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The hub read it from the system, in a list that may lag behind.
    Read,
    /// The hub asked the system for this very record.
    Asked,
    /// The system told it, perhaps late and out of order.
    Told,
}

/// Whether the brake may hold an arrival back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It may.
    Asks,
    /// The scan that it comes from was judged as a whole: it counts, and passes.
    Judged,
    /// A steward lets it pass.
    Given,
}

#[derive(Default)]
pub(super) struct Expanded {
    pub arrivals: Vec<Arrival>,
    /// Connection, stream, external id, position.
    pub hints: Vec<(String, String, String, i64)>,
    /// Connection and stream of those that a system says have changed somewhere.
    pub pokes: BTreeSet<(String, String)>,
    pub dead: Vec<DeadLetter>,
}

pub(super) fn expand(engine: &Engine, items: Vec<InboxItem>) -> Expanded {
    let mut expanded = Expanded::default();
    for item in items {
        if let Err(reason) = one(engine, &item, &mut expanded) {
            expanded.dead.push(DeadLetter {
                number: 0,
                stage: "process".to_owned(),
                connection: item.connection,
                stream: item.stream,
                external_id: item.external_id,
                item: item.position,
                reason,
                at_us: engine.clock.now_us(),
            });
        }
    }
    expanded.ask(Vec::new());
    expanded
}

impl Expanded {
    /// Adds hints; each key is asked for once, on account of its first hint.
    pub fn ask(&mut self, more: Vec<(String, String, String, i64)>) {
        let mut unique: BTreeMap<_, i64> = BTreeMap::new();
        for (connection, stream, id, position) in std::mem::take(&mut self.hints).into_iter().chain(more) {
            unique.entry((connection, stream, id)).or_insert(position);
        }
        self.hints = unique.into_iter().map(|((connection, stream, id), at)| (connection, stream, id, at)).collect();
    }
}

fn one(engine: &Engine, item: &InboxItem, expanded: &mut Expanded) -> Result<(), String> {
    let connection = engine.connections.get(&item.connection).ok_or_else(|| {
        format!(
            "connection {} is not configured any more; add it again, then `huiliu dead-letters retry`",
            item.connection
        )
    })?;
    let source = source(item);
    if item.kind == ItemKind::Record {
        let (stream, id) = named(item)?;
        let (stream, id, version) = (stream.into(), id.into(), version(item)?);
        let mut record = Record { stream, id, version, body: Value::Null };
        for lens in lenses(connection, record.stream.as_str()) {
            // It waits as text, and holds several times what a lens reads.
            record.body = lens.pick(&item.body).map_err(|error| not_json(&error))?;
            expanded.arrivals.extend(mapped(engine, connection, item, lens, &record)?);
        }
        return Ok(());
    }
    for received in received(connection, item)? {
        match received {
            Received::Record(record) => {
                for lens in lenses(connection, record.stream.as_str()) {
                    expanded.arrivals.extend(mapped(engine, connection, item, lens, &record)?);
                }
            }
            Received::Deleted { stream, id, version } => {
                let each = lenses(connection, stream.as_str()).into_iter();
                let gone = each.map(|lens| bare(connection, item, lens, &id, source));
                expanded.arrivals.extend(gone.map(|bare| Arrival { version: version.clone(), ..bare }));
            }
            Received::Merged { stream, id, into } => {
                let each = lenses(connection, stream.as_str()).into_iter();
                expanded.arrivals.extend(each.map(|lens| {
                    let survivor = Some(key(connection, &lens, &into));
                    Arrival { survivor, ..bare(connection, item, lens, &id, source) }
                }));
                // Who stands for it may have said nothing in the same breath.
                if source != Source::Asked && connection.can(stream.as_str(), Ability::Fetch) {
                    let (connection, stream) = (item.connection.clone(), stream.as_str().to_owned());
                    expanded.hints.push((connection, stream, into.as_str().to_owned(), item.position));
                }
            }
            Received::Hint { stream, id } => {
                let hint = (item.connection.clone(), stream.as_str().to_owned(), id.as_str().to_owned(), item.position);
                expanded.hints.push(hint);
            }
            Received::Poke { stream } => {
                expanded.pokes.insert((item.connection.clone(), stream.as_str().to_owned()));
            }
        }
    }
    Ok(())
}

fn source(item: &InboxItem) -> Source {
    match (item.kind, item.target.as_deref()) {
        (ItemKind::Webhook, _) => Source::Told,
        (_, Some(ASKED)) => Source::Asked,
        _ => Source::Read,
    }
}

/// A record through a lens, if it is one of the lens.
fn mapped(
    engine: &Engine,
    connection: &Connection,
    item: &InboxItem,
    lens: Arc<Lens>,
    record: &Record,
) -> Result<Option<Arrival>, String> {
    if !lens.reads(&record.body) {
        return Ok(None);
    }
    let (mapped, issues) = lens.map(&record.body);
    // A row of a file that says nothing would become a customer without a name.
    if connection.connector.is_none() && mapped == MappedRecord::default() {
        return Err(nothing(&lens, &issues));
    }
    let keys = keys(engine, &lens, &mapped);
    // Columns of a file come and go with whoever made it.
    let watched = if connection.connector.is_some() { lens.places() } else { &[] };
    let shape = watched.iter().map(|place| place.kind(&record.body)).collect();
    let (mapped, version) = (Some(mapped), record.version.clone());
    let bare = bare(connection, item, lens, &record.id, source(item));
    Ok(Some(Arrival { mapped, issues, version, keys, shape, ..bare }))
}

fn nothing(lens: &Lens, issues: &[Issue]) -> String {
    let why: Vec<String> = issues.iter().map(|issue| format!("; {}: {}", issue.at, issue.message)).collect();
    format!("the mapping [{}] finds nothing in it{}", lens.name(), why.concat())
}

/// The arrival of a record that shows nothing.
fn bare(
    connection: &Connection,
    item: &InboxItem,
    lens: Arc<Lens>,
    id: &crate::connector::ExternalId,
    source: Source,
) -> Arrival {
    Arrival {
        position: item.position,
        key: key(connection, &lens, id),
        lens,
        mapped: None,
        survivor: None,
        issues: Vec::new(),
        version: None,
        received_us: item.received_us,
        clock_offset_us: item.clock_offset_us,
        source,
        leave: Leave::Asks,
        keys: Keys::default(),
        shape: Vec::new(),
    }
}

fn key(connection: &Connection, lens: &Lens, id: &crate::connector::ExternalId) -> LinkKey {
    LinkKey { connection: connection.name.clone(), lens: lens.name().to_owned(), id: id.clone() }
}

fn keys(engine: &Engine, lens: &Lens, mapped: &MappedRecord) -> Keys {
    let said = mapped.fields.iter().filter(|(field, value)| !value.is_null() && matching::compares(field));
    let fields = said.map(|(field, value)| (field.clone(), value.clone())).collect();
    let evidence = matching::Evidence { fields, identities: mapped.identities.clone() };
    matching::marked_keys(&engine.matching, lens.entity().as_str(), &evidence)
}

fn lenses(connection: &Connection, stream: &str) -> Vec<Arc<Lens>> {
    connection.lenses.iter().filter(|lens| lens.stream() == stream).cloned().collect()
}

/// The version that an item tells.
fn version(item: &InboxItem) -> Result<Option<Version>, String> {
    item.version.as_deref().map(serde_json::from_str).transpose().map_err(|error| error.to_string())
}

/// Stream and id of the record that an item is about.
fn named(item: &InboxItem) -> Result<(&str, &str), String> {
    let named = item.stream.as_deref().zip(item.external_id.as_deref());
    named.ok_or_else(|| "the item names no record".to_owned())
}

fn not_json(error: &serde_json::Error) -> String {
    format!("the record is not JSON: {error}")
}

/// What an item says, before any mapping.
pub(crate) fn received(connection: &Connection, item: &InboxItem) -> Result<Vec<Received>, String> {
    let version = version(item)?;
    match item.kind {
        ItemKind::Record => {
            let (stream, id) = named(item)?;
            let body = serde_json::from_slice(&item.body).map_err(|error| not_json(&error))?;
            Ok(vec![Received::Record(Record { stream: stream.into(), id: id.into(), version, body })])
        }
        ItemKind::Deleted => {
            let (stream, id) = named(item)?;
            Ok(vec![Received::Deleted { stream: stream.into(), id: id.into(), version }])
        }
        ItemKind::Merged => {
            let (stream, id) = named(item)?;
            let into = std::str::from_utf8(&item.body).map_err(|_| "the survivor's id is no text")?;
            Ok(vec![Received::Merged { stream: stream.into(), id: id.into(), into: into.into() }])
        }
        // A scan's batch is its own (see `absence`).
        ItemKind::Scan => Ok(Vec::new()),
        ItemKind::Webhook => {
            let connector = connection.connector.as_ref().ok_or("this connection receives no webhooks")?;
            let headers = item.headers.as_deref().map_or(Ok(Vec::new()), serde_json::from_str);
            let request = RawRequest {
                method: "POST".to_owned(),
                target: item.target.clone().unwrap_or_default(),
                headers: headers.map_err(|error| error.to_string())?,
                body: item.body.clone().into(),
            };
            connector.receive(&connection.cx, &Verified { request }).map_err(|error| error.to_string())
        }
    }
}
