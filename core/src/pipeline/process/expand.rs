//! From inbox items to arrivals: records in canonical words, deletions, hints.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::lens::Lens;
use huiliu_mappings::lens::places::Kind as Shown;
use huiliu_mappings::matching;
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
    /// The blocks that the record's own evidence names, ascending.
    pub blocks: Vec<i64>,
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
    let source = match (item.kind, item.target.as_deref()) {
        (ItemKind::Webhook, _) => Source::Told,
        (_, Some(ASKED)) => Source::Asked,
        _ => Source::Read,
    };
    for received in received(connection, item)? {
        match received {
            Received::Record(record) => {
                let all = lenses(connection, record.stream.as_str()).into_iter();
                for lens in all.filter(|lens| lens.reads(&record.body)) {
                    let (mapped, issues) = lens.map(&record.body);
                    // A row of a file that says nothing would become a customer without a name.
                    if connection.connector.is_none() && mapped == MappedRecord::default() {
                        return Err(nothing(&lens, &issues));
                    }
                    let blocks = blocks(engine, &lens, &mapped);
                    // Columns of a file come and go with whoever made it.
                    let watched = if connection.connector.is_some() { lens.places() } else { &[] };
                    let shape = watched.iter().map(|place| place.kind(&record.body)).collect();
                    let (mapped, version) = (Some(mapped), record.version.clone());
                    let bare = bare(connection, item, lens, &record.id, source);
                    expanded.arrivals.push(Arrival { mapped, issues, version, blocks, shape, ..bare });
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
        blocks: Vec::new(),
        shape: Vec::new(),
    }
}

fn key(connection: &Connection, lens: &Lens, id: &crate::connector::ExternalId) -> LinkKey {
    LinkKey { connection: connection.name.clone(), lens: lens.name().to_owned(), id: id.clone() }
}

fn blocks(engine: &Engine, lens: &Lens, mapped: &MappedRecord) -> Vec<i64> {
    let said = mapped.fields.iter().filter(|(field, value)| !value.is_null() && matching::compares(field));
    let fields = said.map(|(field, value)| (field.clone(), value.clone())).collect();
    let evidence = matching::Evidence { fields, identities: mapped.identities.clone() };
    matching::block_keys(&engine.matching, lens.entity().as_str(), &evidence)
}

fn lenses(connection: &Connection, stream: &str) -> Vec<Arc<Lens>> {
    connection.lenses.iter().filter(|lens| lens.stream() == stream).cloned().collect()
}

/// What an item says, before any mapping.
pub(crate) fn received(connection: &Connection, item: &InboxItem) -> Result<Vec<Received>, String> {
    let version =
        item.version.as_deref().map(serde_json::from_str::<Version>).transpose().map_err(|e| e.to_string())?;
    let named = || {
        let (Some(stream), Some(id)) = (&item.stream, &item.external_id) else {
            return Err("the item names no record".to_owned());
        };
        Ok((stream.as_str().into(), id.as_str().into()))
    };
    match item.kind {
        ItemKind::Record => {
            let (stream, id) = named()?;
            let body: Value =
                serde_json::from_slice(&item.body).map_err(|error| format!("the record is not JSON: {error}"))?;
            Ok(vec![Received::Record(Record { stream, id, version, body })])
        }
        ItemKind::Deleted => {
            let (stream, id) = named()?;
            Ok(vec![Received::Deleted { stream, id, version }])
        }
        ItemKind::Merged => {
            let (stream, id) = named()?;
            let into = std::str::from_utf8(&item.body).map_err(|_| "the survivor's id is no text")?;
            Ok(vec![Received::Merged { stream, id, into: into.into() }])
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
