//! What belongs to a customer: orders, interactions, deals, tickets.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::value::{Fields, Identity, Reference};
use jiff::Timestamp;
use serde::Serialize;

use crate::engine::Engine;
use crate::link::{Link, LinkKey};
use crate::store::db::{Result, Tx};
use crate::store::{goldens, links};

/// Records looked at, the newest first: what a person may scroll through, not a busy shop's archive.
const RECORDS_MAX: usize = 2_000;

/// Entries shown.
const ENTRIES_MAX: usize = 50;

/// Something that belongs to a customer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its golden record.
    pub id: i64,
    /// `order`, `interaction`, …
    pub entity: String,
    /// When it happened, by its own fields; none if it does not say.
    pub at: Option<Timestamp>,
    /// Its values.
    pub fields: Fields,
}

/// What refers to the records of a customer, the latest first; what has no time comes last.
pub(super) fn of(engine: &Engine, tx: &mut Tx<'_>, members: &[Link]) -> Result<Vec<Entry>> {
    let keys: BTreeSet<&LinkKey> = members.iter().map(|link| &link.key).collect();
    let identities: BTreeSet<&Identity> = members.iter().flat_map(|link| &link.state.identities).collect();
    let mut numbers = links::referring(tx, members.iter().flat_map(Link::referred_by))?;
    numbers.drain(..numbers.len().saturating_sub(RECORDS_MAX));
    // Equal hashes prove nothing: the links say whom they mean.
    let means = |link: &Link| {
        link.open
            && link.state.references.iter().any(|reference| match reference {
                Reference::Identity(identity) => identities.contains(identity),
                Reference::Record { lens, id } => {
                    let connection = link.key.connection.clone();
                    keys.contains(&LinkKey { connection, lens: lens.clone(), id: id.as_str().into() })
                }
            })
    };
    let found: Vec<Link> = links::by_numbers(tx, numbers)?.into_iter().filter(means).collect();
    let instants: BTreeMap<i64, Vec<String>> = found.iter().map(|link| (link.golden, instants(engine, link))).collect();
    let mut entries: Vec<Entry> = goldens::by_ids(tx, instants.keys().copied())?
        .into_iter()
        .filter(|golden| golden.merged_into.is_none())
        .map(|golden| {
            let told = instants[&golden.id].iter().filter_map(|field| golden.fields.get(field.as_str())?.as_str());
            let at = told.filter_map(|text| text.parse().ok()).min();
            Entry { id: golden.id, entity: golden.entity.as_str().to_owned(), at, fields: golden.fields }
        })
        .collect();
    entries.sort_by_key(|entry| (std::cmp::Reverse(entry.at), std::cmp::Reverse(entry.id)));
    entries.truncate(ENTRIES_MAX);
    Ok(entries)
}

/// The fields of a record that are points in time.
fn instants(engine: &Engine, link: &Link) -> Vec<String> {
    let lenses =
        engine.connections.get(link.key.connection.as_str()).map(|it| it.lenses.as_slice()).unwrap_or_default();
    let lens = lenses.iter().find(|lens| lens.name() == link.key.lens);
    lens.into_iter().flat_map(|lens| lens.instants()).map(ToString::to_string).collect()
}
