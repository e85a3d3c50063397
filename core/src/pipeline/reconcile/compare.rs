//! What is known of records, beside what their system shows of them.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::value::{FieldName, MappedRecord};

use crate::connection::Connection;
use crate::connector::Record;
use crate::engine::Engine;
use crate::link::{Link, LinkKey, LinkState};
use crate::pipeline::{plan, process};
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, Planned};
use crate::store::divergences::{self, Kind};
use crate::store::{goldens, inbox, links};

/// How a record differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub kind: Kind,
    /// None: the whole record.
    pub fields: BTreeSet<FieldName>,
}

impl Difference {
    pub fn whole(kind: Kind) -> Self {
        Self { kind, fields: BTreeSet::new() }
    }
}

/// What the store knows of some records of one stream.
pub(super) struct Known {
    links: BTreeMap<(String, String), Link>,
    /// By lens and id: what they are owed and nobody sends yet.
    owed: BTreeMap<(String, String), Planned>,
    /// By id: deliveries that were given up.
    dead: BTreeMap<String, i64>,
    /// Ids about which something is under way.
    busy: BTreeSet<String>,
    /// The inbox is processed up to here.
    pub processed: i64,
}

impl Known {
    /// Reads it: a handful of queries for all of them.
    pub fn load(
        engine: &Engine,
        tx: &mut Tx<'_>,
        connection: &Connection,
        stream: &str,
        ids: &BTreeSet<String>,
    ) -> Result<Self> {
        let lenses = connection.lenses_of(stream);
        let keys: Vec<LinkKey> = ids
            .iter()
            .flat_map(|id| lenses.iter().map(move |lens| (lens, id)))
            .map(|(lens, id)| LinkKey {
                connection: connection.name.clone(),
                lens: (*lens).to_owned(),
                id: id.as_str().into(),
            })
            .collect();
        let links = links::by_keys(tx, &keys)?;
        let golden: BTreeSet<i64> = links.iter().filter(|it| it.open && it.golden != 0).map(|it| it.golden).collect();
        let mut busy = divergences::being_read(tx, (connection.name.as_str(), stream), ids)?;
        let mut dead = BTreeMap::new();
        let is_ours = |one: &&Planned| one.connection == connection.name.as_str();
        for one in deliveries::unfinished_of(tx, golden.iter().copied())?.iter().filter(is_ours) {
            let Some(id) = one.delivery.id.as_ref().map(|id| id.as_str().to_owned()) else { continue };
            if one.state == "dead" {
                dead.insert(id, one.delivery.number);
            } else {
                busy.insert(id);
            }
        }
        let planned_to = inbox::progress(tx, plan::POSITION)?;
        let moved = goldens::by_ids(tx, golden.iter().copied())?.into_iter().filter(|it| it.change > planned_to);
        let moved: BTreeSet<i64> = moved.map(|it| it.id).collect();
        busy.extend(links.iter().filter(|it| moved.contains(&it.golden)).map(|it| it.key.id.as_str().to_owned()));
        let owed = plan::owed_now(engine, tx, &golden, &connection.name)?.into_iter().filter_map(|one| {
            let id = one.delivery.id.as_ref()?.as_str().to_owned();
            Some(((one.lens.clone(), id), one))
        });
        Ok(Self {
            owed: owed.collect(),
            links: links.into_iter().map(|it| ((it.key.lens.clone(), it.key.id.as_str().to_owned()), it)).collect(),
            dead,
            busy,
            processed: inbox::progress(tx, process::POSITION)?,
        })
    }

    fn of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Link> {
        self.links.values().filter(move |link| link.key.id.as_str() == id)
    }

    /// Open links of these ids.
    pub fn open(&self) -> impl Iterator<Item = &Link> {
        self.links.values().filter(|link| link.open)
    }

    /// Whether the hub holds a record to be there.
    pub fn is_open(&self, id: &str) -> bool {
        self.of(id).any(|link| link.open)
    }

    /// Whether something about a record is still under way: a delivery, a change to plan, a key to read.
    pub fn is_busy(&self, id: &str) -> bool {
        self.busy.contains(id)
    }

    /// The delivery to a record that was given up.
    pub fn given_up(&self, id: &str) -> Option<i64> {
        self.dead.get(id).copied()
    }

    /// What a record is owed.
    pub fn owed_to(&self, id: &str) -> Vec<Planned> {
        self.owed.iter().filter(|((_, known), _)| known == id).map(|(_, one)| one.clone()).collect()
    }

    /// When our last write to a record was answered, and when its system last said something.
    pub fn fresh_us(&self, id: &str) -> (i64, i64) {
        let each = self.of(id).map(|link| (link.state.fresh_us, link.state.said_us()));
        each.fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)))
    }

    /// Whether a version is older than what is known of the record: it would be taken for stale.
    pub fn is_older(&self, record: &Record) -> bool {
        let shown = record.version.as_ref().and_then(|it| it.order);
        let known = self.of(record.id.as_str()).filter_map(|it| it.version.as_ref()?.order).max();
        shown.zip(known).is_some_and(|(shown, known)| shown < known)
    }

    /// How a record differs from what is known of it. `fields` counts what was compared.
    pub fn difference(
        &self,
        connection: &Connection,
        record: &Record,
        fields: &mut BTreeMap<FieldName, i64>,
    ) -> Option<Difference> {
        let mut found: Option<Difference> = None;
        let reads = |lens: &&std::sync::Arc<huiliu_mappings::lens::Lens>| {
            lens.stream() == record.stream.as_str() && lens.reads(&record.body)
        };
        for lens in connection.lenses.iter().filter(reads) {
            let (shown, _) = lens.map(&record.body);
            shown.fields.keys().for_each(|field| *fields.entry(field.clone()).or_default() += 1);
            let key = (lens.name().to_owned(), record.id.as_str().to_owned());
            let Some(difference) = self.one(&key, &shown) else { continue };
            match &mut found {
                Some(worse) if worse.kind == difference.kind => worse.fields.extend(difference.fields),
                Some(worse) if worse.kind < difference.kind => {}
                _ => found = Some(difference),
            }
        }
        found
    }

    fn one(&self, key: &(String, String), shown: &MappedRecord) -> Option<Difference> {
        let Some(link) = self.links.get(key).filter(|link| link.open) else {
            return Some(Difference::whole(Kind::Unseen));
        };
        let missed = missed(&link.state, shown);
        if !missed.is_empty() {
            return Some(Difference { kind: Kind::Missed, fields: missed });
        }
        // After a write without an answer a value may be owed that is there already.
        let is_there = |(field, value): &(&FieldName, &serde_json::Value)| shown.fields.get(*field) == Some(*value);
        let owed = self.owed.get(key)?.fields.iter().filter(|it| !is_there(it));
        let fields: BTreeSet<FieldName> = owed.map(|(field, _)| field.clone()).collect();
        (!fields.is_empty()).then_some(Difference { kind: Kind::Undelivered, fields })
    }
}

/// The fields in which a record shows something else than the hub holds. An empty field that was never held is no news.
fn missed(state: &LinkState, shown: &MappedRecord) -> BTreeSet<FieldName> {
    let differs = |(field, value): &(&FieldName, &serde_json::Value)| match state.held.get(*field) {
        Some(held) => held != *value,
        None => !value.is_null(),
    };
    shown.fields.iter().filter(differs).map(|(field, _)| field.clone()).collect()
}
