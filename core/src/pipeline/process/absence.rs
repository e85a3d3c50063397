//! What a complete scan did not show: absence is not deletion, until it is verified.
//!
//! A scan that read everything leaves a mark in the inbox. When the mark's turn comes, everything that the scan showed
//! is processed, so an open link without a line in its journal since the scan began was not shown. Where the connector
//! can read one record, each missing one is read: the system itself says that it is gone, or shows it. Elsewhere the
//! link closes. If more is missing than the budget allows, together with what went otherwise in this hour, nothing
//! happens until a later scan shows it again or a steward releases the brake ([`crate::review::release`]): a lost
//! permission looks exactly like a mass deletion.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::matching::Keys;

use crate::connection::Connection;
use crate::engine::Engine;
use crate::link::LinkKey;
use crate::manifest::Ability;
use crate::pipeline::process::BATCH_ITEMS;
use crate::store::brakes::{self, Hold, Kind};
use crate::store::db::{Result, Tx};
use crate::store::inbox::InboxItem;
use crate::store::links::{self, JournalLine};
use crate::store::streams::{self, Brake, Mark, Scan};

use super::expand::{Arrival, Expanded, Leave, Source};
use super::resolve::{Batch, running};

/// What a mark leads to, beside records to read and links to close.
pub(super) struct Swept {
    connection: String,
    stream: String,
    /// Links whose records are read again, in their history.
    journal: Vec<JournalLine>,
    /// Links that a steward lets close whatever the budget says, when their records were read again.
    given: Vec<Hold>,
    /// The brake of the stream from now on.
    brake: Option<Brake>,
    /// Whether more is missing than fits one batch: the mark is then met once more.
    pub unfinished: bool,
}

impl Swept {
    /// Into the store, with the batch.
    pub fn write(&self, tx: &mut Tx<'_>) -> Result<()> {
        links::journal(tx, &self.journal)?;
        brakes::hold(tx, &self.given)?;
        streams::set_brake(tx, &self.connection, &self.stream, self.brake).map(drop)
    }
}

pub(super) fn sweep(engine: &Engine, tx: &mut Tx<'_>, item: &InboxItem) -> Result<(Swept, Expanded)> {
    let (connection, stream) = (item.connection.clone(), item.stream.clone().unwrap_or_default());
    let (journal, given, brake, unfinished) = (Vec::new(), Vec::new(), None, false);
    let mut swept = Swept { connection, stream, journal, given, brake, unfinished };
    let mut expanded = Expanded::default();
    let Some(connection) = engine.connections.get(&item.connection) else { return Ok((swept, expanded)) };
    let mark: Mark = serde_json::from_slice(&item.body)?;
    let lenses = connection.lenses_of(&swept.stream);
    let scope = links::Scope { connection: &item.connection, lenses: &lenses };
    let (open, missing) = (links::count_open(tx, &scope)?, links::count_unseen(tx, &scope, &mark.scan)?);
    let can_read = connection.can(&swept.stream, Ability::Fetch);
    let is_released = mark.released_by.is_some();
    let budget = (item.connection.clone(), swept.stream.clone(), Kind::Missing);
    if !is_released && missing > 0 {
        let spent = brakes::spent(tx, [(item.connection.as_str(), swept.stream.as_str())])?.remove(&budget);
        let spent = spent.unwrap_or_default();
        // A scan that shows nothing at all proves nothing, unless each record can be asked for.
        let proves_nothing = missing == open && !can_read;
        let gone = running(&spent, item.received_us);
        let is_held = spent.caught_us.is_some() || proves_nothing;
        if is_held || is_too_much(tx, connection, &scope, &mark.scan, (open, missing, gone))? {
            let (connection, stream) = (&item.connection, &swept.stream);
            tracing::warn!(connection, stream, open, missing, "a scan misses too much: nothing is closed");
            swept.brake = Some(Brake { scan: mark.scan, open, missing, at_us: item.received_us });
            return Ok((swept, expanded));
        }
    }
    swept.unfinished = missing > BATCH_ITEMS;
    let leave = if is_released { Leave::Given } else { Leave::Judged };
    for (link, lens, id) in links::unseen(tx, &scope, &mark.scan, BATCH_ITEMS)? {
        if can_read {
            expanded.hints.push((item.connection.clone(), swept.stream.clone(), id, item.position));
            let (position, outcome) = (item.position, "missing".to_owned());
            swept.journal.push(JournalLine { link, position, outcome, detail: None });
            if is_released {
                let (key, received_us) = (budget.clone(), item.received_us);
                swept.given.push(Hold { link, key, position, version: None, received_us, released: true });
            }
        } else if let Some(lens) = connection.lens(&lens) {
            expanded.arrivals.push(Arrival {
                position: item.position,
                key: LinkKey { connection: connection.name.clone(), lens: lens.name().to_owned(), id: id.into() },
                lens: lens.clone(),
                mapped: None,
                survivor: None,
                issues: Vec::new(),
                version: None,
                received_us: item.received_us,
                clock_offset_us: item.clock_offset_us,
                source: Source::Read,
                leave,
                keys: Keys::default(),
                shape: Vec::new(),
            });
        }
    }
    expanded.ask(Vec::new());
    Ok((swept, expanded))
}

/// Whether so many missing links of the open ones, with those that went otherwise in this hour, are beyond the budget.
fn is_too_much(
    tx: &mut Tx<'_>,
    connection: &Connection,
    scope: &links::Scope<'_>,
    scan: &Scan,
    (open, missing, gone): (i64, i64, i64),
) -> Result<bool> {
    let allows = |missing: i64| connection.missing.allows(open + gone, missing + gone);
    if allows(missing) {
        return Ok(false);
    }
    // Who was handed over to somebody else is not gone.
    let unseen = links::unseen(tx, scope, scan, BATCH_ITEMS)?;
    Ok(!allows(missing - handed_over(tx, connection, &unseen)?))
}

/// How many of these links (number, lens, id) others take the place of, which the scan showed.
fn handed_over(tx: &mut Tx<'_>, connection: &Connection, unseen: &[(i64, String, String)]) -> Result<i64> {
    let lens = |name: &str| connection.lens(name).filter(|lens| lens.heir().is_some());
    let going: BTreeSet<i64> = unseen.iter().map(|(number, ..)| *number).collect();
    let may: BTreeMap<i64, _> = unseen.iter().filter_map(|(number, name, _)| Some((*number, lens(name)?))).collect();
    if may.is_empty() {
        return Ok(0);
    }
    let known = links::by_numbers(tx, may.keys().copied())?;
    let goldens = known.iter().map(|link| link.golden).filter(|golden| *golden != 0).collect();
    let batch = Batch::gather(tx, known, goldens)?;
    let taken = may.iter().filter(|(number, lens)| batch.heir(**number, lens, &going).is_some()).count();
    Ok(i64::try_from(taken).unwrap_or(i64::MAX))
}
