//! What the brake holds back: shown, released or dismissed.

use std::collections::BTreeMap;

use huiliu_mappings::value::FieldName;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Result, Steward, command, note, refused};
use crate::connection::Connection;
use crate::connector::Received;
use crate::engine::Engine;
use crate::link::{Link, LinkKey};
use crate::pipeline::process::received;
use crate::pipeline::pull;
use crate::store::brakes::{self, Kind};
use crate::store::db::{self, Tx};
use crate::store::inbox::{self, InboxItem};
use crate::store::links;
use crate::store::streams::{self, Mark};

/// Held arrivals that run again, or are shown, together: with bodies of some kilobytes each, a few megabytes.
const ITEMS: i64 = 500;

/// What waits for a steward.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// The record: `connection/lens/id`.
    pub record: String,
    /// Whether it would go or change.
    pub kind: Kind,
    /// The fields that would say something else: before and after.
    pub fields: BTreeMap<FieldName, (Value, Value)>,
    /// The place of the arrival in the inbox; none where a complete scan did not show the record.
    pub position: Option<i64>,
    /// When the arrival was received, or the scan ended, microseconds since 1970 UTC.
    pub received_us: i64,
}

/// What is held back of a stream, the first `count`: arrivals in the order of their links, then what a complete scan did
/// not show.
pub fn held(engine: &Engine, connection: &str, stream: &str, count: i64) -> Result<Vec<Held>> {
    Ok(engine.store.read(|tx| {
        let Some(whose) = engine.connections.get(connection) else { return Ok(Vec::new()) };
        let holds = brakes::held_in(tx, connection, stream, 0, count)?;
        let mut held = Vec::with_capacity(holds.len());
        for part in holds.chunks(usize::try_from(ITEMS).unwrap_or(1)) {
            let items = inbox::at_all(tx, part.iter().map(|hold| hold.position))?;
            let items: BTreeMap<i64, InboxItem> = items.into_iter().map(|item| (item.position, item)).collect();
            let known = links::by_numbers(tx, part.iter().map(|hold| hold.link))?;
            let known: BTreeMap<i64, Link> = known.into_iter().map(|link| (link.number, link)).collect();
            held.extend(part.iter().filter_map(|hold| {
                let link = known.get(&hold.link)?;
                let item = items.get(&hold.position);
                let fields = item.map(|item| differences(whose, link, item)).unwrap_or_default();
                let (record, kind, position) = (link.key.to_string(), hold.key.2, Some(hold.position));
                Some(Held { record, kind, fields, position, received_us: hold.received_us })
            }));
        }
        let left = count - i64::try_from(held.len()).unwrap_or(count);
        held.extend(unseen(tx, whose, stream, left)?);
        Ok(held)
    })?)
}

/// Which fields of a link an arrival would change: before and after.
fn differences(whose: &Connection, link: &Link, item: &InboxItem) -> BTreeMap<FieldName, (Value, Value)> {
    let lens = whose.lens(&link.key.lens);
    let said = received(whose, item).unwrap_or_default().into_iter().filter_map(|one| match one {
        Received::Record(record) if record.id == link.key.id => Some(record),
        _ => None,
    });
    let shown = said.filter_map(|record| Some((lens.filter(|it| it.stream() == record.stream.as_str())?, record)));
    let fields = shown.flat_map(|(lens, record)| lens.map(&record.body).0.fields);
    let both = fields.map(|(field, after)| {
        let before = link.state.held.get(&field).cloned().unwrap_or_default();
        (field, (before, after))
    });
    both.filter(|(_, (before, after))| before != after).collect()
}

