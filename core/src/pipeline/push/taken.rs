//! Creates that end at a record of another customer: a system that knows people by their e-mail address takes the second
//! who has it for the first. Made again and again, each of the two would write over the other for ever; so a person is
//! asked, once.

use std::collections::BTreeSet;

use super::{Outcome, bury, done};
use crate::connection::Connection;
use crate::connector::{Operation, Receipt};
use crate::engine::Engine;
use crate::pipeline::plan;
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, Planned, doubt};

/// Gives such a create up, and puts back what it may have written over.
pub(super) fn close(
    engine: &Engine,
    tx: &mut Tx<'_>,
    connection: &Connection,
    one: &Planned,
    receipt: &Receipt,
    other: i64,
) -> Result<()> {
    let now_us = engine.clock.now_us();
    let why = format!(
        "{}/{}/{} is what the system has for this customer, and it is a record of customer {other}: if the two are one, join \
         them with `huiliu link`; if not, give one of them what the system tells them apart by, such as another e-mail address",
        connection.name, one.lens, receipt.id
    );
    let end = Outcome { state: "dead", error: Some(&why), due_us: now_us, is_unknown: false, now_us };
    deliveries::finish(tx, &one.delivery, &end)?;
    doubt::taken(tx, one)?;
    bury(tx, one, &why, now_us)?;
    // Another attempt only looked; the first may have written.
    if one.delivery.attempt > 1 {
        return Ok(());
    }
    done::hold(tx, connection, (one, receipt), now_us)?;
    let planned = plan::plan(engine, tx, &BTreeSet::from([other]), None)?;
    plan::queue(engine, tx, &planned)
}

/// What was done may be creates that ended well: those before them that did not need nobody any more.
pub(super) fn settle(tx: &mut Tx<'_>, done: &[&Planned]) -> Result<()> {
    let made: Vec<&&Planned> =
        done.iter().filter(|one| one.delivery.operation == Operation::Create && !one.is_action()).collect();
    doubt::answered(tx, made.iter().map(|one| one.delivery.number))?;
    let taken = doubt::all_taken(tx, made.iter().map(|one| one.golden).collect::<BTreeSet<_>>())?;
    let is_over = |it: &&Planned| made.iter().any(|one| is_there(it, one));
    doubt::settle(tx, taken.iter().filter(is_over).map(|it| it.delivery.number))
}

/// Whether a create that is owed would end where one ended that was given up: it would be known by the same.
pub(crate) fn is_known(connection: &Connection, taken: &[Planned], one: &Planned) -> bool {
    let Some(lens) = connection.lens(&one.lens) else { return false };
    let identities = |it: &Planned| {
        let (record, _) = lens.map(&it.delivery.body);
        record.identities.into_iter().collect::<BTreeSet<_>>()
    };
    taken.iter().filter(|it| is_there(it, one)).any(|it| identities(it) == identities(one))
}

/// Whether this is a create, and so was that one, of the same customer in the same place.
pub(crate) fn is_there(taken: &Planned, one: &Planned) -> bool {
    one.delivery.operation == Operation::Create
        && (taken.golden, &taken.connection, &taken.lens) == (one.golden, &one.connection, &one.lens)
}
