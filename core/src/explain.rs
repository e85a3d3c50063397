//! Who is this, and why did a record sync or not? The read side for people: everything is computed from what the
//! stages keep, nothing is stored for it.

pub mod called;
pub mod pair;
pub mod timeline;

use std::collections::BTreeMap;

use huiliu_mappings::matching::{self, Candidate, Comparison, Decision, identity_hash};
use huiliu_mappings::merge::Provenance;
use huiliu_mappings::model::FieldType;
use huiliu_mappings::normalize::{self, Options, phone};
use huiliu_mappings::value::{FieldName, Identity};
use serde::Serialize;
use serde_json::Value;

use crate::automation::{Fired, fired};
use crate::connection::{Connection, State};
use crate::engine::Engine;
use crate::link::{Link, LinkKey, evidence_of};
use crate::pipeline::{plan, process};
use crate::store::blocks::{self, Tail};
use crate::store::db::{Result, Tx};
use crate::store::goldens::{self, Change};
use crate::store::{deliveries, inbox, links, streams};

/// Lines of history that are shown.
const HISTORY: i64 = 50;

/// Customers shown for one e-mail address or phone number: a value shared by more says nothing about whom is meant.
const FOUND_MAX: usize = 20;

/// A golden record as a person may want to see it.
#[derive(Clone, Debug, Serialize)]
pub struct Customer {
    /// Its number.
    pub id: i64,
    /// `customer`, `order`, …
    pub entity: String,
    /// The golden record that this one was found to be.
    pub merged_into: Option<i64>,
    /// Surviving values with their origin; a null was cleared by whoever is named.
    pub values: Vec<Surviving>,
    /// The records that make it up.
    pub links: Vec<Member>,
    /// What happened to it, oldest first.
    pub changes: Vec<Change>,
    /// Its orders, interactions, deals and tickets, latest first.
    pub timeline: Vec<timeline::Entry>,
    /// What automation rules did because of it, oldest first.
    pub rules: Vec<Fired>,
}

/// One value of a golden record.
#[derive(Clone, Debug, Serialize)]
pub struct Surviving {
    /// The field.
    pub field: FieldName,
    /// Its value.
    pub value: Value,
    /// Who said it, when, by which rule it won, and what lost against it.
    pub provenance: Provenance,
}

/// A record that belongs to a golden record.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// `connection/stream/id`.
    pub record: String,
    /// False once the system said that the record is gone.
    pub open: bool,
    /// What makes it the same as the others, by today's rules; empty if it is alone.
    pub because: Vec<Comparison>,
}

/// The story of one record.
#[derive(Clone, Debug, Serialize)]
pub struct Story {
    /// `connection/stream/id`.
    pub record: String,
    /// Whether the hub has ever seen it.
    pub seen: bool,
    /// Items of the inbox that wait to be processed.
    pub backlog: i64,
    /// Arrivals, oldest first.
    pub arrivals: Vec<Arrival>,
    /// `customer`, `order`, …; empty if never seen.
    pub entity: String,
    /// The golden record; 0: none.
    pub golden: i64,
    /// What the other connections got.
    pub targets: Vec<Target>,
    /// What automation rules did because of its golden record, oldest first.
    pub rules: Vec<Fired>,
}

/// One arrival of a record.
#[derive(Clone, Debug, Serialize)]
pub struct Arrival {
    /// Position in the inbox.
    pub position: i64,
    /// When it was received, microseconds since 1970 UTC, if the item is still kept.
    pub received_us: Option<i64>,
    /// `created`, `linked`, `changed`, `echo`, `stale`, `deleted`, `review`, `unattached`.
    pub outcome: String,
    /// Issues of its mapping, as JSON.
    pub issues: Option<String>,
}

/// What became of a golden record's values at one connection.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// The connection.
    pub connection: String,
    /// `observing`, `live`, `paused`.
    pub state: String,
    /// Whether the configuration lets it be written.
    pub writes: bool,
    /// Whether the record would be made there, once its stream was read to its end for the first time.
    pub waits: bool,
    /// Fields in which its record differs from the golden record, and that the configuration lets nobody write there.
    pub withheld: Vec<FieldName>,
    /// Writes, oldest first.
    pub deliveries: Vec<Sent>,
}