/// What a complete scan that was held back did not show.
fn unseen(tx: &mut Tx<'_>, whose: &Connection, stream: &str, count: i64) -> db::Result<Vec<Held>> {
    let key = (whose.name.as_str().to_owned(), stream.to_owned());
    let Some(brake) = streams::all(tx)?.remove(&key).and_then(|it| it.brake) else { return Ok(Vec::new()) };
    let lenses = whose.lenses_of(stream);
    let scope = links::Scope { connection: whose.name.as_str(), lenses: &lenses };
    let missing = links::unseen(tx, &scope, &brake.scan, count)?;
    let name = |lens: String, id: String| LinkKey { connection: whose.name.clone(), lens, id: id.into() }.to_string();
    let gone = missing.into_iter().map(|(_, lens, id)| Held {
        record: name(lens, id),
        kind: Kind::Missing,
        fields: BTreeMap::new(),
        position: None,
        received_us: brake.at_us,
    });
    Ok(gone.collect())
}

/// Lets the brake of a stream go: a scan may close what it missed, and what was held back is taken in. Returns how many
/// records that is at most: of what was heard of since, the latest counts.
pub fn release(engine: &Engine, connection: &str, stream: &str, steward: Steward<'_>) -> Result<i64> {
    command(engine, |tx| {
        let now_us = engine.clock.now_us();
        let brake = streams::all(tx)?.remove(&(connection.to_owned(), stream.to_owned())).and_then(|it| it.brake);
        if let Some(brake) = brake {
            let mark = Mark { scan: brake.scan, released_by: Some(steward.name.to_owned()) };
            inbox::append(tx, &[pull::scan_item(&connection.into(), &stream.into(), &mark, now_us)?])?;
            streams::set_brake(tx, connection, stream, None)?;
        }
        let held = run_again(tx, connection, stream)?;
        if brake.is_none() && held == 0 {
            return refused(format!("{connection}/{stream}: no brake holds anything back; see `huiliu status`"));
        }
        brakes::release(tx, connection, stream)?;
        brakes::reset(tx, connection, stream, now_us)?;
        let missing = brake.map_or(0, |brake| brake.missing);
        let open = brake.map_or(0, |brake| brake.open);
        let detail =
            json!({ "connection": connection, "stream": stream, "missing": missing, "open": open, "held": held });
        note(engine, tx, steward, "release", &detail, 0)?;
        Ok(missing + held)
    })
}

/// What waits stands at the end of the inbox once more: the items themselves are history.
fn run_again(tx: &mut Tx<'_>, connection: &str, stream: &str) -> Result<i64> {
    let (mut after, mut held) = (0, 0);
    loop {
        let part = brakes::held_in(tx, connection, stream, after, ITEMS)?;
        let Some(last) = part.last() else { return Ok(held) };
        after = last.link;
        held += i64::try_from(part.len()).unwrap_or(ITEMS);
        let positions: std::collections::BTreeSet<i64> = part.iter().map(|hold| hold.position).collect();
        let items = inbox::at_all(tx, positions)?;
        inbox::append(tx, &items)?;
    }
}

/// Does not believe what the brake of a stream holds back: it is forgotten, and the records stay as they were known. A
/// later read that shows the same is judged anew. Returns how many records that are.
pub fn dismiss(engine: &Engine, connection: &str, stream: &str, steward: Steward<'_>) -> Result<i64> {
    command(engine, |tx| {
        let brake = streams::all(tx)?.remove(&(connection.to_owned(), stream.to_owned())).and_then(|it| it.brake);
        let held = i64::try_from(brakes::dismiss(tx, connection, stream)?).unwrap_or(i64::MAX);
        if brake.is_none() && held == 0 {
            return refused(format!("{connection}/{stream}: no brake holds anything back; see `huiliu status`"));
        }
        streams::set_brake(tx, connection, stream, None)?;
        brakes::reset(tx, connection, stream, engine.clock.now_us())?;
        let missing = brake.map_or(0, |brake| brake.missing);
        let detail = json!({ "connection": connection, "stream": stream, "missing": missing, "held": held });
        note(engine, tx, steward, "dismiss", &detail, 0)?;
        Ok(missing + held)
    })
}
