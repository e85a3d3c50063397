//! Creates whose outcome nobody knows, in systems that can neither tell a repeat nor be asked: sent again they would make
//! a second record. Each waits until its stream was read to the end by a read that began after the attempt; if its
//! record shows up it is taken for ours, and if not, a person has to look.

use std::collections::{BTreeMap, BTreeSet};

use super::{CLAIM_BATCHES, IN_FLIGHT_US, bury};
use crate::connection::Connection;
use crate::connector::Operation;
use crate::engine::Engine;
use crate::manifest::Ability;
use crate::pipeline::{plan, process};
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{Planned, doubt};
use crate::store::streams::StreamState;
use crate::store::{goldens, inbox, links, streams};

/// The shortest and the longest time until it is asked again whether the read has come to its end.
const ASK_AGAIN_US: (i64, i64) = (1_000_000, 60_000_000);

const WAITS: &str = "the answer was lost, and the system cannot tell a repeat; this waits until a complete read shows \
                     whether the record was made";

const NOT_SEEN: &str = "nobody knows whether the record was made: the answer was lost, the system cannot tell a repeat, and \
                        a complete read did not show it; look there: if it is there, join the two customers with `huiliu \
                        link`; if not, `huiliu dead-letters retry` with this number makes it";

const NOT_READ: &str = "nobody knows whether the record was made: the answer was lost, and the system can neither tell a \
                        repeat nor be read; look there: if it is not there, `huiliu dead-letters retry` with this number \
                        makes it";

/// Whether a create that is owed was sent before, nobody knows with what outcome, and a person was asked.
pub(crate) fn is_asked(connection: &Connection, unsure: &[Planned], one: &Planned) -> bool {
    let is_same = |it: &&Planned| it.delivery.idempotency_key == one.delivery.idempotency_key && it.state == "dead";
    one.delivery.operation == Operation::Create && unsure.iter().any(|it| is_same(&it)) && !knows(connection, one)
}

fn knows(connection: &Connection, one: &Planned) -> bool {
    connection.connector.as_ref().is_some_and(|it| it.knows_repeat(&one.delivery))
}

/// Keeps back what is due and must not be sent again yet; only in the transaction that claims.
pub(super) fn hold(engine: &Engine, tx: &mut Tx<'_>, connection: &Connection, now_us: i64) -> Result<()> {
    let name = connection.name.as_str();
    let mut due = doubt::due_again(tx, name, now_us, CLAIM_BATCHES)?;
    // What an automation rule wants makes no record that a read could show as ours.
    due.retain(|one| !one.is_action() && !knows(connection, one));
    if due.is_empty() {
        return Ok(());
    }
    let unknown = doubt::unknown_creates(tx, due.iter().map(|one| one.golden).collect::<BTreeSet<_>>())?;
    let known = known(tx, name, &due)?;
    due.retain(|one| !known.contains(&one.golden));
    let (streams, processed) = (streams::all(tx)?, inbox::progress(tx, process::POSITION)?);
    let mut to_read = BTreeSet::new();
    for one in &due {
        let Some(ended_us) = unknown.get(&one.delivery.idempotency_key) else { continue };
        let at = (name.to_owned(), one.delivery.stream.as_str().to_owned());
        let look_us = ended_us.saturating_add(IN_FLIGHT_US + super::lag_us(connection, one));
        let state = streams.get(&at);
        if !connection.can(&at.1, Ability::Pull) {
            give_up(engine, tx, one, NOT_READ)?;
        } else if state.is_some_and(|it| is_seen(it, look_us, processed)) {
            give_up(engine, tx, one, NOT_SEEN)?;
        } else {
            if now_us >= look_us && state.is_some_and(|it| it.failures == 0 && it.scan.is_none()) {
                to_read.insert(at);
            }
            let wait_us = ((now_us - look_us) / 2).clamp(ASK_AGAIN_US.0, ASK_AGAIN_US.1);
            doubt::wait(tx, one.delivery.number, look_us.max(now_us + wait_us), WAITS)?;
        }
    }
    if to_read.is_empty() { Ok(()) } else { streams::bring_forward(tx, &to_read, now_us).map(drop) }
}

/// Whether a read that began late enough came to its end, and all that it showed is taken in.
fn is_seen(state: &StreamState, look_us: i64, processed: i64) -> bool {
    state.seen_us.is_some_and(|began_us| began_us >= look_us) && state.seen_to.is_some_and(|to| processed >= to)
}

fn give_up(engine: &Engine, tx: &mut Tx<'_>, one: &Planned, why: &str) -> Result<()> {
    let now_us = engine.clock.now_us();
    doubt::ask(tx, one, why, now_us)?;
    bury(tx, one, why, now_us)
}

/// The golden records that have a record in this connection by now, whoever made it.
pub(super) fn known(tx: &mut Tx<'_>, connection: &str, creates: &[Planned]) -> Result<BTreeSet<i64>> {
    let mut alive = BTreeMap::new();
    for one in creates {
        alive.insert(one.golden, goldens::alive(tx, one.golden)?);
    }
    let links = links::by_goldens(tx, alive.values().copied().collect::<BTreeSet<_>>())?;
    let here: BTreeSet<i64> =
        links.iter().filter(|it| it.key.connection.as_str() == connection).map(|it| it.golden).collect();
    Ok(alive.into_iter().filter(|(_, alive)| here.contains(alive)).map(|(golden, _)| golden).collect())
}

/// A create that was sent again as it was, and was refused: what the golden record became meanwhile may be taken.
pub(super) fn go_on(engine: &Engine, tx: &mut Tx<'_>, one: &Planned) -> Result<()> {
    if one.delivery.operation != Operation::Create || one.is_action() || one.delivery.attempt < 2 {
        return Ok(());
    }
    let golden = goldens::alive(tx, one.golden)?;
    let mut planned = plan::plan(engine, tx, &BTreeSet::from([golden]), None)?;
    let is_it = |it: &Planned| (&it.connection, &it.lens, &it.delivery.id) == (&one.connection, &one.lens, &None);
    planned.retain(|it| is_it(it) && it.fields != one.fields);
    plan::queue(engine, tx, &planned)
}