/// One write.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    /// The delivery's number.
    pub number: i64,
    /// `create`, `update` or `delete`.
    pub operation: &'static str,
    /// `pending`, `sending`, `done`, `dead` or `dropped`.
    pub state: String,
    /// The fields that it carries.
    pub fields: Vec<FieldName>,
    /// What went wrong last.
    pub error: Option<String>,
}

/// Golden records by what a person knows: a number, `connection/stream/id`, an e-mail address or a phone number. A
/// golden record that was merged away gives its survivor.
pub fn find(engine: &Engine, known: &str) -> Result<Vec<i64>> {
    let known = known.trim();
    engine.store.read(|tx| {
        let found = if let Ok(id) = known.parse::<i64>().map_err(drop).and_then(|id| short(known, id)) {
            vec![id]
        } else if let Ok(key) = known.parse::<LinkKey>() {
            links::by_keys(tx, [&key])?.into_iter().map(|link| link.golden).filter(|golden| *golden != 0).collect()
        } else {
            by_identity(tx, engine.store.tail(), known)?
        };
        survivors(tx, found)
    })
}

/// The numbers of golden records have fewer digits than phone numbers.
fn short(text: &str, id: i64) -> std::result::Result<i64, ()> {
    if text.len() < 7 { Ok(id) } else { Err(()) }
}

