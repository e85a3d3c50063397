//! What a complete scan did not show: absence is not deletion, until it is verified.
//!
//! A scan that read everything leaves a mark in the inbox. When the mark's turn comes, everything that the scan showed
//! is processed, so an open link without a line in its journal since the scan began was not shown. Where the connector
//! can read one record, each missing one is read: the system itself says that it is gone, or shows it. Elsewhere the
//! link closes. If more is missing than the budget allows, nothing happens until a later scan shows it again or a
//! steward releases the brake ([`crate::review::release`]): a lost permission looks exactly like a mass deletion.

use crate::connection::{Connection, Missing};
use crate::engine::Engine;
use crate::link::LinkKey;
use crate::manifest::Ability;
use crate::pipeline::process::BATCH_ITEMS;
use crate::store::db::{Result, Tx};
use crate::store::inbox::InboxItem;
use crate::store::links::{self, JournalLine};
use crate::store::streams::{Brake, Mark};

use super::expand::{Arrival, Expanded, Source};

/// What a mark leads to, beside records to read and links to close.
pub(super) struct Swept {
    pub connection: String,
    pub stream: String,
    /// Links whose records are read again, in their history.
    pub journal: Vec<JournalLine>,
    /// The brake of the stream from now on.
    pub brake: Option<Brake>,
    /// Whether more is missing than fits one batch: the mark is then met once more.
    pub unfinished: bool,
}

pub(super) fn sweep(engine: &Engine, tx: &mut Tx<'_>, item: &InboxItem) -> Result<(Swept, Expanded)> {
    let stream = item.stream.clone().unwrap_or_default();
    let (journal, brake, unfinished) = (Vec::new(), None, false);
    let mut swept = Swept { connection: item.connection.clone(), stream, journal, brake, unfinished };
    let mut expanded = Expanded::default();
    let Some(connection) = engine.connections.get(&item.connection) else { return Ok((swept, expanded)) };
    let mark: Mark = serde_json::from_slice(&item.body)?;
    let lenses = lens_names(connection, &swept.stream);
    let scope = links::Scope { connection: &item.connection, lenses: &lenses };
    let (open, missing) = (links::count_open(tx, &scope)?, links::count_unseen(tx, &scope, &mark.scan)?);
    let can_read = connection.can(&swept.stream, Ability::Fetch);
    if mark.released_by.is_none() && is_too_much(connection.missing, open, missing, can_read) {
        let (connection, stream) = (&item.connection, &swept.stream);
        tracing::warn!(connection, stream, open, missing, "a scan misses too much: nothing is closed");
        swept.brake = Some(Brake { scan: mark.scan, open, missing, at_us: item.received_us });
        return Ok((swept, expanded));
    }
    swept.unfinished = missing > BATCH_ITEMS;
    for (link, lens, id) in links::unseen(tx, &scope, &mark.scan, BATCH_ITEMS)? {
        if can_read {
            expanded.hints.push((item.connection.clone(), swept.stream.clone(), id, item.position));
            let outcome = "missing".to_owned();
            swept.journal.push(JournalLine { link, position: item.position, outcome, detail: None });
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
                blocks: Vec::new(),
                shape: Vec::new(),
            });
        }
    }
    expanded.ask(Vec::new());
    Ok((swept, expanded))
}

fn lens_names<'a>(connection: &'a Connection, stream: &str) -> Vec<&'a str> {
    connection.lenses.iter().filter(|lens| lens.stream() == stream).map(|lens| lens.name()).collect()
}

/// A scan that shows nothing at all proves nothing, unless each record can be asked for.
fn is_too_much(budget: Missing, open: i64, missing: i64, can_read: bool) -> bool {
    let share = open.saturating_mul(i64::from(budget.percent)) / 100;
    missing > i64::from(budget.links).max(share) || (missing > 0 && missing == open && !can_read)
}
