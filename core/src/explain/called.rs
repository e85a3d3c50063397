//! Customers by the beginning of a name. One look into an index that is in the order of the names: as fast with a
//! million customers as with ten.

use huiliu_mappings::called;

use crate::engine::Engine;
use crate::store::db::{Result, Tx};
use crate::store::goldens::{self, Golden};
use crate::store::{console, inbox};

/// Where a list of names goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The last name.
    pub name: Vec<u8>,
    /// The last golden record of that name.
    pub golden: i64,
}

/// Customers found by name.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Them, in the order of the names.
    pub customers: Vec<Golden>,
    /// Where the rest begins.
    pub more: Option<Place>,
    /// Whether names changed that are not entered yet.
    pub is_behind: bool,
}

/// Names looked at for the word that tells most, when several words must fit.
const LOOKED_AT: i64 = 500;

/// Customers with a name, or a part of one, that begins so; with several words, in any order. At most `count`.
pub fn named(engine: &Engine, text: &str, after: Option<&Place>, count: i64) -> Result<Found> {
    let folded = called::fold(text);
    if folded.is_empty() {
        return Ok(Found::default());
    }
    engine.store.read(|tx| {
        let mut found = beginning(tx, &called::start(&folded), after, count)?;
        let words = called::words(&folded);
        if found.customers.is_empty() && words.len() > 1 {
            let mut wide = beginning(tx, &words[0], None, LOOKED_AT)?;
            wide.customers.retain(|golden| called::fits(&golden.fields, &words));
            wide.customers.truncate(usize::try_from(count).unwrap_or(0));
            found = Found { customers: wide.customers, more: None, is_behind: false };
        }
        found.is_behind = inbox::progress(tx, crate::pipeline::index::POSITION)? < tx.max("position", "change_log")?;
        Ok(found)
    })
}

fn beginning(tx: &mut Tx<'_>, start: &str, after: Option<&Place>, count: i64) -> Result<Found> {
    let from = after.map_or((&[][..], -1), |place| (place.name.as_slice(), place.golden));
    let names = console::called(tx, start, from, count)?;
    let full = i64::try_from(names.len()).is_ok_and(|found| found == count);
    let more = names.last().filter(|_| full).map(|(name, golden)| Place { name: name.clone(), golden: *golden });
    let known = goldens::by_ids(tx, names.iter().map(|(_, golden)| *golden))?;
    let mut customers: Vec<Golden> = Vec::with_capacity(known.len());
    for (_, id) in &names {
        let living = known.iter().find(|it| it.id == *id && it.merged_into.is_none());
        if let Some(golden) = living.filter(|it| customers.iter().all(|listed| listed.id != it.id)) {
            customers.push(golden.clone());
        }
    }
    Ok(Found { customers, more, is_behind: false })
}