fn by_identity(tx: &mut Tx<'_>, tail: &Tail, text: &str) -> Result<Vec<i64>> {
    let raw = Value::String(text.to_owned());
    let options = Options::default();
    let email = normalize::canonical(FieldType::Email, &raw, &options).ok().flatten();
    let number = normalize::canonical(FieldType::Phone, &raw, &options).ok().flatten();
    let tax_id = normalize::canonical(FieldType::TaxId, &raw, &options).ok().flatten();
    let told = [
        email.as_ref().and_then(Value::as_str).map(|value| ("email", value)),
        number.as_ref().and_then(phone::evidence).map(|value| ("phone", value)),
        tax_id.as_ref().and_then(Value::as_str).map(|value| ("tax_id", value)),
    ];
    let wanted: Vec<Identity> = told
        .into_iter()
        .flatten()
        .map(|(kind, value)| Identity { kind: kind.into(), value: value.to_owned() })
        .collect();
    let hashes: Vec<i64> = wanted.iter().map(|it| identity_hash("customer", it)).collect();
    let near = blocks::candidates(tx, tail, hashes, FOUND_MAX)?.into_iter().map(|(_, golden)| golden);
    // Equal hashes prove nothing: the links say whether they hold the value.
    let mut found: Vec<i64> = links::by_goldens(tx, near)?
        .into_iter()
        .filter(|link| link.golden != 0 && link.state.identities.iter().any(|it| wanted.contains(it)))
        .map(|link| link.golden)
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn survivors(tx: &mut Tx<'_>, found: Vec<i64>) -> Result<Vec<i64>> {
    let mut living = Vec::with_capacity(found.len());
    for golden in goldens::by_ids(tx, found)? {
        let survivor = golden.merged_into.unwrap_or(golden.id);
        if !living.contains(&survivor) {
            living.push(survivor);
        }
    }
    living.sort_unstable();
    Ok(living)
}

/// A golden record with every value's origin, its records and its history.
pub fn customer(engine: &Engine, id: i64) -> Result<Option<Customer>> {
    engine.store.read(|tx| {
        let Some(golden) = goldens::by_ids(tx, [id])?.into_iter().next() else { return Ok(None) };
        let members = links::by_goldens(tx, [id])?;
        let pins = goldens::pins(tx, [id])?.remove(&id).unwrap_or_default();
        let record = process::golden_record(engine, &golden.entity, members.iter(), &pins);
        let values = record.provenance.into_iter().map(|(field, provenance)| Surviving {
            value: record.fields.get(&field).cloned().unwrap_or_default(),
            field,
            provenance,
        });
        Ok(Some(Customer {
            id,
            entity: golden.entity.as_str().to_owned(),
            merged_into: golden.merged_into,
            values: values.collect(),
            links: members.iter().map(|link| member(engine, link, &members)).collect(),
            changes: goldens::changes_of(tx, id, HISTORY)?,
            timeline: timeline::of(engine, tx, &members)?,
            rules: fired(tx, id, HISTORY)?,
        }))
    })
}

fn member(engine: &Engine, link: &Link, all: &[Link]) -> Member {
    let others = all.iter().filter(|it| it.number != link.number);
    let mut others = evidence_of([link].into_iter().chain(others).map(|it| &it.state));
    let mine = others.remove(0);
    let because = if others.is_empty() {
        Vec::new()
    } else {
        let candidates = [Candidate { golden: link.golden, evidence: others }];
        match matching::decide(&engine.matching, link.entity.as_str(), &mine, &candidates) {
            Decision::Link { why, .. } => why.comparisons,
            Decision::Review { candidates } => {
                candidates.into_iter().next().map(|(_, why)| why.comparisons).unwrap_or_default()
            }
            Decision::Create => Vec::new(),
        }
    };
    Member { record: link.key.to_string(), open: link.open, because }
}

/// The story of one record, from the inbox to every target.
pub fn record(engine: &Engine, key: &LinkKey) -> Result<Story> {
    engine.store.read(|tx| {
        let backlog = inbox::backlog(tx, "process")?;
        let mut story = Story {
            record: key.to_string(),
            seen: false,
            backlog,
            arrivals: Vec::new(),
            entity: String::new(),
            golden: 0,
            targets: Vec::new(),
            rules: Vec::new(),
        };
        let Some(link) = links::by_keys(tx, [key])?.into_iter().next() else { return Ok(story) };
        story.seen = true;
        story.entity = link.entity.as_str().to_owned();
        story.golden = link.golden;
        let lines = links::history(tx, link.number, HISTORY)?;
        let received = inbox::received(tx, lines.iter().map(|line| line.position))?;
        story.arrivals = lines
            .into_iter()
            .map(|line| Arrival {
                position: line.position,
                received_us: received.get(&line.position).copied(),
                outcome: line.outcome,
                issues: line.detail,
            })
            .collect();
        story.targets = targets(engine, tx, &link)?;
        story.rules = fired(tx, link.golden, HISTORY)?;
        Ok(story)
    })
}

fn targets(engine: &Engine, tx: &mut Tx<'_>, link: &Link) -> Result<Vec<Target>> {
    if link.golden == 0 {
        return Ok(Vec::new());
    }
    let mut sent: BTreeMap<String, Vec<Sent>> = BTreeMap::new();
    for one in deliveries::of_golden(tx, link.golden, HISTORY)? {
        sent.entry(one.connection).or_default().push(Sent {
            number: one.delivery.number,
            operation: one.delivery.operation.as_str(),
            state: one.state,
            fields: one.fields.into_keys().collect(),
            error: one.error,
        });
    }
    let states = streams::states(tx)?;
    let members = links::by_goldens(tx, [link.golden])?;
    let unread = plan::unread(tx, engine.connections.values())?;
    let waits = |connection: &Connection| {
        let is_there = members.iter().any(|it| it.key.connection == connection.name);
        let mut lenses = connection.lenses.iter().filter(|lens| *lens.entity() == link.entity);
        let name = connection.name.as_str();
        !is_there && lenses.any(|lens| unread.contains(&(name.to_owned(), lens.stream().to_owned())))
    };
    let golden = goldens::by_ids(tx, [link.golden])?.into_iter().next();
    let withheld = |connection: &Connection| {
        let (Some(golden), false) = (&golden, connection.directions.is_empty()) else { return Vec::new() };
        let theirs = members.iter().filter(|it| it.open && it.key.connection == connection.name);
        let differing = theirs.flat_map(|it| {
            let projected = connection.lens(&it.key.lens).map(|lens| lens.project(&golden.fields)).unwrap_or_default();
            let held_back = |field: &FieldName| !connection.directions.takes(golden.entity.as_str(), field);
            projected.into_iter().filter(move |(field, value)| held_back(field) && it.state.lacks(field, value))
        });
        differing.map(|(field, _)| field).collect()
    };
    let others = engine.connections.values().filter(|it| it.name != link.key.connection && it.connector.is_some());
    Ok(others
        .map(|connection| {
            let name = connection.name.as_str();
            Target {
                connection: name.to_owned(),
                state: states.get(name).map_or(State::Observing, |(state, _)| *state).as_str().to_owned(),
                writes: connection.writes,
                waits: waits(connection),
                withheld: withheld(connection),
                deliveries: sent.remove(name).unwrap_or_default(),
            }
        })
        .collect())
}
