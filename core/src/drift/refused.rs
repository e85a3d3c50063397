//! Writes that a target refuses for the want of a field that nobody maps.

use super::{Detail, Finding, Kind, Parked, Part, Policy, State, digest};
use crate::connection::{self, Connection};
use crate::engine::Engine;
use crate::link::LinkKey;
use crate::store::db::{Result, Tx};
use crate::store::deliveries::Planned;
use crate::store::{drifts, streams};

/// The longest name of a place that is kept.
const PLACE_MAX: usize = 200;

/// A target refused a delivery and named a field. If the mapping writes nothing there, the system wants something new: a
/// finding, and the delivery is planned anew once the mapping is mended. Otherwise the value itself was refused, which is
/// this one record's affair.
pub(crate) fn refused(
    engine: &Engine,
    tx: &mut Tx<'_>,
    connection: &Connection,
    one: &Planned,
    at: &str,
) -> Result<()> {
    let Some(lens) = connection.lens(&one.lens).filter(|_| !at.is_empty() && at.len() <= PLACE_MAX) else {
        return Ok(());
    };
    let place = if at.starts_with('/') { at.to_owned() } else { format!("/{}", at.replace('.', "/")) };
    if lens.writes_at(&place) || one.delivery.body.pointer(&place).is_some() {
        return Ok(());
    }
    let of_lens = [(one.connection.clone(), one.lens.clone())].into();
    let is_same = |it: &Finding| it.kind == Kind::Refused && it.place == place && it.state == State::Open;
    let known = drifts::of_lenses(tx, &of_lens)?.into_iter().find(is_same);
    let number = match known {
        Some(known) => known.number,
        None => {
            let policy = connection.drift.of(lens.stream()).unwrap_or(Policy::ParkRow);
            let number = tx.max("id", "drift")? + 1;
            let finding = Finding {
                number,
                connection: one.connection.clone(),
                stream: lens.stream().to_owned(),
                lens: one.lens.clone(),
                kind: Kind::Refused,
                place,
                detail: Detail::default(),
                policy,
                digest: digest(lens),
                state: State::Open,
                made_us: engine.clock.now_us(),
                done_us: None,
            };
            let found = finding.sentence();
            tracing::warn!(connection = one.connection, finding = number, "schema drift: {found}; see `huiliu drift`");
            if policy == Policy::Stop {
                let now_us = engine.clock.now_us();
                streams::set_state(tx, &one.connection, connection::State::Paused, Some(&found), now_us)?;
            }
            drifts::put(tx, &[finding])?;
            number
        }
    };
    let id = one.delivery.number.to_string().into();
    let key = LinkKey { connection: connection.name.clone(), lens: one.lens.clone(), id };
    let parked = Parked { drift: number, key, position: one.delivery.number, part: Part::Delivery, recency: None };
    drifts::park(tx, &[parked])
}
